"""Tables: Parquet, CSV, TSV and TREC files, one row per user and item or per user."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.external.content import ScoredItems, StatedRanks
from harness.external.held_out import HeldOut, Names
from harness.external.wording import first_few, quoted, reason_of

SPLIT_KEY = "split_hash"

_ROLES = {
    "user": "user",
    "user_id": "user",
    "user_index": "user",
    "item": "item",
    "item_id": "item",
    "item_index": "item",
    "score": "score",
    "rank": "rank",
    "optimistic": "optimistic",
    "pessimistic": "pessimistic",
}
"""The columns that are read, and what each is."""

_KINDS = (
    {"user", "item", "score"},
    {"user", "item", "rank"},
    {"user", "item", "rank", "score"},
    {"user", "optimistic", "pessimistic"},
    {"user", "rank"},
)
_TREC = ("user", "Q0", "item", "rank", "score", "tag")
_LONGEST_COMMENT = 4096


def read_table(path: Path, form: str, held_out: HeldOut) -> ScoredItems | StatedRanks:
    """Read a table of one of the kinds.

    Args:
        path: the file.
        form: "parquet", "csv", "tsv" or "trec".
        held_out: what its users and items must be of.

    Raises:
        DataError: damaged, of no kind, values of a wrong type, unknown users or items.
    """
    found = _named(_columns(path, form))
    if form == "parquet":
        table = _parquet(path, list(found.values()))
    else:
        table = _text(path, form, list(found.values()))
    if not table.num_rows:
        raise DataError("it has no rows")
    return _content(table, found, held_out)


def table_split_hash(path: Path, form: str) -> str | None:
    """Return the split hash that a table names, or None.

    Raises:
        DataError: it cannot be read.
    """
    if form == "parquet":
        stated = (_parquet_schema(path).metadata or {}).get(SPLIT_KEY.encode())
        return None if stated is None else stated.decode("utf-8", "replace").strip()
    for line in _comments(path):
        name, colon, value = line.lstrip("# \t").partition(":")
        if colon and name.strip() == SPLIT_KEY:
            return value.strip()
    return None


def _content(
    table: Any, found: Mapping[str, str], held_out: HeldOut
) -> ScoredItems | StatedRanks:  # fmt: skip
    users = _indices(table, found["user"], held_out.users)
    if "item" not in found:
        low, high = found.get("optimistic", "rank"), found.get("pessimistic", "rank")
        return StatedRanks(users, _whole_numbers(table, low), _whole_numbers(table, high))
    return ScoredItems(
        users,
        _indices(table, found["item"], held_out.items),
        _numbers(table, found["score"]) if "score" in found else None,
        _whole_numbers(table, found["rank"]) if "rank" in found else None,
    )


# ---- columns -------------------------------------------------------------------------------------


def _columns(path: Path, form: str) -> list[str]:
    """Return the names of all columns."""
    if form == "parquet":
        return list(_parquet_schema(path).names)
    if form == "trec":
        return list(_TREC)
    line = _line_after_comments(path)
    return [name.strip() for name in next(csv.reader([line], delimiter=_delimiter(form)), [])]


def _named(columns: Sequence[str]) -> dict[str, str]:
    """Return role -> column for a known combination of columns.

    Raises:
        DataError: a role twice, or a combination of no kind.
    """
    found: dict[str, str] = {}
    for column in columns:
        if (role := _ROLES.get(column)) is None:
            continue
        if role in found:
            raise DataError(
                f"{found[role]!r} and {column!r} both say the {role}; keep one of these columns"
            )
        found[role] = column
    if set(found) not in _KINDS:
        kinds = "; ".join(", ".join(sorted(kind)) for kind in _KINDS)
        raise DataError(
            f"its columns are {', '.join(map(quoted, columns)) or 'none'}, which is none of the "
            f"kinds that can be read ({kinds})"
        )
    return found


def _indices(table: Any, column: str, names: Names) -> NDArray[np.int64]:
    """Return the index of each row's user or item."""
    import pyarrow as pa

    if column.endswith("_index"):
        return names.checked_indices(_whole_numbers(table, column))
    values = table[column]
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise DataError(
            f"the column {column!r} holds {kind}; ids must be text or whole numbers, as `data "
            "export` writes them"
        )
    return names.indices_of_ids(values.cast(kind))


def _numbers(table: Any, column: str) -> NDArray[np.float64]:
    """Return float64; an empty value becomes NaN, which the checks refuse by user and item."""
    import pyarrow as pa

    return _cast(table, column, pa.float64(), "numbers", np.nan)


