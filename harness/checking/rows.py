"""Records of one data set, gathered into the rows of a board."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from harness.checking.leaves import NEARLY_EQUAL
from harness.checking.numbers import Numbers, average, gains, mean
from harness.checking.records import Cell, read_cell

GATES = ("popularity", "lir")
JUDGED_BY = "NDCG@10"


@dataclass(frozen=True)
class RowOfCells:
    """The cells of one label, by seed."""

    label: str
    cells: tuple[Cell, ...]
    _values: dict[tuple[str, str], Numbers] = field(default_factory=dict)
    _means: dict[tuple[str, str], tuple[float, ...]] = field(default_factory=dict)

    @property
    def first(self) -> dict[str, Any]:
        """The record of the lowest seed."""
        return self.cells[0].record

    @cached_property
    def seeds(self) -> list[int]:
        """Those it has, rising."""
        return [cell.record["seed"] for cell in self.cells]

    def values(self, metric: str, bound: str) -> Numbers:
        """Return float64 [n_seeds, n_users]."""
        key = metric, bound
        if key not in self._values:
            by_seed = [gains(metric, cell.low, cell.high, bound) for cell in self.cells]
            self._values[key] = np.stack(by_seed)
        return self._values[key]

    def mean(self, metric: str, bound: str) -> float:
        """Return the mean over users, then over seeds."""
        return average(self.means(metric, bound))

    def means(self, metric: str, bound: str) -> tuple[float, ...]:
        """Return each seed's mean over users."""
        key = metric, bound
        if key not in self._means:
            self._means[key] = tuple(mean(values) for values in self.values(metric, bound))
        return self._means[key]

    def of(self, seeds: Sequence[int] | None) -> RowOfCells | None:
        """Return the row with some of its seeds only; None where it has none of them."""
        if seeds is None:
            return self
        cells = tuple(cell for cell in self.cells if cell.record["seed"] in seeds)
        return RowOfCells(self.label, cells) if cells else None


def read_rows(folder: Path) -> tuple[dict[str, RowOfCells], list[str]]:
    """Read every record of a data set; label -> row, and what is wrong with any of them."""
    faults: list[str] = []
    cells: dict[str, list[Cell]] = {}
    for path in sorted(folder.iterdir() if folder.is_dir() else ()):
        if path.name == "split.json":
            continue
        if not path.is_dir():
            faults.append(f"{path}: a file that is no part of the records")
        elif not (path / "record.json").is_file():
            faults.append(f"{path}: the record is missing")
        else:
            cell, found = read_cell(path, folder.name)
            faults += [f"{path / 'record.json'}: {fault}" for fault in found]
            if cell is not None:
                cells.setdefault(str(cell.record["method"]["label"]), []).append(cell)
    rows = {
        label: RowOfCells(label, tuple(sorted(group, key=lambda cell: int(cell.record["seed"]))))
        for label, group in cells.items()
    }
    return rows, faults or [f"{folder}: {fault}" for fault in _shared_faults(rows)]


def _shared_faults(rows: Mapping[str, RowOfCells]) -> list[str]:
    """Return where records differ in what all of a row, or of a data set, must share."""
    faults = [f"the baseline {gate} is missing, so no row can be judged" for gate in GATES
              if rows and gate not in rows]  # fmt: skip
    for label, row in rows.items():
        if len({cell.record["row_id"] for cell in row.cells}) != 1:
            faults.append(f"row {label!r} mixes seeds of different code, settings or device")
        if len(set(row.seeds)) != len(row.seeds):
            faults.append(f"row {label!r} has a seed twice")
    cells = [cell for row in rows.values() for cell in row.cells]
    if len({cell.record["run_id"] for cell in cells}) < len(cells):
        faults.append("two records state the same run")
    for fact in ("split_hash", "n_users", "n_items"):
        found = {str(cell.record["dataset"][fact]) for cell in cells}
        if len(found) > 1:
            faults.append(f"records of different {fact} share a board: {sorted(found)}")
    if len({repr(sorted(cell.record["protocol"].items())) for cell in cells}) > 1:
        faults.append("records of different protocols share a board")
    if any(not np.array_equal(cell.users, cells[0].users) for cell in cells[1:]):
        faults.append("records of different users share a board")
    return faults


# ---- the order of rows, and what they must beat --------------------------------------------------


def in_order(rows: Mapping[str, RowOfCells], stated: Sequence[object]) -> list[RowOfCells]:
    """Return rows best first, of equal ones by label; as stated where only rounding differs."""
    means = {label: row.means(JUDGED_BY, "pessimistic") for label, row in rows.items()}
    order = sorted(rows, key=lambda label: (-average(means[label]), label))
    said = [label for label in stated if isinstance(label, str) and label in rows]
    pairs = [(_ahead(means[a], means[b]), a < b) for a, b in pairwise(said)]
    if sorted(said) == sorted(order) and all(
        first if ahead == 0 else ahead is None or ahead > 0 for ahead, first in pairs
    ):
        order = said
    return [rows[label] for label in order]


def _ahead(one: Sequence[float], two: Sequence[float]) -> float | None:
    """Return how far one average is above the other; None where that hangs on rounding."""
    if list(one) == list(two):
        return 0.0
    ahead = average(one) - average(two)
    return None if abs(ahead) <= NEARLY_EQUAL else ahead


def learning(row: RowOfCells, everything: Mapping[str, RowOfCells]) -> set[bool] | None:
    """Return whether a row is not shown to have learnt (both where rounding decides).

    None where it cannot be judged.
    """
    if row.label in GATES or any(gate not in everything for gate in GATES):
        return None
    own = row.means(JUDGED_BY, "pessimistic")
    above = [_ahead(own, everything[gate].means(JUDGED_BY, "pessimistic")) for gate in GATES]
    if any(ahead is not None and ahead <= 0 for ahead in above):
        return {True}
    return {True, False} if None in above else {False}
