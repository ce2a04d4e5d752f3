"""Files of a training stage: the state to go on from, the best weights so far, the result.

All lie in one folder, each is whole or absent. The state names the round of the best weights, so
that a state and the weights it means are never mixed up, whenever a process is stopped. Random
numbers are no part of it: they are seeded by round and step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from methods import _resumable
from methods._resumable import STATE, WEIGHTS, Training

RESULT = "result.json"
TRAINING = Training("calrec", "its training", "trained", "train")


@dataclass
class Standing:
    """How far a stage has come.

    Attributes:
        round: finished ones.
        step: finished steps of the round that is under way.
        steps: finished steps of all rounds.
        tokens: read so far with a gradient, without padding.
        seconds: of training alone, without validation and files.
        sums: of the round under way, what the log's means are made of.
        best_round: from 1; 0 before the first.
        best_metric: of that round; None where nothing validates.
        log: one line per finished round.
        halvings: how often memory ran out and passes were made smaller.
    """

    round: int = 0
    step: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    best_round: int = 0
    best_metric: float | None = None
    log: list[dict[str, Any]] = field(default_factory=list)
    halvings: int = 0


@dataclass(frozen=True)
class Result:
    """What a finished stage took, and how it went; see `Standing`.

    Attributes:
        rounds: that were run.
        kept_round: whose weights are kept.
        log: a line per round, as the fit log has them.
    """

    rounds: int
    kept_round: int
    steps: int
    tokens: int
    seconds: float
    best_metric: float | None
    log: list[dict[str, Any]]


def trained_weights(model: Any) -> dict[str, Any]:
    """Return the weights that are trained, by name, tied ones once."""
    return {name: weights for name, weights in model.named_parameters() if weights.requires_grad}


# ---- to go on from -------------------------------------------------------------------------------


def save_state(folder: Path, standing: Standing, model: Any, optimiser: Any) -> None:
    """Write how far a stage has come."""
    weights = {name: tensor.detach() for name, tensor in trained_weights(model).items()}
    parts = {"standing": asdict(standing), "weights": weights, "optimiser": optimiser.state_dict()}
    _resumable.save_state(folder, parts)
    for path in folder.glob("best-*.safetensors"):
        if path != best_path(folder, standing.best_round):
            path.unlink()


def load_state(folder: Path, model: Any, optimiser: Any) -> Standing | None:
    """Take up what `save_state` wrote; None where there is nothing.

    Raises:
        MethodError: the file is damaged, or of another model.
    """

    def put(found: dict[str, Any]) -> Standing:
        _copy(found["weights"], model)
        optimiser.load_state_dict(found["optimiser"])
        return Standing(**found["standing"])

    return _resumable.take_up(folder, TRAINING, put)


def best_path(folder: Path, number: int) -> Path:
    """Return where the weights of a round lie while it is the best."""
    return folder / f"best-{number}.safetensors"


def save_weights(path: Path, model: Any) -> None:
    """Write the weights that are trained."""
    _resumable.save_weights(path, trained_weights(model))


def load_weights(path: Path, model: Any) -> None:
    """Put weights that `save_weights` wrote into the model they came from.

    Raises:
        MethodError: the file is missing or damaged, or of another model.
    """
    _resumable.put_weights(path, TRAINING, lambda found: _copy(found, model))


def _copy(found: dict[str, Any], model: Any) -> None:
    import torch

    wanted = trained_weights(model)
    if set(found) != set(wanted):
        raise ValueError("other weights")
    with torch.no_grad():
        for name, weights in wanted.items():
            if weights.shape != found[name].shape:
                raise ValueError(f"{name} has another shape")
            weights.copy_(found[name])


# ---- the result ----------------------------------------------------------------------------------


def finish(folder: Path, model: Any, result: Result) -> None:
    """Write the weights, then the result, which says that all is whole; clear away the rest."""
    save_weights(folder / WEIGHTS, model)
    done_with = (folder / STATE, *folder.glob("best-*.safetensors"))
    _resumable.finish(folder / RESULT, result, done_with)


def finished(folder: Path) -> Result | None:
    """Return what the finished stage took; None where it is not finished.

    Raises:
        MethodError: the file is damaged.
    """
    return _resumable.finished(folder / RESULT, Result, TRAINING)
