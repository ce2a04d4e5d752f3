from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.data import prepare as preparing
from harness.data.card import DatasetCard
from harness.data.cards import load_card
from harness.data.prepared import PreparedData
from harness.data.sources import check_sources, find_sources, why_absent
from harness.errors import DataError
from harness.files import sha256_file
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


# ---- where files are looked for ------------------------------------------------------------------


def nested_card(
    tidy_card: CardWriter, tmp_path: Path, location: str, **options: Any
) -> DatasetCard:
    """Return a card whose files lie in an inner folder, and take them away from beside it."""
    path = Path(tidy_card(location=location, **options))
    text = path.read_text(encoding="utf-8")
    for role in ("events", "items"):
        text = text.replace(f'path = "{role}.jsonl"', f'path = "raw/v2/{role}.jsonl"')
        (tmp_path / f"{role}.jsonl").rename(tmp_path / f"kept-{role}.jsonl")
    path.write_text(text, encoding="utf-8")
    return load_card(str(path))


def lay(tmp_path: Path, folder: Path) -> dict[str, Path]:
    """Copy the files of a nested card into a folder; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = {role: folder / f"{role}.jsonl" for role in ("events", "items")}
    for role, path in paths.items():
        path.write_bytes((tmp_path / f"kept-{role}.jsonl").read_bytes())
    return paths


LOCATION = 'folder_env = "SMALL_DATA"\nfolder_default = "default"'


@pytest.mark.parametrize("inner", ["raw/v2", "."])
@pytest.mark.parametrize("place", ["named", "environment", "default", "cache"])
def test_every_place_may_have_the_inner_folder_or_the_files_themselves(
    tidy_card: CardWriter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    inner: str,
) -> None:
    card = nested_card(tidy_card, tmp_path, LOCATION)
    if place == "environment":
        monkeypatch.setenv("SMALL_DATA", str(tmp_path / "environment"))
    folder = tmp_path / ("cache/sources" if place == "cache" else place)
    paths = lay(tmp_path, folder / inner)
    named = tmp_path / "named" if place == "named" else None
    assert find_sources(card, named, tmp_path / "cache") == paths
    assert (why_absent(card, tmp_path / "cache") is None) is (place != "named")


def test_the_order_of_places(
    tidy_card: CardWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = nested_card(tidy_card, tmp_path, LOCATION)
    cache = tmp_path / "cache"

    def found(folder: Path | None = None) -> Path:
        return find_sources(card, folder, cache)["items"].parent

    lay(tmp_path, cache / "sources")
    assert found() == cache / "sources"
    lay(tmp_path, tmp_path / "default")
    assert found() == tmp_path / "default"
    lay(tmp_path, tmp_path / "default" / "raw" / "v2")
    assert found() == tmp_path / "default" / "raw" / "v2"
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "nowhere"))
    assert found() == cache / "sources"  # the variable takes the default's place
    lay(tmp_path, tmp_path / "chosen")
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "chosen"))
    assert found() == tmp_path / "chosen"
    lay(tmp_path, tmp_path / "named")
    assert found(tmp_path / "named") == tmp_path / "named"
    with pytest.raises(DataError):  # whoever names a folder means that one
        found(tmp_path / "empty")


def test_a_missing_file_names_every_place(
    tidy_card: CardWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = nested_card(tidy_card, tmp_path, LOCATION)
    monkeypatch.setenv("SMALL_DATA", str(tmp_path / "chosen"))
    with pytest.raises(DataError) as caught:
        find_sources(card, cache=tmp_path / "cache")
    message = str(caught.value)
    for folder in (tmp_path / "chosen", tmp_path / "cache" / "sources"):
        assert f"{folder / 'raw/v2/events.jsonl'}, {folder / 'events.jsonl'}" in message
    assert "--source FOLDER" in message
    assert "SMALL_DATA" in message
    assert "fetch" not in message  # the card knows no address
    assert str(tmp_path / "default") not in message
    with pytest.raises(DataError) as caught:
        find_sources(card, tmp_path / "named", tmp_path / "cache")
    assert str(tmp_path / "named" / "events.jsonl") in str(caught.value)
    assert "cache" not in str(caught.value)


def test_a_file_that_can_be_fetched_says_so(tidy_card: CardWriter, tmp_path: Path) -> None:
    path = Path(tidy_card(location='folder_default = "nowhere"'))
    text = path.read_text(encoding="utf-8")
    path.write_text(
        text.replace('path = "events.jsonl"', 'path = "events.jsonl"\nurls = ["https://x.org/e"]'),
        encoding="utf-8",
    )
    assert "or fetch it: `data fetch small`" in (why_absent(load_card(str(path))) or "")


# ---- files whose digest nobody states ------------------------------------------------------------


@pytest.fixture
def unstated(tidy_card: CardWriter, tmp_path: Path) -> DatasetCard:
    """A card without digests, whose files lie in the folder ``raw``."""
    path = Path(tidy_card(location='folder_default = "raw"'))
    text = re.sub(r'sha256 = ".*"\n', "", path.read_text(encoding="utf-8"))
    path.write_text(text, encoding="utf-8")
    (tmp_path / "raw").mkdir()
    for role in ("events", "items"):
        (tmp_path / f"{role}.jsonl").rename(tmp_path / "raw" / f"{role}.jsonl")
    return load_card(str(path))


Prepared = Callable[..., tuple[PreparedData, bool]]


@pytest.fixture
def prepared(
    unstated: DatasetCard, tmp_path: Path, silent: Progress, monkeypatch: pytest.MonkeyPatch
) -> Prepared:
    """Prepare, and tell whether anything was built for it."""
    builds = []
    built = preparing._built

    def counted(*arguments: Any) -> PreparedData:
        builds.append(arguments)
        return built(*arguments)

    monkeypatch.setattr(preparing, "_built", counted)

    def run(folder: Path | None = None) -> tuple[PreparedData, bool]:
        before = len(builds)
        data = preparing.prepare(unstated, tmp_path / "cache", silent, folder=folder)
        return data, len(builds) > before

    return run


def rewrite(path: Path, former: bytes, now: bytes) -> None:
    """Change a file and, whatever the clock's resolution, the time of its last change."""
    state = path.stat()
    content = path.read_bytes()
    assert former in content
    path.write_bytes(content.replace(former, now))
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns + 1_000_000))


