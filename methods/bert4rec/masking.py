"""Masked items: what the network reads, and what it is asked for (METHODS 2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]


def masked_at_random(
    items: Int64Array,
    lengths: Int64Array,
    ratio: float,
    mask: int,
    generator: np.random.Generator,
) -> tuple[Int64Array, Int64Array]:
    """Mask each item with probability ``ratio``, independently; a mask always takes its place.

    Args:
        items: int64 [n_rows, width], shifted items, right-padded with 0.
        lengths: int64 [n_rows], items of each row.
        ratio: the chance of each item.
        mask: the index that stands for a masked item.
        generator: decides which.

    Returns:
        Two arrays int64 [n_rows, width]: items with masks, and at masked places the item that
        was there, 0 elsewhere.
    """
    real = np.arange(items.shape[1]) < lengths[:, None]
    chosen = (generator.random(items.shape) < ratio) & real
    return np.where(chosen, mask, items), np.where(chosen, items, 0)


def masked_last(items: Int64Array, lengths: Int64Array, mask: int) -> tuple[Int64Array, Int64Array]:
    """Mask the last item of each row, as when scoring; arrays as of `masked_at_random`."""
    chosen = np.arange(items.shape[1]) == lengths[:, None] - 1
    return np.where(chosen, mask, items), np.where(chosen, items, 0)


def as_recbole_counts(targets: Int64Array, most: int) -> Int64Array:
    """Return the targets that RecBole's loss sees: the last ``most`` of a row, none at index 0.

    RecBole fills a row's list of masked places up with 0, so that place 0 reads as no mask.
    """
    asked = targets > 0
    behind = asked[:, ::-1].cumsum(axis=1)[:, ::-1]  # masks from here to the end
    counted = asked & (behind <= most)
    counted[:, :1] = False
    return np.where(counted, targets, 0)
