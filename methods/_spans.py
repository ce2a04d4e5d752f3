"""What sequence models train on: stretches of the flat item array, and batches of them.

Items are shifted by one here, because RecBole's models keep index 0 for padding. A batch is
padded to its own longest stretch only; batches hold stretches of similar length, so little of
the work is spent on padding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.histories import Histories

# Batches whose rows are sorted by length together. Large enough that batches are nearly uniform,
# small enough that the rows sharing a batch differ from epoch to epoch.
POOL_BATCHES = 32

Int64Array = NDArray[np.int64]


@dataclass(frozen=True)
class Spans:
    """Stretches ``items[start : start + length]`` that a model reads.

    Attributes:
        items: int64 [n_events], item index + 1 (0 is padding), all users one after the other.
        starts: int64 [n_spans].
        lengths: int64 [n_spans]; 0 only where a history to score is empty.
    """

    items: Int64Array
    starts: Int64Array
    lengths: Int64Array

    def __len__(self) -> int:
        return len(self.starts)

    def padded(self, rows: Int64Array, shift: int = 0, width: int | None = None) -> Int64Array:
        """Return int64 [len(rows), width]: the stretches, right-padded with 0.

        Args:
            rows: the spans wanted.
            shift: 1 gives the item that follows each one read (the targets of all positions).
            width: columns; the longest of the stretches by default.
        """
        lengths = self.lengths[rows, None]
        columns = np.arange(lengths.max(initial=0) if width is None else width)
        flat = np.minimum(self.starts[rows, None] + columns + shift, max(0, len(self.items) - 1))
        return np.where(columns < lengths, self.items[flat], 0)

    def next_items(self, rows: Int64Array) -> Int64Array:
        """Return int64 [len(rows)]: the item that follows each stretch."""
        return self.items[self.starts[rows] + self.lengths[rows]]


def latest(histories: Histories, max_history: int) -> Spans:
    """Return one span per history: its last ``max_history`` events (fewer where it has fewer)."""
    lengths = np.minimum(histories.lengths, max_history)
    return Spans(_shifted(histories), histories.offsets[1:] - lengths, lengths)


def every_prefix(histories: Histories, max_history: int) -> Spans:
    """Return one span per target: the events before it, the last ``max_history`` of them.

    A history of n events gives n - 1 spans; `Spans.next_items` are their targets.
    """
    n_targets = np.maximum(histories.lengths - 1, 0)
    before = _counted(n_targets) + 1
    lengths = np.minimum(before, max_history)
    starts = np.repeat(histories.offsets[:-1], n_targets) + before - lengths
    return Spans(_shifted(histories), starts, lengths)


def windows(histories: Histories, max_history: int, generator: np.random.Generator) -> Spans:
    """Return spans whose positions' next items cover every target exactly once.

    A history of up to ``max_history + 1`` events is one window. A longer one is cut into windows
    of ``max_history`` targets, behind a first one of random length: targets then stand at another
    place of their window, with another length of context, each time this is called.
    """
    n_targets = np.maximum(histories.lengths - 1, 0)
    first = np.where(
        n_targets > max_history,
        generator.integers(1, max_history + 1, size=len(n_targets)),
        n_targets,
    )
    n_windows = (n_targets > 0) + -(-(n_targets - first) // max_history)
    number = _counted(n_windows)
    start = np.where(number == 0, 0, np.repeat(first, n_windows) + (number - 1) * max_history)
    width = np.where(number == 0, np.repeat(first, n_windows), max_history)
    lengths = np.minimum(width, np.repeat(n_targets, n_windows) - start)
    return Spans(_shifted(histories), np.repeat(histories.offsets[:-1], n_windows) + start, lengths)


def batches_by_length(
    lengths: Int64Array,
    targets: Int64Array,
    batch_size: int,
    generator: np.random.Generator,
) -> list[Int64Array]:
    """Share rows out into shuffled batches of similar length, each row exactly once.

    Args:
        lengths: int64 [n_rows], events read per row.
        targets: int64 [n_rows], targets trained per row.
        batch_size: targets a batch should hold; a row is never split, so that the last row of a
            batch may reach beyond it.
        generator: decides which rows meet in a batch, and the order of batches.
    """
    order = generator.permutation(len(lengths))
    batches: list[Int64Array] = []
    for pool in _cut(order, targets, batch_size * POOL_BATCHES):
        batches += _cut(pool[np.argsort(lengths[pool], kind="stable")], targets, batch_size)
    return [batches[place] for place in generator.permutation(len(batches))]


def _cut(rows: Int64Array, targets: Int64Array, limit: int) -> list[Int64Array]:
    """Split ``rows`` wherever their running number of targets passes a multiple of ``limit``."""
    if not len(rows):
        return []
    passed = (np.cumsum(targets[rows]) - 1) // limit
    return np.split(rows, np.flatnonzero(np.diff(passed)) + 1)


def _counted(sizes: Int64Array) -> Int64Array:
    """Return 0, 1, … for each group in turn, given the groups' sizes."""
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    return np.arange(total) - np.repeat(ends - sizes, sizes)


def _shifted(histories: Histories) -> Int64Array:
    return histories.items.astype(np.int64) + 1
