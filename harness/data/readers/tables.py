"""Reader for tables that users have anyway: CSV, TSV or Parquet, columns named by the card.

Times are whole numbers (of the card's ``time_unit``), ISO 8601 texts, or Parquet's own timestamps
and dates; what names no time zone is UTC. CSV and TSV may be gzipped.
"""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from harness.data.card import TIME_UNITS
from harness.data.events import EventTable
from harness.data.readers.faults import Faults, LineFault, Place, fault
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import (
    MILLISECONDS_FROM,
    identifier,
    number,
    number_in,
)
from harness.data.readers.reading import Reading
from harness.data.readers.rows import EventRows
from harness.data.readers.table_rows import Row, Timestamp, check_text, each_row
from harness.progress import Progress

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def read_events(reading: Reading, events: EventTable) -> None:
    """Append the interactions.

    Raises:
        DataError: naming file and row.
    """
    columns = reading.card.source.fields
    per_second = TIME_UNITS[reading.card.source.time_unit]

    def parse(place: Place, row: Row) -> tuple[str, str, int | None, float | None, str | None]:
        def of(role: str) -> Any:
            return row[columns[role]]

        text = of("text") if "text" in columns else None
        return (
            _identifier(of("user"), columns["user"], place),
            _identifier(of("item"), columns["item"], place),
            _time(of("time"), columns["time"], per_second, place) if "time" in columns else None,
            _number(of("rating"), columns["rating"], place) if "rating" in columns else None,
            ("" if text is None else str(text)) if "text" in columns else None,
        )

    with EventRows(events) as rows:
        for place, row in each_row(
            reading.paths["events"],
            list(columns.values()),
            reading.label("interactions"),
            reading.faults,
            reading.progress,
        ):
            reading.faults.count_lines(1)
            try:
                event = parse(place, row)
            except LineFault as found:
                reading.faults.add(found)
            else:
                rows.add(*event)


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the wanted items.

    Raises:
        DataError: naming file and row.
    """
    column = reading.card.source.fields["item"]
    wanted = [column, *items.kept]
    for place, row in each_row(
        reading.paths["items"], wanted, reading.label("items"), reading.faults, reading.progress
    ):
        reading.faults.count_lines(1)
        try:
            items.add(_identifier(row[column], column, place), row, place)
        except LineFault as found:
            reading.faults.add(found)


def holds_dates(path: Path, column: str) -> bool:
    """Return whether a column's first value is a date, not a number; False where it has none.

    Raises:
        DataError: it cannot be read, or is no table.
    """
    silent = Progress(shown=False)
    for _, row in each_row(path, [column], path.name, Faults(sys.maxsize), silent):
        value = row[column]
        if value is not None and str(value).strip():
            return not isinstance(value, int | float) and not _is_number(str(value))
    return False


# ---- values ------------------------------------------------------------------------------------


def _identifier(value: Any, name: str, place: Place) -> str:
    whole = isinstance(value, int) and not isinstance(value, bool)
    text = identifier(str(value) if whole else value, name, place)
    check_text(text, place)
    return text


def _number(value: Any, name: str, place: Place) -> float:
    return number_in(value, name, place) if isinstance(value, str) else number(value, name, place)


def _time(value: Any, name: str, per_second: int, place: Place) -> int:
    """Return a time in whole units of the card, ``per_second`` of which make a second."""
    if isinstance(value, str) and not _is_number(value):
        value = _date(value, name, place)
    if isinstance(value, Timestamp):
        return value.ticks * per_second // value.per_second
    time = _number(value, name, place)
    if not time.is_integer():
        fault(place, f"{name!r} must be a whole number, found {value!r}")
    if abs(time) >= MILLISECONDS_FROM * per_second:
        what = f"{name!r} is {value!r}, which looks like "
        smaller = (
            "milliseconds: say so (--time-unit ms, or time_unit in the card)"
            if per_second == 1
            else "microseconds: make them milliseconds"
        )
        fault(place, what + smaller, "time in a smaller unit")
    return int(time)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return not text.strip()  # an empty cell is a missing number
    return True


def _date(text: str, name: str, place: Place) -> Timestamp:
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        fault(place, f"{name!r} must be a number or an ISO 8601 date, found {text[:40]!r}")
    zoned = found if found.tzinfo else found.replace(tzinfo=UTC)
    return Timestamp((zoned - _EPOCH) // _MICROSECOND, 10**6)
