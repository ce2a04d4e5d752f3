"""Items and histories as tokens (METHODS: an item is its attributes, each a key and a value).

An item's tokens are those of its attributes, one after another without a separator: the tokens of
the key, then those of the value, cut to a number of tokens together. A history is the first token
(``<s>``, ``[CLS]``) and the tokens of its items, the newest item first, cut at the end; so what is
lost is oldest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.histories import Histories
from methods._attributes import chosen
from methods.recformer.settings import ORIGINAL_ATTRIBUTES, Settings

# kinds of tokens: rows of the model's token-type table
FIRST_TYPE, KEY_TYPE, VALUE_TYPE, PADDING_TYPE = 0, 1, 2, 3
N_TYPES = 4

SIMILAR = 0.7
"""The least share of a batch's width that its sequences fill."""
FEW_TOKENS = 16
"""So many of padding are never too many: a pass of its own would cost more."""


@dataclass(frozen=True)
class Vocabulary:
    """What is to be known of a tokeniser.

    Attributes:
        tokenise: text -> ids, without special tokens; text that spells a special token is text.
        first_id: the token that every sequence begins with.
        pad_id: fills up; position indices start after it, as RoBERTa's do.
        mask_id: stands for a masked token; None where the tokeniser has none.
        size: the number of tokens.
        starts_word: bool [size]: whether a token begins a word, for whole-word masking.
    """

    tokenise: Callable[[str], list[int]]
    first_id: int
    pad_id: int
    mask_id: int | None
    size: int
    starts_word: NDArray[np.bool_]


@dataclass(frozen=True)
class Sequences:
    """Token sequences of several lengths, each as the model reads it, the first token included.

    Attributes:
        ids: int64, one array a sequence.
        types: likewise, the kind of each token.
        items: likewise, 0 for the first token, 1 for the newest item's, 2 for the next one's, ….
    """

    ids: tuple[NDArray[np.int64], ...]
    types: tuple[NDArray[np.int64], ...]
    items: tuple[NDArray[np.int64], ...]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [n], tokens of each sequence, at least 1."""
        return np.array([len(ids) for ids in self.ids], dtype=np.int64)


class ItemTokens:
    """The catalogue as tokens, each distinct item once.

    Args:
        attributes: by name, every item's value.
        vocabulary: of the model.
        settings: of the method.

    Attributes:
        group: int64 [n_items], for each item the index of its tokens; items whose tokens are the
            same share one, and so tie exactly.
        n_cut: attributes that were cut.
        n_empty: items without any value.

    Raises:
        UsageError: a setting names an attribute that the data set lacks.
        MethodError: the data set has no attribute.
    """

    def __init__(
        self, attributes: Mapping[str, Sequence[str]], vocabulary: Vocabulary, settings: Settings
    ) -> None:
        self.names = chosen_attributes(attributes, settings)
        self._vocabulary, self._settings = vocabulary, settings
        self._keys = {name: vocabulary.tokenise(name) for name in self.names}
        self.n_cut = self.n_empty = 0
        index: dict[tuple[bytes, bytes], int] = {}
        self._tokens: list[tuple[NDArray[np.int64], NDArray[np.int64]]] = []
        group = []
        for values in zip(*(attributes[name] for name in self.names), strict=True):
            ids, types = self._item(values)
            key = ids.tobytes(), types.tobytes()
            if key not in index:
                index[key] = len(index)
                self._tokens.append((ids, types))
            group.append(index[key])
        self.group = np.array(group, dtype=np.int64)

    @property
    def n_groups(self) -> int:
        """How many distinct items there are."""
        return len(self._tokens)

    def _item(self, values: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return ids and types of one item."""
        limit = self._settings.max_attribute_tokens
        ids: list[int] = []
        types: list[int] = []
        for name, value in zip(self.names, values, strict=True):
            key, content = self._keys[name], self._vocabulary.tokenise(value) if value else []
            self.n_cut += len(key) + len(content) > limit
            ids += [*key, *content][:limit]
            types += ([KEY_TYPE] * len(key) + [VALUE_TYPE] * len(content))[:limit]
        self.n_empty += not any(values)
        return np.array(ids, dtype=np.int64), np.array(types, dtype=np.int64)

    def items(self) -> Sequences:
        """Return every distinct item as a sequence of its own, in the order of the groups."""
        return self._sequences([[group] for group in range(self.n_groups)])

    def histories(self, histories: Histories) -> Sequences:
        """Return histories as sequences; an empty one is the first token alone."""
        return self._sequences(
            [
                self.group[histories[row][: -self._settings.max_items - 1 : -1]]
                for row in range(len(histories))
            ]
        )

    def _sequences(self, rows: Sequence[Sequence[int] | NDArray[np.int64]]) -> Sequences:
        """Return sequences of groups, which come newest first."""
        limit, first = self._settings.max_tokens, self._vocabulary.first_id
        sequences = []
        for row in rows:
            ids, types, items = [np.array([first])], [np.array([FIRST_TYPE])], [np.array([0])]
            n_tokens = 1
            for position, group in enumerate(row, start=1):
                if n_tokens >= limit:
                    break
                item_ids, item_types = self._tokens[group]
                ids.append(item_ids)
                types.append(item_types)
                items.append(np.full(len(item_ids), position))
                n_tokens += len(item_ids)
            sequences.append([np.concatenate(part)[:limit] for part in (ids, types, items)])
        columns = list(zip(*sequences, strict=True)) or [(), (), ()]
        return Sequences(*columns)


