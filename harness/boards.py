"""Leaderboards of a run folder, rebuilt from its records after every run."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.files import write_text
from harness.leaderboard import Board, board, markdown, newest, read_records
from harness.planning import Cell
from harness.protocol import protocol_of
from harness.records import Record
from harness.splits import split_hash

PAGE = "leaderboard.md"


def run_board(out: Path, cells: Sequence[Cell]) -> Board:
    """Arrange the records of one data set in a run folder.

    Records of an earlier version of the data or the protocol stay on disk and off the board. A row
    of this run shows this run's settings and code, also where another version ran more recently.

    Args:
        out: the run folder.
        cells: the cells of this run on that data set, one or more.
    """
    data = cells[0].data
    current = split_hash(data.content_hash)
    rules = protocol_of(dataclasses.asdict(data.card.protocol))
    records = [
        record
        for _, record in read_records(out / data.card.name, damaged="left out")
        if record.dataset["split_hash"] == current and record.protocol == rules
    ]
    return board(data.card.name, newest(_as_planned(records, cells)))


def write_run_board(out: Path, arranged: Board) -> Path:
    """Write a board's markdown page into the run folder; return its path."""
    path = out / arranged.dataset / PAGE
    write_text(path, markdown(arranged))
    return path


def _as_planned(records: Iterable[Record], cells: Sequence[Cell]) -> list[Record]:
    """Leave out, of the rows of this run, all that is not this run's version of them."""
    rows = {cell.label: cell.row_id for cell in cells}
    runs = {(cell.label, cell.seed): cell.run_id for cell in cells}
    return [
        record
        for record in records
        if rows.get(record.label, record.row_id) == record.row_id
        and runs.get((record.label, record.seed), record.run_id) == record.run_id
    ]
