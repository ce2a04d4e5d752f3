"""``run``: methods on data sets with seeds, then the leaderboard."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.board_runs import Runs, asked_runs
from harness.commands.options import (
    DEFAULT_DATASET,
    add_data_options,
    add_out_option,
    add_variant_options,
    chosen_card,
    default_cache,
    limit_threads,
    names,
)
from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.data.card import DatasetCard
    from harness.data.prepared import PreparedData
    from harness.external.cells import ExternalCell
    from harness.external.submission import Submission
    from harness.planning import Cell, PlannedCell

Prepare = Callable[["DatasetCard"], "PreparedData"]
THREADS_HELP = (
    "threads of numeric code (default: $OMP_NUM_THREADS, or 2); a part of the result on a CPU, "
    "since sums round in another order, so the default does not follow the machine"
)


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("run", help="run methods and print the leaderboard")
    parser.add_argument(
        "--methods", default="", metavar="NAMES",
        help="comma-separated NAME or NAME:PRESET; popularity, random and lir join by themselves",
    )  # fmt: skip
    parser.add_argument(
        "--datasets", default=DEFAULT_DATASET, metavar="NAMES",
        help=f"comma-separated names or paths of .toml cards (default: {DEFAULT_DATASET})",
    )  # fmt: skip
    parser.add_argument(
        "--board", metavar="NAME",
        help="run what leaderboards/NAME.toml (or a path) declares: its data sets, methods, seeds",
    )  # fmt: skip
    parser.add_argument("--seeds", default="0", help="comma-separated (default: 0)")
    parser.add_argument(
        "--set", action="append", default=[], metavar="METHOD.SETTING=VALUE", dest="assignments",
        help="change a setting; may be repeated (`list methods NAME` shows what there is)",
    )  # fmt: skip
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help=THREADS_HELP)
    parser.add_argument("--fresh", action="store_true", help="run finished cells again")
    parser.add_argument("--dry-run", action="store_true", help="list the cells, run nothing")
    _add_external_options(parser)
    add_variant_options(parser)
    add_out_option(parser)
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def _add_external_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--external", action="append", default=[], metavar="NAME=FILE",
        help="a row made elsewhere: scores, ranked lists or ranks (.parquet, .csv, .tsv, .trec, "
        ".run, .npz); NAME@SEED=FILE for several seeds; may be repeated; needs no --methods",
    )  # fmt: skip
    parser.add_argument(
        "--external-split", metavar="HASH", help="the split of files that do not name it themselves"
    )


def execute(options: argparse.Namespace) -> int:
    """Plan, run and print; 0 only if every cell is finished."""
    limit_threads(options.threads)
    from harness.external.submission import parse_submission
    from harness.planning import foreseen

    runs = asked_runs(options)
    submissions = [parse_submission(text) for text in options.external]
    if not (options.board or names(options.methods) or submissions):
        raise UsageError("--methods names no method, and neither --board nor --external is given")
    if options.external_split is not None and not submissions:
        raise UsageError("--external-split goes with --external")
    device = _device(options.device)
    prepare = _prepare_once(options)
    prepared, absent = _prepared(options, prepare)
    external = _external(options, submissions, prepared, absent)
    cells = _planned(options, runs, prepared, device, prepare)
    if options.dry_run:
        listed: list[PlannedCell] = [*external, *cells]
        for cell in listed:
            print(f"{cell.name}: {foreseen(cell)}")
    status = 0 if options.dry_run else _run(options, cells, external)
    for reason in absent:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if absent else status


def _device(chosen: str) -> str:
    from harness.environment import cuda_devices, default_device, torch_has_cuda

    if chosen == "cuda" and not (torch_has_cuda() and cuda_devices()):
        build = "a CUDA build" if torch_has_cuda() else "a build without CUDA"
        raise UsageError(
            f"--device cuda: the installed torch is {build} and the driver offers "
            f"{cuda_devices()} devices; use --device cpu"
        )
    return default_device() if chosen == "auto" else chosen


def _prepare_once(options: argparse.Namespace) -> Prepare:
    """Return what prepares a data set, once: the part of a mixture may be evaluated on, too."""
    from harness.data.prepare import prepare, prepared_folder
    from harness.progress import Progress

    progress, cache = Progress(shown=not options.quiet), _cache(options)
    known: dict[tuple[Path, str], PreparedData] = {}

    def prepare_once(card: DatasetCard) -> PreparedData:
        key = (prepared_folder(card, cache), card.hash)
        if key not in known:
            known[key] = prepare(card, cache, progress)
        return known[key]

    return prepare_once


def _cache(options: argparse.Namespace) -> Path:
    chosen: Path | None = options.cache
    return chosen or default_cache()


def _prepared(
    options: argparse.Namespace, prepare: Prepare
) -> tuple[list[PreparedData], list[str]]:
    """Return every data set that can be prepared, and why others cannot."""
    cards = [chosen_card(name, options) for name in names(options.datasets)]
    if not cards:
        raise UsageError("--datasets names no data set")
    if len({card.name for card in cards}) < len(cards):
        raise UsageError("two of the --datasets have the same name; give one of the cards another")
    prepared: list[PreparedData] = []
    absent: list[str] = []
    for card in cards:
        try:
            prepared.append(prepare(card))
        except DataError as error:  # the other data sets can still be run
            absent.append(str(error))
    return prepared, absent


def _planned(
    options: argparse.Namespace, runs: Runs, prepared: list[PreparedData], device: str,
    prepare: Prepare,
) -> list[Cell]:  # fmt: skip
    """Return the cells of every data set, each once: the baselines join every one of the runs.

    The parts of a mixture are prepared in the variant that the command line asks for, as the data
    sets are.
    """
    from harness.planning import plan_cells
    from harness.pretraining import PreparedMixtures

    mixtures = PreparedMixtures(
        lambda reference: prepare(chosen_card(reference, options, tested=False))
    )
    planned = [
        cell
        for data in prepared
        for choices, seed_list in runs
        for cell in plan_cells(
            choices, data, seed_list, device, options.out, options.fresh, mixtures
        )
    ]
    return list({cell.name: cell for cell in planned}.values())


def _external(
    options: argparse.Namespace, submissions: list[Submission], prepared: list[PreparedData],
    absent: list[str],
) -> list[ExternalCell]:  # fmt: skip
    """Return the cells of submissions, which boards take like any other.

    A file of no split that is there ends the run before anything is trained, unless the data set
    it is for may be one of those absent.
    """
    from harness.external.cells import plan_submissions

    try:
        return list(
            plan_submissions(
                submissions, options.external_split, prepared, options.out, options.fresh
            )
        )
    except DataError as error:
        if not absent:
            raise
        absent.append(str(error))
        return []


def _run(options: argparse.Namespace, cells: list[Cell], external: list[ExternalCell]) -> int:
    from harness.board.run_folder import run_board, write_run_board
    from harness.board.terminal import terminal
    from harness.external.recording import record_submissions
    from harness.files import explain_os_error
    from harness.progress import Progress
    from harness.runner import Outcome, run_cells
    from harness.split_keeping import keep_beside_runs

    progress = Progress(shown=not options.quiet)
    # submissions first: they take seconds, and what is wrong with a file shows at once
    outcomes = record_submissions(external, progress) | run_cells(cells, progress, _cache(options))
    planned: list[PlannedCell] = [*cells, *external]
    for name, data in {cell.data.card.name: cell.data for cell in planned}.items():
        board = run_board(options.out, [cell for cell in planned if cell.data.card.name == name])
        if board is None:
            print(f"{name}: no record, so no board\n")
            continue
        print(terminal(board))
        try:
            keep_beside_runs(options.out, data)
            print(f"markdown: {write_run_board(options.out, name, board)}\n")
        except OSError as error:
            reason = f"not written: {explain_os_error(error)}"
            outcomes[f"{name}: the markdown page"] = Outcome("failed", reason)
            print(f"markdown: {reason}\n")
    bad = {name: outcome for name, outcome in outcomes.items() if not outcome.is_good}
    for name, outcome in bad.items():
        print(f"{outcome.state}: {name}: {outcome.reason}")
    return 1 if bad else 0
