"""``reproduce``: the paper's tables beside our rows, cell by cell."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.options import default_cache, names
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("reproduce", help="the paper's tables beside our rows")
    parser.add_argument(
        "--tables", metavar="NUMBERS", help="comma-separated, such as 2,7 (default: all eight)"
    )
    parser.add_argument(
        "--datasets", metavar="NAMES", help="comma-separated (default: all that the paper has)"
    )
    records = parser.add_mutually_exclusive_group()
    records.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="FOLDER",
        help="the run folder (default: runs)",
    )  # fmt: skip
    records.add_argument(
        "--root", type=Path, metavar="FOLDER",
        help="published records in place of a run folder, such as leaderboards",
    )  # fmt: skip
    parser.add_argument(
        "--prepared", action="store_true",
        help="table 1: words and duplicates as well, where the prepared data are kept",
    )  # fmt: skip
    parser.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="where prepared data sets are kept"
    )
    parser.add_argument(
        "--markdown", type=Path, metavar="FILE", help="write the whole report as a page as well"
    )
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the tables with a measured cell and how many cells have which state."""
    from harness.files import write_text
    from harness.paper.comparison import compare
    from harness.paper.report import page, terminal

    datasets, tables = _datasets(options.datasets), _tables(options.tables)
    published = options.root is not None
    cells = compare(
        _folder(options),
        damaged="refused" if published else "left out",
        datasets=datasets,
        tables=tables,
        prepared=_prepared(datasets, options.cache) if options.prepared else None,
    )
    print(terminal(cells), end="")
    if options.markdown is not None:
        write_text(options.markdown, page(cells))
        print(f"\nmarkdown: {options.markdown}")
    return 0


def _folder(options: argparse.Namespace) -> Path:
    folder: Path = options.out if options.root is None else options.root / "records"
    if not folder.is_dir():
        raise UsageError(
            f"there is no folder {folder}: run something first, or name the folder of your runs "
            "with --out, that of published records with --root"
        )
    return folder


def _datasets(text: str | None) -> list[str] | None:
    from harness.paper.names import DATASETS, unknown_dataset

    if text is None:
        return None
    chosen = names(text)
    if not chosen:
        raise UsageError("--datasets names no data set")
    for name in chosen:
        if name not in DATASETS:
            raise UsageError(unknown_dataset(name))
    return chosen


def _tables(text: str | None) -> list[int] | None:
    from harness.paper.layouts import TITLES

    if text is None:
        return None
    chosen = names(text)
    known = {str(number): number for number in TITLES}
    if not chosen or not set(chosen) <= set(known):
        raise UsageError(
            f"--tables takes numbers from 1 to {max(TITLES)}, such as 2,7; found {text!r}"
        )
    return [known[number] for number in chosen]


def _prepared(datasets: list[str] | None, cache: Path | None) -> dict[str, PreparedData]:
    """Return the data sets that are prepared already; none is prepared here."""
    from harness.data.cards import load_card
    from harness.data.prepare import prepared_folder
    from harness.data.storage import MANIFEST, load
    from harness.paper.names import DATASETS

    found = {}
    for name in datasets or DATASETS:
        card = load_card(name)
        folder = prepared_folder(card, cache or default_cache())
        if (folder / MANIFEST).is_file():
            found[name] = load(folder, card)
    return found
