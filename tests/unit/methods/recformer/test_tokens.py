"""Items and histories as tokens: order, kinds, positions, cuts, and what shares a group."""

from __future__ import annotations

import numpy as np
import pytest

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from methods.recformer.settings import Settings
from methods.recformer.tokens import (
    FIRST_TYPE,
    KEY_TYPE,
    PADDING_TYPE,
    VALUE_TYPE,
    ItemTokens,
    Vocabulary,
    batches,
    padded,
)

FIRST, PAD = 1, 0
WORDS: dict[str, int] = {}


def _ids(text: str) -> list[int]:
    return [WORDS.setdefault(word, len(WORDS) + 2) for word in text.split()]


VOCABULARY = Vocabulary(_ids, FIRST, PAD, None, 1000, np.ones(1000, np.bool_))
ATTRIBUTES = {
    "title": ("red lamp", "blue chair", "red lamp", ""),
    "price": ("$1", "$2", "$3", "$4"),
    "brand": ("acme", "", "acme", ""),
}


def _items(data=None, /, **values):
    return ItemTokens(data or ATTRIBUTES, VOCABULARY, Settings(**values))


def test_an_item_is_its_keys_and_values_without_separators():
    items = _items()
    assert items.names == ("title", "brand")  # the original's, where the data set has any
    sequences = items.items()
    assert sequences.ids[0].tolist() == [FIRST, *_ids("title red lamp brand acme")]
    assert sequences.types[0].tolist() == [
        FIRST_TYPE, KEY_TYPE, VALUE_TYPE, VALUE_TYPE, KEY_TYPE, VALUE_TYPE,
    ]  # fmt: skip
    assert sequences.items[0].tolist() == [0, 1, 1, 1, 1, 1]


def test_items_with_the_same_tokens_are_one_group():
    items = _items()
    assert items.group.tolist() == [0, 1, 0, 2]
    assert items.n_groups == 3
    assert items.items().ids[2].tolist() == [FIRST, *_ids("title brand")]  # keys alone
    assert items.n_empty == 1


def test_an_attribute_is_cut_with_its_key():
    items = _items({"title": ("one two three four", "five")}, max_attribute_tokens=3)
    assert items.items().ids[0].tolist() == [FIRST, *_ids("title one two")]
    assert items.n_cut == 1


def test_the_newest_item_comes_first_and_the_oldest_is_lost():
    items = _items()
    history = Histories.from_lists([[0, 1, 3], [], [3]])
    sequences = items.histories(history)
    newest, middle, oldest = "title brand", "title blue chair brand", "title red lamp brand acme"
    assert sequences.ids[0].tolist() == [FIRST, *_ids(f"{newest} {middle} {oldest}")]
    assert sequences.items[0].tolist() == [0] + [1] * 2 + [2] * 4 + [3] * 5
    assert sequences.ids[1].tolist() == [FIRST]
    cut = _items(max_tokens=5).histories(history)
    assert cut.ids[0].tolist() == [FIRST, *_ids("title brand title blue")]
    assert cut.lengths.tolist() == [5, 1, 3]
    few = _items(max_items=2).histories(history)
    assert few.ids[0].tolist() == [FIRST, *_ids(f"{newest} {middle}")]


def test_a_single_item_that_exceeds_the_limit_is_cut_at_its_end():
    items = _items({"title": ("one two three four five",)}, max_tokens=4)
    assert items.items().ids[0].tolist() == [FIRST, *_ids("title one two")]
    assert items.histories(Histories.from_lists([[0]])).ids[0].tolist() == [
        FIRST, *_ids("title one two"),
    ]  # fmt: skip


def test_attributes_are_chosen_by_name():
    assert _items(attributes="price, title").names == ("price", "title")
    assert _items({"genres": ("a",), "year": ("1",)}).names == ("genres", "year")
    with pytest.raises(UsageError, match=r"'brnd', which the data set does not have: .*brand"):
        _items(attributes="brnd")
    with pytest.raises(MethodError, match="has none"):
        ItemTokens({}, VOCABULARY, Settings())


def test_a_batch_is_filled_up_and_its_padding_marked():
    sequences = _items().items()
    batch = padded(sequences, [1, 2], VOCABULARY, padding_item=9)
    assert batch.ids.shape == (2, 5)
    assert batch.ids[1].tolist() == [FIRST, *_ids("title brand"), PAD, PAD]
    assert batch.types[1, 3:].tolist() == [PADDING_TYPE] * 2
    assert batch.items[1, 3:].tolist() == [9, 9]
    assert batch.lengths.tolist() == [5, 3]
    assert padded(sequences, [2], VOCABULARY, 9, width=7).ids.shape == (1, 7)


def test_batches_hold_every_sequence_once_and_no_more_tokens_than_allowed():
    lengths = np.random.default_rng(0).integers(1, 40, 100)
    found = batches(lengths, 64)
    assert sorted(np.concatenate(found).tolist()) == list(range(100))
    assert all(len(part) * lengths[part].max() <= 64 for part in found)
    assert all(lengths[part].max() - lengths[part].min() <= 16 for part in found)
    wide = np.array([1000, 900, 701, 699, 500, 20, 5, 4])
    assert [part.tolist() for part in batches(wide, 10_000)] == [[0, 1, 2], [3, 4], [5, 6, 7]]
    assert [len(part) for part in batches(np.array([500, 3]), 64)] == [1, 1]
    assert batches(np.array([], dtype=np.int64), 64) == []
