from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.data.card import DatasetCard
from harness.data.cards import load_card
from harness.data.prepare import build, prepare, prepared_folder
from harness.data.variants import variant
from harness.errors import DataError
from harness.progress import Progress

CardWriter = Callable[..., str]
#: u repeats its first review at once, and its second one later
ROWS = [
    ("u", "a", "good", 5.0, 1),
    ("u", "a", "good", 5.0, 1),
    ("u", "b", "fine", 4.0, 1),
    ("u", "a", "good", 5.0, 1),
    ("u", "c", "poor", 1.0, 2),
    *(("v", item, "", 5.0, 1) for item in "abc"),
]
EXPECTED = """\
[expected]
events_read = 8
users_read = 2
duplicates_dropped = 1
users = 2
events = 7
items_without_text = 3
faulty_lines = 0
[paper]
users = 9461
[paper_lir]
"MRR" = [0.0745, 0.0461]
"""


@pytest.fixture
def card(review_card: CardWriter) -> DatasetCard:
    return load_card(review_card(ROWS, extra=EXPECTED))


def test_nothing_asked_for_is_the_card_itself(card: DatasetCard) -> None:
    assert variant(card) is card
    assert variant(card, dedup="consecutive") is card
    without = variant(card, without_texts=True)
    assert variant(without, without_texts=True) is without


@pytest.mark.parametrize(
    ("asked", "name", "dropped"),
    [
        ({}, "small", 1),
        ({"dedup": "none"}, "small-dedup-none", 0),
        ({"dedup": "global"}, "small-dedup-global", 2),
        ({"without_texts": True}, "small-without-texts", 1),
        ({"dedup": "none", "without_texts": True}, "small-dedup-none-without-texts", 0),
    ],
    ids=str,
)
def test_a_variant_has_its_own_name_and_rule(
    card: DatasetCard, silent: Progress, asked: dict[str, Any], name: str, dropped: int
) -> None:
    data = build(variant(card, **asked), silent)
    assert data.card.name == name
    assert data.card.title.startswith("A small data set")
    assert data.counts["duplicates_dropped"] == dropped
    assert data.counts["events_read"] == 8


def test_variants_are_told_apart_by_every_hash(card: DatasetCard, tmp_path: Path) -> None:
    cards = [
        variant(card, dedup=dedup, without_texts=without)
        for dedup in ("consecutive", "global", "none")
        for without in (False, True)
    ]
    for values in (
        {card.name for card in cards},
        {card.hash for card in cards},
        {card.data_hash for card in cards},
        {prepared_folder(card, tmp_path) for card in cards},
    ):
        assert len(values) == 6


def test_only_what_the_change_leaves_true_is_still_expected(card: DatasetCard) -> None:
    before_dedup = {"events_read": 8, "users_read": 2}
    assert variant(card, dedup="none").expected == before_dedup
    without_texts = dict(card.expected)
    del without_texts["items_without_text"], without_texts["faulty_lines"]
    assert variant(card, without_texts=True).expected == without_texts
    assert variant(card, dedup="none", without_texts=True).expected == before_dedup
    assert card.paper and card.paper_lir
    assert not variant(card, dedup="none").paper
    assert not variant(card, dedup="none").paper_lir


def test_what_is_still_expected_is_still_checked(card: DatasetCard, silent: Progress) -> None:
    wrong = replace(card, expected={"events_read": 9, "duplicates_dropped": 1})
    with pytest.raises(DataError, match="events_read expected 9, found 8"):
        _prepared(variant(wrong, dedup="none"), silent)


def _prepared(card: DatasetCard, silent: Progress) -> None:
    prepare(card, card.source.anchor / "cache", silent)


@pytest.mark.parametrize("dedup", ["consecutive", "global"])
def test_a_source_without_what_a_rule_compares(tidy_card: CardWriter, dedup: str) -> None:
    card = load_card(tidy_card())
    with pytest.raises(DataError) as caught:
        variant(card, dedup=dedup)
    assert str(caught.value).startswith("data set small: ")  # as the user called it
    assert "this source has no text and no rating and no time" in str(caught.value)


def test_without_texts_their_file_is_not_even_looked_for(
    tidy_card: CardWriter, tmp_path: Path, silent: Progress
) -> None:
    card = load_card(tidy_card())
    (tmp_path / "items.jsonl").unlink()
    data = build(variant(card, without_texts=True), silent)
    assert data.item_texts == ("", "", "")
    assert data.item_ids == ("a", "b", "c")
    assert data.counts["items_without_text"] == 3
    with pytest.raises(DataError, match="its items file is missing"):
        build(card, silent)


def test_a_policy_for_items_without_text_does_not_outlive_the_texts(
    tidy_card: CardWriter, silent: Progress
) -> None:
    items = [{"item": "a", "title": "Apple", "price": ""}]  # b and c have none
    card = load_card(tidy_card(items))
    assert card.text.items_without_text == "error"
    assert len(build(variant(card, without_texts=True), silent).item_ids) == 3


def test_a_limit_of_faults_takes_the_place_of_the_cards_share_too(card: DatasetCard) -> None:
    lenient = replace(card, source=replace(card.source, fault_limit=100, fault_share=0.5))
    assert variant(lenient).source.fault_share == 0.5
    strict = variant(lenient, fault_limit=1).source
    assert (strict.fault_limit, strict.fault_share) == (1, 0.0)


def test_a_limit_of_faults_changes_neither_name_nor_hashes(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    users = [{"user": "u", "items": list("abc")}, "{", {"user": "v", "items": list("bca")}, "["]
    card = load_card(tidy_card(users=users))
    with pytest.raises(DataError, match=r"events\.jsonl, line 2: not valid JSON"):
        prepare(variant(card, fault_limit=0), tmp_path / "cache", silent)
    with pytest.raises(DataError, match=r"2 faulty lines .* more than the limit of 1"):
        prepare(variant(card, fault_limit=1), tmp_path / "cache", silent)
    lenient = variant(card, fault_limit=2)
    assert (lenient.name, lenient.hash, lenient.data_hash) == (
        card.name,
        card.hash,
        card.data_hash,
    )
    data = prepare(lenient, tmp_path / "cache", silent)
    assert data.counts["faulty_lines"] == 2
    assert data.fault_report[0] == "2 faulty lines (not JSON: 2) left out"
    assert prepare(variant(card, fault_limit=3), tmp_path / "cache", silent) is not None
    # prepared with a higher limit: whoever allows fewer is told so
    with pytest.raises(DataError, match=r"2 faulty lines were left out, more than the limit of 0"):
        prepare(card, tmp_path / "cache", silent)
