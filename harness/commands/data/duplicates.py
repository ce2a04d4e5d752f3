"""``data duplicates``: what duplicates do to the Last Item Repeater (the paper's table 7)."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.data.preparing import Preparing, add_preparing_options
from harness.commands.options import add_out_option, chosen_card, default_cache
from harness.errors import HarnessError, UsageError

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData

METRICS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")
COLUMNS_WIDE = 120
_GAP, _NAMES_LEAST = "  ", len("(opt)")

Sides = tuple["PreparedData", "PreparedData"]
Metrics = Mapping[str, tuple[float, float]]
"""Metric -> its value (without dedup, with dedup)."""


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
    rule = options.dedup or "consecutive"
    if rule == "none":
        raise UsageError("--dedup names the rule of the side with dedup: consecutive or global")
    if options.without_texts:
        raise UsageError("--without-texts: the Last Item Repeater reads item texts; leave it out")
    preparing = Preparing.asked_for(options)
    sides = {name: _sides(name, rule, options, preparing) for name in options.names}
    print(_counts([after for _, after in sides.values()]))
    print()
    rows: list[tuple[str, Metrics]] = []
    for name, (before, after) in sides.items():
        without, deduplicated = (_optimistic(data, name, options) for data in (before, after))
        values = {metric: (without[metric], deduplicated[metric]) for metric in METRICS}
        rows.append((after.card.name, values))
        if after.card.paper_lir:
            rows.append(("paper", after.card.paper_lir))
    print(table_7(rows))
    return 0


def _sides(name: str, rule: str, options: argparse.Namespace, preparing: Preparing) -> Sides:
    """Return the data set without and with dedup.

    Raises:
        UsageError: no such data set.
        DataError: see `harness.data.prepare.prepare`.
    """
    from harness.data.cards import load_card
    from harness.data.sources import find_sources

    cards = [chosen_card(name, options, dedup=dedup) for dedup in ("none", rule)]
    if any(preparing.why_absent(card) for card in cards):
        # by the name that can be fetched, which that of a variant is not
        find_sources(load_card(name), preparing.folder, preparing.cache)
    before, after = (preparing.prepared(card) for card in cards)
    return before, after


def _counts(data_sets: Sequence[PreparedData]) -> str:
    rows = [
        (
            data.card.name,
            f"{data.counts['events_read']:,}",
            f"{data.counts['events_read'] - data.counts['duplicates_dropped']:,}",
            f"{data.counts['duplicates_dropped']:,}",
            f"{data.duplicates_percent:.1f} %",
        )
        for data in data_sets
    ]
    heads = ["data set", "events read", "after dedup", "duplicates", "share"]
    return tabulate(rows, heads, disable_numparse=True)


def table_7(rows: Sequence[tuple[str, Metrics]]) -> str:
    """Return the table: a name, the metrics without dedup, those with dedup and the changes.

    It is at most `COLUMNS_WIDE` wide: a name that is too long takes several lines.
    """
    values = [
        [
            *(f"{row[metric][0]:.4f}" if metric in row else "" for metric in METRICS),
            *(_with_change(*row[metric]) if metric in row else "" for metric in METRICS),
        ]
        for _, row in rows
    ]
    heads = [*METRICS, *METRICS]
    widths = [max(map(len, column)) for column in zip(heads, *values, strict=True)]
    room = COLUMNS_WIDE - sum(width + len(_GAP) for width in widths)
    names = [textwrap.wrap(name, max(room, _NAMES_LEAST)) for name, _ in rows]
    widths.insert(0, max(_NAMES_LEAST, *(len(part) for parts in names for part in parts)))

    def line(*cells: str) -> str:
        return _GAP.join(map(str.ljust, cells, widths)).rstrip()

    left = sum(width + len(_GAP) for width in widths[1 : 1 + len(METRICS)])
    table = [
        f"{'LIR':{widths[0]}}{_GAP}{'w/o dedup':{left}}w/ dedup (change)",
        line("(opt)", *heads),
        line(*("-" * width for width in widths)),
    ]
    for (first, *more), row in zip(names, values, strict=True):
        table += [line(first, *row), *more]
    return "\n".join(table)


def _with_change(without: float, deduplicated: float) -> str:
    """Return such as ``0.0565 (-36%)``."""
    change = f"{round(100 * (deduplicated / without - 1)):+d}%" if without else "not told"
    return f"{deduplicated:.4f} ({change})"


def _optimistic(data: PreparedData, name: str, options: argparse.Namespace) -> dict[str, float]:
    """Return LIR's optimistic metrics on one data set, from its record.

    Raises:
        HarnessError: the cell could not be run, and why; the data set is called ``name``.
    """
    from harness.planning import choose_methods, plan_cells
    from harness.progress import Progress
    from harness.records import RECORD_FILE, read_record
    from harness.runner import run_cells

    choices = [choice for choice in choose_methods(["lir"], []) if choice.entry.name == "lir"]
    cells = plan_cells(choices, data, [0], "cpu", options.out, fresh=False)
    progress = Progress(shown=not options.quiet)
    outcomes = run_cells(cells, progress, options.cache or default_cache())
    bad = [outcome.reason for outcome in outcomes.values() if not outcome.is_good]
    if bad:
        raise HarnessError(f"{name}: the Last Item Repeater did not finish: {bad[0]}")
    record = read_record(cells[0].folder / RECORD_FILE)
    return {metric: record.metrics[metric]["optimistic"] for metric in METRICS}
