"""Sources, contexts that keep what is logged, and the work of one of several processes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.histories import Histories
from harness.method import RunContext, SourceDomain
from harness.progress import Progress
from harness.settings import Layer, resolve
from methods.calrec import METHOD
from methods.calrec.sequences import TrainingPair

PAIRS = [
    TrainingPair([5, 6, 7, 8], [9, 10, 1]),
    TrainingPair([5, 6], [11, 12, 13, 14, 1]),
    TrainingPair([5, 9, 4], [20, 1]),
    TrainingPair([5, 3, 4, 8, 9, 2], [11, 12, 30, 1]),
    TrainingPair([5, 3], [11, 30, 1]),
]


def settings_of(**values: Any) -> Any:
    """Quick settings, changed."""
    layers = [Layer("quick", METHOD.card.quick_settings), Layer("test", values)]
    return resolve(METHOD.Settings, "calrec", layers)[0]


class Logged:
    """A context whose log is kept in ``lines``."""

    def __init__(self, folder: Path, seed: int = 0, validation: float = 0.5) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.lines: list[Mapping[str, Any]] = []
        self.context = RunContext(
            seed=seed,
            device="cpu",
            work_dir=folder,
            progress=Progress(shown=False),
            validate_fn=lambda method, users: validation,
            log_fn=self.lines.append,
        )


def sources(selecting: bool = True, texts: Sequence[str] = ()) -> tuple[SourceDomain, ...]:
    """Two data sets in which items follow each other in a cycle; the second one selects."""
    found = []
    for number, (name, share) in enumerate((("one", 0.75), ("other", 0.25))):
        names = texts or [f"Title: {name} {word}. Brand: Unknown." for word in "abcdefgh"]
        lists = [[(user + step) % 8 for step in range(5)] for user in range(6 + number)]
        last = number == 1 and selecting
        found.append(
            SourceDomain(
                name=name,
                n_items=8,
                histories=Histories.from_lists(lists),
                selection_targets=np.array([(user + 5) % 8 for user in range(7)], np.int32)
                if last
                else None,
                probability=share,
                verb="bought" if number else "watched",
                inputs=METHOD.card.inputs,
                _item_texts=tuple(names),
            )
        )
    return tuple(found)


def tiny_backbone(**values: Any) -> Any:
    """An untrained tiny backbone in float64, so that sums in another order show no rounding."""
    from methods.calrec.loading import load_backbone
    from methods.calrec.prompts import Template
    from tests.unit.methods.calrec.conftest import CATALOGUE

    found = load_backbone(settings_of(**values), CATALOGUE, [Template("bought")], "cpu", 3)
    found.model.double()
    return found


def shared_steps(rank: int, folder: str, n_processes: int, sizes: Sequence[int]) -> None:
    """Take the gradients of batches as one of several processes, and save them."""
    from methods._gathering import add_up_gradients
    from methods.calrec.gradients import StepGradient

    torch.set_num_threads(1)
    if n_processes > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=n_processes
        )
    for n_pairs in sizes:
        backbone = tiny_backbone()
        step = StepGradient(backbone, settings_of(tokens_at_once=12), (0,))
        found = step.accumulate(PAIRS[:n_pairs], 0)
        add_up_gradients(backbone.trained)
        gradients = [weights.grad for weights in backbone.trained]
        losses = torch.tensor([found.nig_sum, found.tt, found.ut, found.n_tokens])
        torch.save([losses, *gradients], f"{folder}/{n_pairs}-{n_processes}-{rank}")
    if n_processes > 1:
        torch.distributed.destroy_process_group()
