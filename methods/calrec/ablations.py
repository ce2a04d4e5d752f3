r"""Run CALRec's ablations and print them in the layout of the paper's tables 3, 4, 6 and 8.

    python -m methods.calrec.ablations --datasets ml-100k --stage1 none
    python -m methods.calrec.ablations --datasets scientific --stage1 local-stage-one \
        --set stage1_steps=2000 --set stage1_check_every=500

Each variant is a row of the harness as ``run`` would make it: finished ones are kept, and what two
of them share (stage I, the weights that both matchings read) is trained once.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harness.records import Record

FULL, NO_STAGE_ONE, NO_STAGE_TWO = "CALRec", "A: no stage I", "B: no stage II"
NO_CONTRASTIVE, UNTUNED = "w/o contrastive", "pretrained only"
TEMPLATE, HIERARCHICAL = "GPT4Rec's template", "hierarchical"
METRICS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")
PAPER_BOUNDS = ("optimistic", "pessimistic")
MISSING = "-"


@dataclass(frozen=True)
class Measured:
    """A finished row on one data set."""

    record: Record
    ranks: Mapping[str, NDArray[Any]]

    def value(self, metric: str, bound: str) -> float:
        """Return a metric's mean over users."""
        return float(self.record.metrics[metric][bound])

    def users(self, metric: str, bound: str) -> NDArray[Any]:
        """Return float64 [n_users]."""
        from harness.metrics import METRICS as ALL

        (found,) = (one for one in ALL if one.name == metric)
        return found.values(self.ranks[bound])


Rows = Mapping[str, Mapping[str, Measured]]
"""Data set -> variant -> its row; what failed is absent."""


def variants(stage1: str | None) -> dict[str, tuple[str, dict[str, str]]]:
    """Return variant -> row of the harness and the settings given for it.

    Without a mixture there is no stage I anywhere: the full method and variant B are left out,
    and A is what the others are compared with.
    """
    mixture = {"stage1": stage1 or "none"}
    found: dict[str, tuple[str, dict[str, str]]] = {}
    if stage1:
        found[FULL] = ("calrec:full", mixture)
    found[NO_STAGE_ONE] = ("calrec:stage2-only", {})
    if stage1:
        found[NO_STAGE_TWO] = ("calrec:stage1-only", mixture)
    found[NO_CONTRASTIVE] = ("calrec:no-contrastive", mixture)
    found[UNTUNED] = ("calrec:pretrained-only", {})
    found[TEMPLATE] = ("calrec:gpt4rec-template", {})
    found[HIERARCHICAL] = ("calrec:hierarchical", mixture if stage1 else {})
    return found


# ---- tables --------------------------------------------------------------------------------------


