"""What a submission is held against: names of users and items, and each user's held-out item."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.prepared import PreparedData
from harness.errors import DataError
from harness.external.wording import first_few
from harness.splits import leave_one_out


@dataclass(frozen=True)
class Names:
    """The ids of all users or of all items, in the order of their indices.

    Attributes:
        role: "user" or "item".
        ids: as the data set has them.
    """

    role: str
    ids: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def _stored(self) -> Any:
        import pyarrow as pa

        return pa.array(self.ids, pa.large_string())

    @cached_property
    def are_numerals(self) -> bool:
        """Whether some id is a whole number, so that an integer could be an id or an index."""
        return any(name.isdecimal() for name in self.ids)

    def indices_of_ids(self, texts: Any) -> NDArray[np.int64]:
        """Return int64 [n], the index of each id of a pyarrow column of text.

        Raises:
            DataError: an id that is empty or not in the data set; counts them, names a few.
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        column = texts.cast(pa.large_string())
        if column.null_count:
            raise DataError(f"{column.null_count:,} rows name no {self.role}")
        found = pc.fill_null(pc.index_in(column, value_set=self._stored), -1)
        indices = np.asarray(found.to_numpy(), dtype=np.int64)
        unknown = indices < 0
        if unknown.any():
            names = pc.unique(column.filter(pa.array(unknown)))
            wanted = f"name each {self.role} by its id, as `data export` writes it"
            self._refuse(len(names), (name.as_py() for name in names), wanted)
        return indices

    def checked_indices(self, indices: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
        """Return int64 [n]: indices that are all of the data set.

        Raises:
            DataError: an index that the data set does not have; counts them, names a few.
        """
        wide = indices.astype(np.int64)
        unknown = np.unique(wide[(wide < 0) | (wide >= len(self))])
        if len(unknown):
            wanted = f"indices count from 0 to {len(self) - 1:,}"
            self._refuse(len(unknown), unknown.tolist(), wanted)
        return wide

    def _refuse(self, count: int, names: Iterable[object], wanted: str) -> None:
        raise DataError(
            f"{count:,} {self.role}s are not in the data set: {first_few(names)}; {wanted}"
        )


@dataclass(frozen=True)
class HeldOut:
    """The test part of a split.

    Attributes:
        users: all test users.
        items: all candidates.
        targets: int32 [n_users], the index of each user's held-out item.
    """

    users: Names
    items: Names
    targets: NDArray[np.int32]

    @classmethod
    def of(cls, data: PreparedData) -> HeldOut:
        """Return that of a prepared data set."""
        if data.card.protocol.test_sample is not None:
            raise DataError(
                f"{data.card.name} tests a sample of users, and files from elsewhere hold all: "
                "leave out --test-users"
            )
        targets = leave_one_out(data.sequences).test_targets
        return cls(Names("user", data.user_ids), Names("item", data.item_ids), targets)
