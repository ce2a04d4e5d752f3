"""``run --board``: the data sets, methods and seeds that a board file declares."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.options import names, seeds
from harness.errors import UsageError, did_you_mean

if TYPE_CHECKING:
    from harness.board.definition import Definition
    from harness.planning import MethodChoice

ROOT = Path("leaderboards")

Runs = list[tuple[Sequence["MethodChoice"], Sequence[int]]]
"""Methods and the seeds that all of them run with."""


def asked_runs(options: argparse.Namespace) -> Runs:
    """Return what the command line asks to run, by a board or by ``--methods`` and ``--seeds``.

    With a board, ``options.datasets`` becomes the board's.

    Raises:
        UsageError: both ways at once, no such board, or one that names no method.
        DataError: the board file is wrong.
    """
    from harness.planning import choose_methods

    if options.board is None:
        return [(choose_methods(names(options.methods), options.assignments), seeds(options.seeds))]
    if options.methods:
        raise UsageError("--board names the methods itself; leave out --methods")
    definition = _board(options.board)
    options.datasets = ",".join(definition.datasets)
    by_seeds: dict[tuple[int, ...], list[str]] = {}
    for row in definition.rows or ():
        by_seeds.setdefault(row.seeds or tuple(seeds(options.seeds)), []).append(row.label)
    _check_runnable(definition)
    return [
        (choose_methods(labels, options.assignments), chosen) for chosen, labels in by_seeds.items()
    ]


def _board(name: str) -> Definition:
    from harness.board.definition import read_definition

    path = Path(name) if name.endswith(".toml") else ROOT / f"{name}.toml"
    if not path.is_file():
        known = {found.stem for found in path.parent.glob("*.toml")}
        raise UsageError(f"no board file at {path}: {did_you_mean(path.stem, known)}")
    return read_definition(path)


def _check_runnable(definition: Definition) -> None:
    if not definition.rows:
        raise UsageError(
            f"the board {definition.name} names no methods, so it shows what has been run; add "
            "`methods` to its file, or say --methods"
        )
    for row in definition.rows:
        if " (" in row.label:
            raise UsageError(
                f"the board {definition.name} shows {row.label!r}, a row with settings given by "
                "hand: run it with --methods and --set; the board's other rows, too"
            )
