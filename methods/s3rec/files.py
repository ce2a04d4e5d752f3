"""Files of pre-training: what decides them, the state to go on from, weights and their cost."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from harness.errors import MethodError
from harness.files import canonical_json, sha256_text
from harness.histories import Histories
from methods import _resumable
from methods._resumable import STATE, WEIGHTS, Training
from methods._sequential import SequentialSettings
from methods._text import TextSettings
from methods.s3rec.settings import Settings

FACTS = "facts.json"
TRAINING = Training("s3rec")

_NETWORK = ("hidden_size", "inner_size", "n_layers", "n_heads", "hidden_dropout",
            "attention_dropout", "max_history", "layer_norm_eps", "initializer_range")  # fmt: skip
"""Of the settings that fine-tuning shares, those that pre-training depends on."""


def key_of(
    settings: Settings, histories: Histories, n_items: int, catalogue: str, seed: int
) -> str:
    """Return what determines the weights, besides what the harness knows of itself.

    Args:
        settings: of the method; those of fine-tuning and of how texts are read are left out.
        histories: what is trained on.
        n_items: of the catalogue, without padding.
        catalogue: a digest of attributes and text vectors.
        seed: of the run.
    """
    others = {field.name for kind in (SequentialSettings, TextSettings) for field in fields(kind)}
    left_out = (others - set(_NETWORK)) | {
        "pretraining_save_every", "attributes", "word_attributes",
    }  # fmt: skip
    values = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name not in left_out
    }
    trained_on = sha256_text(histories.items.tobytes().hex() + histories.offsets.tobytes().hex())
    return canonical_json(
        {
            "settings": values, "histories": trained_on, "n_items": n_items,
            "catalogue": catalogue, "seed": seed,
        }
    )  # fmt: skip


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
    _resumable.save_state(folder, content)


def load_state(folder: Path) -> dict[str, Any] | None:
    """Return what `save_state` wrote, or None.

    Raises:
        MethodError: the file is damaged.
    """
    return _resumable.take_up(folder, TRAINING, dict)


def damaged_state(folder: Path, error: Exception) -> MethodError:
    """Return the error that says which file to delete where one cannot be gone on from."""
    return TRAINING.damaged_state(folder / STATE, error)


def finish(folder: Path, state: dict[str, Any], facts: Facts) -> None:
    """Write the result, its facts last, which say that it is whole; clear away the rest."""
    _resumable.save_weights(folder / WEIGHTS, state)
    _resumable.finish(folder / FACTS, facts, [folder / STATE])


def finished(folder: Path) -> tuple[dict[str, Any], Facts] | None:
    """Return finished weights and their facts, or None.

    Raises:
        MethodError: a file is damaged.
    """
    facts = _resumable.finished(folder / FACTS, Facts, TRAINING)
    if facts is None:
        return None
    state: dict[str, Any] = {}
    _resumable.put_weights(folder / WEIGHTS, TRAINING, state.update)
    return state, facts
