"""Leaderboards of a run folder, rebuilt from its records after every run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from harness.files import write_text
from harness.leaderboard import Board, board, markdown, newest, read_records
from harness.planning import Cell
from harness.protocol import protocol_of
from harness.splits import split_hash

PAGE = "leaderboard.md"


def write_run_board(out: Path, cell: Cell) -> tuple[Board, Path]:
    """Arrange all records of a cell's data set in a run folder, and write the markdown page.

    Records of an earlier version of the data or the protocol stay on disk and off the board.

    Returns:
        The board and the page's path.
    """
    name = cell.data.card.name
    current = split_hash(cell.data.content_hash)
    rules = protocol_of(dataclasses.asdict(cell.data.card.protocol))
    records = [
        record
        for _, record in read_records(out / name)
        if record.dataset["split_hash"] == current and record.protocol == rules
    ]
    arranged = board(name, newest(records))
    path = out / name / PAGE
    write_text(path, markdown(arranged))
    return arranged, path
