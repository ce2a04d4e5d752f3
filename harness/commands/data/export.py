"""``data export``: write a prepared data set and its split for other tools."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.commands.data.preparing import Preparing, add_preparing_options
from harness.commands.options import chosen_card
from harness.errors import UsageError

MAX_HISTORY = 50


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
        "--max-history", type=int, metavar="N",
        help=f"recbole: histories are cut to their newest N items (default: {MAX_HISTORY})",
    )  # fmt: skip
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Export every data set named; print the files written."""
    from harness.data.export import export

    max_history = MAX_HISTORY if options.max_history is None else options.max_history
    if options.max_history is not None and options.form != "recbole":
        raise UsageError(f"--max-history goes with --form recbole: {options.form} cuts no history")
    preparing = Preparing.asked_for(options)
    for name in options.names:
        data = preparing.prepared(chosen_card(name, options))
        written = export(
            data, options.to, options.form, preparing.progress, max_history=max_history
        )
        for path in written:
            print(path)
        if not data.card.redistributable:
            print(
                f"{data.card.name}: the card does not allow publishing the texts; "
                f"licence: {data.card.licence}"
            )
    return 0
