"""Files of pre-training: the state to go on from, the best weights so far, the finished result.

All lie in one folder, each is whole or absent. The state names the file of the best weights, so
that a state and the weights it means are never mixed up, whenever a process is stopped. Random
numbers are no part of it: they are seeded by epoch and step.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save

from harness.errors import MethodError
from harness.files import atomic_write, write_json

STATE, WEIGHTS, COST = "state.pt", "encoder.safetensors", "cost.json"

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
    with atomic_write(folder / STATE) as stream:
        torch.save({"standing": asdict(standing), **parts}, stream)
    for path in folder.glob("best-*.safetensors"):
        if path != best_path(folder, standing.best_epoch):
            path.unlink()


def load_state(folder: Path) -> tuple[Standing, dict[str, Any]] | None:
    """Return what `save_state` wrote, on the CPU; None where there is nothing.

    Raises:
        MethodError: the file is damaged.
    """
    path = folder / STATE
    if not path.exists():
        return None
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        return Standing(**found.pop("standing")), found
    except Exception as error:  # pickle, zipfile and torch raise many kinds
        raise MethodError(
            f"recformer cannot go on with pre-training: {path} is damaged "
            f"({type(error).__name__}); delete it to begin anew"
        ) from error


def best_path(folder: Path, epoch: int) -> Path:
    """Return where the weights of an epoch lie while it is the best."""
    return folder / f"best-{epoch}.safetensors"


def save_weights(path: Path, state: State) -> None:
    """Write a model's weights."""
    content = save({key: weights.detach().cpu().contiguous() for key, weights in state.items()})
    with atomic_write(path) as stream:
        stream.write(content)


# ---- the result ----------------------------------------------------------------------------------


def finish(folder: Path, state: State, cost: Cost) -> None:
    """Write the result, its cost last, which says that it is whole; clear away the rest."""
    save_weights(folder / WEIGHTS, state)
    write_json(folder / COST, asdict(cost))
    for path in (folder / STATE, *folder.glob("best-*.safetensors")):
        path.unlink(missing_ok=True)


def finished(folder: Path) -> Cost | None:
    """Return what the finished pre-training took; None where it is not finished.

    Raises:
        MethodError: the file is damaged.
    """
    path = folder / COST
    if not path.exists():
        return None
    try:
        return Cost(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise MethodError(
            f"recformer cannot read what its pre-training took, {path} ({type(error).__name__}): "
            "delete the folder to pre-train anew"
        ) from error


def load_weights(path: Path, model: torch.nn.Module) -> None:
    """Put weights that `save_weights` wrote into the model they came from.

    Raises:
        MethodError: the file is missing or damaged, or of another model.
    """
    try:
        model.load_state_dict(load_file(path))
    except Exception as error:  # safetensors and torch raise many kinds
        raise MethodError(
            f"recformer cannot read its pre-trained weights, {path} ({type(error).__name__}): "
            "delete the folder to pre-train anew"
        ) from error
