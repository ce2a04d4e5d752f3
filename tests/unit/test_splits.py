from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.histories import Histories
from harness.splits import leave_one_out, split_hash

SEQUENCES = st.lists(st.lists(st.integers(0, 50), min_size=3, max_size=12), max_size=15)


@given(SEQUENCES)
def test_every_event_lands_where_it_belongs(sequences: list[list[int]]) -> None:
    split = leave_one_out(Histories.from_lists(sequences))
    assert len(split.train) == len(split.test_histories) == len(sequences)
    for row, items in enumerate(sequences):
        assert split.train[row].tolist() == items[:-2]
        assert split.validation_targets[row] == items[-2]
        assert split.test_histories[row].tolist() == items[:-1]
        assert split.test_targets[row] == items[-1]
    assert split.validation_targets.dtype == split.test_targets.dtype == np.int32
    for array in (split.validation_targets, split.test_targets, split.train.items):
        assert not array.flags.writeable


@given(SEQUENCES)
def test_the_sequences_stay_as_they_were(sequences: list[list[int]]) -> None:
    histories = Histories.from_lists(sequences)
    leave_one_out(histories)
    assert [row.tolist() for row in histories] == sequences


def test_timestamps_and_users_go_with_their_events() -> None:
    plain = Histories.from_lists([[1, 2, 3], [4, 5, 6, 7]], users=[8, 3])
    times = np.arange(10, 17)
    split = leave_one_out(Histories(plain.users, plain.items, plain.offsets, times))
    assert split.train.users.tolist() == [8, 3]
    assert split.train.timestamps is not None
    assert split.train.timestamps.tolist() == [10, 13, 14]
    assert split.test_histories.timestamps is not None
    assert split.test_histories.timestamps.tolist() == [10, 11, 13, 14, 15]


@pytest.mark.parametrize("short", [[], [1], [1, 2]])
def test_a_user_with_too_few_events_is_named(short: list[int]) -> None:
    histories = Histories.from_lists([[1, 2, 3], short], users=[4, 17])
    with pytest.raises(DataError, match=f"user 17 has {len(short)} events.*min_user_events"):
        leave_one_out(histories)


def test_nobody_splits_into_nothing() -> None:
    split = leave_one_out(Histories.from_lists([]))
    assert len(split.train) == len(split.test_targets) == 0


def test_the_hash_follows_the_content() -> None:
    assert split_hash("a") == split_hash("a")
    assert split_hash("a") != split_hash("b")
    assert len(split_hash("a")) == 64
