"""Settings of a method: a frozen dataclass, filled in layers, each value with its origin.

Nothing here evaluates text: a value typed on the command line is parsed by its field's type.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import UsageError, did_you_mean


def setting(
    default: Any,
    doc: str,
    *,
    choices: Sequence[Any] | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """Declare one field of a settings dataclass.

    Args:
        default: the paper's default.
        doc: what the setting does, with unit and source; shown by ``list methods NAME``.
        choices: the only values allowed.
        minimum: the lowest value allowed (inclusive).
        maximum: the highest value allowed (inclusive).
    """
    metadata = {"doc": doc, "choices": choices, "minimum": minimum, "maximum": maximum}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Layer:
    """Values that one source gives, such as a preset or the command line."""

    origin: str
    values: Mapping[str, Any]


def resolve(
    settings_type: type[Any], owner: str, layers: Sequence[Layer]
) -> tuple[Any, dict[str, str]]:
    """Fill ``settings_type`` from ``layers``, the later ones winning.

    Returns the settings and, for each field, where its value came from ("default" or a layer's
    origin). Strings are parsed by the field's type.

    Raises:
        UsageError: an unknown field (with a suggestion), or a value that does not fit.
    """
    fields = {field.name: field for field in dataclasses.fields(settings_type)}
    kinds = typing.get_type_hints(settings_type)
    values: dict[str, Any] = {}
    origins = dict.fromkeys(fields, "default")
    for layer in layers:
        for name, raw in layer.values.items():
            if name not in fields:
                raise UsageError(
                    f"{owner} has no setting {name!r} (given by {layer.origin}): "
                    f"{did_you_mean(name, fields)}"
                )
            where = f"{owner}.{name} (given by {layer.origin})"
            values[name] = _checked(fields[name], _parsed(kinds[name], raw, where), where)
            origins[name] = layer.origin
    try:
        return settings_type(**values), origins
    except ValueError as error:  # raised by the dataclass for values that do not fit together
        raise UsageError(f"{owner}: {error}") from error


def _checked(field: dataclasses.Field[Any], value: Any, where: str) -> Any:
    choices, minimum, maximum = (
        field.metadata.get(key) for key in ("choices", "minimum", "maximum")
    )
    for part in value if isinstance(value, tuple) else (value,):
        if choices is not None and part not in choices:
            known = did_you_mean(str(part), [str(choice) for choice in choices])
            raise UsageError(f"{where} cannot be {part!r}: {known}")
        if minimum is not None and part is not None and not part >= minimum:
            raise UsageError(f"{where} must be at least {minimum}, found {part!r}")
        if maximum is not None and part is not None and not part <= maximum:
            raise UsageError(f"{where} must be at most {maximum}, found {part!r}")
    return value


_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def _parsed(kind: Any, raw: Any, where: str) -> Any:
    """Return ``raw`` as ``kind``: a bool, int, float or str, a tuple of these, or None."""
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        if raw is None or (isinstance(raw, str) and raw.lower() == "none"):
            return None
        kind = next(part for part in typing.get_args(kind) if part is not type(None))
    if typing.get_origin(kind) is tuple:
        if isinstance(raw, str):
            raw = [part.strip() for part in raw.split(",") if part.strip()]
        if not isinstance(raw, list | tuple):
            raise UsageError(f"{where} must be a list, found {raw!r}")
        return tuple(_parsed(typing.get_args(kind)[0], part, where) for part in raw)
    if kind is bool:
        value = _BOOLEANS.get(str(raw).lower())
        if value is None:
            raise UsageError(f"{where} must be true or false, found {raw!r}")
        return value
    if kind is str:
        return _line(raw, where)
    if isinstance(raw, bool) or not isinstance(raw, int | float | str):
        raise UsageError(f"{where} must be a number, found {raw!r}")
    try:
        return _whole(raw) if kind is int else _finite(raw)
    except (ValueError, OverflowError):
        wanted = "a whole number" if kind is int else "a finite number"
        raise UsageError(f"{where} must be {wanted}, found {raw!r}") from None


def _line(raw: Any, where: str) -> str:
    """Return a text that fits into one cell of a markdown table, where labels show it."""
    if not isinstance(raw, str):
        raise UsageError(f"{where} must be text, found {raw!r}")
    if not raw.isprintable() or "|" in raw or "`" in raw:
        raise UsageError(f"{where} must be one line without | and `, found {raw!r}")
    return raw


def _whole(raw: float | str) -> int:
    value = int(raw)
    if not isinstance(raw, str) and value != raw:
        raise ValueError(raw)
    return value


def _finite(raw: float | str) -> float:
    """Return a float; records are strict JSON, which has no NaN and no infinity."""
    value = float(raw)
    if not math.isfinite(value):
        raise ValueError(raw)
    return value


def parse_assignment(text: str) -> tuple[str, str, str]:
    """Split ``method.field=value`` into its three parts.

    Raises:
        UsageError: the text does not have that form.
    """
    target, equals, value = text.partition("=")
    method, dot, field = target.partition(".")
    if not (equals and dot and method and field):
        raise UsageError(f"--set takes method.field=value, found {text!r}")
    return method.strip(), field.strip(), value
