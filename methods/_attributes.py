"""Attributes of items: which are read, and their values as tokens for methods that embed them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError, UsageError, did_you_mean
from harness.method import SourceDomain, TrainingData

USUAL = ("brand", "category", "genres")
"""What an item is described by with few words, in this order."""
WORDS = "genres"
"""Attributes whose values are several words, by default."""

# how sources write several words in one value: "Comedy Drama", "Comedy, Drama", "Comedy|Drama"
_BETWEEN_WORDS = re.compile(r"[\s,;|]+")


def listed(names: str | None) -> tuple[str, ...]:
    """Return the names of a list with commas; none for None."""
    return tuple(part.strip() for part in (names or "").split(",") if part.strip())


def chosen(
    attributes: Mapping[str, Sequence[str]],
    wanted: str | None,
    default: tuple[str, ...],
    owner: str,
    setting_name: str,
) -> tuple[str, ...]:
    """Return the names of the attributes that are read, in order.

    Args:
        attributes: the catalogue's, by name.
        wanted: a list with commas; None: those of ``default`` that the catalogue has, or all of
            its own where it has none of them.
        default: names that are usual.
        owner: the method's name, for messages.
        setting_name: of the setting that gave ``wanted``, for messages.

    Raises:
        UsageError: ``wanted`` names none, or one that the data set lacks.
        MethodError: the data set has none.
    """
    if not attributes:
        raise MethodError(f"{owner} reads item attributes, and the data set has none")
    names = listed(wanted)
    if wanted is not None and not names:
        raise UsageError(
            f"{owner}.{setting_name} names none; leave it out to read those of the data set"
        )
    for name in names:
        if name not in attributes:
            raise UsageError(
                f"{owner}.{setting_name} names {name!r}, which the data set does not have: "
                f"{did_you_mean(name, attributes)}"
            )
    usual = tuple(name for name in default if name in attributes)
    return names or usual or tuple(attributes)


@dataclass(frozen=True, eq=False)
class AttributeTokens:
    """Every item's attributes as tokens, a table each.

    Attributes:
        names: the attributes, in order.
        fields: by name int64 [n_items + 1, most tokens of an item, at least 1]: row 0 is the
            padding item, row i + 1 item i; tokens count from 1 in the order of their first
            appearance; what an item lacks is 0, behind its tokens.
        sizes: by name the number of rows of an embedding: tokens + 1, for the 0.
        n_without: items without any token.
    """

    names: tuple[str, ...]
    fields: Mapping[str, NDArray[np.int64]]
    sizes: Mapping[str, int]
    n_without: int

    def merged(self) -> tuple[NDArray[np.int64], int]:
        """Return all attributes as one field, int64 [n_items + 1, most tokens], and its size.

        Tokens of different attributes stay apart, also where their values are the same: those of
        each attribute follow the last one of the attribute before.
        """
        shifted, first = [], 0
        for name in self.names:
            table = self.fields[name]
            shifted.append(np.where(table > 0, table + first, 0))
            first += self.sizes[name] - 1
        merged = np.concatenate(shifted, axis=1)
        to_the_left = np.argsort(merged == 0, axis=1, kind="stable")
        width = max(1, int((merged > 0).sum(axis=1).max(initial=0)))
        return np.take_along_axis(merged, to_the_left, axis=1)[:, :width].copy(), first + 1


def attribute_tokens(
    data: TrainingData | SourceDomain,
    wanted: str | None = None,
    word_attributes: str = WORDS,
    owner: str = "the method",
    setting_name: str = "attributes",
    words_setting: str = "word_attributes",
) -> AttributeTokens:
    """Return the catalogue's attributes as tokens.

    A value is one token, whole but for its spaces; of ``word_attributes`` each word is one, which
    an item has once however often it is written. An empty value is no token.

    Args:
        data: whose attributes, which the method's card must declare.
        wanted: names with commas; None: those of brand, category and genres that there are.
        word_attributes: names, with commas, of the attributes whose values are several words.
        owner: the method's name, for messages.
        setting_name: of the setting that gave ``wanted``, for messages.
        words_setting: of the setting that gave ``word_attributes``, for messages.

    Raises:
        UsageError: a name that the data set lacks.
        MethodError: there is no attribute to read, or no item has a value of one.
    """
    attributes = data.item_attributes
    names = _names(attributes, wanted, owner, setting_name)
    of_words = _of_words(attributes, word_attributes, f"{owner}.{words_setting}")
    fields, sizes = {}, {}
    for name in names:
        fields[name], sizes[name] = _field(attributes[name], name in of_words)
    has_token = np.any([table[1:, 0] > 0 for table in fields.values()], axis=0)
    if not has_token.any():
        raise MethodError(
            f"{owner} reads the attributes {', '.join(names)}, and no item has a value of any; "
            f"name others: --set {owner}.{setting_name}=… (the data set has "
            f"{', '.join(attributes)})"
        )
    return AttributeTokens(names, fields, sizes, int((~has_token).sum()))


def _names(
    attributes: Mapping[str, Sequence[str]], wanted: str | None, owner: str, setting_name: str
) -> tuple[str, ...]:
    if wanted is None and attributes and not set(USUAL) & set(attributes):
        raise MethodError(
            f"{owner} reads {', '.join(USUAL)} of items, and the data set has none of them; it has "
            f"{', '.join(attributes)}: choose some with --set {owner}.{setting_name}=…"
        )
    return chosen(attributes, wanted, USUAL, owner, setting_name)


def _of_words(
    attributes: Mapping[str, Sequence[str]], word_attributes: str, setting: str
) -> frozenset[str]:
    names = listed(word_attributes)
    for name in names:
        # the usual ones may be named for the data sets that have them
        if name not in attributes and name not in USUAL:
            raise UsageError(
                f"{setting} names {name!r}, which the data set does not have: "
                f"{did_you_mean(name, attributes)}"
            )
    return frozenset(names)


def _field(values: Sequence[str], of_words: bool) -> tuple[NDArray[np.int64], int]:
    """Return an attribute's table and its size."""
    index: dict[str, int] = {}
    rows = [
        [index.setdefault(part, len(index) + 1) for part in _parts(value, of_words)]
        for value in values
    ]
    width = max(1, max(map(len, rows), default=0))
    table = np.zeros((len(rows) + 1, width), dtype=np.int64)
    for item, row in enumerate(rows):
        table[item + 1, : len(row)] = row
    return table, len(index) + 1


def _parts(value: str, of_words: bool) -> list[str]:
    """Return the tokens of a value, each once."""
    if of_words:
        return list(dict.fromkeys(filter(None, _BETWEEN_WORDS.split(value))))
    whole = " ".join(value.split())
    return [whole] if whole else []
