"""The paper's table 2, and how a measured value stands to a printed one.

The facts lie in ``leaderboards/paper`` of a checkout; an installed wheel does not carry them.
CALRec, section 4, table 2.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Literal

from harness.data.cards import CHECKOUT
from harness.errors import DataError
from harness.metrics import METRICS

PAPER = CHECKOUT / "leaderboards" / "paper"
TABLE2 = "table2.csv"
COLUMNS = ("dataset", "metric", "method", "opt", "pes")

METHODS: Mapping[str, str] = {
    "bert4rec": "BERT4Rec",
    "sasrec": "SASRec",
    "fdsa": "FDSA",
    "s3rec": "S3-Rec",
    "unisrec:id-text": "UniSRec-ID+Text",
    "unisrec:text": "UniSRec-Text",
    "recformer": "RecFormer",
    "lir": "LIR",
    "calrec": "CALRec",
}
"""Row of a board, without settings given by hand -> the paper's name, in the paper's order."""

DATASETS: Mapping[str, str] = {
    "scientific": "Scientific",
    "games": "Games",
    "amazon-scientific": "Scientific",
    "amazon-instruments": "Instruments",
    "amazon-arts": "Arts",
    "amazon-office": "Office",
    "amazon-games": "Games",
    "amazon-pet": "Pet",
}
"""Our data set -> the paper's name."""

AVERAGE = "Average"
"""What the table calls the mean over its data sets."""

PROTOCOL_DIFFERENCES: Mapping[str, str] = {
    "scientific": "8,442 of the paper's 9,461 users; no timestamps, so no dedup",
    "games": "titles only, at most 50 purchases a user, no dedup",
    "amazon-office": "another sample of users",
    "amazon-pet": "another sample of users",
}
SAME_PROTOCOL = "the paper's own protocol"

HALF_A_DIGIT = 0.00005
"""A value printed with four digits lies within this of what it was rounded from."""

NEAR = 0.1
"""Share of the published value within which a measured one is near."""

State = Literal["agrees", "near", "differs"]
PaperBound = Literal["optimistic", "pessimistic"]
Key = tuple[str, str, str]
"""The paper's data set, metric and method."""


@dataclass(frozen=True)
class Published:
    """A cell of table 2.

    Attributes:
        optimistic: the value with a tied target first of its tie.
        pessimistic: with the target last of it.
    """

    optimistic: float
    pessimistic: float

    def value(self, bound: PaperBound) -> float:
        """Return the value of one bound."""
        return self.optimistic if bound == "optimistic" else self.pessimistic


# ---- our names and the paper's -------------------------------------------------------------------


def paper_method(label: str) -> str | None:
    """Return the paper's name of a board's row, whatever settings its label states, or None."""
    return METHODS.get(label.partition(" (")[0])


def protocol_difference(dataset: str) -> str:
    """Return what sets one of `DATASETS` apart from the paper's."""
    return PROTOCOL_DIFFERENCES.get(dataset, SAME_PROTOCOL)


# ---- the state of a cell -------------------------------------------------------------------------


def state(published: float, low: float, high: float) -> State:
    """Tell how a measured value stands to a printed one.

    Args:
        published: as printed, with four digits.
        low: lower end of the interval of the mean over users; the measured value is its middle.
        high: its upper end.
    """
    rounding = HALF_A_DIGIT + 1e-12  # binary fractions must not decide at the very edge
    if low - rounding <= published <= high + rounding:
        return "agrees"
    difference = abs((low + high) / 2 - published)
    return "near" if difference <= NEAR * published + 1e-12 else "differs"


# ---- reading the facts ---------------------------------------------------------------------------


def load_table2(folder: Path = PAPER) -> dict[Key, Published]:
    """Return the cells of table 2, in the order of its file.

    Raises:
        DataError: the file is absent, as in an installed wheel, or not as it should be; the message
            names file and line.
    """
    path = folder / TABLE2
    if not path.is_file():
        raise DataError(
            f"{path} is not there: the paper's tables come with a checkout, not with the installed "
            "package; run the command from a checkout"
        )
    table: dict[Key, Published] = {}
    for line, fields in _lines(path):
        key, cell = _cell(fields, f"{path}, line {line}")
        if key in table:
            raise DataError(f"{path}, line {line}: {', '.join(key)} stands there twice")
        table[key] = cell
    _check_whole(table, path)
    return table


def _check_whole(table: Mapping[Key, Published], path: Path) -> None:
    due = product((*DATASETS.values(), AVERAGE), (m.name for m in METRICS), METHODS.values())
    absent = [", ".join(key) for key in due if key not in table]
    if absent:
        raise DataError(f"{path}: no line for {absent[0]}")


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield number and fields of each line below the header."""
    with path.open(encoding="utf-8", newline="") as stream:
        reader = csv.reader(stream, strict=True)
        try:
            header = next(reader, [])
            if tuple(header) != COLUMNS:
                raise DataError(
                    f"{path}, line 1: the columns must be {','.join(COLUMNS)}, found "
                    f"{','.join(header)!r}"
                )
            for fields in reader:
                yield reader.line_num, fields
        except csv.Error as error:
            raise DataError(f"{path}, line {reader.line_num}: not valid CSV: {error}") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{path}, after line {reader.line_num}: not UTF-8: {error}") from error


def _cell(fields: list[str], where: str) -> tuple[Key, Published]:
    if len(fields) != len(COLUMNS):
        raise DataError(f"{where}: {len(COLUMNS)} fields are due, found {len(fields)}")
    dataset, metric, method, opt, pes = fields
    _check_known(dataset, {*DATASETS.values(), AVERAGE}, "data set", where)
    _check_known(metric, {known.name for known in METRICS}, "metric", where)
    _check_known(method, set(METHODS.values()), "method", where)
    cell = Published(_number(opt, "opt", where), _number(pes, "pes", where))
    if cell.pessimistic > cell.optimistic:
        raise DataError(f"{where}: pes is {pes}, above opt, which is {opt}")
    return (dataset, metric, method), cell


def _check_known(name: str, known: set[str], kind: str, where: str) -> None:
    if name not in known:
        raise DataError(
            f"{where}: unknown {kind} {name!r}; the table has {', '.join(sorted(known))}"
        )


def _number(text: str, column: str, where: str) -> float:
    if not re.fullmatch(r"0\.[0-9]{4}", text):
        raise DataError(f"{where}: {column} must be a value such as 0.0555, found {text!r}")
    return float(text)
