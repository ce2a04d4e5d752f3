"""Recomputed values that rounding leaves open, and how nested values are held against them.

Where two results are equally right but for the last bits of a float64, a recomputed value is a
`Span` or an `Either`. `settled` puts what the board states in their place once that is accepted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RELATIVE, ABSOLUTE = 1e-7, 1e-9
"""Published numbers have nine significant digits."""

PROBABILITIES = frozenset({"p_value", "adjusted", "p_two_sided", "p_greater", "p_adjusted"})
"""Judged by their ratio alone: 1e-30 is not 1e-20."""

NEARLY_EQUAL = 1e-12
"""Means this close may be equal, or in either order, depending on how logarithms round."""


@dataclass(frozen=True)
class Span:
    """A number that may lie anywhere from ``low`` to ``high``."""

    low: float
    high: float


@dataclass(frozen=True)
class Either:
    """A value that may be any of these."""

    values: tuple[Any, ...]


def is_close(stated: object, wanted: float | Span, name: str = "") -> bool:
    """Tell whether a stated number is the recomputed one; ``name`` tells probabilities."""
    if isinstance(stated, bool) or not isinstance(stated, int | float):
        return False
    low, high = (wanted.low, wanted.high) if isinstance(wanted, Span) else (wanted, wanted)
    room = 1e-300 if name in PROBABILITIES else ABSOLUTE
    return low - RELATIVE * abs(low) - room <= stated <= high + RELATIVE * abs(high) + room


def differences(wanted: Any, stated: Any, where: Sequence[str] = ()) -> Iterator[str]:
    """Yield one line for each part in which stated values are not the recomputed ones."""
    if isinstance(wanted, Mapping):
        yield from _of_mappings(wanted, stated, where)
    elif isinstance(wanted, list | tuple):
        yield from _of_lists(wanted, stated, where)
    elif not _is_same(wanted, stated, where[-1] if where else ""):
        yield f"{', '.join(where)}: states {stated!r}, the records give {_told(wanted)}"


def _is_same(wanted: Any, stated: Any, name: str) -> bool:
    if isinstance(wanted, Either):
        return any(_is_same(one, stated, name) for one in wanted.values)
    if isinstance(wanted, float | Span):
        return is_close(stated, wanted, name)
    return type(wanted) is type(stated) and bool(wanted == stated)


def _told(wanted: Any) -> str:
    if isinstance(wanted, Either):
        return " or ".join(map(repr, wanted.values))
    return f"{wanted.low!r} to {wanted.high!r}" if isinstance(wanted, Span) else repr(wanted)


def _of_mappings(wanted: Mapping[str, Any], stated: Any, where: Sequence[str]) -> Iterator[str]:
    if not isinstance(stated, dict):
        yield f"{', '.join(where) or 'the whole'}: is {stated!r}, not a table of {list(wanted)}"
        return
    for key in [key for key in stated if key not in wanted]:
        yield f"{', '.join([*where, key])}: is stated, though the records give no such part"
    for key, value in wanted.items():
        if key in stated:
            yield from differences(value, stated[key], [*where, key])
        else:
            yield f"{', '.join([*where, key])}: is missing"


def _of_lists(wanted: Sequence[Any], stated: Any, where: Sequence[str]) -> Iterator[str]:
    names = [_name(part, place) for place, part in enumerate(wanted)]
    found = [_name(part, place) for place, part in enumerate(stated)] if _is_list(stated) else None
    if found == names and all(isinstance(part, Mapping | float) for part in wanted):
        for name, part, value in zip(names, wanted, stated, strict=True):
            yield from differences(part, value, [*where, name])
    elif any(isinstance(part, Mapping) for part in wanted):
        yield f"{', '.join(where)}: holds {found}, the records give {names}"
    elif list(wanted) != stated:
        yield f"{', '.join(where)}: states {stated!r}, the records give {list(wanted)!r}"


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _name(part: Any, place: int) -> str:
    """Return what tells a part of a list apart from the others: its label, else its place."""
    if not isinstance(part, dict):
        return f"number {place + 1}"
    dataset = part.get("dataset")
    if isinstance(dataset, dict):
        return f"data set {dataset.get('name')!r}"
    if "against" in part:
        return f"{part.get('label')!r} minus {part.get('against')!r} in {part.get('metric')}"
    return f"row {part.get('label')!r}"


def settled(wanted: Any, stated: Any) -> Any:
    """Return recomputed values without what was open: there the stated one, if it is allowed."""
    if isinstance(wanted, Mapping):
        known = stated if isinstance(stated, dict) else {}
        return {key: settled(value, known.get(key)) for key, value in wanted.items()}
    if isinstance(wanted, list | tuple):
        parts = stated if isinstance(stated, list) and len(stated) == len(wanted) else []
        return [
            settled(value, parts[place] if parts else None) for place, value in enumerate(wanted)
        ]
    if isinstance(wanted, Span):
        return float(stated) if is_close(stated, wanted) else wanted.low
    if isinstance(wanted, Either):
        return stated if stated in wanted.values else wanted.values[0]
    return wanted


def span(values: Sequence[float]) -> float | Span:
    """Return one number, or what lies between several."""
    low, high = min(values), max(values)
    return low if low == high else Span(low, high)


def ends(value: float | Span | None) -> tuple[float, float]:
    """Return the lowest and the highest that a number may be; NaN for None."""
    if isinstance(value, Span):
        return value.low, value.high
    return (math.nan, math.nan) if value is None else (value, value)
