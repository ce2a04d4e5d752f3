"""Attributes of items apart from their texts, and what does not depend on them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from harness.data.card_parsing import check_together
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.data.variants import variant
from harness.errors import DataError
from harness.progress import Progress
from tests.toys import write_card

_ATTRIBUTES = """
[[attributes]]
name = "title"
field = "title"
cleaning = "html"

[[attributes]]
name = "shelf"
field = "shelf"
cleaning = "plain"
"""


def _prepared(tmp_path, extra=""):
    card = load_card(str(write_card(tmp_path / "data", extra=extra)))
    return prepare(card, tmp_path / "cache", Progress(shown=False))


def test_without_attributes_of_its_own_a_data_set_has_those_of_its_texts(tmp_path):
    data = _prepared(tmp_path)
    assert list(data.item_attributes) == ["title"]
    assert [f"Title: {title}." for title in data.item_attributes["title"]] == list(data.item_texts)


def test_attributes_come_from_the_source_and_not_from_the_texts(tmp_path):
    without = _prepared(tmp_path / "without")
    data = _prepared(tmp_path / "with", _ATTRIBUTES)
    assert list(data.item_attributes) == ["title", "shelf"]
    assert data.item_attributes["title"] == without.item_attributes["title"]
    assert set(data.item_attributes["shelf"]) == {""}  # no line has it, and that is no fault
    assert data.content_hash == without.content_hash  # the split is the same
    assert data.attributes_hash != without.attributes_hash
    again = _prepared(tmp_path / "with", _ATTRIBUTES)  # from the cache
    assert again.item_attributes == data.item_attributes


def test_an_attribute_that_no_item_has_is_reported(tmp_path):
    report = _prepared(tmp_path, _ATTRIBUTES).fault_report
    assert "attribute 'shelf': no item has a value in the field 'shelf'" in report
    assert _prepared(tmp_path / "without").fault_report == ()


def test_attributes_are_read_where_there_are_no_texts(tmp_path):
    path = write_card(tmp_path / "data", extra=_ATTRIBUTES)
    text = path.read_text()
    start = text.index("[text]")
    path.write_text(text[:start] + text[text.index("[protocol]") :])
    data = prepare(load_card(str(path)), tmp_path / "cache", Progress(shown=False))
    assert set(data.item_texts) == {""}
    assert data.item_attributes["title"][0].startswith("Thing")


def test_a_name_with_a_comma_and_attributes_from_nowhere_are_refused(tmp_path):
    with pytest.raises(DataError, match="without a comma"):
        _prepared(tmp_path, _ATTRIBUTES.replace('"shelf"', '"a, b"', 1))
    card = load_card(str(write_card(tmp_path / "data", extra=_ATTRIBUTES)))
    files = {role: file for role, file in card.source.files.items() if role != "items"}
    without = replace(card, source=replace(card.source, files=files))
    with pytest.raises(DataError, match=r"\[\[attributes\]\] need"):
        check_together(without, "card tiny")


def test_labels_that_differ_in_case_alone_stay_apart(tmp_path):
    path = write_card(tmp_path / "data")
    part = '[[text.attributes]]\nlabel = "TITLE"\nfield = "title"\nwords = 9\ncleaning = "plain"\n'
    path.write_text(path.read_text().replace("[protocol]", part + "\n[protocol]"))
    assert [one.name for one in load_card(str(path)).attributes] == ["Title", "TITLE"]


def test_two_attributes_of_one_name_are_refused(tmp_path):
    with pytest.raises(DataError, match="same name"):
        _prepared(tmp_path, _ATTRIBUTES.replace('"shelf"', '"title"'))


def test_a_variant_without_texts_has_no_attributes(tmp_path):
    card = load_card(str(write_card(tmp_path / "data", extra=_ATTRIBUTES)))
    assert variant(card, without_texts=True).attributes == ()
