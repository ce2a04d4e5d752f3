"""``slices``: a metric of some rows of a board, in groups of users told from the split."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.options import (
    DEFAULT_DATASET,
    add_data_options,
    add_out_option,
    add_variant_options,
    chosen_card,
    default_cache,
    names,
)
from harness.errors import DataError, UsageError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.data.card import DatasetCard
    from harness.data.prepared import PreparedData
    from harness.metrics import Bound, Metric
    from harness.pairs import Cells
    from harness.slices import Slice, SliceRow

DEFAULT_METRIC = "NDCG@10"
DEFAULT_BOUND = "pessimistic"


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("slices", help="a metric of some rows, by groups of users")
    parser.add_argument("rows", nargs="+", metavar="ROW", help="rows of the board, such as calrec")
    parser.add_argument(
        "--datasets", default=DEFAULT_DATASET, metavar="NAMES",
        help=f"comma-separated names or paths of .toml cards (default: {DEFAULT_DATASET})",
    )  # fmt: skip
    parser.add_argument(
        "--metric", default=DEFAULT_METRIC, help=f"such as MRR (default: {DEFAULT_METRIC})"
    )
    parser.add_argument(
        "--bound", default=DEFAULT_BOUND,
        help=f"how ties count: optimistic, pessimistic or expected (default: {DEFAULT_BOUND})",
    )  # fmt: skip
    add_variant_options(parser)
    add_out_option(parser)
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print, for each data set and row, size, value and interval of every slice."""
    metric, bound = _metric(options.metric), _bound(options.bound)
    cards = [chosen_card(name, options) for name in names(options.datasets)]
    if not cards:
        raise UsageError("--datasets names no data set")
    for card in cards:
        print(_report(card, options, metric, bound))
    return 0


def _metric(name: str) -> Metric:
    from harness.metrics import METRICS

    known = {metric.name: metric for metric in METRICS}
    if name not in known:
        raise UsageError(f"--metric: unknown metric {name!r}: {did_you_mean(name, known)}")
    return known[name]


def _bound(name: str) -> Bound:
    from harness.metrics import BOUNDS

    if name not in BOUNDS:
        raise UsageError(f"--bound: unknown bound {name!r}: {did_you_mean(name, BOUNDS)}")
    return name


def _report(card: DatasetCard, options: argparse.Namespace, metric: Metric, bound: Bound) -> str:
    """Return the tables of one data set, then what each slice is.

    Raises:
        UsageError: the run folder has no such row.
        DataError: the data set cannot be prepared, or is not the one that the rows were run on.
    """
    from harness.data.prepare import prepare
    from harness.leaderboard import read_records
    from harness.pairs import cells_of
    from harness.progress import Progress
    from harness.slices import slice_table, slices_of

    folder = options.out / card.name
    found = read_records(folder, damaged="told")
    rows = {label: cells_of(folder, label, found) for label in options.rows}
    data = prepare(card, options.cache or default_cache(), Progress(shown=not options.quiet))
    for label, cells in rows.items():
        _check_same_split(label, cells, data)
    slices = slices_of(data)
    parts = []
    for label, cells in rows.items():
        values = _values(label, cells, metric, bound, len(data.user_ids))
        seeds = ", ".join(map(str, sorted(cells)))
        parts.append(
            f"{card.name}, {label}: {values.shape[1]} users, each the mean over seeds {seeds}\n\n"
            f"{_table(slice_table(values, slices), f'{metric.name}, {bound}')}\n"
        )
    return "\n".join([*parts, _legend(slices)])


def _check_same_split(label: str, cells: Cells, data: PreparedData) -> None:
    """Refuse to cut ranks by groups of other users.

    Raises:
        DataError: a cell was run on another version of the data.
    """
    from harness.splits import split_hash

    found = split_hash(data.content_hash)
    for _, record in cells.values():
        stated = record.dataset["split_hash"]
        if stated != found:
            raise DataError(
                f"{data.card.name}: {label}, seed {record.seed}, was run on the split {stated}, "
                f"the prepared data set has the split {found}: run its cells again on these data, "
                "or name the card and the source files that they were run on"
            )


def _values(
    label: str, cells: Cells, metric: Metric, bound: Bound, n_users: int
) -> NDArray[np.float64]:
    """Return float64 [n_seeds, n_users]: each user's value, in the users' order.

    Raises:
        DataError: ranks that are missing, damaged, or not of the data set's users.
    """
    import numpy as np

    from harness.pairs import ranks_of

    users, ranks = ranks_of(label, cells, tuple(sorted(cells)))
    if not np.array_equal(users, np.arange(n_users)):
        raise DataError(
            f"{label}: the users of its ranks are not the {n_users} of the data set; run its cells "
            "again"
        )
    return ranks.values(metric, bound)


def _table(rows: Sequence[SliceRow], value: str) -> str:
    headers = ["slice", "users", "share", value, "95 % interval"]
    return tabulate([_line(row) for row in rows], headers, disable_numparse=True)


def _line(row: SliceRow) -> tuple[str, ...]:
    value = "none" if row.mean is None else f"{row.mean:.4f}"
    if row.low is None or row.high is None:
        interval = f"none: {row.reason}"
    else:
        interval = f"{row.low:.4f} to {row.high:.4f}"
    return (row.name, f"{row.n:,}", f"{100 * row.share:.1f} %", value, interval)


def _legend(slices: Sequence[Slice]) -> str:
    note = (
        "95 % intervals: over users and, with several seeds, over seeds; not corrected for the "
        "number of slices"
    )
    return "\n".join([note, *(f"- {slice_.name}: {slice_.what}" for slice_ in slices), ""])
