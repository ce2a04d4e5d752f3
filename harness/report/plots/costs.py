"""What a row costs against what it reaches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from harness.board.table import RowTable, Section
from harness.report.plots.layout import (
    WIDTH,
    Box,
    Scale,
    decades,
    nothing,
    rows_with_numbers,
    scale,
    shortened,
    ticks_beside,
    width_of,
)
from harness.report.plots.palette import GRID, INK, MUTED, series
from harness.report.plots.svg import SMALL, Surface, house_style

_LEFT, _TOP, _RIGHT, _BOTTOM = 66.0, 36.0, 740.0, 308.0
_HEIGHT = 360.0
_KEY = 14.0
_LINE = 12.0


@dataclass(frozen=True)
class _Point:
    label: str
    seconds: float
    value: float
    parameters: float | None


@house_style()
def cost_against_quality(section: Section, metric: str, *, prefix: str = "") -> str:
    """Return seconds to fit and score (logarithmic) against the pessimistic mean of a metric."""
    name = section.dataset.get("title") or section.dataset["name"]
    title = f"{name}: seconds to fit and score against pessimistic {metric}"
    rows = [row for row in rows_with_numbers(section) if metric in row.values]
    points = [point for row in rows if (point := _point(row, metric)) is not None]
    left_out = _left_out(len(rows) - len(points))
    if not points:
        return nothing(title, prefix, left_out or "No row has numbers to draw.")
    surface = Surface(WIDTH, _HEIGHT)
    across = decades([point.seconds for point in points], _LEFT, _RIGHT)
    up = scale([point.value for point in points], _BOTTOM, _TOP)
    _axes(surface, across, up, metric)
    discs = [_disc(point, across, up) for point in points]
    for point, (x, y, radius) in zip(points, discs, strict=True):
        surface.disc(x, y, radius, series(0), part=f"row {shortened(point.label)}")
    _labels(surface, points, discs)
    _sizes(surface, points)
    if left_out:
        surface.note(left_out)
    return surface.svg(title, prefix)


def _point(row: RowTable, metric: str) -> _Point | None:
    if not {"fit_s", "score_s"} <= set(row.cost):
        return None
    seconds = row.cost["fit_s"] + row.cost["score_s"]
    if seconds <= 0 or not math.isfinite(seconds):  # a logarithmic axis has no place for it
        return None
    value = row.values[metric].pessimistic
    return _Point(row.label, seconds, value, row.cost.get("parameters"))


def _left_out(n: int) -> str:
    if n == 0:
        return ""
    return f"{n} {'row' if n == 1 else 'rows'} without a known cost left out."


def _radius(parameters: float | None) -> float:
    """Return the pixels of a disc's radius: as much more for every factor of ten."""
    return 3.0 if not parameters or parameters < 1 else 3.0 + 0.9 * math.log10(parameters)


def _disc(point: _Point, across: Scale, up: Scale) -> tuple[float, float, float]:
    return across(point.seconds), up(point.value), _radius(point.parameters)


def _axes(surface: Surface, across: Scale, up: Scale, metric: str) -> None:
    ticks_beside(surface, up, _LEFT, _RIGHT)
    found = across.ticks(50)
    at = [across(tick) for tick in found]
    surface.segments(at, [_TOP] * len(at), at, [_BOTTOM] * len(at), GRID, part="grid")
    for x, tick in zip(at, found, strict=True):
        surface.text(x, _BOTTOM + 10, f"{tick:,g} s", MUTED, SMALL, "center")
    surface.text((_LEFT + _RIGHT) / 2, _BOTTOM + 26, "fit + score", MUTED, SMALL, "center")
    surface.text(10, (_TOP + _BOTTOM) / 2, metric, MUTED, SMALL, "center", turned=90)


def _labels(
    surface: Surface, points: Sequence[_Point], discs: Sequence[tuple[float, float, float]]
) -> None:
    taken = [Box(x - r, y - r, x + r, y + r) for x, y, r in discs]
    for point, (x, y, radius) in zip(points, discs, strict=True):
        told = shortened(point.label)
        box = _free(x, y, radius, width_of(told), taken)
        taken.append(box)
        middle = (box.top + box.bottom) / 2
        if abs(middle - y) > _LINE:
            end = box.left if box.left > x else box.right if box.right < x else x
            surface.line([x, end], [y, middle], MUTED, 0.6)
        surface.text(box.left, middle, told, INK, SMALL, part="label")


def _free(x: float, y: float, radius: float, wide: float, taken: Sequence[Box]) -> Box:
    """Return a place for a label beside its disc where it covers least, the nearest of these."""
    best, least = None, math.inf
    for shift in sorted((n * _LINE / 2 for n in range(-20, 21)), key=abs):
        for left in (x + radius + 3, x - radius - 3 - wide, x - wide / 2):
            if left == x - wide / 2 and abs(shift) < radius + _LINE / 2:
                continue  # it would stand on its own disc
            middle = y + shift
            box = Box(left, middle - _LINE / 2, left + wide, middle + _LINE / 2)
            if left < _LEFT or box.right > WIDTH or box.top < _TOP - 8 or box.bottom > _BOTTOM:
                continue
            covered = sum(box.overlap(other) for other in taken)
            if covered < least:
                best, least = box, covered
            if least == 0 and best is not None:
                return best
    return best or Box(x + radius + 3, y - _LINE / 2, x + radius + 3 + wide, y + _LINE / 2)


def _sizes(surface: Surface, points: Sequence[_Point]) -> None:
    known = [point.parameters for point in points if point.parameters and point.parameters >= 1]
    x = _LEFT
    surface.text(x, _KEY, "parameters", MUTED, SMALL)
    x += 66
    surface.disc(x, _KEY, _radius(None), series(0))
    surface.text(x + 8, _KEY, "none or not known", MUTED, SMALL)
    x += 116
    powers = sorted({round(math.log10(parameters)) for parameters in known})
    for power in sorted({powers[0], powers[len(powers) // 2], powers[-1]} if powers else ()):
        radius = _radius(10.0**power)
        surface.disc(x + radius, _KEY, radius, series(0))
        told = f"{10**power:,}"
        surface.text(x + 2 * radius + 5, _KEY, told, MUTED, SMALL)
        x += 2 * radius + 22 + width_of(told)