def _whole_numbers(table: Any, column: str) -> NDArray[np.int64]:
    import pyarrow as pa

    if pa.types.is_floating(table[column].type) or table[column].null_count:
        found = "empty values" if table[column].null_count else str(table[column].type)
        raise DataError(f"the column {column!r} must hold whole numbers, found {found}")
    return _cast(table, column, pa.int64(), "whole numbers", None)


def _cast(table: Any, column: str, kind: Any, wanted: str, empty: float | None) -> NDArray[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    values = table[column]
    if not (pa.types.is_integer(values.type) or pa.types.is_floating(values.type)):
        raise DataError(f"the column {column!r} must hold {wanted}, found {values.type}")
    try:
        values = values.cast(kind)
    except pa.ArrowInvalid as error:
        raise DataError(
            f"the column {column!r} holds a number too large to be exact: {reason_of(error)}"
        ) from error
    if empty is not None:
        values = pc.fill_null(values, empty)
    return np.asarray(values.to_numpy())


# ---- files ---------------------------------------------------------------------------------------


def _parquet_schema(path: Path) -> Any:
    import pyarrow.parquet as pq

    try:
        return pq.read_schema(path)
    except Exception as error:  # damage surfaces as almost any error
        raise DataError(f"it cannot be read as Parquet: {reason_of(error)}") from error


def _parquet(path: Path, columns: list[str]) -> Any:
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:  # not `read_table`, which takes a folder's name as data
            return file.read(columns=columns)
    except Exception as error:
        raise DataError(f"it cannot be read as Parquet: {reason_of(error)}") from error


def _text(path: Path, form: str, columns: list[str]) -> Any:
    """Read a text file; ids stay text, so that ``007`` and ``NA`` are what they were."""
    import pyarrow as pa
    import pyarrow.csv as pa_csv

    types = {"user": pa.string(), "item": pa.string(), "score": pa.float64()}
    by_name = {
        name: pa.int64() if name.endswith("_index") else types.get(_ROLES[name], pa.int64())
        for name in columns
    }
    try:
        return pa_csv.read_csv(
            path,
            pa_csv.ReadOptions(
                use_threads=False,  # or errors would not say in which row
                skip_rows=len(list(_comments(path))),
                column_names=list(_TREC) if form == "trec" else _columns(path, form),
                skip_rows_after_names=0 if form == "trec" else 1,
            ),
            pa_csv.ParseOptions(
                delimiter=_trec_delimiter(path) if form == "trec" else _delimiter(form),
                quote_char=False if form == "trec" else '"',
            ),
            pa_csv.ConvertOptions(
                column_types=by_name, include_columns=columns, null_values=[],
                strings_can_be_null=False,
            ),
        )  # fmt: skip
    except (pa.ArrowException, OSError, ValueError, UnicodeError) as error:
        raise DataError(f"it cannot be read as {form.upper()}: {reason_of(error)}") from error


def _delimiter(form: str) -> str:
    return "," if form == "csv" else "\t"


def _trec_delimiter(path: Path) -> str:
    line = _line_after_comments(path)
    delimiter = "\t" if "\t" in line else " "
    if len(fields := line.split(delimiter)) != len(_TREC):
        raise DataError(
            f"its first line has {len(fields)} columns ({first_few(fields)}); a TREC run has six, "
            f"{' '.join(_TREC)}, with one space or one tab between them"
        )
    return delimiter


def _comments(path: Path) -> Iterator[str]:
    """Yield the lines at the head of a text file that begin with #."""
    for line in _head(path):
        if not line.startswith("#"):
            return
        yield line


def _line_after_comments(path: Path) -> str:
    for line in _head(path):
        if not line.startswith("#"):
            return line
    raise DataError("it has no rows")


def _head(path: Path) -> Iterator[str]:
    """Yield the first lines of a text file, without their ends.

    Raises:
        DataError: a line that is too long or no UTF-8.
    """
    with path.open("rb") as stream:
        while line := stream.readline(_LONGEST_COMMENT):
            if len(line) == _LONGEST_COMMENT:
                raise DataError(
                    f"a line at its head has {_LONGEST_COMMENT:,} bytes or more; expected comments "
                    "and the names of columns"
                )
            try:
                yield line.decode("utf-8-sig").rstrip("\r\n")
            except UnicodeDecodeError as error:
                raise DataError(f"it is not UTF-8: {reason_of(error)}") from error
