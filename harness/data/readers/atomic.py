"""Reader for RecBole's atomic files: tab-separated columns under a header of ``name:type``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.data.card import DatasetCard
from harness.data.events import EventRows
from harness.data.readers import RawData
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import fault, identifier, number, read_lines, seconds
from harness.errors import did_you_mean
from harness.progress import Progress

_TYPES = ("token", "token_seq", "float", "float_seq")


def read(card: DatasetCard, paths: dict[str, Path], progress: Progress) -> RawData:
    """Read the interactions and the items; the card names their columns.

    Raises:
        DataError: naming file and line.
    """
    columns = card.source.fields
    items = ItemRows(card.text.fields, paths["items"])
    wanted = {columns["item"], *card.text.fields}
    for line, row in _rows(paths["items"], wanted, f"{card.name}: items", progress):
        item = identifier(row[columns["item"]], columns["item"], paths["items"], line)
        items.add(item, row, line)
    events = EventRows()
    path = paths["events"]
    for line, row in _rows(path, set(columns.values()), f"{card.name}: interactions", progress):
        _add_event(events, row, columns, path, line)
    return RawData(events, items.finish(), items.repeated)


def _add_event(
    events: EventRows, row: Mapping[str, str], columns: Mapping[str, str], path: Path, line: int
) -> None:
    def numeric(role: str) -> float | None:
        return _float(row[columns[role]], columns[role], path, line) if role in columns else None

    time = numeric("time")
    events.add(
        user=identifier(row[columns["user"]], columns["user"], path, line),
        item=identifier(row[columns["item"]], columns["item"], path, line),
        time=None if time is None else seconds(time, columns["time"], path, line),
        rating=numeric("rating"),
        text=row[columns["text"]] if "text" in columns else None,
    )


def _rows(
    path: Path, wanted: set[str], label: str, progress: Progress
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield (line number, value by column name)."""
    names: list[str] | None = None
    for line, text in read_lines(path, label, progress):
        cells = text.split("\t")
        if names is None:
            names = _header(cells, wanted, path, line)
            continue
        if len(cells) != len(names):
            fault(path, line, f"expected {len(names)} tab-separated columns, found {len(cells)}")
        yield line, dict(zip(names, cells, strict=True))
    if names is None:
        fault(path, 1, "the file is empty; expected a header of name:type columns")


def _header(cells: list[str], wanted: set[str], path: Path, line: int) -> list[str]:
    names = []
    for cell in cells:
        name, colon, kind = cell.partition(":")
        if not (name and colon) or kind not in _TYPES:
            fault(path, line, f"header cell {cell!r} must be name:type, type {', '.join(_TYPES)}")
        if name in names:
            fault(path, line, f"the column {name!r} stands twice in the header")
        names.append(name)
    for name in sorted(wanted - set(names)):
        fault(path, line, f"no column {name!r}, which the card names: {did_you_mean(name, names)}")
    return names


def _float(cell: str, name: str, path: Path, line: int) -> float:
    if not cell.strip():
        fault(path, line, f"{name!r} is empty")
    try:
        value = float(cell)
    except ValueError:
        fault(path, line, f"{name!r} must be a number, found {cell[:40]!r}")
    return number(value, name, path, line)
