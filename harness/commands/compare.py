"""``compare``: two rows of a board, paired over users."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.options import DEFAULT_DATASET, add_out_option, names
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.metrics import Bound
    from harness.pairs import Pair
    from harness.stats import PairedTests

BOUNDS: tuple[Bound, ...] = ("pessimistic", "optimistic")
DECIDING = 5
"""How many users are shown who move the mean most."""


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("compare", help="difference of two rows, paired over users")
    parser.add_argument("first", help="a row of the board, such as calrec")
    parser.add_argument("second", help="another row, such as popularity")
    parser.add_argument("--datasets", default=DEFAULT_DATASET, help="comma-separated")
    parser.add_argument(
        "--resamples", type=int, default=10_000, metavar="N",
        help="draws of the bootstrap and of the randomisation test (default: 10000)",
    )  # fmt: skip
    add_out_option(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print values, differences, intervals, tests, and the users who decide."""
    from harness.pairs import paired

    if options.resamples < 1:
        raise UsageError(f"--resamples must be at least 1, found {options.resamples}")
    for dataset in names(options.datasets):
        pair = paired(options.out / dataset, options.first, options.second)
        if len(pair.users) < 2:
            raise HarnessError(f"{dataset} has one user only: nothing can be paired")
        print(_comparison(pair, options.resamples))
    return 0


def _comparison(pair: Pair, resamples: int) -> str:
    from harness.metrics import METRICS
    from harness.stats import paired_tests

    differences, tests, notes = [], [], []
    for metric in METRICS:
        for bound in BOUNDS:
            a, b = pair.first.values(metric, bound), pair.second.values(metric, bound)
            result = paired_tests(a, b, resamples=resamples)
            differences.append([metric.name, bound, *_values(a.mean(), b.mean(), result)])
            tests.append([metric.name, bound, *_tests(result)])
            notes += [note for note in result.notes if note not in notes]
    heads = ["metric", "bound", pair.first.label, pair.second.label, "difference"]
    heads += ["95 % interval", "bootstrap", "wins/ties/losses"]
    test_heads = ["metric", "bound", "p: t", "Wilcoxon", "randomisation", "d", "detectable"]
    seeds = ", ".join(map(str, pair.seeds))
    parts = [
        f"{pair.dataset}: {len(pair.users)} users, each the mean over seeds {seeds}; two-sided "
        "tests, paired over users, not corrected for their number",
        tabulate(differences, heads, disable_numparse=True),
        tabulate(tests, test_heads, disable_numparse=True),
        *_legend(pair, notes),
        _deciding(pair),
    ]
    return "\n\n".join(parts) + "\n"


def _values(first: float, second: float, result: PairedTests) -> list[str]:
    return [
        f"{first:.4f}",
        f"{second:.4f}",
        f"{result.mean:+.4f}",
        _interval(result.t_interval),
        _interval(result.bootstrap_interval),
        f"{result.wins}/{result.ties}/{result.losses}",
    ]


def _interval(ends: tuple[float, float]) -> str:
    return "none" if math.isnan(ends[0]) else f"{ends[0]:+.4f} to {ends[1]:+.4f}"


def _tests(result: PairedTests) -> list[str]:
    probabilities = (result.p_t, result.p_wilcoxon, result.p_randomisation)
    return [
        *("none" if math.isnan(p) else f"{p:.2g}" for p in probabilities),
        "none" if math.isnan(result.effect_size) else f"{result.effect_size:+.3f}",
        "none" if math.isnan(result.smallest_detectable) else f"{result.smallest_detectable:.4f}",
    ]


def _legend(pair: Pair, notes: list[str]) -> list[str]:
    both = " and of seeds" if len(pair.seeds) > 1 else ""
    lines = [
        f"95 % interval: of the paired t-test, from the variance of users{both}. d: the mean "
        "difference in standard deviations of the users' differences. detectable: the difference "
        "that so many users would show four times in five.",
        "bootstrap: 95 % interval from draws of users alone, each user's value the mean over these "
        "seeds; seeds to come are not in it.",
        *(
            ["The tests speak of these seeds; the interval of seeds to come as well."]
            if len(pair.seeds) > 1
            else []
        ),
        *notes,
    ]
    return ["\n".join(lines)]


def _deciding(pair: Pair) -> str:
    """Return the users whose difference moves the mean most, and how many make up half of it."""
    import numpy as np

    from harness.metrics import SELECTION_METRIC as METRIC

    one, two = (
        ranks.values(METRIC, "pessimistic").mean(axis=0) for ranks in (pair.first, pair.second)
    )
    difference = one - two
    total = difference.sum()
    title = f"Users who decide (pessimistic {METRIC.name})"
    if not total:
        return f"{title}: none, the sums are equal"
    # those who pull the way of the mean, the strongest first, the lower index first among equals
    order = np.lexsort([pair.users, -difference * np.sign(total)])
    towards = np.maximum(np.cumsum(difference[order] * np.sign(total)), 0.0)
    half = int(np.argmax(towards >= abs(total) / 2)) + 1
    rows = [
        (
            int(pair.users[row]),
            _ranks_of(pair.first.pessimistic[:, row]),
            _ranks_of(pair.second.pessimistic[:, row]),
            f"{difference[row]:+.4f}",
        )
        for row in order[:DECIDING]
    ]
    heads = ["user", f"ranks, {pair.first.label}", f"ranks, {pair.second.label}", "difference"]
    table = tabulate(rows, heads, disable_numparse=True)
    return f"{title}: {half} of {len(pair.users)} make up half of the difference\n\n{table}"


def _ranks_of(ranks: Any) -> str:
    from harness.ranking import UNRANKED

    return ", ".join("none" if rank == UNRANKED else f"{rank:,}" for rank in ranks)
