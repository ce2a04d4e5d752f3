r"""Train CALRec in several processes, one per GPU, before a run that takes the weights from there.

    accelerate launch --num_processes 4 -m methods.calrec.several --datasets scientific \
        --set calrec.backbone=FOLDER
    python -m harness run --methods calrec --datasets scientific --set calrec.backbone=FOLDER

The processes share each batch: negatives are gathered across them, gradients add up, and the result
is that of one process up to the rounding of sums (where a model has dropout, each draws its own).
The weights go where `RunContext.shared` puts them, so the second command, with the same settings,
seed, device and threads, finds them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

WAIT_HOURS = 24


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line: the options of ``run`` that decide a cell."""
    from harness.commands.options import add_data_options, add_variant_options

    found = argparse.ArgumentParser(
        prog="python -m methods.calrec.several", description="train CALRec in several processes"
    )
    found.add_argument("--method", default="calrec", help="calrec or calrec:PRESET")
    found.add_argument("--datasets", required=True, help="one data set")
    found.add_argument("--seed", type=int, default=0)
    found.add_argument("--set", action="append", default=[], dest="assignments")
    found.add_argument("--device", choices=("cpu", "cuda"), default="cuda")
    found.add_argument("--threads", type=int, help="as in run, of each process")
    add_variant_options(found)
    add_data_options(found)
    return found


def main(arguments: Sequence[str]) -> int:
    """Train; the first process tells how it went."""
    options = parser().parse_args(arguments)
    from harness.commands.options import limit_threads
    from harness.environment import DEFAULT_THREADS

    # as `run` has them: accelerate sets the variable to 1, and threads decide the shared folder
    limit_threads(options.threads or DEFAULT_THREADS)
    from accelerate import PartialState

    from harness.errors import HarnessError

    # the others wait while the first one prepares and validates
    state = PartialState(cpu=options.device == "cpu", timeout=timedelta(hours=WAIT_HOURS))
    try:
        _train(options, first=state.is_main_process)
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    finally:
        state.destroy_process_group()
    return 0


def _train(options: argparse.Namespace, first: bool) -> None:
    from harness.cells import CellInput, Validation, run_context, training_data
    from harness.commands.options import chosen_card, default_cache
    from harness.data.prepare import prepare
    from harness.planning import choose_methods, plan_cell
    from harness.pretraining import PreparedMixtures
    from harness.progress import Progress
    from harness.runner import shared_folders
    from harness.seeding import seed_everything
    from harness.splits import split_data
    from methods import _gathering as gathering

    cache, progress = options.cache or default_cache(), Progress(shown=first and not options.quiet)
    # the first process prepares, the others find it prepared
    if not first:
        gathering.agreed(None)
    mixtures = PreparedMixtures(
        lambda reference: prepare(chosen_card(reference, options, tested=False), cache, progress)
    )
    data = prepare(chosen_card(options.datasets, options), cache, progress)
    choice = choose_methods([options.method], options.assignments)[0]
    with tempfile.TemporaryDirectory() as folder:
        cell = plan_cell(
            choice, data, options.seed, options.device, Path(folder), fresh=True, mixtures=mixtures
        )
        if first:
            gathering.agreed(None)
        method = choice.entry.method(cell.settings)
        inputs = CellInput(
            method, data.card.name, data.item_texts, data.card.verb, split_data(data),
            options.seed, options.device, data.item_attributes, cell.mixture,
        )  # fmt: skip
        context = run_context(
            inputs, Path(folder), progress, Validation(inputs), lambda values: None,
            shared_folders(cell, cache),
        )  # fmt: skip
        seed_everything(options.seed)
        method.fit(training_data(inputs), context)
        if first:
            for name, value in method.describe().items():
                print(f"{name}: {value}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
