"""Files of pre-training: the state to go on from, and the finished weights with what they took.

All lie in one folder, each is whole or absent. Random numbers are no part of a state: they are
seeded by epoch and step.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from methods import _resumable
from methods._resumable import STATE, WEIGHTS, Training

PARTS = ("position_embedding", "trm_encoder", "LayerNorm", "moe_adaptor")
"""Of the network, what pre-training trains and a checkpoint holds: all but item embeddings."""
COST = "cost.json"

State = dict[str, Any]


@dataclass
class Standing:
    """How far pre-training has come.

    Attributes:
        epoch: finished ones.
        sequences: read so far; every prefix of a history is one.
        seconds: of training alone.
        seq_item_loss, seq_seq_loss, accuracy: means of the last finished epoch; accuracy is the
            share of sequences whose next item is found within the batch.
    """

    epoch: int = 0
    sequences: int = 0
    seconds: float = 0.0
    seq_item_loss: float = 0.0
    seq_seq_loss: float = 0.0
    accuracy: float = 0.0


@dataclass(frozen=True)
class Cost:
    """What pre-training took, and how it went; see `Standing`.

    Attributes:
        epochs: that were run.
        sequences, seconds: of all epochs.
        seq_item_loss, seq_seq_loss, accuracy: means of the last epoch.
        reused: whether the weights were there already; then all else says what they took then.
    """

    epochs: int
    sequences: int
    seconds: float
    seq_item_loss: float
    seq_seq_loss: float
    accuracy: float
    reused: bool = False


# ---- weights -------------------------------------------------------------------------------------


def part_state(network: Any) -> State:
    """Return the tensors of `PARTS` by key, in the network's order; they are the network's own."""
    return {
        key: tensor
        for key, tensor in network.state_dict().items()
        if key.partition(".")[0] in PARTS
    }


def put(network: Any, state: State) -> None:
    """Copy tensors into the network's parts; ``state`` has every key of `part_state`."""
    import torch

    with torch.no_grad():
        for key, tensor in part_state(network).items():
            tensor.copy_(state[key])


def load_weights(folder: Path, network: Any, owner: str) -> None:
    """Put the finished weights into a network like the one they came from.

    Raises:
        MethodError: the file is missing or damaged, or of another network.
    """
    _resumable.put_weights(folder / WEIGHTS, Training(owner), lambda found: _copy(found, network))


def _copy(found: State, network: Any) -> None:
    _check_shapes(found, part_state(network))
    put(network, found)


def _check_shapes(found: State, expected: State) -> None:
    shapes = [{key: tensor.shape for key, tensor in state.items()} for state in (found, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError("keys and shapes are those of another network")


# ---- to go on from -------------------------------------------------------------------------------


def save_state(folder: Path, standing: Standing, network: Any, optimiser: Any) -> None:
    """Write how far training has come."""
    content = {
        "standing": asdict(standing),
        "network": part_state(network),
        "optimiser": optimiser.state_dict(),
    }
    _resumable.save_state(folder, content)


def load_state(folder: Path, network: Any, optimiser: Any, owner: str) -> Standing:
    """Take up what `save_state` wrote; return how far it had come, or a new standing.

    Raises:
        MethodError: the file is damaged.
    """

    def take(found: dict[str, Any]) -> Standing:
        standing = Standing(**found["standing"])
        _copy(found["network"], network)
        optimiser.load_state_dict(found["optimiser"])
        return standing

    return _resumable.take_up(folder, Training(owner), take) or Standing()


# ---- the result ----------------------------------------------------------------------------------


def finish(folder: Path, network: Any, cost: Cost) -> None:
    """Write the result, its cost last, which says that it is whole; clear away the rest."""
    _resumable.save_weights(folder / WEIGHTS, part_state(network))
    _resumable.finish(folder / COST, cost, [folder / STATE])


def finished(folder: Path, owner: str) -> Cost | None:
    """Return what the finished pre-training took; None where it is not finished.

    Raises:
        MethodError: the file is damaged.
    """
    return _resumable.finished(folder / COST, Cost, Training(owner))
