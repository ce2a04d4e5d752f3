"""``run``: methods on data sets with seeds, then the leaderboard."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING, Any

from harness.commands.options import (
    DEFAULT_DATASET,
    add_data_options,
    add_out_option,
    add_variant_options,
    chosen_card,
    default_cache,
    names,
    seeds,
)
from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.planning import Cell


THREADS_HELP = (
    "threads of numeric code (default: $OMP_NUM_THREADS, or 2); a part of the result on a CPU, "
    "since sums round in another order, so the default does not follow the machine"
)


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("run", help="run methods and print the leaderboard")
    parser.add_argument(
        "--methods", required=True, metavar="NAMES",
        help="comma-separated NAME or NAME:PRESET; popularity, random and lir join by themselves",
    )  # fmt: skip
    parser.add_argument(
        "--datasets", default=DEFAULT_DATASET, metavar="NAMES",
        help=f"comma-separated names or paths of .toml cards (default: {DEFAULT_DATASET})",
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
    add_variant_options(parser)
    add_out_option(parser)
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Plan, run and print; 0 only if every cell is finished."""
    _limit_threads(options.threads)
    from harness.planning import choose_methods, foreseen

    choices = choose_methods(names(options.methods), options.assignments)
    if not names(options.methods):
        raise UsageError("--methods names no method")
    seed_list = seeds(options.seeds)
    device = _device(options.device)
    cells, absent = _planned(options, choices, seed_list, device)
    if options.dry_run:
        for cell in cells:
            print(f"{cell.name}: {foreseen(cell)}")
    status = 0 if options.dry_run else _run(options, cells)
    for reason in absent:
        print(f"error: {reason}", file=sys.stderr)
    return 1 if absent else status


def _limit_threads(threads: int | None) -> None:
    """Fix the number of threads before numpy, numba or torch is imported."""
    if threads is not None and threads < 1:
        raise UsageError(f"--threads must be at least 1, found {threads}")
    from harness.environment import THREADS_VARIABLE, numeric_threads

    count = str(threads or numeric_threads())
    os.environ[THREADS_VARIABLE] = count
    for variable in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = count


def _device(chosen: str) -> str:
    from harness.environment import cuda_devices, default_device, torch_has_cuda

    if chosen == "cuda" and not (torch_has_cuda() and cuda_devices()):
        build = "a CUDA build" if torch_has_cuda() else "a build without CUDA"
        raise UsageError(
            f"--device cuda: the installed torch is {build} and the driver offers "
            f"{cuda_devices()} devices; use --device cpu"
        )
    return default_device() if chosen == "auto" else chosen


def _planned(
    options: argparse.Namespace, choices: list[Any], seed_list: list[int], device: str
) -> tuple[list[Cell], list[str]]:
    """Return the cells of every data set that can be prepared, and why others cannot."""
    from harness.data.prepare import prepare
    from harness.planning import plan_cells
    from harness.progress import Progress

    progress = Progress(shown=not options.quiet)
    cards = [chosen_card(name, options) for name in names(options.datasets)]
    if not cards:
        raise UsageError("--datasets names no data set")
    if len({card.name for card in cards}) < len(cards):
        raise UsageError("two of the --datasets have the same name; give one of the cards another")
    cache = options.cache or default_cache()
    cells: list[Cell] = []
    absent: list[str] = []
    for card in cards:
        try:
            data = prepare(card, cache, progress)
        except DataError as error:  # the other data sets can still be run
            absent.append(str(error))
            continue
        cells += plan_cells(choices, data, seed_list, device, options.out, options.fresh)
    return cells, absent


def _run(options: argparse.Namespace, cells: list[Cell]) -> int:
    from harness.boards import run_board, write_run_board
    from harness.files import explain_os_error
    from harness.leaderboard import terminal
    from harness.progress import Progress
    from harness.runner import Outcome, run_cells

    outcomes = dict(run_cells(cells, Progress(shown=not options.quiet)))
    for name in dict.fromkeys(cell.data.card.name for cell in cells):
        board = run_board(options.out, [cell for cell in cells if cell.data.card.name == name])
        print(terminal(board))
        try:
            print(f"markdown: {write_run_board(options.out, board)}\n")
        except OSError as error:
            reason = f"not written: {explain_os_error(error)}"
            outcomes[f"{name}: the markdown page"] = Outcome("failed", reason)
            print(f"markdown: {reason}\n")
    bad = {name: outcome for name, outcome in outcomes.items() if not outcome.is_good}
    for name, outcome in bad.items():
        print(f"{outcome.state}: {name}: {outcome.reason}")
    return 1 if bad else 0
