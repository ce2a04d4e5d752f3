"""Files of a training that goes on where it was stopped: state, weights, and what it took.

Each is whole or absent. The facts of what a training took are written last: they say that it is
finished and its weights are whole. Nothing read here can carry code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

from harness.errors import MethodError
from harness.files import atomic_write, write_json

STATE, WEIGHTS = "state.pt", "weights.safetensors"

Found = TypeVar("Found")
Facts = TypeVar("Facts")


@dataclass(frozen=True)
class Training:
    """What messages call a training.

    Attributes:
        owner: the method.
        doing: "pre-training".
        done: "pre-trained", of its weights.
        again: "pre-train".
    """

    owner: str
    doing: str = "pre-training"
    done: str = "pre-trained"
    again: str = "pre-train"

    def damaged_state(self, path: Path, error: Exception) -> MethodError:
        """Return the error that says which file to delete where one cannot be gone on from."""
        return MethodError(
            f"{self.owner} cannot go on with {self.doing}: {path} is damaged "
            f"({type(error).__name__}); delete it to begin anew"
        )

    def unreadable(self, what: str, path: Path, error: Exception) -> MethodError:
        """Return the error that says that a result is of no use."""
        return MethodError(
            f"{self.owner} cannot read {what}, {path} ({type(error).__name__}): delete the folder "
            f"to {self.again} anew"
        )


# ---- to go on from -------------------------------------------------------------------------------


def save_state(folder: Path, content: Mapping[str, Any]) -> None:
    """Write tensors, ``state_dict`` s and plain values to go on from."""
    import torch

    with atomic_write(folder / STATE) as stream:
        torch.save(dict(content), stream)


def take_up(
    folder: Path, training: Training, put: Callable[[dict[str, Any]], Found]
) -> Found | None:
    """Return what ``put`` makes of the saved state, on the CPU; None where there is none.

    Raises:
        MethodError: the file is damaged, or ``put`` cannot use it.
    """
    import torch

    path = folder / STATE
    if not path.exists():
        return None
    try:
        return put(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # pickle, zipfile and torch raise many kinds
        raise training.damaged_state(path, error) from error


# ---- weights and the result ----------------------------------------------------------------------


def save_weights(path: Path, tensors: Mapping[str, Any]) -> None:
    """Write tensors by name."""
    from safetensors.torch import save

    content = save({key: tensor.detach().cpu().contiguous() for key, tensor in tensors.items()})
    with atomic_write(path) as stream:
        stream.write(content)


def put_weights(
    path: Path, training: Training, put: Callable[[dict[str, Any]], object]
) -> None:  # fmt: skip
    """Give the tensors of a file to ``put``.

    Raises:
        MethodError: the file is missing or damaged, or ``put`` cannot use it.
    """
    from safetensors.torch import load_file

    try:
        put(load_file(path))
    except Exception as error:  # safetensors and torch raise many kinds
        raise training.unreadable(f"its {training.done} weights", path, error) from error


def finish(path: Path, facts: Any, done_with: Iterable[Path]) -> None:
    """Write a dataclass of facts, which says that all is whole, and clear away the rest."""
    write_json(path, asdict(facts))
    for other in done_with:
        other.unlink(missing_ok=True)


def finished(path: Path, kind: Callable[..., Facts], training: Training) -> Facts | None:
    """Return the facts of a finished training; None where it is not finished.

    Raises:
        MethodError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        return kind(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise training.unreadable(f"what its {training.doing} took", path, error) from error
