"""Rows of a run folder, user by user: what paired tests and slices are made on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.errors import HarnessError, UsageError, did_you_mean
from harness.leaderboard import Stored, difference, finished_rows, read_records
from harness.metrics import Bound, Metric
from harness.records import Record, verified_ranks

Cells = Mapping[int, tuple[Path, Record]]
"""Seed -> folder and record of a finished cell."""


@dataclass(frozen=True)
class Ranks:
    """One row's ranks of the test targets, users in the order of their index.

    Attributes:
        label: the row.
        optimistic: int64 [n_seeds, n_users].
        pessimistic: int64 [n_seeds, n_users].
    """

    label: str
    optimistic: NDArray[np.int64]
    pessimistic: NDArray[np.int64]

    def values(self, metric: Metric, bound: Bound) -> NDArray[np.float64]:
        """Return float64 [n_seeds, n_users], each user's value of a metric."""
        return np.stack(
            [
                metric.users(optimistic, pessimistic, bound)
                for optimistic, pessimistic in zip(self.optimistic, self.pessimistic, strict=True)
            ]
        )


@dataclass(frozen=True)
class Pair:
    """Two rows over the same users and seeds.

    Attributes:
        dataset: its name.
        seeds: those that both rows have.
        users: int64 [n_users], the users' index in the prepared data set.
        first: the one row.
        second: the other.
    """

    dataset: str
    seeds: tuple[int, ...]
    users: NDArray[np.int64]
    first: Ranks
    second: Ranks


def cells_of(folder: Path, label: str, found: Sequence[Stored]) -> Cells:
    """Return the finished cells of a row, of the seeds that a board would show in it.

    Args:
        folder: a data set's within a run folder.
        label: the row.
        found: the folder's records, damaged ones told.

    Raises:
        UsageError: the folder has no such row.
    """
    mine = [(path, record) for path, record in found if record.label == label]
    rows = finished_rows(folder.name, mine)
    if label not in rows:
        known = did_you_mean(label, {record.label for _, record in found if record.status == "ok"})
        raise UsageError(f"{folder} has no finished row {label!r}: {known}")
    return {record.seed: (path, record) for path, record in rows[label]}


def paired(folder: Path, first: str, second: str) -> Pair:
    """Return two rows of one data set's folder, over the seeds that both have.

    Raises:
        UsageError: there is no such row.
        HarnessError: no seed in common, or the rows differ in what they were measured on: split,
            catalogue, protocol (masking among it) or users; says which.
        DataError: ranks are missing, damaged or were changed after the run.
    """
    found = read_records(folder, damaged="told")
    one, two = (cells_of(folder, label, found) for label in (first, second))
    seeds = tuple(sorted(set(one) & set(two)))
    if not seeds:
        raise HarnessError(
            f"{folder.name}: {first} has the seeds {sorted(one)}, {second} has {sorted(two)}: none "
            "in common; run both with the same --seeds"
        )
    for seed in seeds:
        _check_comparable(one[seed][1], two[seed][1], f"{folder.name}, seed {seed}")
    users, ranks_one = ranks_of(first, one, seeds)
    other_users, ranks_two = ranks_of(second, two, seeds)
    if not np.array_equal(users, other_users):
        only = len(np.setdiff1d(users, other_users)), len(np.setdiff1d(other_users, users))
        raise HarnessError(
            f"{folder.name}: the rows have different users: {only[0]} are only in {first}, "
            f"{only[1]} only in {second}; run both again on one version of the data"
        )
    return Pair(folder.name, seeds, users, ranks_one, ranks_two)


def _check_comparable(one: Record, two: Record, where: str) -> None:
    if told := difference(one, two):
        raise HarnessError(f"{where}: the rows {told}")


def ranks_of(label: str, cells: Cells, seeds: tuple[int, ...]) -> tuple[NDArray[np.int64], Ranks]:
    """Return int64 [n_users], the users' indices, rising, and their ranks by seed.

    Raises:
        HarnessError: the seeds have different users.
        DataError: ranks are missing, damaged or were changed after the run.
    """
    users: NDArray[np.int64] | None = None
    bounds: dict[str, list[NDArray[np.int64]]] = {"optimistic": [], "pessimistic": []}
    for seed in seeds:
        arrays = verified_ranks(*cells[seed])
        order = np.argsort(arrays["user"], kind="stable")
        mine = arrays["user"][order].astype(np.int64)
        if users is not None and not np.array_equal(users, mine):
            raise HarnessError(f"{label}: seeds {seeds[0]} and {seed} have different users")
        users = mine
        for bound, stacked in bounds.items():
            stacked.append(arrays[bound][order].astype(np.int64))
    ranks = Ranks(label, np.stack(bounds["optimistic"]), np.stack(bounds["pessimistic"]))
    return np.asarray(users), ranks
