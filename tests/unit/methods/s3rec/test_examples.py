"""Masked items and segments: what is drawn, and what never may be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods.s3rec import examples as module
from methods.s3rec.examples import examples

N_ITEMS, MASK = 40, 41


def drawn(seed, n_items=N_ITEMS, ratio=0.3, n_rows=9, longest=12):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, longest + 1, size=n_rows)
    real = np.arange(longest) < lengths[:, None]
    items = np.where(real, generator.integers(1, n_items + 1, (n_rows, longest)), 0)
    return items, lengths, examples(items, lengths, ratio, n_items, generator)


@given(st.integers(0, 2**32 - 1))
def test_masks_stand_for_items_and_negatives_are_none_of_the_row(seed):
    items, _, batch = drawn(seed)
    hidden = batch.masked == MASK
    assert (np.where(hidden, items, batch.masked) == items).all()
    assert not hidden[items == 0].any()
    assert (batch.negatives[~hidden] == items[~hidden]).all()
    for row, column in zip(*np.nonzero(hidden), strict=True):
        assert batch.negatives[row, column] not in items[row]
        assert 1 <= batch.negatives[row, column] <= N_ITEMS


@given(st.integers(0, 2**32 - 1))
def test_segments_are_stretches_of_at_most_half_the_row(seed):
    items, lengths, batch = drawn(seed)
    flat = " ".join(str(item) for item in items[items > 0])
    for row, length in enumerate(lengths):
        real = items[row, :length]
        context, segment, other = (
            table[row, :length] for table in (batch.context, batch.segment, batch.other_segment)
        )
        for table in (batch.context, batch.segment, batch.other_segment):
            assert (table[row, length:] == 0).all()
        if length == 1:
            assert context == segment == other == real
            continue
        inside = np.flatnonzero(context == MASK)
        assert 1 <= len(inside) <= length // 2
        assert (np.diff(inside) == 1).all()
        outside = np.setdiff1d(np.arange(length), inside)
        assert (context[outside] == real[outside]).all()
        assert (segment[inside] == real[inside]).all() and (segment[outside] == MASK).all()
        assert (other[outside] == MASK).all()
        assert " ".join(str(item) for item in other[inside]) in flat


def test_segment_lengths_and_starts_are_uniform():
    items = np.tile(np.arange(1, 11), (6000, 1))
    batch = examples(items, np.full(6000, 10), 0.0, N_ITEMS, np.random.default_rng(0))
    inside = batch.context == MASK
    sizes = np.bincount(inside.sum(axis=1), minlength=6)[1:]
    assert len(sizes) == 5 and np.abs(sizes / 6000 - 0.2).max() < 0.03
    starts = np.bincount(inside.argmax(axis=1)[inside.sum(axis=1) == 5], minlength=6)
    assert len(starts) == 6 and np.abs(starts / starts.sum() - 1 / 6).max() < 0.05


def test_the_share_of_masks_is_the_ratio():
    items = np.ones((400, 50), dtype=np.int64)
    batch = examples(items, np.full(400, 50), 0.2, N_ITEMS, np.random.default_rng(0))
    assert abs((batch.masked == MASK).mean() - 0.2) < 4 * np.sqrt(0.16 / items.size)


def test_a_row_that_holds_all_items_ends_the_search():
    items = np.array([[1, 2, 3]])
    batch = examples(items, np.array([3]), 1.0, 3, np.random.default_rng(0))
    assert (batch.masked == 4).all() and ((batch.negatives >= 1) & (batch.negatives <= 3)).all()


def test_a_row_that_lacks_one_item_is_never_given_another():
    items = np.tile(np.arange(1, 51), (400, 1))  # 100 tries fail for one mask in eight
    batch = examples(items, np.full(400, 50), 0.2, 51, np.random.default_rng(0))
    assert (batch.negatives[batch.masked == 52] == 51).all()


@pytest.mark.parametrize("tries", [0, 1, 100])
def test_negatives_are_uniform_over_what_a_row_lacks(monkeypatch, tries):
    monkeypatch.setattr(module, "TRIES", tries)
    items = np.tile([2, 2, 5, 3, 2, 0, 0], (9000, 1))  # lacks 1, 4, 6, 7
    batch = examples(items, np.full(9000, 5), 0.2, 7, np.random.default_rng(0))
    drawn = np.bincount(batch.negatives[batch.masked == 8], minlength=8)
    assert (drawn[[0, 2, 3, 5]] == 0).all()
    assert np.abs(drawn[[1, 4, 6, 7]] / drawn.sum() - 0.25).max() < 0.02


@given(st.integers(0, 2**32 - 1))
def test_padding_at_the_left_moves_rows_and_changes_nothing_else(seed):
    _, lengths, batch = drawn(seed)
    moved = batch.padded_left(15)
    for name in ("items", "masked", "negatives", "context", "segment", "other_segment"):
        before, after = getattr(batch, name), getattr(moved, name)
        assert after.shape == (len(lengths), 15)
        for row, length in enumerate(lengths):
            assert (after[row, 15 - length :] == before[row, :length]).all()
            assert (after[row, : 15 - length] == 0).all()
