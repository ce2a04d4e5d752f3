"""What pre-training asks: masked items, and segments of sequences (METHODS 4).

Everything is vectorised; rows are sequences, padded at the right with 0.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
TRIES = 100
"""Draws of a negative item before it is chosen from a list of those left, which costs more."""


@dataclass(frozen=True)
class Examples:
    """One batch, all int64 [n_rows, width] but `lengths`.

    Attributes:
        items: the sequences.
        masked: the same with masks.
        negatives: an item that is not in the sequence, where there is a mask; else the item.
        context: the sequence with a segment masked; whole where it has one event only.
        segment: that segment, all else masked; whole likewise.
        other_segment: an equally long stretch of the batch in its place.
        lengths: int64 [n_rows], at least 1.
    """

    items: Int64Array
    masked: Int64Array
    negatives: Int64Array
    context: Int64Array
    segment: Int64Array
    other_segment: Int64Array
    lengths: Int64Array

    def padded_left(self, width: int) -> Examples:
        """Return the same, padded at the left to ``width`` columns; `lengths` stay."""
        moved = {
            field.name: _to_the_right(getattr(self, field.name), self.lengths, width)
            for field in fields(self)
            if field.name != "lengths"
        }
        return Examples(**moved, lengths=self.lengths)


def examples(
    items: Int64Array, lengths: Int64Array, ratio: float, n_items: int,
    generator: np.random.Generator,
) -> Examples:  # fmt: skip
    """Draw what is masked.

    Args:
        items: int64 [n_rows, width], shifted items, right-padded with 0.
        lengths: int64 [n_rows], at least 1.
        ratio: the chance of each item to be masked.
        n_items: of the catalogue, without padding; the mask is ``n_items + 1``.
        generator: decides all.
    """
    mask = n_items + 1
    real = np.arange(items.shape[1]) < lengths[:, None]
    chosen = (generator.random(items.shape) < ratio) & real
    negatives = items.copy()
    rows, columns = np.nonzero(chosen)
    negatives[rows, columns] = _not_in(items, rows, n_items, generator)
    context, segment, other = _segments(items, lengths, real, mask, generator)
    return Examples(
        items, np.where(chosen, mask, items), negatives, context, segment, other, lengths
    )


def _not_in(
    items: Int64Array, rows: Int64Array, n_items: int, generator: np.random.Generator
) -> Int64Array:
    """Return for each of ``rows`` an item drawn uniformly from those that the row does not hold.

    A sequence that holds the whole catalogue gets any item.
    """
    drawn = generator.integers(1, n_items + 1, size=len(rows))
    for _ in range(TRIES):
        inside = np.flatnonzero((items[rows] == drawn[:, None]).any(axis=1))
        if not len(inside):
            break
        drawn[inside] = generator.integers(1, n_items + 1, size=len(inside))
    else:
        inside = np.flatnonzero((items[rows] == drawn[:, None]).any(axis=1))
        drawn[inside] = _from_those_left(items[rows[inside]], drawn[inside], n_items, generator)
    return drawn


def _from_those_left(
    held: Int64Array, otherwise: Int64Array, n_items: int, generator: np.random.Generator
) -> Int64Array:
    """Return for each row of ``held`` one of the items that it lacks, ``otherwise`` if none."""
    held = np.sort(held, axis=1)
    new = held > 0
    new[:, 1:] &= held[:, 1:] != held[:, :-1]
    lacking_below = np.where(new, held - np.cumsum(new, axis=1), n_items)
    left = n_items - new.sum(axis=1)
    number = generator.integers(0, np.maximum(left, 1))
    chosen = number + 1 + (lacking_below <= number[:, None]).sum(axis=1)
    return np.where(left > 0, chosen, otherwise)


def _segments(
    items: Int64Array, lengths: Int64Array, real: NDArray[np.bool_], mask: int,
    generator: np.random.Generator,
) -> tuple[Int64Array, Int64Array, Int64Array]:  # fmt: skip
    """Return context, segment and another segment; see `Examples`."""
    most = lengths // 2
    size = np.where(most > 0, generator.integers(1, np.maximum(most, 1) + 1), 0)
    start = generator.integers(0, lengths - size + 1)
    flat = items[real]  # the batch's items, one sequence after the other
    other_start = generator.integers(0, len(flat) - size + 1)
    columns = np.arange(items.shape[1])
    inside = (columns >= start[:, None]) & (columns < (start + size)[:, None])
    place = np.clip(other_start[:, None] + columns - start[:, None], 0, len(flat) - 1)
    around = np.where(real, mask, 0)
    lone = (size == 0)[:, None]
    return (
        np.where(inside, mask, items),
        np.where(lone, items, np.where(inside, items, around)),
        np.where(lone, items, np.where(inside, flat[place], around)),
    )


def _to_the_right(table: Int64Array, lengths: Int64Array, width: int) -> Int64Array:
    """Move each row's ``lengths`` first values to its end, the row now ``width`` long."""
    moved = np.zeros((len(table), width), dtype=np.int64)
    columns = np.arange(width) - (width - lengths[:, None])
    rows, places = np.nonzero(columns >= 0)
    moved[rows, places] = table[rows, columns[rows, places]]
    return moved
