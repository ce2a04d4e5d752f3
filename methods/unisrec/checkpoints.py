"""Files of pre-training: the state to go on from, and the finished weights with what they took.

All lie in one folder, each is whole or absent. Random numbers are no part of a state: they are
seeded by epoch and step.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import MethodError
from harness.files import atomic_write, write_json

PARTS = ("position_embedding", "trm_encoder", "LayerNorm", "moe_adaptor")
"""Of the network, what pre-training trains and a checkpoint holds: all but item embeddings."""
STATE, WEIGHTS, COST = "state.pt", "weights.safetensors", "cost.json"

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
    from safetensors.torch import load_file

    path = folder / WEIGHTS
    try:
        found = load_file(path)
        _check_shapes(found, part_state(network))
        put(network, found)
    except Exception as error:  # safetensors and torch raise many kinds
        raise MethodError(
            f"{owner} cannot read its pre-trained weights, {path} ({type(error).__name__}): delete "
            "the folder to pre-train anew"
        ) from error


def _check_shapes(found: State, expected: State) -> None:
    shapes = [{key: tensor.shape for key, tensor in state.items()} for state in (found, expected)]
    if shapes[0] != shapes[1]:
        raise ValueError("keys and shapes are those of another network")


# ---- to go on from -------------------------------------------------------------------------------


def save_state(folder: Path, standing: Standing, network: Any, optimiser: Any) -> None:
    """Write how far training has come."""
    import torch

    content = {
        "standing": asdict(standing),
        "network": part_state(network),
        "optimiser": optimiser.state_dict(),
    }
    with atomic_write(folder / STATE) as stream:
        torch.save(content, stream)


def load_state(folder: Path, network: Any, optimiser: Any, owner: str) -> Standing:
    """Take up what `save_state` wrote; return how far it had come, or a new standing.

    Raises:
        MethodError: the file is damaged.
    """
    import torch

    path = folder / STATE
    if not path.exists():
        return Standing()
    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
        standing = Standing(**found["standing"])
        _check_shapes(found["network"], part_state(network))
        put(network, found["network"])
        optimiser.load_state_dict(found["optimiser"])
    except Exception as error:  # pickle, zipfile and torch raise many kinds
        raise MethodError(
            f"{owner} cannot go on with pre-training: {path} is damaged ({type(error).__name__}); "
            "delete it to begin anew"
        ) from error
    return standing


# ---- the result ----------------------------------------------------------------------------------


def finish(folder: Path, network: Any, cost: Cost) -> None:
    """Write the result, its cost last, which says that it is whole; clear away the rest."""
    from safetensors.torch import save

    state = part_state(network)
    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()})
    with atomic_write(folder / WEIGHTS) as stream:
        stream.write(content)
    write_json(folder / COST, asdict(cost))
    (folder / STATE).unlink(missing_ok=True)


def finished(folder: Path, owner: str) -> Cost | None:
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
            f"{owner} cannot read what its pre-training took, {path} ({type(error).__name__}): "
            "delete the folder to pre-train anew"
        ) from error
