"""The split: pure functions from all events of each user to training, validation and test parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.files import sha256_text
from harness.histories import Histories

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData

_RULE = "leave-one-out: test item n, validation item n-1, training items 1 to n-2"


@dataclass(frozen=True)
class Split:
    """A leave-one-out split of n events per user (paper, section 4).

    Attributes:
        train: items 1 to n-2 of every user; at validation time it is the history too.
        validation_targets: int32 [n_users], item n-1.
        test_histories: items 1 to n-1; the validation item is known at test time.
        test_targets: int32 [n_users], item n.

    Where a sample of users is tested (`split_data`), the test parts are theirs alone.
    """

    train: Histories
    validation_targets: NDArray[np.int32]
    test_histories: Histories
    test_targets: NDArray[np.int32]


def leave_one_out(sequences: Histories) -> Split:
    """Split off the last item of every user for the test, the one before it for validation.

    Raises:
        DataError: a user has fewer than three events, so that no training event would be left.
    """
    short = np.flatnonzero(sequences.lengths < 3)
    if len(short):
        row = int(short[0])
        raise DataError(
            f"user {sequences.users[row]} has {sequences.lengths[row]} events, and "
            f"{len(short)} users have fewer than the 3 that leave-one-out needs: raise "
            "min_user_events in the data set's card"
        )
    ends = sequences.offsets[1:]
    return Split(
        train=sequences.without_last(2),
        validation_targets=_frozen(sequences.items[ends - 2]),
        test_histories=sequences.without_last(1),
        test_targets=_frozen(sequences.items[ends - 1]),
    )


def split_data(data: PreparedData) -> Split:
    """Split a prepared data set by its card's protocol; the users tested may be a sample.

    Raises:
        DataError: a user has fewer than three events.
    """
    split = leave_one_out(data.sequences)
    if data.card.protocol.test_sample is None:
        return split
    rows = tested_rows(data)
    return Split(
        split.train,
        split.validation_targets,
        split.test_histories.select(rows),
        _frozen(split.test_targets[rows]),
    )


def tested_rows(data: PreparedData) -> NDArray[np.int64]:
    """Return the rows of ``data.sequences`` whose users are tested, int64, rising."""
    n_users, sample = len(data.sequences), data.card.protocol.test_sample
    if sample is None:
        return np.arange(n_users)
    count = sample.count
    if count is None:
        count = max(1, round(n_users * (sample.fraction or 0.0)))
    generator = np.random.default_rng(sample.seed)
    return np.sort(generator.choice(n_users, size=min(count, n_users), replace=False))


def split_hash(content_hash: str) -> str:
    """Return the SHA-256 that names this split of the data with that content hash."""
    return sha256_text(f"{content_hash} {_RULE}")


def _frozen(targets: NDArray[np.int32]) -> NDArray[np.int32]:
    targets.setflags(write=False)
    return targets
