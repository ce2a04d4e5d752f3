"""``report``: the HTML report of a data set's rows in a run folder, for this machine."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.options import (
    DEFAULT_DATASET,
    add_data_options,
    add_out_option,
    default_cache,
    names,
)
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData

PAGE = "report.html"


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("report", help="write the HTML report of a run folder")
    parser.add_argument(
        "--datasets", default=DEFAULT_DATASET, metavar="NAMES",
        help=f"comma-separated names or paths of .toml cards (default: {DEFAULT_DATASET})",
    )  # fmt: skip
    parser.add_argument(
        "--no-texts", action="store_true", help="show items and generated texts by index only"
    )
    add_out_option(parser)
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Write a report for each data set."""
    from harness.data.cards import load_card
    from harness.data.prepare import prepare
    from harness.progress import Progress

    cards = [load_card(name) for name in names(options.datasets)]
    if not cards:
        raise UsageError("--datasets names no data set")
    for card in cards:
        data = prepare(card, options.cache or default_cache(), Progress(shown=not options.quiet))
        print(f"written: {_write(data, options.out, texts=not options.no_texts)}")
    return 0


def _write(data: PreparedData, out: Path, texts: bool) -> Path:
    from harness.board.computing import board_table
    from harness.board.definition import default_definition
    from harness.board.run_folder import current_records
    from harness.files import write_text
    from harness.report import report_page
    from harness.split_facts import split_facts

    name = data.card.name
    found = current_records(out, data)
    if not found:
        raise UsageError(f"{out / name} has no record of the data set as it is now; run it first")
    page = report_page(
        board_table(default_definition(name), found, damaged="marked"),
        {name: found},
        {name: split_facts(data)},
        texts={name: data.item_texts} if texts else None,
        local=True,
        paper=_paper(out, name),
    )
    write_text(out / name / PAGE, page)
    return out / name / PAGE


def _paper(out: Path, name: str) -> dict[str, Any]:
    """Return the paper's tables beside ours.

    Nothing where they do not come with the package. Nothing either, and a line that says so, where
    records of the run folder are damaged or of several splits: the report itself marks the former
    and leaves the latter out, and is worth having.
    """
    from harness.errors import DataError
    from harness.paper import cells_of_dataset, facts_present, plain_tables

    if not facts_present():
        return {}
    try:
        return {name: plain_tables(cells_of_dataset(out, name))}
    except DataError as error:
        print(f"{name}: the report goes without the paper's tables: {error}", file=sys.stderr)
        return {}