def chosen_attributes(
    attributes: Mapping[str, Sequence[str]], settings: Settings
) -> tuple[str, ...]:
    """Return the names of the attributes that are read, in order.

    Raises:
        UsageError: a setting names one that the data set lacks.
        MethodError: the data set has none.
    """
    return chosen(attributes, settings.attributes, ORIGINAL_ATTRIBUTES, "recformer", "attributes")


@dataclass(frozen=True)
class Padded:
    """A batch of sequences of one width, int64 [n, width] each.

    Attributes:
        ids: filled up with the padding token.
        types: filled up with `PADDING_TYPE`.
        items: filled up with the last row of the item-position table.
        lengths: int64 [n].
    """

    ids: NDArray[np.int64]
    types: NDArray[np.int64]
    items: NDArray[np.int64]
    lengths: NDArray[np.int64]


def padded(
    sequences: Sequences, rows: Sequence[int] | NDArray[np.int64], vocabulary: Vocabulary,
    padding_item: int, width: int | None = None,
) -> Padded:  # fmt: skip
    """Return some sequences as a batch.

    Args:
        sequences: where they come from.
        rows: which.
        vocabulary: names the padding token.
        padding_item: the item position of padding.
        width: columns; the longest of the rows by default.
    """
    lengths = np.array([len(sequences.ids[row]) for row in rows], dtype=np.int64)
    shape = len(rows), max(1, int(lengths.max(initial=0))) if width is None else width
    ids = np.full(shape, vocabulary.pad_id, dtype=np.int64)
    types = np.full(shape, PADDING_TYPE, dtype=np.int64)
    items = np.full(shape, padding_item, dtype=np.int64)
    for place, row in enumerate(rows):
        length = lengths[place]
        ids[place, :length] = sequences.ids[row]
        types[place, :length] = sequences.types[row]
        items[place, :length] = sequences.items[row]
    return Padded(ids, types, items, lengths)


def batches(lengths: NDArray[np.int64], tokens: int) -> list[NDArray[np.int64]]:
    """Cut sequences into batches of similar lengths that hold up to ``tokens`` with their padding.

    Longest first, so that memory peaks early. A batch also ends where the next sequence would be
    more than three tenths padding (`SIMILAR`), which histories of very different lengths would be:
    more passes, and half the work. A sequence longer than ``tokens`` is a batch by itself.
    """
    order = np.argsort(-lengths, kind="stable")
    found, start = [], 0
    while start < len(order):
        longest = int(lengths[order[start]])
        most = order[start : start + max(1, tokens // longest)]
        least = min(SIMILAR * longest, longest - FEW_TOKENS)
        found.append(most[: max(1, int((lengths[most] >= least).sum()))])
        start += len(found[-1])
    return found
