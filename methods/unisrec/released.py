"""Checkpoints of a pre-trained UniSRec: the released file, and others with the same keys.

The released one is a ``torch.save`` of a dict whose ``state_dict`` holds the network (METHODS 5.5);
beside it lies a configuration object, which is never built (`methods.unisrec.safe_pickle`). A
``state_dict`` alone is read as well, from torch.save or from safetensors. Shapes say all but the
number of attention heads: n_heads must be what the file was trained with, 2 for the released one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from methods._location import SAFETENSORS, digest_of_files
from methods._pretrained import enumerated, reason_of
from methods.unisrec.checkpoints import PARTS, part_state, put
from methods.unisrec.safe_pickle import Archive, Stored, opened

STATE_DICT = "state_dict"
ITEM_EMBEDDINGS = "item_embedding"
ENCODER = "encoder"
LONGEST_KEY = 100

State = dict[str, Any]

_SETTINGS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"position_embedding\.weight", ("max_history", "hidden_size")),
    (r"moe_adaptor\.w_(gate|noise)", (ENCODER, "n_experts")),
    (r"moe_adaptor\.experts\.\d+\.bias", (ENCODER,)),
    (r"moe_adaptor\.experts\.\d+\.lin\.weight", ("hidden_size", ENCODER)),
    (r"trm_encoder\..*\.dense_1\.weight", ("inner_size", "hidden_size")),
    (r"trm_encoder\..*\.dense_1\.bias", ("inner_size",)),
    (r"trm_encoder\..*\.dense_2\.weight", ("hidden_size", "inner_size")),
    (r".*", ("hidden_size", "hidden_size")),
)
"""Key -> the setting that decides each dimension; the first pattern that fits counts."""
_COUNTED = (
    (r"trm_encoder\.layer\.(\d+)\..*", "n_layers"),
    (r"moe_adaptor\.experts\.(\d+)\..*", "n_experts"),
)
"""Numbered keys -> the setting that decides how many there are."""


def identity(path: str | Path, owner: str = "unisrec") -> str:
    """Return a digest of a checkpoint, for `Method.external_inputs`.

    Raises:
        UsageError: there is no such file.
    """
    found = Path(path).expanduser()
    if not found.is_file():
        raise UsageError(
            f"{_said(path, owner)}: no such file; name a checkpoint, such as the released "
            "UniSRec-FHCKM-300.pth, or leave the setting out"
        )
    return digest_of_files({found})


def load_released(path: str | Path, network: Any, owner: str = "unisrec") -> list[str]:
    """Copy a checkpoint into the network: all of `PARTS`, or nothing where something does not fit.

    Args:
        path: a file of torch.save (a dict with ``state_dict``, or a state_dict), or .safetensors.
        network: is changed in place; on any device.
        owner: the method's name, for messages.

    Returns:
        What was used and what was not, in lines for the record.

    Raises:
        DataError: the file is damaged, or its keys or shapes are not the network's; the message
            says which setting to change.
    """
    said = _said(path, owner)
    expected = part_state(network)
    found, others = _tensors_of(Path(path).expanduser(), said)
    _check_keys(expected, found, said, owner)
    _check_shapes(expected, found, said, owner)
    _check_numbers({key: found[key] for key in expected}, said)
    put(network, found)
    return [f"tensors used of {Path(path).name}: {_summary(expected)}", *_unused(others)]


def _said(path: str | Path, owner: str) -> str:
    return f"{owner}.checkpoint = {str(path)!r}"


def _summary(state: State) -> str:
    counts = {part: sum(key.partition(".")[0] == part for key in state) for part in PARTS}
    return ", ".join(f"{part} ({count})" for part, count in counts.items())


def _unused(others: list[str]) -> list[str]:
    """Return report lines on keys that were not used."""
    items = [key for key in others if key.partition(".")[0] == ITEM_EMBEDDINGS]
    rest = sorted(set(others) - set(items))
    lines = []
    if items:
        lines.append(f"item embeddings of the file are not used: {_named(items)}")
    if rest:
        lines.append(f"not used: {_named(rest)}")
    return lines


def _named(keys: list[str]) -> str:
    """Return a file's keys with commas, the first few of many; they may hold anything."""
    fine = [key.isprintable() and len(key) <= LONGEST_KEY for key in keys]
    return enumerated([
        key if usual else ascii(key[:LONGEST_KEY])
        for key, usual in zip(keys, fine, strict=True)
    ])  # fmt: skip


# ---- reading -------------------------------------------------------------------------------------


