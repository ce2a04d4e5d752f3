"""The ranks behind the rows of one data set, checked to be about the same users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.leaderboard import Row
from harness.metrics import Bound, Metric
from harness.pairs import Ranks, ranks_of


@dataclass(frozen=True)
class RankedRow:
    """A row with numbers.

    Attributes:
        row: its records.
        users: int64 [n_users], the users' indices, rising.
        ranks: by seed, in the order of ``seeds``.
    """

    row: Row
    users: NDArray[np.int64]
    ranks: Ranks
    _values: dict[tuple[Metric, Bound], NDArray[np.float64]] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Its name on the board."""
        return self.row.label

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """Those it has, rising."""
        return tuple(record.seed for record in self.row.records)

    def values(self, metric: Metric, bound: Bound) -> NDArray[np.float64]:
        """Return float64 [n_seeds, n_users], each user's value of a metric."""
        key = metric, bound
        if key not in self._values:
            self._values[key] = self.ranks.values(metric, bound)
        return self._values[key]

    def mean(self, metric: Metric, bound: Bound) -> float:
        """Return a metric's mean over users, then over seeds."""
        from harness.metrics import mean

        by_seed = [mean(values) for values in self.values(metric, bound)]
        return sum(by_seed) / len(by_seed)

    def of_seeds(
        self, seeds: Sequence[int], metric: Metric, bound: Bound
    ) -> NDArray[np.float64]:  # fmt: skip
        """Return float64 [len(seeds), n_users], the values of some seeds."""
        places = [self.seeds.index(seed) for seed in seeds]
        return np.asarray(self.values(metric, bound)[places])


def ranked(row: Row, folders: Mapping[int, Path]) -> RankedRow:
    """Read the ranks of a row with numbers.

    Args:
        row: its records are finished.
        folders: ``id`` of a record -> where it lies.

    Raises:
        DataError: ranks are missing, damaged or were changed after the run.
        HarnessError: its seeds have different users.
    """
    cells = {record.seed: (folders[id(record)], record) for record in row.records}
    users, ranks = ranks_of(row.label, cells, tuple(record.seed for record in row.records))
    return RankedRow(row, users, ranks)


def check_users(rows: Sequence[RankedRow]) -> None:
    """Refuse rows that were measured on different users.

    Raises:
        DataError: says which rows.
    """
    for row in rows[1:]:
        if not np.array_equal(row.users, rows[0].users):
            raise DataError(
                f"rows {rows[0].label!r} and {row.label!r} were measured on different users and "
                "cannot share a board; run both again on one version of the data"
            )
