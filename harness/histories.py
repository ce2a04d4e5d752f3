"""Ragged sequences of item indices: what the data set, the split and the methods exchange."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

IntArray = NDArray[np.integer]
FloatArray = NDArray[np.floating]


@dataclass(frozen=True)
class Histories:
    """One history per user, oldest event first, as flat read-only arrays.

    Attributes:
        users: int64 [n_users], the user's index in the prepared data set. Its use for a method is
            to key random draws by (seed, user), so that order and batching do not matter.
        items: int32 [n_events], item indices of all users one after the other.
        offsets: int64 [n_users + 1]; user ``row`` owns ``items[offsets[row]:offsets[row + 1]]``.
        timestamps: int64 [n_events] in seconds since 1970 (UTC), or None where the data set has
            none or the method does not declare them.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int32]
    offsets: NDArray[np.int64]
    timestamps: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        if len(self.offsets) != len(self.users) + 1 or self.offsets[0] != 0:
            raise ValueError(f"{len(self.users)} users need as many offsets and one, from 0")
        if self.offsets[-1] != len(self.items) or (np.diff(self.offsets) < 0).any():
            raise ValueError("offsets must rise from 0 to the number of events")
        if self.timestamps is not None and len(self.timestamps) != len(self.items):
            raise ValueError("timestamps must stand beside every event")
        for array in (self.users, self.items, self.offsets, self.timestamps):
            if array is not None:
                array.setflags(write=False)

    @classmethod
    def from_lists(
        cls, lists: Sequence[ArrayLike], users: Sequence[int] | None = None
    ) -> Histories:
        """Build histories from one list of item indices per user (users 0, 1, … by default)."""
        rows = [np.asarray(items, dtype=np.int32) for items in lists]
        lengths = np.array([len(row) for row in rows], dtype=np.int64)
        return cls(
            users=np.asarray(range(len(rows)) if users is None else users, dtype=np.int64),
            items=np.concatenate([np.empty(0, np.int32), *rows]),
            offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )

    def __len__(self) -> int:
        return len(self.users)

    def __getitem__(self, row: int) -> NDArray[np.int32]:
        """Return the items of one user, int32, oldest first (a read-only view)."""
        return self.items[self.offsets[row] : self.offsets[row + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        return (self[row] for row in range(len(self)))

    @property
    def lengths(self) -> NDArray[np.int64]:
        """int64 [n_users], the number of events of each user."""
        return np.diff(self.offsets)

    def select(self, rows: IntArray) -> Histories:
        """Return the histories of the given rows, in the given order."""
        starts, lengths = self.offsets[rows], self.lengths[rows]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        # position within the flat array: each row's start, counted on from its new offset
        flat = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Histories(
            users=self.users[rows],
            items=self.items[flat],
            offsets=offsets,
            timestamps=None if self.timestamps is None else self.timestamps[flat],
        )

    def without_last(self, n: int) -> Histories:
        """Return the histories with each user's last ``n`` events cut off."""
        lengths = self.lengths - n
        if (lengths < 0).any():
            raise ValueError(f"a user has fewer than {n} events")
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1] - offsets[:-1], lengths)
        return Histories(
            users=self.users,
            items=self.items[flat],
            offsets=offsets,
            timestamps=None if self.timestamps is None else self.timestamps[flat],
        )

    def without_timestamps(self) -> Histories:
        """Return the same histories with the timestamps withheld."""
        return Histories(users=self.users, items=self.items, offsets=self.offsets)

    def padded(self, width: int, padding: int) -> NDArray[np.int32]:
        """Return int32 [n_users, width]: each user's last ``width`` items, right-padded."""
        table = np.full((len(self), width), padding, dtype=np.int32)
        for row, items in enumerate(self):
            kept = items[max(0, len(items) - width) :]
            table[row, : len(kept)] = kept
        return table
