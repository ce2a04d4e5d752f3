"""Events as columns: what readers hand to the event table, and what it returns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class EventBatch:
    """Some events, in the order in which they stand in the source.

    Attributes:
        users: raw ids.
        items: raw ids.
        times: int64 [n], since 1970 (UTC), in seconds or a smaller unit; None where the source has
            none.
        ratings: float64 [n] or None.
        texts: the review texts, or None. The table keeps a hash of 64 bits of each; two texts of
            the same user, item, rating and time that differ share it with a probability of 2**-64.
    """

    users: Sequence[str]
    items: Sequence[str]
    times: NDArray[np.int64] | None = None
    ratings: NDArray[np.float64] | None = None
    texts: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.users)

    @property
    def present(self) -> tuple[bool, ...]:
        """Which of the optional columns there are."""
        return tuple(column is not None for column in (self.times, self.ratings, self.texts))


def joined(batches: Sequence[EventBatch]) -> EventBatch:
    """Return one batch of all, in order.

    Raises:
        ValueError: they have different optional columns.
    """
    if len({batch.present for batch in batches}) > 1:
        raise ValueError("all batches must have the same optional columns")

    def column(name: str) -> Any:
        parts = [getattr(batch, name) for batch in batches]
        return None if not parts or parts[0] is None else np.concatenate(parts)

    has_texts = bool(batches) and batches[0].texts is not None
    return EventBatch(
        users=[user for batch in batches for user in batch.users],
        items=[item for batch in batches for item in batch.items],
        times=column("times"),
        ratings=column("ratings"),
        texts=[text for batch in batches for text in batch.texts or ()] if has_texts else None,
    )


@dataclass(frozen=True)
class OrderedEvents:
    """What is left, by user (sorted raw ids), then time, ties in the source's order.

    Attributes:
        users: int32 [n], index into ``user_ids``.
        items: int32 [n], index into ``item_ids``.
        user_ids: raw ids that still have events, sorted by code point.
        item_ids: likewise.
        times: int64 [n], seconds since 1970 (UTC), or None.
    """

    users: NDArray[np.int32]
    items: NDArray[np.int32]
    user_ids: tuple[str, ...]
    item_ids: tuple[str, ...]
    times: NDArray[np.int64] | None

    def __len__(self) -> int:
        return len(self.users)


def arrow_table(batch: EventBatch, first_place: int) -> Any:
    """Return a batch as an Arrow table, each event with its place in the source."""
    import pyarrow as pa

    n = len(batch)

    def column(values: Any, kind: Any) -> Any:
        return pa.nulls(n, kind) if values is None else pa.array(values, kind)

    return pa.table(
        {
            "place": np.arange(first_place, first_place + n),
            "user_id": pa.array(batch.users, pa.string()),
            "item_id": pa.array(batch.items, pa.string()),
            "time": column(batch.times, pa.int64()),
            "rating": column(batch.ratings, pa.float64()),
            "text": column(batch.texts, pa.string()),
        }
    )
