"""Attributes read out of item texts: labels found in a catalogue, values behind them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.calrec.attributes import attributes, first_attributes, labels_of

LABELS = ("Title:", "Category:", "Brand:", "Price:")

WORDS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8).filter(
    lambda word: not word.endswith(":")
)
VALUES = st.lists(WORDS, max_size=4).map(" ".join)
ITEMS = st.tuples(VALUES, VALUES, VALUES, VALUES)


def rendered(*values: str) -> str:
    """As the harness renders an item, without the full stops."""
    return " ".join(f"{label} {value}" for label, value in zip(LABELS, values, strict=True))


PLAIN = rendered("a", "b", "c", "d")


@given(ITEMS)
def test_rendered_values_are_read_back(values: tuple[str, ...]) -> None:
    assert attributes(rendered(*values), LABELS) == tuple(value.lower() for value in values)


@given(st.lists(ITEMS, min_size=1, max_size=5))
def test_the_labels_of_rendered_items_are_found(items: list[tuple[str, ...]]) -> None:
    assert labels_of([rendered(*values) for values in items]) == LABELS


@given(st.lists(st.text(max_size=30), max_size=4), st.text(max_size=30))
def test_no_catalogue_and_no_text_makes_reading_fail(texts: list[str], text: str) -> None:
    """Whatever is found, a text has a value for each label or none at all."""
    labels = labels_of(texts)
    values = attributes(text, labels)
    assert values is None or len(values) == max(1, len(labels))
    found = first_attributes(texts)
    assert len(found) == len(texts)
    assert all(bool(first) == bool(text) for first, text in zip(found, texts, strict=True))


def test_labels_come_in_the_order_of_the_texts() -> None:
    texts = ["Year: 1999 Genres: Drama Title: Emma", "Year: 2001 Genres: War Title: Ran"]
    assert labels_of(texts) == ("Year:", "Genres:", "Title:")


def test_a_word_with_a_colon_that_some_text_lacks_is_no_label() -> None:
    texts = [rendered("Alien: Covenant", "b", "c", "d"), rendered("Heat", "b", "Note: c", "d")]
    assert labels_of(texts) == LABELS


def test_labels_in_different_orders_are_not_all_kept() -> None:
    """The first text's order decides; what another text has elsewhere is part of a value."""
    assert labels_of(["Title: a Brand: b Price: c", "Title: a Price: c Brand: b"]) == (
        "Title:",
        "Brand:",
    )


def test_a_label_word_in_the_title_of_the_first_item_hides_no_label() -> None:
    """Which labels a catalogue has does not depend on which item comes first."""
    texts = [rendered("My Brand: a life", "b", "c", "d"), PLAIN]
    assert labels_of(texts[::-1]) == LABELS
    assert labels_of(texts) == LABELS


@pytest.mark.parametrize(
    "texts",
    [
        [],
        ["A red lamp", "A blue chair"],
        ["A lamp with Note: fragile", "A chair with Note: heavy"],  # not at the beginning
        ["Title: Lamp", "A chair"],
        ["Title: Lamp", ""],
        [": :", ": :"],
    ],
)
def test_a_catalogue_of_another_form_has_no_labels(texts: list[str]) -> None:
    assert labels_of(texts) == ()


def test_without_labels_the_whole_text_is_the_one_value() -> None:
    assert attributes("  A Red\tLamp ", ()) == ("a red lamp",)
    assert attributes(" \n", ()) is None


def test_case_and_white_space_of_values_do_not_matter() -> None:
    text = "  Title:  RED\tLamp  Category: Home  \n Brand: IKEA\u00a0AB Price: $5 "
    assert attributes(text, LABELS) == ("red lamp", "home", "ikea ab", "$5")


def test_values_may_be_empty() -> None:
    assert attributes("Title: Category: Brand: Price:", LABELS) == ("", "", "", "")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "a lamp",
        "Title:",
        "Title: a Category: b Brand: c",  # one is missing at the end
        "Title: a Brand: c Price: d",  # one is missing within
        "Title: a Brand: c Category: b Price: d",  # another order
        "Category: b Brand: c Price: d Title: a",
        "Category: b Brand: c Price: d",
        "Well, Title: a Category: b Brand: c Price: d",  # does not begin with the first label
        "title: a category: b brand: c price: d",  # labels are spelt as they are
        "Title:a Category: b Brand: c Price: d",
        "Title: a Category:b Brand: c Price: d",
        "Title: a Category : b Brand: c Price: d",
    ],
)
def test_a_text_of_another_form_is_a_format_error(text: str) -> None:
    assert attributes(PLAIN, LABELS) == ("a", "b", "c", "d")
    assert attributes(text, LABELS) is None


def test_a_value_ends_at_the_next_label_alone() -> None:
    """Words of labels whose turn has passed or has not come yet belong to the value."""
    text = rendered("The Price: a Brand: Title: story", "b Title: b", "c Category: c", "Title: d")
    expected = ("the price: a brand: title: story", "b title: b", "c category: c", "title: d")
    assert attributes(text, LABELS) == expected


def test_the_next_label_within_a_title_ends_it_in_every_text_alike() -> None:
    text = rendered("My Category: life", "b", "c", "d")
    assert attributes(text, LABELS) == ("my", "life category: b", "c", "d")
    assert attributes(text.upper().replace("TITLE:", "Title:"), LABELS) is None


def test_first_attributes_keep_their_spelling_and_lose_one_full_stop() -> None:
    texts = [
        "Title: Red  Lamp. Brand: IKEA.",
        "Title: Mr. Brand: Unknown.",
        "Title: Wait... Brand: Muji.",
        "Title: U2 Brand: Island.",
    ]
    assert first_attributes(texts) == ("Red Lamp", "Mr", "Wait..", "U2")


def test_first_attributes_of_a_single_label_reach_to_the_end() -> None:
    assert first_attributes(["Title: Red Lamp.", "Title: Chair"]) == ("Red Lamp", "Chair")


def test_an_empty_first_attribute_leaves_the_whole_text() -> None:
    texts = ["Title: . Brand: IKEA.", "Title: Brand: Muji.", "Title: Lamp. Brand: Muji."]
    assert first_attributes(texts) == (texts[0], texts[1], "Lamp")


def test_first_attributes_without_labels_are_the_texts_themselves() -> None:
    texts = ("A red  lamp.", "A chair: blue")
    assert first_attributes(texts) == texts
    assert first_attributes([]) == ()
