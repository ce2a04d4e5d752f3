"""``data export``: write a prepared data set and its split for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.commands.data.prepare import add_preparing_options, prepared


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser("export", help="write the identical split for other tools")
    add_preparing_options(parser)
    parser.add_argument(
        "--form", choices=("recbole", "parquet"), required=True,
        help="RecBole's atomic files, or Parquet; either takes the place of an earlier export of "
        "the same data in the same folder",
    )  # fmt: skip
    parser.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="where to put it")
    parser.add_argument(
        "--max-history", type=int, default=50, metavar="N",
        help="recbole: histories are cut to their newest N items (default: 50)",
    )  # fmt: skip
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Export every data set named; print the files written."""
    from harness.data.export import export
    from harness.progress import Progress

    for name in options.names:
        data = prepared(name, options)
        written = export(
            data, options.to, options.form, Progress(shown=not options.quiet),
            max_history=options.max_history,
        )  # fmt: skip
        for path in written:
            print(path)
        if not data.card.redistributable:
            print(f"{data.card.name}: licence: {data.card.licence}")
    return 0
