"""Spans: each target exactly once, with the right context, in batches that lose nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.histories import Histories
from methods._spans import batches_by_length, every_prefix, latest, windows

event_lists = st.lists(st.lists(st.integers(0, 9), max_size=17), min_size=1, max_size=6)
widths = st.integers(1, 8)
seeds = st.integers(0, 1000)


def _flat_targets(histories: Histories) -> list[int]:
    """Places in the flat item array that are targets: every event but each user's first."""
    return [
        place
        for first, end in zip(histories.offsets, histories.offsets[1:], strict=False)
        for place in range(first + 1, end)
    ]


@given(event_lists, widths)
def test_every_prefix_is_one_span_with_its_last_events(lists, width):
    spans = every_prefix(Histories.from_lists(lists), width)
    expected = [
        (events[max(0, at - width) : at], events[at])
        for events in lists
        for at in range(1, len(events))
    ]
    rows = np.arange(len(spans))
    assert [spans.padded(rows[[row]])[0].tolist() for row in rows] == [
        [item + 1 for item in context] for context, _ in expected
    ]
    assert spans.next_items(rows).tolist() == [target + 1 for _, target in expected]


@given(event_lists, widths, seeds)
def test_windows_hold_every_target_exactly_once_and_no_boundary_is_crossed(lists, width, seed):
    histories = Histories.from_lists(lists)
    spans = windows(histories, width, np.random.default_rng(seed))
    covered = [
        place
        for start, length in zip(spans.starts, spans.lengths, strict=True)
        for place in range(start + 1, start + length + 1)
    ]
    assert sorted(covered) == _flat_targets(histories)
    assert spans.lengths.max(initial=0) <= width
    # what is read and what is predicted belong to one user
    user = np.repeat(np.arange(len(lists)), histories.lengths)
    assert (user[spans.starts] == user[spans.starts + spans.lengths]).all()


def test_window_boundaries_move_from_epoch_to_epoch():
    histories = Histories.from_lists([range(100)])
    starts = {
        tuple(windows(histories, 10, np.random.default_rng(seed)).starts) for seed in range(20)
    }
    assert len(starts) > 3


def test_padding_shift_and_width():
    spans = every_prefix(Histories.from_lists([[4, 5, 6], [7, 8]]), 50)
    rows = np.array([1, 2])
    assert spans.padded(rows).tolist() == [[5, 6], [8, 0]]
    assert spans.padded(rows, shift=1).tolist() == [[6, 7], [9, 0]]
    assert spans.padded(rows, width=4).tolist() == [[5, 6, 0, 0], [8, 0, 0, 0]]


@given(event_lists, widths)
def test_latest_keeps_the_last_events_and_leaves_the_empty_empty(lists, width):
    histories = Histories.from_lists(lists)
    spans = latest(histories, width)
    table = spans.padded(np.arange(len(lists)))
    for events, row, length in zip(lists, table, spans.lengths, strict=True):
        kept = events[-width:]
        assert row.tolist() == [item + 1 for item in kept] + [0] * (len(row) - len(kept))
        assert length == len(kept)


@settings(max_examples=50)
@given(st.lists(st.integers(1, 50), max_size=400), st.integers(1, 60), st.booleans(), seeds)
def test_batches_hold_each_row_once_and_about_as_many_targets_as_asked(
    lengths, batch_size, weighted, seed
):
    sizes = np.array(lengths, dtype=np.int64)
    targets = sizes if weighted else np.ones_like(sizes)
    batches = batches_by_length(sizes, targets, batch_size, np.random.default_rng(seed))
    rows = np.concatenate([np.empty(0, np.int64), *batches])
    assert sorted(rows.tolist()) == list(range(len(sizes)))
    assert all(targets[batch].sum() < batch_size + targets.max() for batch in batches)
    if not weighted and len(sizes):
        assert len(batches) == -(-len(sizes) // batch_size)


def test_batches_hold_rows_of_similar_length_and_differ_by_epoch():
    lengths = np.random.default_rng(0).integers(1, 51, size=2000)
    ones = np.ones_like(lengths)
    first, again, other = (
        batches_by_length(lengths, ones, 50, np.random.default_rng([3, epoch]))
        for epoch in (1, 1, 2)
    )
    padded = sum(len(rows) * lengths[rows].max() for rows in first)
    assert padded < 1.15 * lengths.sum()  # shuffled batches would pad about twice as much
    assert all((one == two).all() for one, two in zip(first, again, strict=True))
    assert {frozenset(rows.tolist()) for rows in first} != {
        frozenset(rows.tolist()) for rows in other
    }
    widest = [int(lengths[rows].max()) for rows in first]
    assert widest != sorted(widest)  # short histories must not all come first