def test_the_digests_found_are_kept(prepared: Prepared, tmp_path: Path) -> None:
    data, built = prepared()
    assert built
    assert data.source_digests == {
        role: sha256_file(tmp_path / "raw" / f"{role}.jsonl") for role in ("events", "items")
    }
    again, built = prepared()
    assert not built
    assert again.source_digests == data.source_digests


@pytest.mark.parametrize(
    ("role", "former", "now"),
    [
        ("events", b'"v"', b'"w"'),  # as many bytes as before
        ("items", b"Apple", b"Angle"),
        ("events", b'"v"', b'"vv"'),
        ("items", b"Apple", b"An apple"),
    ],
)
def test_a_changed_file_is_prepared_anew(
    prepared: Prepared, tmp_path: Path, role: str, former: bytes, now: bytes
) -> None:
    before, _ = prepared()
    rewrite(tmp_path / "raw" / f"{role}.jsonl", former, now)
    after, built = prepared()
    assert built
    assert after.content_hash != before.content_hash
    assert not prepared()[1]


def test_a_touched_file_that_says_the_same_is_kept(prepared: Prepared, tmp_path: Path) -> None:
    before, _ = prepared()
    for role in ("events", "items"):
        os.utime(tmp_path / "raw" / f"{role}.jsonl", ns=(1, 1))
    after, built = prepared()
    assert not built
    assert after.content_hash == before.content_hash


def test_removed_files_leave_what_was_prepared(prepared: Prepared, tmp_path: Path) -> None:
    before, _ = prepared()
    (tmp_path / "raw" / "events.jsonl").unlink()
    after, built = prepared()
    assert not built
    assert after.content_hash == before.content_hash


def test_that_files_were_not_found_is_said(
    prepared: Prepared, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, _ = prepared()
    digest = before.source_digests["events"]
    (tmp_path / "raw" / "events.jsonl").unlink()
    prepared()
    told = capsys.readouterr().err
    assert "its events file is missing: looked for" in told
    assert f"using what was prepared from sha256 {digest}" in told


def test_a_missing_file_does_not_hide_that_another_has_changed(
    prepared: Prepared, tmp_path: Path
) -> None:
    prepared()
    (tmp_path / "raw" / "items.jsonl").unlink()
    rewrite(tmp_path / "raw" / "events.jsonl", b'"v"', b'"w"')
    with pytest.raises(DataError, match="its items file is missing"):
        prepared()


def test_a_card_of_the_same_text_elsewhere_means_its_own_files(
    unstated: DatasetCard, prepared: Prepared, tmp_path: Path, silent: Progress
) -> None:
    prepared()
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "small.toml", tmp_path / "elsewhere")
    other = load_card(str(tmp_path / "elsewhere" / "small.toml"))
    assert other.data_hash == unstated.data_hash
    with pytest.raises(DataError, match=r"looked for .*elsewhere/raw/events\.jsonl"):
        preparing.prepare(other, tmp_path / "cache", silent)


def test_a_folder_that_is_named_must_hold_the_files(prepared: Prepared, tmp_path: Path) -> None:
    prepared()
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        prepared(tmp_path / "empty")
    assert f"looked for {tmp_path / 'empty' / 'events.jsonl'}" in str(caught.value)


def test_files_in_another_folder_are_compared_by_content(
    prepared: Prepared, tmp_path: Path
) -> None:
    before, _ = prepared()
    shutil.copytree(tmp_path / "raw", tmp_path / "other")
    assert not prepared(tmp_path / "other")[1]
    rewrite(tmp_path / "other" / "items.jsonl", b"Apple", b"Other")
    other, built = prepared(tmp_path / "other")
    assert built
    assert other.content_hash != before.content_hash
    back, built = prepared()
    assert built  # the cache holds what was asked for last
    assert back.content_hash == before.content_hash
