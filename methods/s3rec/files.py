"""Files of pre-training: the state to go on from, the finished weights and what they took."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.errors import MethodError
from harness.files import atomic_write, write_json

STATE, WEIGHTS, FACTS = "state.pt", "weights.safetensors", "facts.json"


@dataclass(frozen=True)
class Facts:
    """How pre-training went.

    Attributes:
        epochs: that were run.
        best_epoch: the one that is kept.
        loss: per sequence, of the last epoch.
        held_out_loss: per sequence, of the kept epoch; None where no user was held out.
        seconds: of all epochs.
        reused: whether the weights were there already; then all else says what they took then.
    """

    epochs: int
    best_epoch: int
    loss: float
    held_out_loss: float | None
    seconds: float
    reused: bool = False


def save_state(folder: Path, content: dict[str, Any]) -> None:
    """Write tensors and plain values to go on from."""
    import torch

    with atomic_write(folder / STATE) as stream:
        torch.save(content, stream)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return what `save_state` wrote, or None.

    Raises:
        MethodError: the file is damaged.
    """
    import torch

    path = folder / STATE
    if not path.exists():
        return None
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # pickle, zipfile and torch raise many kinds
        raise MethodError(
            f"s3rec cannot go on with pre-training: {path} is damaged ({type(error).__name__}); "
            "delete it to begin anew"
        ) from error


def finish(folder: Path, state: dict[str, Any], facts: Facts) -> None:
    """Write the result, its facts last, which say that it is whole; clear away the rest."""
    from safetensors.torch import save

    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()})
    with atomic_write(folder / WEIGHTS) as stream:
        stream.write(content)
    write_json(folder / FACTS, asdict(facts))
    (folder / STATE).unlink(missing_ok=True)


def finished(folder: Path) -> tuple[dict[str, Any], Facts] | None:
    """Return finished weights and their facts, or None.

    Raises:
        MethodError: a file is damaged.
    """
    from safetensors.torch import load_file

    if not (folder / FACTS).exists():
        return None
    try:
        facts = Facts(**json.loads((folder / FACTS).read_text(encoding="utf-8")))
        return load_file(folder / WEIGHTS), facts
    except Exception as error:  # json and safetensors raise many kinds
        raise MethodError(
            f"s3rec cannot read its pre-trained weights in {folder} ({type(error).__name__}): "
            "delete the folder to pre-train anew"
        ) from error
