"""The authors' released checkpoints: files of tensors, without configuration or tokeniser.

Two layouts are known (METHODS 6.5): the encoder's keys as they are, or under ``longformer.``
beside a head for language modelling that nobody uses. Both have an item-position table among the
embeddings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from methods._location import SAFETENSORS, Location
from methods._pretrained import (
    State,
    configuration_of,
    enumerated,
    reason_of,
    tokenizer_of,
)
from methods.recformer.model import Recformer
from methods.recformer.placement import (
    built,
    check_positions,
    check_shapes,
    place,
    recformer_config,
)
from methods.recformer.settings import Settings

PREFIX = "longformer."
ITEM_POSITIONS = "embeddings.item_position_embeddings.weight"
# numbers 0, 1, 2, ... that older versions of transformers stored beside the tables
POSITION_IDS = "embeddings.position_ids"


def released_start(
    path: Path, described: Location, settings: Settings
) -> tuple[Recformer, Any, str, list[str]]:
    """Return model, tokeniser, source and report of a released checkpoint.

    Args:
        path: the file.
        described: where configuration and tokeniser are.
        settings: of the method.

    Raises:
        UsageError: the configuration is no Longformer's, or the settings ask for more tokens or
            items than the tables have rows for.
        DataError: a file is damaged, or configuration and checkpoint do not fit together.
    """
    said = f"recformer.weights = {str(path)!r}"
    config = _longformer_configuration(described)
    stored, unused = encoder_part(tensors_of(path, said))
    if not stored:
        raise DataError(
            f"{said} holds no tensors by key, but {enumerated(unused) or 'nothing'}; save the "
            "model's state_dict alone"
        )
    advice = f"the sizes expected are those of {described.said}"
    check_positions(config.max_position_embeddings, config.pad_token_id, settings, described.said)
    model = built(recformer_config(config, settings, config.max_position_embeddings), settings)
    rows = _item_rows(stored, model.width, settings, said, advice)
    unused += place(model, stored, said, advice)
    _copy_item_positions(model, stored[ITEM_POSITIONS])
    report = []
    if model.item_positions.num_embeddings < rows:
        report.append(
            f"item positions: the first {model.item_positions.num_embeddings} of {rows} rows kept"
        )
    if unused := sorted(set(unused) - {ITEM_POSITIONS}):
        report.append(f"keys of the file not used: {enumerated(unused)}")
    source = f"{path.name}, a released checkpoint"
    return model, tokenizer_of(described), source, report


def tensors_of(path: Path, said: str) -> State:
    """Return the tensors in a file by key; whatever else it might hold is never run.

    Raises:
        DataError: the file is damaged, or holds something besides tensors.
    """
    try:
        found = _read(path)
    except Exception as error:  # pickle, torch, zipfile and safetensors raise many kinds
        raise DataError(
            f"{said} cannot be read: {reason_of(error)}; the file may be damaged, or hold what "
            "could run code, which is never loaded: fetch it again, or save a state_dict alone"
        ) from error
    if not isinstance(found, dict) or not all(isinstance(key, str) for key in found):
        raise DataError(
            f"{said} holds a {type(found).__name__}, not tensors by key; save a state_dict"
        )
    return found


def _read(path: Path) -> Any:
    if path.suffix == SAFETENSORS:
        from safetensors.torch import load_file

        return load_file(path)
    import torch

    return torch.load(path, map_location="cpu", weights_only=True)


def encoder_part(stored: State) -> tuple[State, list[str]]:
    """Return the encoder's tensors by its own keys, and the keys of what is left over."""
    import torch

    prefix = PREFIX if any(key.startswith(PREFIX) for key in stored) else ""
    kept, unused = {}, []
    for key, value in stored.items():
        name = key.removeprefix(prefix)
        if isinstance(value, torch.Tensor) and key.startswith(prefix) and name != POSITION_IDS:
            kept[name] = value
        else:
            unused.append(key)
    return kept, unused


def _longformer_configuration(described: Location) -> Any:
    config = configuration_of(described)
    if config.model_type != "longformer":
        raise UsageError(
            f"{described.said} is a {config.model_type}; a released checkpoint needs the "
            "configuration and tokeniser of the Longformer it was made from"
        )
    return config


def _item_rows(state: State, width: int, settings: Settings, said: str, advice: str) -> int:
    """Return the rows of the stored item-position table.

    Raises:
        DataError: it is missing or of another width.
        UsageError: it has fewer rows than the settings need.
    """
    found = state.get(ITEM_POSITIONS)
    rows = 0 if found is None or not found.ndim else len(found)
    check_shapes({ITEM_POSITIONS: (rows, width)}, state, said, advice)
    if settings.max_items > rows - 1:
        raise UsageError(
            f"{said} has item positions for {rows - 1} items, but recformer.max_items = "
            f"{settings.max_items}; set recformer.max_items to {rows - 1} or less"
        )
    return rows


def _copy_item_positions(model: Recformer, stored: Any) -> None:
    """Copy the first rows: item n has row n in either table.

    The last row kept stands for padding as well, whose embedding nothing attends to.
    """
    model.item_positions.weight.data.copy_(stored[: model.item_positions.num_embeddings])