def _tensors_of(path: Path, said: str) -> tuple[State, list[str]]:
    """Return the tensors of `PARTS` in a file by key, and the keys of all else.

    Raises:
        DataError: the file is damaged, or holds no tensors by key.
    """
    if path.suffix == SAFETENSORS:
        return _of_parts(_safetensors(path, said))
    with opened(path, said) as archive:
        state, beside = _state_dict(archive, said)
        kept, others = _of_parts(state)
        return {key: archive.tensor(stored) for key, stored in kept.items()}, others + beside


def _safetensors(path: Path, said: str) -> State:
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except Exception as error:  # safetensors raises many kinds
        raise DataError(
            f"{said} cannot be read: {reason_of(error)}; the file may be damaged: fetch it again"
        ) from error


def _state_dict(archive: Archive, said: str) -> tuple[Mapping[str, Any], list[str]]:
    """Return a file's state_dict, and the names of what lies beside it."""
    content = archive.unpickled()
    beside: list[str] = []
    if isinstance(content, dict) and isinstance(content.get(STATE_DICT), dict):
        beside = [str(key) for key in content if isinstance(key, str) and key != STATE_DICT]
        content = content[STATE_DICT]
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise DataError(
            f"{said} holds a {type(content).__name__}, not tensors by key; save the network's "
            "state_dict"
        )
    for key, value in content.items():
        if key.partition(".")[0] in PARTS and not isinstance(value, Stored):
            raise DataError(
                f"{said}: {_named([key])} is no tensor of numbers; save the network's state_dict"
            )
    return content, beside


def _of_parts(state: Mapping[str, Any]) -> tuple[State, list[str]]:
    kept = {key: value for key, value in state.items() if key.partition(".")[0] in PARTS}
    return kept, [key for key in state if key not in kept]


# ---- checks --------------------------------------------------------------------------------------


def _check_keys(expected: State, found: State, said: str, owner: str) -> None:
    """Raise DataError where keys are missing, or the file's network has more of them."""
    missing = [key for key in expected if key not in found]
    more = sorted(set(found) - set(expected))
    if not missing and not more:
        return
    parts = []
    if missing:
        parts.append(
            f"{len(missing)} of {len(expected)} expected keys are missing: {enumerated(missing)} "
            f"(found: {_named(sorted(found)) or 'none of them'})"
        )
    if more:
        parts.append(f"it has keys that the network lacks: {_named(more)}")
    advice = _advice_on_counts(expected, found, owner)
    raise DataError(f"{said}: {'; '.join(parts)}; {advice}")


def _advice_on_counts(expected: State, found: State, owner: str) -> str:
    """Return what to do about keys: set a number of layers or experts, where that is all."""
    advice = []
    for pattern, name in _COUNTED:
        wanted, has = (_highest(pattern, state) for state in (expected, found))
        if has and wanted != has:
            advice.append(f"set {owner}.{name} to {has} (now {wanted})")
    return " and ".join(advice) or "name a checkpoint of UniSRec, or save its state_dict whole"


def _highest(pattern: str, state: State) -> int:
    """Return how many numbers from 0 on the keys have."""
    fits = (re.fullmatch(pattern, key) for key in state)
    return max((int(fit[1]) + 1 for fit in fits if fit), default=0)


def _check_shapes(expected: State, found: State, said: str, owner: str) -> None:
    """Raise DataError where a tensor has another shape."""
    wrong: list[str] = []
    advice: dict[str, None] = {}
    for key, tensor in expected.items():
        wanted, has = tuple(tensor.shape), tuple(found[key].shape)
        if wanted != has:
            wrong.append(f"{key}: expected {list(wanted)}, found {list(has)}")
            advice |= dict.fromkeys(_advice_on_shape(key, wanted, has, owner))
    if wrong:
        raise DataError(
            f"{said} does not fit the network: {enumerated(wrong, 4)}; "
            + (" and ".join(advice) or "name a checkpoint of UniSRec")
        )


def _advice_on_shape(
    key: str, wanted: tuple[int, ...], has: tuple[int, ...], owner: str
) -> list[str]:
    """Return which settings give a tensor the shape that was found."""
    if len(wanted) != len(has):
        return []
    names = next(names for pattern, names in _SETTINGS if re.fullmatch(pattern, key))
    advice = []
    for name, now, size in zip(names, wanted, has, strict=False):
        if now != size and name == ENCODER:
            advice.append(f"set {owner}.{ENCODER} to one whose vectors are {size} wide (now {now})")
        elif now != size:
            advice.append(f"set {owner}.{name} to {size} (now {now})")
    return advice


def _check_numbers(state: State, said: str) -> None:
    """Raise DataError where a tensor holds no real numbers, or some that are not finite."""
    for key, tensor in state.items():
        if not tensor.is_floating_point():
            raise DataError(f"{said}: {key} holds {tensor.dtype}, not floating-point numbers")
        if not tensor.isfinite().all():
            raise DataError(f"{said}: {key} holds values that are not finite; fetch it again")
