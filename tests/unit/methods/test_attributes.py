"""Attributes as tokens: what is one token, how tables are laid out, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import MethodError, UsageError
from harness.method import Input
from methods._attributes import attribute_tokens, chosen
from tests.unit.methods.text_toys import catalogue, domain

ATTRIBUTES = {
    "title": ["Red Lamp", "Blue Chair", "Red Lamp", ""],
    "brand": ["Acme", "", "acme", ""],
    "genres": ["Drama Sci-Fi", "Sci-Fi", "", " "],
}


def test_a_table_has_a_row_for_padding_and_one_for_each_item():
    tokens = attribute_tokens(catalogue(ATTRIBUTES), owner="toy")
    assert tokens.names == ("brand", "genres")
    assert tokens.fields["brand"].tolist() == [[0], [1], [0], [2], [0]]
    assert tokens.fields["genres"].tolist() == [[0, 0], [1, 2], [2, 0], [0, 0], [0, 0]]
    assert tokens.sizes == {"brand": 3, "genres": 3}
    assert tokens.n_without == 1
    assert all(table.dtype == np.int64 for table in tokens.fields.values())


def test_names_and_their_order_may_be_chosen():
    tokens = attribute_tokens(catalogue(ATTRIBUTES), "genres, title", "title", owner="toy")
    assert tokens.names == ("genres", "title")
    assert tokens.fields["genres"].tolist() == [[0], [1], [2], [0], [0]]
    assert tokens.fields["title"].tolist() == [[0, 0], [1, 2], [3, 4], [1, 2], [0, 0]]


@pytest.mark.parametrize(
    "value", ["Drama Comedy", "Drama, Comedy", "Drama|Comedy|Drama", " Drama;Comedy "]
)
def test_words_stand_between_spaces_and_marks_and_count_once(value):
    tokens = attribute_tokens(catalogue({"genres": [value, "Comedy"]}), owner="toy")
    assert tokens.fields["genres"].tolist() == [[0, 0], [1, 2], [2, 0]]


def test_other_values_are_one_token_whatever_they_hold():
    values = ["Arts, Crafts & Sewing", "Arts,  Crafts & Sewing ", "Arts"]
    tokens = attribute_tokens(catalogue({"category": values}), owner="toy")
    assert tokens.fields["category"].tolist() == [[0], [1], [1], [2]]


def test_merged_tokens_of_different_attributes_never_collide():
    data = catalogue({"brand": ["Drama", "", "Acme"], "genres": ["Drama Acme", "Acme", ""]})
    merged, size = attribute_tokens(data, owner="toy").merged()
    assert merged.tolist() == [[0, 0, 0], [1, 3, 4], [4, 0, 0], [2, 0, 0]]
    assert size == 5
    assert merged.dtype == np.int64
    assert merged.max() == size - 1


def test_merged_is_as_wide_as_its_fullest_item():
    data = catalogue({"brand": ["Acme", ""], "genres": ["", "a b"]})
    merged, size = attribute_tokens(data, owner="toy").merged()
    assert merged.tolist() == [[0, 0], [1, 0], [2, 3]]
    assert size == 4


def test_an_attribute_without_values_has_a_column_of_zeros():
    tokens = attribute_tokens(catalogue({"brand": ["", ""], "genres": ["a", ""]}), owner="toy")
    assert tokens.fields["brand"].tolist() == [[0], [0], [0]]
    assert tokens.sizes["brand"] == 1
    assert tokens.merged()[0].tolist() == [[0], [1], [0]]


def test_a_source_domain_has_tokens_too():
    assert attribute_tokens(domain(ATTRIBUTES), owner="toy").names == ("brand", "genres")


def test_no_token_at_all_is_an_error():
    data = catalogue({"title": ["lamp"], "brand": [""], "genres": [" "]})
    with pytest.raises(MethodError, match=r"brand, genres, and no item .* --set toy\.attributes=…"):
        attribute_tokens(data, owner="toy")


def test_none_of_the_usual_attributes_is_an_error():
    with pytest.raises(MethodError, match=r"none of them; it has title: .* --set toy\.fields=…"):
        attribute_tokens(catalogue({"title": ["lamp"]}), owner="toy", setting_name="fields")
    with pytest.raises(MethodError, match="toy reads item attributes, and the data set has none"):
        attribute_tokens(catalogue({}, ["lamp"]), owner="toy")


def test_unknown_names_are_errors():
    data = catalogue(ATTRIBUTES)
    with pytest.raises(UsageError, match=r"toy\.attributes names 'brnd', .* did you mean 'brand'"):
        attribute_tokens(data, "brnd", owner="toy")
    with pytest.raises(UsageError, match=r"toy\.word_attributes names 'tile', .* mean 'title'"):
        attribute_tokens(data, None, "genres,tile", owner="toy")
    no_genres = catalogue({"brand": ["a b"]})
    assert attribute_tokens(no_genres, None, "genres", owner="toy").sizes == {"brand": 2}


def test_undeclared_attributes_stay_withheld():
    with pytest.raises(MethodError, match="withheld"):
        attribute_tokens(catalogue(ATTRIBUTES, inputs=[Input.ITEM_IDS]), owner="toy")


def test_chosen_names():
    def names(wanted, default=("brand", "price", "title")):
        return chosen(ATTRIBUTES, wanted, default, "toy", "attributes")

    assert names(None) == ("brand", "title")
    assert names(" genres ,brand,") == ("genres", "brand")
    assert names(None, ("price",)) == ("title", "brand", "genres")
    with pytest.raises(UsageError, match=r"toy\.attributes names none; leave it out"):
        names(" , ")
