from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.card import TextAttribute, TextRules
from harness.data.text import cleaned, has_text, item_text, render

PAPER = (
    TextAttribute("Title", "title", 25, "html"),
    TextAttribute("Category", "main_cat", 15, "main-category"),
    TextAttribute("Brand", "brand", 15, "html"),
    TextAttribute("Price", "price", 15, "price"),
)
RULES = TextRules(PAPER, "unknown")
JSON_VALUES = st.recursive(
    st.none() | st.text() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


def test_the_template_of_the_paper() -> None:
    values = {"title": "Nuts &amp;  Bolts", "main_cat": "Tools", "brand": "", "price": "$3.50"}
    assert render(values, PAPER) == (
        "Title: Nuts & Bolts. Category: Tools. Brand: Unknown. Price: $3.50."
    )


def test_nothing_known() -> None:
    assert render({}, PAPER) == "Title: Unknown. Category: Unknown. Brand: Unknown. Price: Unknown."
    assert not has_text({}, RULES)
    assert not has_text({"title": " \n", "brand": None, "price": "call us"}, RULES)
    assert has_text({"brand": "Acme"}, RULES)


def test_a_ready_text_stays_as_it_is_but_for_its_blanks() -> None:
    ready = TextRules((), "unknown", verbatim="text")
    assert item_text({"text": "Title: A &amp; B.\n Price: $2.."}, ready) == (
        "Title: A &amp; B. Price: $2.."
    )
    assert item_text({"text": " "}, ready) == item_text({}, ready) == "Unknown"
    assert has_text({"text": "x"}, ready) and not has_text({"text": " ", "title": "x"}, ready)
    assert item_text({"title": "x"}, RULES) == render({"title": "x"}, PAPER)


def test_word_limits_are_per_attribute() -> None:
    long = " ".join(str(number) for number in range(100))
    words = render({"title": long, "brand": long}, PAPER).split()
    # four labels; the cut title and brand; one word each for category and price
    assert len(words) == 4 + 25 + 15 + 2


def test_a_value_that_ends_in_a_full_stop_gets_another() -> None:
    assert render({"brand": "Acme Inc."}, PAPER[2:3]) == "Brand: Acme Inc.."


@pytest.mark.parametrize(
    ("value", "cleaning", "expected"),
    [
        ("a\t b\n\u00a0c ", "plain", "a b c"),
        ("&lt;b&gt; &quot;x&quot;", "plain", "&lt;b&gt; &quot;x&quot;"),
        ("&lt;b&gt; &quot;x&quot;", "html", '<b> "x"'),
        ("$12.99", "price", "$12.99"),
        (" \n$12.99 - $15", "price", "$12.99 - $15"),
        ("12.99", "price", ""),
        (".a-box-inner{background-color:#fff}", "price", ""),
        ('<img src="x.png" alt="AMAZON FASHION"/>', "main-category", "AMAZON FASHION"),
        ("<img src='x.png' alt='Arts &amp; Crafts'>", "main-category", "Arts & Crafts"),
        ('<img src="x.png" />', "main-category", ""),
        ("Office Products", "main-category", "Office Products"),
        (["Gift Cards", "", None, "Gift &amp; more"], "html", "Gift Cards Gift & more"),
        (None, "html", ""),
        (1995, "plain", "1995"),
        ("half \ud83d a character", "plain", "half ? a character"),
    ],
)
def test_cleaning(value: object, cleaning: str, expected: str) -> None:
    assert cleaned(value, cleaning) == expected


@given(st.dictionaries(st.sampled_from(["title", "main_cat", "brand", "price"]), JSON_VALUES))
def test_any_item_renders_to_one_bounded_line(values: dict[str, object]) -> None:
    text = render(values, PAPER)
    assert text.encode()  # no lone surrogates
    assert text == " ".join(text.split())
    assert len(text.split()) <= 4 + 25 + 3 * 15
    assert text.startswith("Title: ") and text.endswith(".")
    assert has_text(values, RULES) or text == render({}, PAPER)
