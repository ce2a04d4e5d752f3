"""``reproduce``: the paper's table 2 beside our rows, cell by cell."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.options import add_out_option, names
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.metrics import Metric
    from harness.pairs import Cells, Ranks
    from harness.published import Key, PaperBound, Published, State
    from harness.slices import SliceRow

DEFAULT = "scientific"
BOUNDS: tuple[PaperBound, ...] = ("optimistic", "pessimistic")
HEADS = (
    "method", "row", "metric", "bound", "published", "measured", "95 % interval", "difference",
    "in %", "state",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One cell of the paper, with ours where it was measured."""

    cells: tuple[str, ...]
    state: State | None


@dataclass(frozen=True)
class Measured:
    """A row of ours.

    Attributes:
        ranks: of its test targets.
        seeds: that it has.
    """

    ranks: Ranks
    seeds: tuple[int, ...]

    def summary(self, metric: Metric, bound: PaperBound) -> SliceRow:
        """Return mean over users, each the mean over seeds, and Student's t interval."""
        import numpy as np

        from harness.slices import EVERYONE, Slice, slice_table

        values = np.asarray(self.ranks.values(metric, bound).mean(axis=0))
        everyone = Slice(EVERYONE, "", np.ones(len(values), dtype=np.bool_))
        return slice_table(values, [everyone])[0]


CALREC_BACKBONE = (
    "CALRec: the paper's backbone is PaLM 2 XXS, which nobody else has; the board says which one a "
    "row here was trained on"
)


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("reproduce", help="the paper's table 2 beside our rows")
    parser.add_argument(
        "--datasets", default=DEFAULT, metavar="NAMES", help=f"comma-separated (default: {DEFAULT})"
    )
    add_out_option(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print, for each data set, every cell of the paper, ours where measured, and the states."""
    from harness.published import load_table2

    chosen = _chosen(options.datasets)
    table = load_table2()
    for dataset in chosen:
        print(_report(dataset, _measured(options.out / dataset), table))
    return 0


def _chosen(text: str) -> list[str]:
    from harness.published import DATASETS

    chosen = names(text)
    if not chosen:
        raise UsageError("--datasets names no data set")
    for name in chosen:
        if name not in DATASETS:
            raise UsageError(f"the paper does not have {name!r}; it has {', '.join(DATASETS)}")
    return chosen


def _measured(folder: Path) -> dict[str, list[Measured]]:
    """Return the paper's method -> its finished rows in a data set's folder.

    Raises:
        DataError: ranks are missing, damaged or were changed after the run.
    """
    from harness.leaderboard import finished_rows, read_records
    from harness.published import METHODS, paper_method

    found: dict[str, list[Measured]] = {name: [] for name in METHODS.values()}
    rows = finished_rows(folder.name, read_records(folder, damaged="left out"))
    for label in sorted(rows):
        method = paper_method(label)
        if method is not None:
            cells = {record.seed: (path, record) for path, record in rows[label]}
            found[method].append(_row(label, cells))
    return found


def _row(label: str, cells: Cells) -> Measured:
    from harness.pairs import ranks_of

    seeds = tuple(sorted(cells))
    return Measured(ranks_of(label, cells, seeds)[1], seeds)


def _report(
    dataset: str, measured: Mapping[str, list[Measured]], table: Mapping[Key, Published]
) -> str:
    from harness.metrics import METRICS
    from harness.published import DATASETS, protocol_difference

    paper = DATASETS[dataset]
    nothing: list[Measured | None] = [None]
    lines = [
        _line(method, metric, bound, table[paper, metric.name, method], row)
        for method, rows in measured.items()
        for row in rows or nothing
        for metric in METRICS
        for bound in BOUNDS
    ]
    parts = [
        f"{dataset}: {paper} of the paper's table 2 beside ours",
        tabulate([line.cells for line in lines], HEADS, disable_numparse=True),
        "\n".join([*_rows_told(measured), *_legend()]),
        f"protocol difference: {protocol_difference(dataset)}",
        _count(lines),
        *([CALREC_BACKBONE] if measured.get("CALRec") else []),
    ]
    return "\n\n".join(parts) + "\n"


def _line(
    method: str, metric: Metric, bound: PaperBound, published: Published, row: Measured | None
) -> Line:
    from harness.published import state

    printed = published.value(bound)
    told = (method, row.ranks.label if row else "", metric.name, bound, f"{printed:.4f}")
    ours = row.summary(metric, bound) if row else None
    if ours is None or ours.mean is None:
        return Line((*told, *[""] * (len(HEADS) - len(told))), None)
    value = ours.mean
    # without an interval the value stands for itself
    low, high = (value, value) if ours.low is None or ours.high is None else (ours.low, ours.high)
    interval = f"none: {ours.reason}" if ours.reason else f"{low:.4f} to {high:.4f}"
    difference = value - printed
    share = f"{100 * difference / printed:+.1f} %" if printed else ""
    found = state(printed, low, high)
    return Line((*told, f"{value:.4f}", interval, f"{difference:+.4f}", share, found), found)


def _rows_told(measured: Mapping[str, list[Measured]]) -> list[str]:
    """Return what each row of ours is a mean over."""
    return [
        f"{method} is {row.ranks.label}: {row.ranks.optimistic.shape[1]:,} users, each the mean "
        f"over seeds {', '.join(map(str, row.seeds))}"
        for method, rows in measured.items()
        for row in rows
    ]


def _legend() -> list[str]:
    return [
        "95 % interval: Student's t over users. agrees: the published value, to its four digits, "
        "lies in it; near: ours is within 10 % of it; differs: neither. The paper prints no "
        "interval, so its own spread is not counted."
    ]


def _count(lines: list[Line]) -> str:
    counts: Counter[str] = Counter(line.state or "not measured" for line in lines)
    states = ("agrees", "near", "differs", "not measured")
    return f"{len(lines)} cells: " + ", ".join(f"{name} {counts[name]}" for name in states)
