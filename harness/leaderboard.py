"""Arranges records: which of them form the rows of a data set, in which order, judged by what.

What a board says of the rows is computed in ``harness.board``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from harness.errors import DataError
from harness.metrics import SELECTION_METRIC
from harness.protocol import GATE
from harness.records import RECORD_FILE, Record, read_record

Stored = tuple[Path, Record]
"""A record and the folder that holds it."""


@dataclass(frozen=True)
class Row:
    """One row of a board: the records of one method with the same settings, one for each seed."""

    label: str
    records: tuple[Record, ...]

    @property
    def first(self) -> Record:
        """The record of the lowest seed; method facts are the same in all."""
        return self.records[0]

    @property
    def failure(self) -> str | None:
        """Why the row has no numbers, or None."""
        for record in self.records:
            if record.status != "ok":
                return f"{record.status} (seed {record.seed}): {record.reason}"
        return None

    def value(self, metric: str, bound: str) -> float:
        """Return a metric's mean over seeds."""
        return sum(record.metrics[metric][bound] for record in self.records) / len(self.records)

    def cost(self, name: str) -> float | None:
        """Return a cost's mean over seeds, None where it was not measured."""
        values = [record.cost.get(name) for record in self.records]
        known = [value for value in values if value is not None]
        return sum(known) / len(known) if known else None

    @property
    def tie_rate(self) -> float:
        """Share of users whose target is tied, mean over seeds."""
        return sum(record.tie_rate or 0.0 for record in self.records) / len(self.records)


@dataclass(frozen=True)
class Board:
    """The rows of one data set, best first."""

    dataset: str
    rows: tuple[Row, ...]

    @property
    def not_judged(self) -> str | None:
        """Why no row can be marked: a baseline of the gate has no numbers. None where all have."""
        failed = {row.label: row.failure is not None for row in self.rows}
        reasons = [f"{gate} is missing" for gate in GATE if gate not in failed]
        reasons += [f"{gate} has failed" for gate in GATE if failed.get(gate)]
        return "not judged: " + ", ".join(reasons) if reasons else None

    def not_shown_to_learn(self, row: Row) -> bool:
        """Tell whether a row stays at or below a baseline of the gate (pessimistic NDCG@10)."""
        if row.failure or row.label in GATE or self.not_judged:
            return False
        gates = [gate for gate in self.rows if gate.label in GATE]
        own = row.value(SELECTION_METRIC.name, "pessimistic")
        return any(own <= gate.value(SELECTION_METRIC.name, "pessimistic") for gate in gates)


def read_records(folder: Path, damaged: Literal["left out", "told", "refused"]) -> list[Stored]:
    """Return every record below a folder with the folder that holds it.

    Args:
        folder: of a run or a data set.
        damaged: what becomes of records that cannot be read; told: left out, and named on
            the standard error.

    Raises:
        DataError: a record that cannot be read, where these are refused.
    """
    found = []
    for path in sorted(folder.rglob(RECORD_FILE)):
        try:
            found.append((path.parent, read_record(path)))
        except DataError as error:
            if damaged == "refused":
                raise
            if damaged == "told":
                print(f"left out: {error}", file=sys.stderr)
            # otherwise `finished_record` in planning finds it unfinished: the cell runs again
    return found


def finished_rows(dataset: str, found: Iterable[Stored]) -> dict[str, list[Stored]]:
    """Return row -> the finished cells of one data set that a board shows in it, by seed.

    Raises:
        DataError: records that do not share the split or the protocol.
    """
    finished = [(folder, record) for folder, record in found if record.status == "ok"]
    folders = {id(record): folder for folder, record in finished}
    arranged = board(dataset, newest(record for _, record in finished))
    return {
        row.label: [(folders[id(record)], record) for record in row.records]
        for row in arranged.rows
    }


def newest(records: Iterable[Record]) -> list[Record]:
    """Keep, for each row and seed, the record finished last: the code or settings moved on."""
    latest: dict[tuple[str, str, int], Record] = {}
    for record in sorted(records, key=lambda record: record.finished_at):
        latest[record.dataset["name"], record.label, record.seed] = record
    return list(latest.values())


def board(dataset: str, records: Iterable[Record]) -> Board:
    """Arrange the records of one data set, best pessimistic NDCG@10 first, failures last.

    Raises:
        DataError: records that do not share the split or the protocol.
    """
    mine = [record for record in records if record.dataset["name"] == dataset]
    rows: dict[str, list[Record]] = {}
    for record in sorted(mine, key=lambda record: (record.label, record.seed)):
        rows.setdefault(record.label, []).append(record)
    arranged = [Row(label, _same_version(group)) for label, group in rows.items()]
    _check_comparable(dataset, [record for row in arranged for record in row.records])
    arranged.sort(key=_order)
    return Board(dataset, tuple(arranged))


def _same_version(group: Sequence[Record]) -> tuple[Record, ...]:
    """Keep the seeds that share code, settings and all else with the record finished last."""
    last = max(group, key=lambda record: record.finished_at)
    return tuple(record for record in group if record.row_id == last.row_id)


def _order(row: Row) -> tuple[float, str]:
    if row.failure:
        return (1.0, row.label)
    return (-row.value(SELECTION_METRIC.name, "pessimistic"), row.label)


def _check_comparable(dataset: str, records: Sequence[Record]) -> None:
    for record in records[1:]:
        if told := difference(records[0], record):
            raise DataError(
                f"records of {dataset} {told} (of {_named(records[0])}, and of {_named(record)}); "
                "they cannot share a board: run the cells again on one version of the data and of "
                "its rules, or remove the records of the other"
            )


def _named(record: Record) -> str:
    return f"{record.label!r} with seed {record.seed}"


def difference(one: Record, two: Record) -> str | None:
    """Tell in what two records cannot be compared, with both values; None where they can be."""
    for fact in ("split_hash", "n_items", "n_users"):
        a, b = one.dataset[fact], two.dataset[fact]
        if a != b:
            return f"differ in {fact}: {a}, {b}"
    rules = sorted({*one.protocol, *two.protocol})
    differing = [
        f"{rule}: {one.protocol.get(rule)!r}, {two.protocol.get(rule)!r}"
        for rule in rules
        if one.protocol.get(rule) != two.protocol.get(rule)
    ]
    return f"follow different protocols: {'; '.join(differing)}" if differing else None