def table_3(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Return head and lines: the ablations, optimistic/pessimistic."""
    names = [FULL, NO_STAGE_ONE, NO_STAGE_TWO, NO_CONTRASTIVE, UNTUNED]
    return ["data set", "metric", *names], [
        [dataset, metric, *(_both(found.get(name), metric) for name in names)]
        for dataset, found in rows.items()
        for metric in METRICS
    ]


def table_4(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Return head and lines: averages over data sets with and without the contrastive losses.

    p is that of the paired t-test, two-sided: over data sets where there are two or more, else
    over the users of the one.
    """
    sides = [
        (found.get(FULL) or found.get(NO_STAGE_ONE), found.get(NO_CONTRASTIVE))
        for found in rows.values()
    ]
    pairs = [(one, two) for one, two in sides if one is not None and two is not None]
    head = ["metric", "bound", "with", "without", "improvement", "p"]
    if not pairs:
        return head, []
    lines = []
    for metric in METRICS:
        for bound in PAPER_BOUNDS:
            with_, without = (
                sum(pair[side].value(metric, bound) for pair in pairs) / len(pairs)
                for side in (0, 1)
            )
            change = f"{100 * (with_ / without - 1):+.1f} %" if without else MISSING
            lines.append(
                [metric, bound, f"{with_:.4f}", f"{without:.4f}", change,
                 _p_value(pairs, metric, bound)]
            )  # fmt: skip
    return head, lines


def _p_value(pairs: Sequence[tuple[Measured, Measured]], metric: str, bound: str) -> str:
    from harness.statistics.across import across_datasets
    from harness.statistics.paired import paired_tests

    if len(pairs) > 1:
        differences = [one.value(metric, bound) - two.value(metric, bound) for one, two in pairs]
        p = across_datasets(differences).p_value
    else:
        ((one, two),) = pairs
        p = paired_tests(one.users(metric, bound), two.users(metric, bound), resamples=1).p_t
    return MISSING if math.isnan(p) else f"{p:.4f}"


def table_6(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Return head and lines: the untuned model, asked by either template."""
    names = [UNTUNED, TEMPLATE]
    return ["data set", "metric", *names], [
        [dataset, metric, *(_both(found.get(name), metric) for name in names)]
        for dataset, found in rows.items()
        for metric in METRICS
    ]


def table_8(rows: Rows) -> tuple[list[str], list[list[str]]]:
    """Return head and lines: hierarchical matching, and its change against BM25 in percent."""
    head = ["data set", "format errors", "all attributes", "title only", *METRICS]
    lines = []
    for dataset, found in rows.items():
        matched, plain = found.get(HIERARCHICAL), found.get(FULL) or found.get(NO_STAGE_ONE)
        if matched is None or plain is None:
            continue
        report = matched.record.report
        shares = [
            f"{100 * report[name]:.2f} %"
            for name in ("format_error_share", "all_attributes_match_share", "title_match_share")
        ]
        cells = []
        for metric in METRICS:
            before, after = (
                sum(row.value(metric, bound) for bound in PAPER_BOUNDS) for row in (plain, matched)
            )
            change = f" ({100 * (after / before - 1):+.1f} %)" if before else ""
            cells.append(_both(matched, metric) + change)
        lines.append([dataset, *shares, *cells])
    return head, lines


def _both(row: Measured | None, metric: str) -> str:
    if row is None:
        return MISSING
    return "/".join(f"{row.value(metric, bound):.4f}" for bound in PAPER_BOUNDS)


TITLES = {
    3: (table_3, "ablations"),
    4: (table_4, "with and without the contrastive losses, averaged over data sets"),
    6: (table_6, "another template for the untuned model"),
    8: (table_8, "hierarchical matching, and its change against BM25"),
}


def printed(rows: Rows) -> str:
    """Return all four tables as markdown."""
    from tabulate import tabulate

    parts = []
    for number, (table, title) in TITLES.items():
        head, lines = table(rows)
        body = tabulate(lines, head, tablefmt="github", disable_numparse=True)
        parts.append(f"Table {number}: {title} (optimistic/pessimistic)\n\n{body}")
    return "\n\n".join(parts)


# ---- running -------------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    from harness.commands.options import add_data_options, add_out_option, add_variant_options

    found = argparse.ArgumentParser(
        prog="python -m methods.calrec.ablations", description="CALRec's ablations, tables 3 to 8"
    )
    found.add_argument("--datasets", default="ml-100k", help="comma-separated")
    found.add_argument(
        "--stage1", default="calrec-stage-one",
        help="the mixture of stage I (default: the paper's fourteen categories), or none",
    )  # fmt: skip
    found.add_argument("--seed", type=int, default=0)
    found.add_argument(
        "--set", action="append", default=[], dest="assignments", metavar="SETTING=VALUE",
        help="change a setting of every variant; may be repeated",
    )  # fmt: skip
    found.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    found.add_argument("--threads", type=int, help="as in run")
    add_variant_options(found)
    add_out_option(found)
    add_data_options(found)
    return found


def main(arguments: Sequence[str]) -> int:
    """Run what is not finished and print the tables; 1 where a variant failed."""
    options = parser().parse_args(arguments)
    from harness.commands.options import limit_threads
    from harness.errors import HarnessError

    limit_threads(options.threads)
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    try:
        rows, failed = _run(options)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(printed(rows))
    for name in failed:
        print(f"error: {name} has no numbers, see above", file=sys.stderr)
    return 1 if failed else 0


def _run(options: argparse.Namespace) -> tuple[Rows, list[str]]:
    from harness.commands.options import chosen_card, default_cache, names
    from harness.data.prepare import prepare
    from harness.planning import choose_methods, plan_cell
    from harness.pretraining import PreparedMixtures
    from harness.progress import Progress
    from harness.runner import run_cells

    cache, progress = options.cache or default_cache(), Progress(shown=not options.quiet)
    mixtures = PreparedMixtures(
        lambda reference: prepare(chosen_card(reference, options, tested=False), cache, progress)
    )
    stage1 = None if options.stage1.lower() == "none" else options.stage1
    rows: dict[str, dict[str, Measured]] = {}
    failed = []
    for dataset in names(options.datasets):
        data = prepare(chosen_card(dataset, options), cache, progress)
        found = rows.setdefault(data.card.name, {})
        for variant, (row, given) in variants(stage1).items():
            assigned = [f"calrec.{text}" for text in options.assignments]
            assigned += [f"calrec.{name}={value}" for name, value in given.items()]
            choice = choose_methods([row], assigned)[0]
            cell = plan_cell(
                choice, data, options.seed, options.device, options.out, False, mixtures
            )
            outcome = run_cells([cell], progress, cache)[cell.name]
            if outcome.is_good:
                found[variant] = _measured(cell.folder)
            else:
                failed.append(cell.name)
    return rows, failed


def _measured(folder: Path) -> Measured:
    from harness.records import RECORD_FILE, read_record, verified_ranks

    record = read_record(folder / RECORD_FILE)
    return Measured(record, verified_ranks(folder, record))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
