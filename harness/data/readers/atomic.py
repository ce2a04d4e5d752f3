"""Reader for RecBole's atomic files: tab-separated columns under a header of ``name:type``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from harness.data.events import EventTable
from harness.data.readers.faults import Faults, Place, fault
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import (
    each_line,
    identifier,
    number_in,
    read_blocks,
    seconds,
    text_of,
)
from harness.data.readers.reading import Reading
from harness.data.readers.rows import EventRows
from harness.errors import DataError, did_you_mean
from harness.progress import Progress

_TYPES = ("token", "token_seq", "float", "float_seq")

Value = TypeVar("Value")


def read_events(reading: Reading, events: EventTable) -> None:
    """Append the interactions; the card names their columns.

    Raises:
        DataError: naming file and line.
    """
    columns, path = reading.card.source.fields, reading.paths["events"]

    def parse(place: Place, row: Mapping[str, str]) -> _Event:
        return _event(row, columns, place)

    wanted = set(columns.values())
    with EventRows(events) as rows:
        for event in each_row(
            path, wanted, reading.label("interactions"), parse, reading.faults, reading.progress
        ):
            rows.add(*event)


_Event = tuple[str, str, int | None, float | None, str | None]


def _event(row: Mapping[str, str], columns: Mapping[str, str], place: Place) -> _Event:
    def numeric(role: str) -> float | None:
        return number_in(row[columns[role]], columns[role], place) if role in columns else None

    time = numeric("time")
    return (
        identifier(row[columns["user"]], columns["user"], place),
        identifier(row[columns["item"]], columns["item"], place),
        None if time is None else seconds(time, columns["time"], place),
        numeric("rating"),
        row[columns["text"]] if "text" in columns else None,
    )


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the wanted items.

    Raises:
        DataError: naming file and line.
    """
    path, id_column = reading.paths["items"], reading.card.source.fields["item"]

    def parse(place: Place, row: Mapping[str, str]) -> None:
        items.add(identifier(row[id_column], id_column, place), row, place)

    wanted = {id_column, *items.kept}
    for _ in each_row(
        path, wanted, reading.label("items"), parse, reading.faults, reading.progress
    ):
        pass


def column_names(path: Path) -> list[str]:
    """Return the names of a file's columns.

    Raises:
        DataError: it cannot be read, or has no header.
    """
    for block in read_blocks(path, path.name, Progress(shown=False)):
        for place, raw in block.lines():
            return _header(text_of(raw, place).split("\t"), set(), place)
    raise DataError(f"{path}, line 1: the file is empty; expected a header of name:type columns")


def each_row(
    path: Path,
    wanted: set[str],
    label: str,
    parse: Callable[[Place, Mapping[str, str]], Value],
    faults: Faults,
    progress: Progress,
) -> Iterator[Value]:
    """Yield what ``parse`` makes of (place, cells by column name).

    Raises:
        DataError: the header is missing or lacks a wanted column, or too many lines are faulty.
    """
    names: list[str] = []

    def split(place: Place, raw: bytes) -> Value | None:
        cells = text_of(raw, place).split("\t")
        if not names:
            names.extend(_header(cells, wanted, place))
            return None
        if len(cells) != len(names):
            what = f"expected {len(names)} tab-separated columns, found {len(cells)}"
            fault(place, what, "wrong number of columns")
        return parse(place, dict(zip(names, cells, strict=True)))

    rows = each_line(read_blocks(path, label, progress), split, faults)
    next(rows, None)  # the header
    if not names:
        raise DataError(
            f"{path}, line 1: the file is empty; expected a header of name:type columns"
        )
    yield from rows  # type: ignore[misc]  # only the header gives None


def _header(cells: list[str], wanted: set[str], where: Place) -> list[str]:
    names: list[str] = []
    for cell in cells:
        name, colon, kind = cell.partition(":")
        if not (name and colon) or kind not in _TYPES:
            raise DataError(
                f"{where}: header cell {cell!r} must be name:type, type {', '.join(_TYPES)}"
            )
        if name in names:
            raise DataError(f"{where}: the column {name!r} stands twice in the header")
        names.append(name)
    for name in sorted(wanted - set(names)):
        raise DataError(
            f"{where}: no column {name!r}, which the card names: {did_you_mean(name, names)}"
        )
    return names
