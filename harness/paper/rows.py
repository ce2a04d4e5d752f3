"""Finished rows of a folder of records: the only place here that reads any.

The folder holds one folder for each data set, as a run folder and ``leaderboards/records`` do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from harness.leaderboard import Stored, finished_rows, read_records
from harness.metrics import METRICS
from harness.pairs import Ranks, ranks_of
from harness.paper.estimates import Estimate, estimate
from harness.paper.layouts import PaperBound
from harness.paper.names import EXPRESSIONS, Expression, expressed
from harness.records import Record

_METRICS = {metric.name: metric for metric in METRICS}


@dataclass(frozen=True)
class MeasuredRow:
    """A row of ours that stands for something in the paper.

    Attributes:
        label: its name on the board.
        record: of its lowest seed; method and protocol are the same in all.
        seeds: that it has.
        ranks: of its test targets.
    """

    label: str
    record: Record
    seeds: tuple[int, ...]
    ranks: Ranks

    @property
    def n_users(self) -> int:
        """Test users."""
        return int(self.ranks.optimistic.shape[1])

    def estimate(self, metric: str, bound: PaperBound) -> Estimate:
        """Return a metric's mean and interval."""
        return estimate(self.ranks.values(_METRICS[metric], bound))


@dataclass(frozen=True)
class DatasetRows:
    """What was measured on one data set.

    Attributes:
        name: ours.
        facts: of the data set, the same in all its records (`harness.records.Record.dataset`).
        protocol: likewise.
        rows: those that stand for something in the paper, by label.
    """

    name: str
    facts: Mapping[str, Any]
    protocol: Mapping[str, Any]
    rows: tuple[MeasuredRow, ...]


def read_rows(
    folder: Path,
    damaged: Literal["left out", "refused"],
    expressions: tuple[Expression, ...] = EXPRESSIONS,
) -> DatasetRows | None:
    """Return the finished rows of one data set's folder; None where it has none.

    Args:
        folder: named as the data set.
        damaged: what becomes of records that cannot be read.
        expressions: which rows stand for something.

    Raises:
        DataError: a damaged record where these are refused, records that do not share the split,
            or ranks that are missing, damaged or were changed.
        HarnessError: seeds of one row have different users.
    """
    if not folder.is_dir():
        return None
    found = finished_rows(folder.name, read_records(folder, damaged))
    if not found:
        return None
    any_record = next(iter(found.values()))[0][1]
    rows = [
        _row(label, cells)
        for label, cells in sorted(found.items())
        if expressed(cells[0][1], expressions)
    ]
    return DatasetRows(folder.name, any_record.dataset, any_record.protocol, tuple(rows))


def _row(label: str, cells: list[Stored]) -> MeasuredRow:
    by_seed = {record.seed: (path, record) for path, record in cells}
    seeds = tuple(sorted(by_seed))
    return MeasuredRow(label, by_seed[seeds[0]][1], seeds, ranks_of(label, by_seed, seeds)[1])
