from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.data.cards import load_card
from harness.data.prepare import build
from harness.data.stats import table1_row
from harness.progress import Progress

CardWriter = Callable[..., str]


def test_table_1_by_hand(tidy_card: CardWriter, silent: Progress) -> None:
    # texts: "Title: Apple. Price: Unknown." "Title: Blue & bold. Price: $2."
    #        "Title: one two three four. Price: Unknown."
    row = table1_row(build(load_card(tidy_card()), silent))
    assert row == {
        "dataset": "small",
        "users": 2,
        "duplicates_percent": None,
        "items": 3,
        "purchases": 7,
        "items_per_user": 3.5,
        "purchases_per_item": pytest.approx(7 / 3),
        "density": pytest.approx(7 / 6),
        "words_per_item": pytest.approx((4 + 6 + 7) / 3),
        # title: price: apple. unknown. blue & bold. $2. one two three four.
        "word_vocabulary": 12,
        "average_word_frequency": pytest.approx(17 / 12),
    }


def test_words_are_counted_in_lower_case(tidy_card: CardWriter, silent: Progress) -> None:
    items = [
        {"item": "a", "title": "RED hat", "price": "$1"},
        {"item": "b", "title": "red HAT", "price": "$1"},
    ]
    data = build(load_card(tidy_card(items, [{"user": "u", "items": list("aab")}])), silent)
    assert table1_row(data)["word_vocabulary"] == 5


def test_duplicates_are_a_share_of_what_was_read(review_card: CardWriter, silent: Progress) -> None:
    rows = [("u", item, "", 5.0, 1) for item in "aabc"]
    data = build(load_card(review_card(rows)), silent)
    assert table1_row(data)["duplicates_percent"] == 25.0
