"""Rows of tables, CSV, TSV or Parquet, a batch of them in memory at a time."""

from __future__ import annotations

import contextlib
import csv
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from harness.data.readers.faults import Faults, LineFault, Place, fault
from harness.data.readers.lines import damaged_gzip, open_bytes
from harness.errors import DataError, did_you_mean
from harness.progress import Progress

_PARQUET = (".parquet", ".pq")
_ROWS = 50_000
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

Row = dict[str, Any]


class Timestamp(NamedTuple):
    """So many ``ticks`` since 1970, ``per_second`` of which make a second.

    Python's own dates end with the year 9999 and know no nanoseconds.
    """

    ticks: int
    per_second: int


def each_row(
    path: Path, wanted: list[str], label: str, faults: Faults, progress: Progress
) -> Iterator[tuple[Place, Row]]:
    """Yield (place, cells by column name), a batch of rows in memory at a time.

    Raises:
        DataError: it is no table, or lacks a wanted column.
    """
    names = column_names(path)
    for name in wanted:
        if name not in names:
            raise DataError(
                f"{path}: no column {name!r}, which the card names: {did_you_mean(name, names)}"
            )
    with progress.bar(label, unit="rows") as bar:
        rows = _parquet_rows(path, wanted) if _is_parquet(path) else _csv_rows(path, faults)
        for count, entry in enumerate(rows, 1):
            yield entry
            if count % _ROWS == 0:
                bar.advance(_ROWS)


def column_names(path: Path) -> list[str]:
    """Return the names of a table's columns.

    Raises:
        DataError: it cannot be read, or is no table.
    """
    if _is_parquet(path):
        with _explained(path):
            return _distinct(list(_parquet_file(path).schema_arrow.names), str(path))
    with _explained(path), _csv_stream(path) as stream:
        return _header(_csv_reader(path, stream), path)


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() in _PARQUET


def _distinct(names: list[str], where: str) -> list[str]:
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"{where}: the column {name!r} stands twice in the header")
    return names


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what reading a table can raise into a DataError."""
    import pyarrow as pa

    kinds = (pa.ArrowException, csv.Error, EOFError, UnicodeDecodeError, *damaged_gzip())
    try:
        yield
    except kinds as error:
        raise DataError(f"{path}: damaged, or no table: {error}") from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


# ---- Parquet -----------------------------------------------------------------------------------


def _parquet_file(path: Path) -> Any:
    import pyarrow.parquet as pq

    return pq.ParquetFile(path)


def _parquet_rows(path: Path, wanted: list[str]) -> Iterator[tuple[Place, Row]]:
    before = 0
    with _explained(path):
        batches = _parquet_file(path).iter_batches(
            batch_size=_ROWS, columns=list(dict.fromkeys(wanted))
        )
        for batch in batches:
            columns = [_plain_values(batch.column(name)) for name in batch.schema.names]
            for row, values in enumerate(zip(*columns, strict=True), before + 1):
                yield Place(path, row, "row"), dict(zip(batch.schema.names, values, strict=True))
            before += batch.num_rows


def _plain_values(column: Any) -> list[Any]:
    """Return a column's values as Python has them; times as `Timestamp`, decimals as text."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_decimal(kind):
        return list(column.cast(pa.string()).to_pylist())
    if pa.types.is_timestamp(kind):
        per_second = _PER_SECOND[kind.unit]
        counts = column.cast(pa.int64()).to_pylist()  # in UTC, whatever zone the type names
    elif pa.types.is_date(kind):
        per_second = 1
        counts = column.cast(pa.date32()).cast(pa.int32()).to_pylist()
        counts = [None if days is None else 86_400 * days for days in counts]
    else:
        return list(column.to_pylist())
    return [None if count is None else Timestamp(count, per_second) for count in counts]


# ---- CSV and TSV -------------------------------------------------------------------------------


def _csv_rows(path: Path, faults: Faults) -> Iterator[tuple[Place, Row]]:
    with _explained(path), _csv_stream(path) as stream:
        reader = _csv_reader(path, stream)
        names = _header(reader, path)
        while True:
            first = reader.line_num + 1  # a row is named by its first line: cells hold line ends
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                _add_lost_lines(path, range(first, reader.line_num + 1), error, faults)
                continue
            if not cells:
                continue
            place = Place(path, first)
            try:
                _check_cells(cells, names, place)
            except LineFault as found:
                faults.add(found)
            else:
                yield place, dict(zip(names, cells, strict=True))


def _add_lost_lines(path: Path, lines: range, error: csv.Error, faults: Faults) -> None:
    """Count every line of a row that is none: an open quotation mark swallows many."""
    what = f"not CSV: {error}"
    if len(lines) > 1:
        what += f" (in the row of lines {lines[0]} to {lines[-1]}; is a quotation mark left open?)"
    for line in lines:
        faults.add(LineFault(Place(path, line), what, "not CSV"))


def _check_cells(cells: list[str], names: list[str], place: Place) -> None:
    if len(cells) != len(names):
        what = f"expected {len(names)} columns, found {len(cells)}"
        fault(place, what, "wrong number of columns")
    for cell in cells:
        check_text(cell, place)


def check_text(cell: str, place: Place) -> None:
    """Refuse a text that was not UTF-8, or holds a NUL byte."""
    if not cell.isascii() and any("\udc80" <= letter <= "\udcff" for letter in cell):
        fault(place, "not UTF-8", "not UTF-8")
    if "\0" in cell:
        fault(place, "holds a NUL byte", "NUL byte")


def _header(reader: Any, path: Path) -> list[str]:
    names: list[str] = next(reader, [])
    if not names:
        raise DataError(f"{path}: the file is empty; expected a first line of column names")
    place = Place(path, 1)
    _check_cells(names, names, place)
    return _distinct(names, str(place))


@contextlib.contextmanager
def _csv_stream(path: Path) -> Iterator[TextIO]:
    # bytes that are not UTF-8 come through as lone surrogates and are found row by row
    text = io.TextIOWrapper(
        open_bytes(path), encoding="utf-8-sig", errors="surrogateescape", newline=""
    )
    with text:
        yield text


def _csv_reader(path: Path, stream: TextIO) -> Any:
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    return csv.reader(stream, delimiter=delimiter, strict=True)
