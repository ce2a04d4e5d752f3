"""``compare``: two rows of a board, paired over users."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.options import DEFAULT_DATASET, add_out_option, names
from harness.errors import HarnessError, UsageError, did_you_mean

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from harness.records import Record

    Found = dict[int, tuple[Path, Record]]


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("compare", help="difference of two rows, paired over users")
    parser.add_argument("first", help="a row of the board, such as calrec")
    parser.add_argument("second", help="another row, such as popularity")
    parser.add_argument("--datasets", default=DEFAULT_DATASET, help="comma-separated")
    add_out_option(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print mean values, difference, 95 % interval and p-value for each metric and bound."""
    for dataset in names(options.datasets):
        print(_comparison(options.out / dataset, dataset, options.first, options.second))
    return 0


def _comparison(folder: Path, dataset: str, first: str, second: str) -> str:
    from harness.metrics import METRICS
    from harness.stats import paired_difference

    one, two = _cells_of(folder, first), _cells_of(folder, second)
    shared = sorted(set(one) & set(two))
    if not shared:
        raise HarnessError(
            f"{dataset}: {first} has the seeds {sorted(one)}, {second} has {sorted(two)}: none in "
            "common; run both with the same --seeds"
        )
    _check_same_split(one, two, shared, dataset)
    rows = []
    for metric in METRICS:
        for bound in ("pessimistic", "optimistic"):
            a, b = (_user_means(cells, shared, metric, bound) for cells in (one, two))
            if len(a) < 2:
                raise HarnessError(f"{dataset} has one user only: nothing can be paired")
            result = paired_difference(a, b)
            p_value = "none" if result.p_value is None else f"{result.p_value:.2g}"
            interval = f"{result.low:+.4f} to {result.high:+.4f}"
            rows.append(
                (metric.name, bound, f"{a.mean():.4f}", f"{b.mean():.4f}",
                 f"{result.mean:+.4f}", interval, p_value)
            )  # fmt: skip
    headers = ["metric", "bound", first, second, "difference", "95 % interval", "p"]
    seeds = ", ".join(map(str, shared))
    return (
        f"{dataset}: {len(a)} users, each the mean over seeds {seeds}; two-sided paired t-test "
        f"over users, not corrected for the number of tests\n\n"
        f"{tabulate(rows, headers, disable_numparse=True)}\n"
    )


def _cells_of(folder: Path, label: str) -> Found:
    """Return seed -> finished cell, of the seeds that a board would show in a row.

    Raises:
        UsageError: the run folder has no such row.
    """
    from harness.leaderboard import finished_rows, read_records

    found = read_records(folder, damaged="left out")
    mine = [(path, record) for path, record in found if record.label == label]
    rows = finished_rows(folder.name, mine)
    if label not in rows:
        known = did_you_mean(label, {record.label for _, record in found if record.status == "ok"})
        raise UsageError(f"{folder} has no finished row {label!r}: {known}")
    return {record.seed: (path, record) for path, record in rows[label]}


def _check_same_split(one: Found, two: Found, shared: list[int], dataset: str) -> None:
    for seed in shared:
        for fact in ("split_hash", "n_items"):
            a, b = (cells[seed][1].dataset[fact] for cells in (one, two))
            if a != b:
                raise HarnessError(f"{dataset}, seed {seed}: the rows differ in {fact}: {a}, {b}")
        if one[seed][1].protocol != two[seed][1].protocol:
            raise HarnessError(f"{dataset}, seed {seed}: the rows follow different protocols")


def _user_means(cells: Found, seeds: list[int], metric: Any, bound: Any) -> NDArray[np.float64]:
    import numpy as np

    from harness.records import verified_ranks

    values = []
    for seed in seeds:
        ranks = verified_ranks(*cells[seed])
        order = np.argsort(ranks["user"])
        values.append(metric.users(ranks["optimistic"], ranks["pessimistic"], bound)[order])
    return np.asarray(np.mean(values, axis=0))
