"""Ragged histories against lists of lists."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.histories import Histories

lists = st.lists(st.lists(st.integers(0, 99), max_size=6), max_size=8)


def _with_times(rows):
    plain = Histories.from_lists(rows)
    times = np.arange(len(plain.items), dtype=np.int64) * 10
    return Histories(plain.users, plain.items, plain.offsets, times)


@given(lists)
def test_lists_come_back(rows):
    histories = Histories.from_lists(rows)
    assert [items.tolist() for items in histories] == rows
    assert [histories[row].tolist() for row in range(len(histories))] == rows
    assert histories.lengths.tolist() == list(map(len, rows))
    assert histories.users.tolist() == list(range(len(rows)))
    assert histories.items.dtype == np.int32


@given(lists.filter(len), st.data())
def test_selecting_rows_in_any_order_with_repeats(rows, data):
    histories = _with_times(rows)
    chosen = data.draw(st.lists(st.integers(0, len(rows) - 1)))
    selected = histories.select(np.array(chosen, dtype=np.int64))
    assert [items.tolist() for items in selected] == [rows[row] for row in chosen]
    assert selected.users.tolist() == chosen
    starts = histories.offsets
    times = [10 * at for row in chosen for at in range(starts[row], starts[row + 1])]
    assert selected.timestamps.tolist() == times


@given(lists, st.integers(0, 3))
def test_cutting_off_the_last(rows, n):
    histories = _with_times(rows)
    if any(len(row) < n for row in rows):
        with pytest.raises(ValueError, match="fewer than"):
            histories.without_last(n)
        return
    cut = histories.without_last(n)
    assert [items.tolist() for items in cut] == [row[: len(row) - n] for row in rows]
    assert len(cut.timestamps) == len(cut.items)
    # the cut events are gone from memory, not merely out of sight
    assert cut.items.base is None or len(cut.items.base) == len(cut.items)


@given(lists, st.integers(0, 8))
def test_padding_keeps_the_last_events(rows, width):
    table = Histories.from_lists(rows).padded(width, padding=-1)
    assert table.shape == (len(rows), width)
    for row, items in enumerate(rows):
        kept = items[max(0, len(items) - width) :]
        assert table[row].tolist() == kept + [-1] * (width - len(kept))


def test_arrays_are_read_only():
    histories = _with_times([[1, 2], [3]])
    for array in (histories.users, histories.items, histories.offsets, histories.timestamps):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 5


def test_times_are_withheld_with_the_rest_unchanged():
    histories = _with_times([[1, 2], [3]])
    bare = histories.without_timestamps()
    assert bare.timestamps is None
    assert [items.tolist() for items in bare] == [[1, 2], [3]]


def test_users_may_be_named():
    assert Histories.from_lists([[1], [2]], users=[7, 5]).users.tolist() == [7, 5]


@pytest.mark.parametrize(
    ("users", "items", "offsets", "times", "message"),
    [
        ([0, 1], [1], [0, 1], None, "2 users"), ([0], [1], [1, 1], None, "from 0"),
        ([0], [1, 2], [0, 1], None, "number of events"),
        ([0, 1], [1], [0, 2, 1], None, "must rise"), ([0], [1], [0, 1], [1, 2], "every event"),
    ],
)  # fmt: skip
def test_arrays_that_do_not_fit_are_refused(users, items, offsets, times, message):
    with pytest.raises(ValueError, match=message):
        Histories(
            np.array(users), np.array(items, np.int32), np.array(offsets),
            None if times is None else np.array(times),
        )  # fmt: skip
