"""Events row by row, for the readers of files that are not worth more."""

from __future__ import annotations

from types import TracebackType

import numpy as np

from harness.data.event_batches import EventBatch
from harness.data.events import EventTable

_ROWS = 50_000


class EventRows:
    """Collects events one by one and hands them to the table in batches; a context manager."""

    def __init__(self, table: EventTable) -> None:
        self._table = table
        self._clear()

    def _clear(self) -> None:
        self._users: list[str] = []
        self._items: list[str] = []
        self._times: list[int] = []
        self._ratings: list[float] = []
        self._texts: list[str] = []

    def add(
        self,
        user: str,
        item: str,
        time: int | None = None,
        rating: float | None = None,
        text: str | None = None,
    ) -> None:
        """Append one event; all must come with the same optional values."""
        self._users.append(user)
        self._items.append(item)
        if time is not None:
            self._times.append(time)
        if rating is not None:
            self._ratings.append(rating)
        if text is not None:
            self._texts.append(text)
        if len(self._users) >= _ROWS:
            self._flush()

    def _flush(self) -> None:
        batch = EventBatch(
            users=self._users,
            items=self._items,
            times=np.array(self._times, np.int64) if self._times else None,
            ratings=np.array(self._ratings, np.float64) if self._ratings else None,
            texts=self._texts or None,
        )
        self._table.append(batch)
        self._clear()

    def __enter__(self) -> EventRows:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self._flush()
