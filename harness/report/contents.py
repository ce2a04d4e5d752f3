"""Gathers what a report shows besides its board: cells, users, slices, curves; of one data set."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.board.definition import metric_named
from harness.board.table import RowTable, Section
from harness.errors import DataError
from harness.leaderboard import Stored
from harness.metrics import Metric
from harness.records import Record, verified_fit_log, verified_ranks
from harness.slices import SliceRow, slice_table
from harness.split_facts import SampledUser, SplitFacts

Ranks = Mapping[str, NDArray[np.generic]]


@dataclass(frozen=True)
class Cell:
    """A row under one seed.

    Attributes:
        row: the row.
        folder: where its record lies.
        record: see `harness.records.Record`.
        ranks: its arrays, users by rising index.
        log: the parsed lines of its fit log.
    """

    row: RowTable
    folder: Path
    record: Record
    ranks: Ranks
    log: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @property
    def seed(self) -> int:
        """Its seed."""
        return self.record.seed

    def place(self, user: int) -> int | None:
        """Return the position of a user's ranks, None where it has none."""
        users = self.ranks["user"]
        at = int(np.searchsorted(users, user))
        return at if at < len(users) and users[at] == user else None


@dataclass(frozen=True)
class Shown:
    """What one user was recommended in one cell.

    Attributes:
        user: the user.
        optimistic: the target's rank; 0 where it was not recommended.
        pessimistic: the same with the target last of its tie.
        first: items ranked first, best first.
    """

    user: SampledUser
    optimistic: int
    pessimistic: int
    first: tuple[int, ...]


def cells_of(section: Section, found: Sequence[Stored]) -> list[Cell]:
    """Return the cells of a section's rows, rows in their order, seeds rising.

    Raises:
        DataError: ranks or a fit log are missing, damaged or were changed after the run.
    """
    by_run = {(record.label, record.run_id): (folder, record) for folder, record in found}
    return [
        _cell(row, *by_run[row.label, row.records[str(seed)]["run_id"]])
        for row in section.rows
        for seed in row.seeds
        if str(seed) in row.records
    ]


def _cell(row: RowTable, folder: Path, record: Record) -> Cell:
    arrays = verified_ranks(folder, record)
    order = np.argsort(arrays["user"], kind="stable")
    ranks = {name: array[order] for name, array in arrays.items()}
    return Cell(row, folder, record, ranks, _log(folder, record))


def _log(folder: Path, record: Record) -> list[Mapping[str, Any]]:
    text = verified_fit_log(folder, record)
    found: list[Mapping[str, Any]] = []
    for line in (text or "").splitlines():
        try:
            values = json.loads(line)
        except ValueError:  # a log that ends within a line still has the others
            continue
        if isinstance(values, dict):
            found.append(values)
    return found


def shown_to(cell: Cell, users: Sequence[SampledUser], first: int) -> list[Shown]:
    """Return what sampled users were recommended; those without ranks are left out."""
    found = []
    for user in users:
        at = cell.place(user.user)
        if at is None:
            continue
        top = [int(item) for item in cell.ranks["top"][at][:first] if item >= 0]
        low, high = (int(cell.ranks[bound][at]) for bound in ("optimistic", "pessimistic"))
        found.append(Shown(user, low, high, tuple(top)))
    return found


def user_values(
    cells: Sequence[Cell], label: str, metric: Metric
) -> NDArray[np.float64]:  # fmt: skip
    """Return float64 [n_seeds, n_users], the pessimistic values of a row."""
    mine = [cell for cell in cells if cell.row.label == label]
    return np.stack([metric.values(cell.ranks["pessimistic"].astype(np.int64)) for cell in mine])


def slices_of_rows(
    cells: Sequence[Cell], facts: SplitFacts, metric: str
) -> dict[str, tuple[SliceRow, ...]]:
    """Return label -> a metric in every slice that has users."""
    chosen = metric_named(metric)
    there = [part for part in facts.slices if part.members.any()]
    labels = dict.fromkeys(cell.row.label for cell in cells)
    return {
        label: slice_table(user_values(cells, label, chosen), there)
        for label in labels
        if user_values(cells, label, chosen).shape[1] == facts.n_users
    }


def logs_of(cells: Sequence[Cell]) -> dict[str, dict[int, Sequence[Mapping[str, Any]]]]:
    """Return label -> seed -> the lines of the fit log."""
    found: dict[str, dict[int, Sequence[Mapping[str, Any]]]] = {}
    for cell in cells:
        if cell.log:
            found.setdefault(cell.row.label, {})[cell.seed] = cell.log
    return found


# ---- texts that a method generated ---------------------------------------------------------------


@dataclass(frozen=True)
class Generated:
    """What a language model wrote for one user.

    Attributes:
        user: the user's index.
        texts: each with its log-probability, likeliest first, each distinct text once.
    """

    user: int
    texts: tuple[tuple[str, float], ...]


def generated_texts(folder: Path, users: Sequence[SampledUser]) -> list[Generated]:
    """Return what a cell's method wrote for sampled users, where its run folder still has it.

    Raises:
        DataError: a file of generated texts is damaged.
    """
    wanted = {user.user for user in users}
    found: dict[int, Generated] = {}
    for path in sorted((folder / "work" / "generated").glob("*.jsonl")):
        try:
            # bytes end lines at line feeds alone, text also at characters that a model may write
            lines = map(json.loads, path.read_bytes().splitlines())
            chosen = (values for values in lines if values["user"] in wanted)
            found |= {values["user"]: _generated(values) for values in chosen}
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path}: not the generated texts of a run ({error}); run the cell again, or leave "
                "texts out"
            ) from error
    return [found[user.user] for user in users if user.user in found]


def _generated(values: Mapping[str, Any]) -> Generated:
    pairs = zip(values["texts"], values["log_probabilities"], strict=True)
    best: dict[str, float] = {}
    for text, score in sorted(pairs, key=lambda pair: -pair[1]):
        best.setdefault(text, score)
    return Generated(values["user"], tuple(best.items()))
