from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.data.cards import load_card
from harness.data.sources import check_sources, find_sources, why_absent
from harness.errors import DataError
from harness.progress import Progress

CardWriter = Callable[..., str]


def test_a_users_card_finds_files_beside_itself(tidy_card: CardWriter, tmp_path: Path) -> None:
    paths = find_sources(load_card(tidy_card()))
    assert paths == {role: tmp_path / f"{role}.jsonl" for role in ("events", "items")}


def test_the_environment_variable_wins_over_the_default(
    tidy_card: CardWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_card(tidy_card(location='folder_env = "SMALL_DATA"\nfolder_default = "nowhere"'))
    assert "set the environment variable SMALL_DATA" in (why_absent(card) or "")
    monkeypatch.setenv("SMALL_DATA", str(tmp_path))
    assert why_absent(card) is None


def test_a_missing_file_says_where_and_what_to_set(
    tidy_card: CardWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_card(tidy_card(location='folder_env = "SMALL_DATA"'))
    with pytest.raises(DataError, match="set the environment variable SMALL_DATA"):
        find_sources(card)
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "empty"))
    with pytest.raises(DataError) as caught:
        find_sources(card)
    assert f"looked for {tmp_path / 'empty' / 'events.jsonl'}" in str(caught.value)
    assert "set the environment variable SMALL_DATA" in str(caught.value)


def test_a_missing_package_is_named(tidy_card: CardWriter) -> None:
    card = load_card(tidy_card(location='package = "no_such_package_at_all"'))
    with pytest.raises(DataError, match="no_such_package_at_all, which is not installed"):
        find_sources(card)


def test_a_package_without_the_file_is_named(tidy_card: CardWriter) -> None:
    card = load_card(tidy_card(location='package = "harness"'))
    with pytest.raises(DataError, match=r"looked for .*harness/.*reinstall the package harness"):
        find_sources(card)


def test_a_wrong_digest_shows_both(tidy_card: CardWriter, tmp_path: Path, silent: Progress) -> None:
    card = load_card(tidy_card())
    paths = find_sources(card)
    check_sources(card, paths, silent)
    paths["items"].write_bytes(b"{}\n")
    found = hashlib.sha256(b"{}\n").hexdigest()
    expected = card.source.files["items"].sha256
    with pytest.raises(DataError, match=f"items.jsonl.*expected {expected}, found {found}"):
        check_sources(card, paths, silent)
