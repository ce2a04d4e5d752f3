"""Files of pre-training: the state to go on from, the best weights so far, the finished result.

All lie in one folder, each is whole or absent. The state names the file of the best weights, so
that a state and the weights it means are never mixed up, whenever a process is stopped. Random
numbers are no part of it: they are seeded by epoch and step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from methods import _resumable
from methods._resumable import STATE, Training, save_weights

__all__ = ["STATE", "save_weights"]

WEIGHTS, COST = "encoder.safetensors", "cost.json"
TRAINING = Training("recformer")

State = dict[str, torch.Tensor]


@dataclass
class Standing:
    """How far pre-training has come.

    Attributes:
        epoch: finished ones.
        step: finished ones of the epoch that is under way.
        pairs: read so far.
        tokens: read so far with a gradient, without padding: those of each pair, and once more
            those of masked language modelling.
        seconds: of training alone, without validation and files.
        contrastive, guessing: sums over the pairs of the epoch that is under way of the losses;
            guessing is masked language modelling, of both sides together.
        epoch_pairs: pairs of that epoch.
        best_epoch: from 1; 0 before the first selection.
        best_accuracy: of that epoch; None where nothing selects.
        last_contrastive, last_guessing: mean losses of the last finished epoch.
    """

    epoch: int = 0
    step: int = 0
    pairs: int = 0
    tokens: int = 0
    seconds: float = 0.0
    contrastive: float = 0.0
    guessing: float = 0.0
    epoch_pairs: int = 0
    best_epoch: int = 0
    best_accuracy: float | None = None
    last_contrastive: float = 0.0
    last_guessing: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What pre-training took, and how it went; see `Standing`.

    Attributes:
        pairs, tokens, seconds: of all epochs.
        epochs: that were run.
        best_epoch: the one that is kept; the last where nothing selects.
        best_accuracy: share of the selecting domain's users whose item is found within a batch.
        contrastive_loss, guessing_loss: means of the last epoch.
    """

    pairs: int
    tokens: int
    seconds: float
    epochs: int
    best_epoch: int
    best_accuracy: float | None
    contrastive_loss: float
    guessing_loss: float

    @property
    def tokens_per_second(self) -> float:
        """Speed of training."""
        return self.tokens / max(1e-9, self.seconds)


# ---- to go on from -------------------------------------------------------------------------------


def save_state(folder: Path, standing: Standing, parts: dict[str, Any]) -> None:
    """Write how far training has come, and ``parts``: ``state_dict`` s by name."""
    _resumable.save_state(folder, {"standing": asdict(standing), **parts})
    for path in folder.glob("best-*.safetensors"):
        if path != best_path(folder, standing.best_epoch):
            path.unlink()


def load_state(folder: Path) -> tuple[Standing, dict[str, Any]] | None:
    """Return what `save_state` wrote, on the CPU; None where there is nothing.

    Raises:
        MethodError: the file is damaged.
    """
    return _resumable.take_up(
        folder, TRAINING, lambda found: (Standing(**found.pop("standing")), found)
    )


def best_path(folder: Path, epoch: int) -> Path:
    """Return where the weights of an epoch lie while it is the best."""
    return folder / f"best-{epoch}.safetensors"


# ---- the result ----------------------------------------------------------------------------------


def finish(folder: Path, state: State, cost: Cost) -> None:
    """Write the result, its cost last, which says that it is whole; clear away the rest."""
    save_weights(folder / WEIGHTS, state)
    done_with = (folder / STATE, *folder.glob("best-*.safetensors"))
    _resumable.finish(folder / COST, cost, done_with)


def finished(folder: Path) -> Cost | None:
    """Return what the finished pre-training took; None where it is not finished.

    Raises:
        MethodError: the file is damaged.
    """
    return _resumable.finished(folder / COST, Cost, TRAINING)


def load_weights(path: Path, model: torch.nn.Module) -> None:
    """Put weights that `save_weights` wrote into the model they came from.

    Raises:
        MethodError: the file is missing or damaged, or of another model.
    """
    _resumable.put_weights(path, TRAINING, model.load_state_dict)
