"""Boards of a run folder, rebuilt from its records after every run."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.board.computing import board_table
from harness.board.definition import default_definition
from harness.board.markdown import markdown
from harness.board.table import BoardTable
from harness.data.prepared import PreparedData
from harness.files import write_text
from harness.leaderboard import Stored, read_records
from harness.planning import PlannedCell
from harness.protocol import protocol_of
from harness.records import Record
from harness.splits import split_hash

PAGE = "leaderboard.md"


def run_board(out: Path, cells: Sequence[PlannedCell]) -> BoardTable | None:
    """Compute the board of one data set in a run folder; None where it has no record at all.

    Records of an earlier version of the data or the protocol stay on disk and off the board. A row
    of this run shows this run's settings and code, also where another version ran more recently. A
    row whose ranks were damaged is marked as failed.

    Args:
        out: the run folder.
        cells: the cells of this run on that data set, one or more.
    """
    name = cells[0].data.card.name
    shown = run_records(out, cells)
    return board_table(default_definition(name), shown, damaged="marked") if shown else None


def run_records(out: Path, cells: Sequence[PlannedCell]) -> list[Stored]:
    """Return the records of one data set's board in a run folder, with their folders."""
    return _as_planned(current_records(out, cells[0].data), cells)


def current_records(out: Path, data: PreparedData) -> list[Stored]:
    """Return the records of a data set as it is now: of its split, under its rules."""
    current = split_hash(data.content_hash)
    rules = protocol_of(data.card.protocol.facts())
    return [
        (folder, record)
        for folder, record in read_records(out / data.card.name, damaged="left out")
        if record.dataset["split_hash"] == current and record.protocol == rules
    ]


def write_run_board(out: Path, name: str, table: BoardTable) -> Path:
    """Write a board's markdown page into the run folder of a data set; return its path."""
    path = out / name / PAGE
    write_text(path, markdown(table))
    return path


def _as_planned(found: Iterable[Stored], cells: Sequence[PlannedCell]) -> list[Stored]:
    """Leave out, of the rows of this run, all that is not this run's version of them."""
    rows = {cell.label: cell.row_id for cell in cells}
    runs = {(cell.label, cell.seed): cell.run_id for cell in cells}

    def planned(record: Record) -> bool:
        return (
            rows.get(record.label, record.row_id) == record.row_id
            and runs.get((record.label, record.seed), record.run_id) == record.run_id
        )

    return [(folder, record) for folder, record in found if planned(record)]
