"""The paper's tables as facts: one for each value that it prints (CALRec, tables 1 to 8).

They lie in ``leaderboards/paper`` of a checkout; an installed wheel does not carry them. What a
file must look like is in `harness.paper.layouts`.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from harness.data.cards import CHECKOUT
from harness.errors import DataError
from harness.paper.layouts import BOUND_NAMES, LAYOUTS, Column, Layout, PaperBound

PAPER = CHECKOUT / "leaderboards" / "paper"

Key = tuple[int, str, str, str, PaperBound | None]
"""Table, data set, metric, variant, bound: what names a fact."""


@dataclass(frozen=True)
class Fact:
    """One value that the paper prints.

    Attributes:
        table: 1 to 8.
        dataset: the paper's name of the data set, or `harness.paper.layouts.AVERAGE`.
        metric: a metric of table 2, or the column where the table has others.
        variant: the method, ablation, backbone, template or side; empty in table 1.
        bound: which ranks, None where the value is no function of one kind of them.
        printed: as it stands in the file.
        digits: decimals to which it is known.
        unit: "%" or empty.
    """

    table: int
    dataset: str
    metric: str
    variant: str
    bound: PaperBound | None
    printed: str
    digits: int
    unit: str

    @property
    def value(self) -> float:
        """The printed number."""
        return float(self.printed)

    @property
    def key(self) -> Key:
        """What no other fact shares."""
        return (self.table, self.dataset, self.metric, self.variant, self.bound)


def facts_present(folder: Path = PAPER) -> bool:
    """Return whether the paper's tables are here: they come with a checkout, not with a wheel."""
    return folder.is_dir()


def load_facts(folder: Path = PAPER) -> tuple[Fact, ...]:
    """Return the facts of all tables, table by table, in the order of their files.

    Raises:
        DataError: a file is absent, as in an installed wheel, or not as it should be; the message
            names file and line.
    """
    return tuple(fact for layout in LAYOUTS for fact in _facts_of(layout, folder))


def _facts_of(layout: Layout, folder: Path) -> Iterator[Fact]:
    path = folder / layout.file
    if not path.is_file():
        raise DataError(
            f"{path} is not there: the paper's tables come with a checkout, not with the installed "
            "package; run the command from a checkout"
        )
    seen: dict[tuple[str, ...], int] = {}
    facts: dict[Key, Fact] = {}
    for line, fields in _lines(path, layout.columns):
        where = f"{path}, line {line}"
        row = _row(fields, layout, where)
        key = tuple(row[name] for name in layout.keys)
        if key in seen:
            raise DataError(f"{where}: {', '.join(key)} stands there twice, first in {seen[key]}")
        seen[key] = line
        _collect(facts, row, layout, where)
    for key in product(*layout.keys.values()):
        if key not in seen:
            raise DataError(f"{path}: no line for {', '.join(key)}")
    yield from facts.values()


def _lines(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of each line below the header."""
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        header = next(reader, [])
        if tuple(header) != columns:
            raise DataError(
                f"{path}, line 1: the columns must be {','.join(columns)}, found "
                f"{','.join(header)!r}"
            )
        for fields in reader:
            yield reader.line_num, fields
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from error


def _text(path: Path) -> str:
    content = path.read_bytes()
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise DataError(f"{path}, line {line}: not UTF-8: {error.reason}") from error


def _row(fields: list[str], layout: Layout, where: str) -> Mapping[str, str]:
    if len(fields) != len(layout.columns):
        raise DataError(f"{where}: {len(layout.columns)} fields are due, found {len(fields)}")
    row = dict(zip(layout.columns, fields, strict=True))
    for name, known in layout.keys.items():
        if row[name] not in known:
            raise DataError(
                f"{where}: unknown {name} {row[name]!r}; the table has {', '.join(known)}"
            )
    for name, column in layout.values.items():
        if not re.fullmatch(column.kind.pattern, row[name]):
            raise DataError(
                f"{where}: {name} must be a value such as {column.kind.example}, found "
                f"{row[name]!r}"
            )
    _check_bounds(row, layout, where)
    return row


def _check_bounds(row: Mapping[str, str], layout: Layout, where: str) -> None:
    """Refuse a row whose value with a target last of its tie is above that with it first."""
    names = {column.bound: name for name, column in layout.values.items() if column.in_order}
    if len(names) < len(BOUND_NAMES):
        return
    high, low = names["optimistic"], names["pessimistic"]
    if float(row[low]) > float(row[high]):
        raise DataError(f"{where}: {low} is {row[low]}, above {high}, which is {row[high]}")


def _collect(facts: dict[Key, Fact], row: Mapping[str, str], layout: Layout, where: str) -> None:
    """Add a row's facts; one that stands in several rows must be the same in all."""
    for name, column in layout.values.items():
        fact = _fact(row, row[name], column, layout)
        former = facts.setdefault(fact.key, fact)
        if former != fact:
            raise DataError(
                f"{where}: {name} is {row[name]}, and {former.printed} in an earlier line of "
                f"{fact.dataset}"
            )


def _fact(row: Mapping[str, str], printed: str, column: Column, layout: Layout) -> Fact:
    named = {layout.role(name): row[name] for name in layout.keys}
    bound = BOUND_NAMES[named["bound"]] if "bound" in named else column.bound
    return Fact(
        layout.table,
        named.get("dataset", layout.dataset),
        column.metric or named["metric"],
        column.variant if column.variant is not None else named.get("variant", ""),
        bound,
        printed,
        max(column.kind.digits, len(printed.partition(".")[2])),
        column.kind.unit,
    )
