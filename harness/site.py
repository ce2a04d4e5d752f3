"""The published folder as a whole: every page of every board, made from published records alone.

The folder can be served as it is: ``index.html`` leads to ``NAME.html``; beside each stand the same
table as markdown, JSON, CSV and LaTeX, and the records they come from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.board.computing import board_table
from harness.board.definition import Definition, definitions_in
from harness.board.flat import flat
from harness.board.json_form import json_text
from harness.board.latex import latex
from harness.board.markdown import markdown
from harness.board.table import BoardTable
from harness.errors import DataError, HarnessError
from harness.files import write_text
from harness.leaderboard import Stored, read_records
from harness.paper import PlainTable, cells_of_dataset, plain_tables, reproduction_page
from harness.portable import check_sealed
from harness.report import index_page, report_page, without_plots
from harness.split_facts import SPLIT_FILE, SplitFacts, read_split_facts
from harness.split_keeping import texts_allowed

RECORDS = "records"
INDEX = "index.html"
REPRODUCTION = "reproduction.md"

TEXT_FORMS: Mapping[str, Callable[[BoardTable], str]] = {
    "md": markdown,
    "json": json_text,
    "csv": flat,
    "tex": latex,
}
"""Ending of a page's file -> what writes it."""


@dataclass(frozen=True)
class PublishedBoard:
    """A board with all that its pages are made of.

    Attributes:
        table: what it says.
        found: data set -> its published records.
        facts: data set -> what pages need of its split, None where it was not at hand.
        paper: data set -> the paper's tables beside ours, where the board asks for them.
    """

    table: BoardTable
    found: Mapping[str, Sequence[Stored]]
    facts: Mapping[str, SplitFacts | None]
    paper: Mapping[str, Sequence[PlainTable]]


def published_records(root: Path) -> dict[str, list[Stored]]:
    """Return data set -> its published records.

    Raises:
        DataError: one of them cannot be read, or was changed after it was published.
    """
    folders = sorted(path for path in (root / RECORDS).glob("*") if path.is_dir())
    found = {folder.name: read_records(folder, damaged="refused") for folder in folders}
    for place, record in (stored for part in found.values() for stored in part):
        check_sealed(place, record)
    return found


def boards(root: Path, only: Iterable[str] | None = None) -> dict[str, PublishedBoard]:
    """Return the boards of a published folder by name.

    Args:
        root: usually ``leaderboards``.
        only: names; None for all.

    Raises:
        DataError: a board file, a record, its ranks or the facts of a split are damaged, or a
            board names what does not exist.
    """
    found = published_records(root)
    chosen = definitions_in(root, found)
    wanted = set(chosen if only is None else only)
    return {
        name: published_board(root, definition, found)
        for name, definition in chosen.items()
        if name in wanted
    }


def published_board(
    root: Path, definition: Definition, found: Mapping[str, Sequence[Stored]]
) -> PublishedBoard:
    """Compute one board of the published records given.

    Raises:
        DataError: see `boards`.
    """
    mine = {dataset: list(found.get(dataset, [])) for dataset in definition.datasets}
    table = board_table(definition, [stored for part in mine.values() for stored in part])
    facts = {
        str(section.dataset["name"]): _facts(root, section.dataset["name"], section.dataset)
        for section in table.sections
    }
    return PublishedBoard(table, mine, facts, _paper(root, definition))


def _paper(root: Path, definition: Definition) -> dict[str, Sequence[PlainTable]]:
    if not definition.sources:
        return {}
    return {
        dataset: plain_tables(cells_of_dataset(root / RECORDS, dataset))
        for dataset in definition.datasets
    }


def _facts(root: Path, dataset: str, described: Mapping[str, object]) -> SplitFacts | None:
    path = root / RECORDS / dataset / SPLIT_FILE
    if not path.is_file():
        return None
    facts = read_split_facts(path, str(described["split_hash"]))
    if facts.texts is not None and not texts_allowed(dataset):
        raise DataError(
            f"{path}: holds texts of items, which the card of {dataset} does not allow to be "
            "published; delete it and publish again"
        )
    return facts


# ---- files ---------------------------------------------------------------------------------------


def pages(board: PublishedBoard) -> dict[str, str]:
    """Return file name -> content of everything that is published of a board but its records."""
    name = board.table.name
    texts = {f"{name}.{ending}": write(board.table) for ending, write in TEXT_FORMS.items()}
    page = report_page(board.table, board.found, board.facts, paper=board.paper)
    return {**texts, f"{name}.html": page}


def write_pages(root: Path, chosen: Mapping[str, PublishedBoard]) -> list[Path]:
    """Write the pages of some boards, and those of the folder as a whole; return their paths.

    Pages of a data set's default board go where a board file shows the data set instead.

    Raises:
        DataError: see `boards`.
    """
    contents: dict[str, str] = {}
    for board in chosen.values():
        contents |= pages(board)
    contents |= _common_pages(root)
    for name, content in contents.items():
        write_text(root / name, content)
    _remove_replaced(root)
    return [root / name for name in contents]


def _remove_replaced(root: Path) -> None:
    """Remove the pages of default boards that a board file has taken the place of."""
    found = published_records(root)
    for dataset in found.keys() - definitions_in(root, found).keys():
        for ending in (*TEXT_FORMS, "html"):
            (root / f"{dataset}.{ending}").unlink(missing_ok=True)


def _common_pages(root: Path) -> dict[str, str]:
    everything = boards(root)
    return {
        INDEX: index_page([board.table for board in everything.values()]),
        REPRODUCTION: reproduction_page(root / RECORDS),
    }


def check_pages(root: Path, name: str) -> list[str]:
    """Return, one line each, how a board's files differ from what its records give.

    Plots are left out: another version of the plotting library may draw them otherwise.
    """
    try:
        board = boards(root, [name]).get(name)
        if board is None:
            return [f"{root}: there is no board {name!r}"]
        expected = pages(board)
    except HarnessError as error:
        return [str(error)]
    return [fault for file, content in expected.items() for fault in _differs(root / file, content)]


def check_common_pages(root: Path) -> list[str]:
    """Return how the pages of the folder as a whole differ from what its records give."""
    try:
        expected = _common_pages(root)
    except HarnessError as error:
        return [str(error)]
    return [fault for file, content in expected.items() for fault in _differs(root / file, content)]


def _differs(path: Path, expected: str) -> list[str]:
    try:
        found = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return [f"{path}: the file is missing though its records are published"]
    except (OSError, ValueError) as error:
        return [f"{path}: cannot be read: {error}"]
    if path.suffix == ".html":
        found, expected = without_plots(found), without_plots(expected)
    if found == expected:
        return []
    pairs = zip(found.splitlines(), expected.splitlines(), strict=False)
    for number, (line, wanted) in enumerate(pairs, start=1):
        if line != wanted:
            told = f"{_excerpt(line, wanted)!r} is not what the records give"
            return [f"{path}, line {number}: {told}: {_excerpt(wanted, line)!r}"]
    return [f"{path}: lines are missing from the end, or were added"]


def _excerpt(line: str, other: str) -> str:
    """Return a line, of a long one the part around its first difference from another."""
    if len(line) <= 200:
        return line
    pairs = enumerate(zip(line, other, strict=False))
    at = next((place for place, (a, b) in pairs if a != b), min(len(line), len(other)))
    return line[max(0, at - 60) : at + 60]
