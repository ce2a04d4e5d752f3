"""What of a fit log can be drawn: numbers along epochs, steps or lines, stage by stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Log = Sequence[Mapping[str, Any]]
Kind = str
"""``loss`` or ``validation``."""

_POSITIONS = ("epoch", "step")
_LOSSES = frozenset({"loss", "nig"})
"""Words that name what training makes small; "nig" is CALRec's (negative information gain)."""


@dataclass(frozen=True)
class Stage:
    """A part of training.

    Attributes:
        name: as the log has it; empty where it names none.
        first: its first position, an epoch, a step or a line.
        last: its last.
        start: where it begins on the plot's axis, in positions from the beginning of training.
    """

    name: str
    first: float
    last: float
    start: float


@dataclass(frozen=True)
class Curve:
    """One key of one seed's log within one stage.

    Attributes:
        key: its name.
        kind: "loss" or "validation".
        xs: on the plot's axis, `Stage.start` included.
        ys: finite values.
    """

    key: str
    kind: Kind
    xs: tuple[float, ...]
    ys: tuple[float, ...]


@dataclass(frozen=True)
class Course:
    """The training of one row.

    Attributes:
        position: what the axis counts: "epoch", "step" or "line".
        stages: in their order.
        curves: of all seeds.
    """

    position: str
    stages: tuple[Stage, ...]
    curves: tuple[Curve, ...]

    @property
    def length(self) -> float:
        """Where training ends on the plot's axis."""
        return self.stages[-1].start + self.stages[-1].last - self.stages[-1].first

    def keys(self, kind: Kind) -> list[str]:
        """Return the names of one kind, in the order in which they appear."""
        return list(dict.fromkeys(curve.key for curve in self.curves if curve.kind == kind))


def kind_of(key: str) -> Kind | None:
    """Return what a key of a fit log says; None for what is not drawn."""
    if key.startswith("validation"):
        return "validation"
    return "loss" if "loss" in key or _LOSSES & set(key.split("_")) else None


def is_number(value: Any) -> bool:
    """Return whether a value of a log is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def course(logs: Mapping[int, Log]) -> Course | None:
    """Return what can be drawn of a row's logs, one for each seed; None where nothing can."""
    kept = [lines for log in logs.values() if (lines := [line for line in log if _said(line)])]
    if not kept:
        return None
    position = _position(kept)
    placed = [[(_at(line, n, position), line) for n, line in enumerate(log, 1)] for log in kept]
    stages = _stages(placed)
    curves = [curve for log in placed for stage in stages for curve in _curves(log, stage)]
    return Course(position, tuple(stages), tuple(curves))


def _said(line: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(v) for key, v in line.items() if kind_of(key) and is_number(v)}


def _position(logs: Sequence[Log]) -> str:
    for name in _POSITIONS:
        if all(is_number(line.get(name)) for log in logs for line in log):
            return name
    return "line"


def _at(line: Mapping[str, Any], number: int, position: str) -> float:
    return float(number if position == "line" else line[position])


def _name(line: Mapping[str, Any]) -> str:
    return str(line.get("stage") or "")


def _stages(logs: Sequence[Sequence[tuple[float, Mapping[str, Any]]]]) -> list[Stage]:
    ends: dict[str, tuple[float, float]] = {}
    for log in logs:
        for at, line in log:
            low, high = ends.get(_name(line), (at, at))
            ends[_name(line)] = (min(low, at), max(high, at))
    found, start = [], 0.0
    for name, (first, last) in ends.items():
        found.append(Stage(name, first, last, start))
        # one position between stages, so that the last of one is not the first of the next
        start += last - first + max(1.0, (last - first) / 10)
    return found


def _curves(log: Sequence[tuple[float, Mapping[str, Any]]], stage: Stage) -> list[Curve]:
    points: dict[str, list[tuple[float, float]]] = {}
    for at, line in log:
        if _name(line) == stage.name:
            for key, value in _said(line).items():
                points.setdefault(key, []).append((stage.start + at - stage.first, value))
    return [
        Curve(key, kind_of(key) or "", *(tuple(part) for part in zip(*found, strict=True)))
        for key, found in points.items()
    ]
