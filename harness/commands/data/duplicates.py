"""``data duplicates``: what duplicates do to the Last Item Repeater (the paper's table 7)."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.data.prepare import add_preparing_options
from harness.commands.options import add_out_option
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData

METRICS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "duplicates", help="the Last Item Repeater with and without dedup (table 7)"
    )
    add_preparing_options(parser)
    add_out_option(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Run LIR on both sides of dedup; print counts and table 7.

    ``--dedup`` names the rule of the second side; the paper's is the default.
    """
    from harness.commands.data.prepare import prepared

    rule = options.dedup or "consecutive"
    if rule == "none":
        raise UsageError("--dedup names the rule of the side with dedup: consecutive or global")
    sides: list[tuple[PreparedData, PreparedData]] = []
    for name in options.names:
        pair = []
        for options.dedup in ("none", rule):
            pair.append(prepared(name, options))
        sides.append((pair[0], pair[1]))
    print(_counts(sides))
    print()
    print(_table_7(sides, options))
    return 0


def _counts(sides: list[tuple[PreparedData, PreparedData]]) -> str:
    rows = []
    for _, after in sides:
        counts = after.counts
        rows.append(
            (
                after.card.name,
                f"{counts['events_read']:,}",
                f"{counts['events_read'] - counts['duplicates_dropped']:,}",
                f"{counts['duplicates_dropped']:,}",
                f"{after.duplicates_percent:.1f} %",
            )
        )
    heads = ["data set", "events read", "after dedup", "duplicates", "share"]
    return tabulate(rows, heads, disable_numparse=True)


def _table_7(sides: list[tuple[PreparedData, PreparedData]], options: argparse.Namespace) -> str:
    """Return the optimistic metrics on both sides and the change, a row per data set."""
    rows = []
    for before, after in sides:
        without = _optimistic(before, options)
        with_dedup = _optimistic(after, options)
        change = [
            f"{100 * (new / old - 1):+.0f} %" if old else "not told"
            for old, new in zip(without, with_dedup, strict=True)
        ]
        values = [f"{value:.4f}" for value in (*without, *with_dedup)]
        rows.append([after.card.name, *values, *change])
    heads = ["LIR (opt)"]
    heads += [
        f"{side} {metric}" for side in ("w/o dedup", "w/ dedup", "change") for metric in METRICS
    ]
    return tabulate(rows, heads, disable_numparse=True, maxheadercolwidths=10)


def _optimistic(data: PreparedData, options: argparse.Namespace) -> list[float]:
    """Return LIR's optimistic metrics on one data set, from its record.

    Raises:
        HarnessError: the cell could not be run, and why.
    """
    from harness.planning import choose_methods, plan_cells
    from harness.progress import Progress
    from harness.records import RECORD_FILE, read_record
    from harness.runner import run_cells

    choices = [choice for choice in choose_methods(["lir"], []) if choice.entry.name == "lir"]
    cells = plan_cells(choices, data, [0], "cpu", options.out, fresh=False)
    outcomes = run_cells(cells, Progress(shown=not options.quiet))
    bad = [outcome.reason for outcome in outcomes.values() if not outcome.is_good]
    if bad:
        raise HarnessError(f"{data.card.name}: the Last Item Repeater did not finish: {bad[0]}")
    record = read_record(cells[0].folder / RECORD_FILE)
    return [record.metrics[metric]["optimistic"] for metric in METRICS]
