"""The event table: order, duplicates, the user filter and the user sample, as pure functions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.card import UserSample


@dataclass(frozen=True)
class Events:
    """Events as columns of equal length, one row per event.

    Attributes:
        users: int64 [n], index into ``user_ids``.
        items: int64 [n], index into ``item_ids``.
        user_ids: raw ids, sorted.
        item_ids: raw ids, sorted.
        times: int64 [n], seconds since 1970 (UTC), or None where the source has none.
        ratings: float64 [n] or None.
        texts: int64 [n] or None; equal numbers stand for equal review texts.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    times: NDArray[np.int64] | None = None
    ratings: NDArray[np.float64] | None = None
    texts: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.users)

    def take(self, rows: NDArray[Any]) -> Events:
        """Return the given rows (indices or a mask); the ids stay."""
        return Events(
            users=self.users[rows],
            items=self.items[rows],
            user_ids=self.user_ids,
            item_ids=self.item_ids,
            times=None if self.times is None else self.times[rows],
            ratings=None if self.ratings is None else self.ratings[rows],
            texts=None if self.texts is None else self.texts[rows],
        )

    def compared_columns(self) -> list[NDArray[Any]]:
        """Return the columns in which duplicates agree: user, item, text, rating, time.

        Raises:
            ValueError: the source lacks one of them, so duplicates cannot be told.
        """
        if self.texts is None or self.ratings is None or self.times is None:
            raise ValueError("duplicates are told by text, rating and time; one of them is absent")
        return [self.users, self.items, self.times, self.ratings, self.texts]


def in_time_order(events: Events) -> Events:
    """Return the events by user (sorted raw ids), then time, ties in file order.

    Where there are no times, file order is taken for time order.
    """
    keys = [events.users] if events.times is None else [events.times, events.users]
    return events.take(np.lexsort(keys))  # lexsort is stable


def drop_consecutive(events: Events) -> Events:
    """Drop each event that equals the same user's preceding one (paper, section 4).

    Equal means the same item, review text, rating and time. ``events`` must be in time order.
    A run of equal events keeps its first, so comparing with the preceding raw event or with the
    preceding kept one comes to the same.
    """
    same = np.ones(max(len(events) - 1, 0), dtype=bool)
    for column in events.compared_columns():
        same &= column[1:] == column[:-1]
    return events.take(np.concatenate([np.ones(min(len(events), 1), dtype=bool), ~same]))


def drop_global(events: Events) -> Events:
    """Drop each event that equals any earlier one of the same user: a variant, not the paper's."""
    columns = events.compared_columns()
    order = np.lexsort(columns)  # stable: among equal events the earliest comes first
    same = np.ones(max(len(events) - 1, 0), dtype=bool)
    for column in columns:
        same &= column[order][1:] == column[order][:-1]
    keep = np.ones(len(events), dtype=bool)
    keep[order[1:][same]] = False
    return events.take(keep)


def _drop_nothing(events: Events) -> Events:
    return events


DEDUP: dict[str, Callable[[Events], Events]] = {
    "consecutive": drop_consecutive,
    "global": drop_global,
    "none": _drop_nothing,
}


def keep_users_with(events: Events, minimum: int) -> Events:
    """Drop every event of the users who have fewer than ``minimum`` events."""
    counts = np.bincount(events.users, minlength=len(events.user_ids))
    return events.take(counts[events.users] >= minimum)


def keep_sampled_users(events: Events, sample: UserSample) -> Events:
    """Keep a seeded sample of the users who still have events (paper: Office 50 %, Pet 20 %).

    Users are drawn in the order of SHA-256(seed, raw user id), which neither the order of lines
    nor the version of a random generator can change. A fraction is rounded to whole users, at
    least one; a count above the number of users keeps all.
    """
    users = np.unique(events.users)
    wanted = sample.count
    if wanted is None:
        wanted = max(1, round(len(users) * (sample.fraction or 0.0)))
    drawn = sorted(users, key=lambda user: _draw(sample.seed, events.user_ids[user]))[:wanted]
    return events.take(np.isin(events.users, np.array(drawn, dtype=np.int64)))


def _draw(seed: int, user_id: str) -> str:
    return hashlib.sha256(f"{seed}\0{user_id}".encode()).hexdigest()


class EventRows:
    """Collects events row by row while a file is read, and turns them into `Events`."""

    def __init__(self) -> None:
        self._users, self._items = _Codes(), _Codes()
        self._texts: _Codes | None = None
        self._times: list[int] | None = None
        self._ratings: list[float] | None = None

    def add(
        self,
        user: str,
        item: str,
        time: int | None = None,
        rating: float | None = None,
        text: str | None = None,
    ) -> None:
        """Append one event; all events must come with the same optional columns."""
        self._users.add(user)
        self._items.add(item)
        if time is not None:
            self._times = self._times if self._times is not None else []
            self._times.append(time)
        if rating is not None:
            self._ratings = self._ratings if self._ratings is not None else []
            self._ratings.append(rating)
        if text is not None:
            self._texts = self._texts if self._texts is not None else _Codes()
            self._texts.add(text)

    def __len__(self) -> int:
        return len(self._users.codes)

    def finish(self) -> Events:
        """Return the table, ids sorted, rows in the order in which they were added."""
        users, user_ids = self._users.sorted()
        items, item_ids = self._items.sorted()
        return Events(
            users=users,
            items=items,
            user_ids=user_ids,
            item_ids=item_ids,
            times=None if self._times is None else np.array(self._times, dtype=np.int64),
            ratings=None if self._ratings is None else np.array(self._ratings, dtype=np.float64),
            texts=None if self._texts is None else self._texts.sorted()[0],
        )


class _Codes:
    """Strings as small numbers, given in order of first appearance."""

    def __init__(self) -> None:
        self._index: dict[str, int] = {}
        self.codes: list[int] = []

    def add(self, value: str) -> None:
        self.codes.append(self._index.setdefault(value, len(self._index)))

    def sorted(self) -> tuple[NDArray[np.int64], tuple[str, ...]]:
        """Return int64 [n] indices into the sorted distinct values, and these."""
        values: Sequence[str] = sorted(self._index)
        rank = np.empty(len(values), dtype=np.int64)
        for position, value in enumerate(values):
            rank[self._index[value]] = position
        return rank[np.array(self.codes, dtype=np.int64)], tuple(values)
