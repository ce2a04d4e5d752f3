"""How training went: losses and validation, a panel for each row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.board.words import number
from harness.report.plots.fit_logs import Course, Curve, course, kind_of
from harness.report.plots.layout import WIDTH, Scale, key_places, scale, shortened
from harness.report.plots.palette import DASHES, GRID, INK, MUTED, series
from harness.report.plots.svg import SMALL, Surface, house_style

_ACROSS = 2
_WIDE = WIDTH / _ACROSS
_HIGH = 214.0
_INSET = 52.0
_KEY_LINE = 13.0
_POINTS = 900
"""Points of all curves together; longer logs are thinned to it."""

_COLOURS = {"loss": series(0), "validation": series(1)}


@house_style()
def training_curves(
    logs: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]], *, prefix: str = ""
) -> str | None:
    """Return losses (left axis) and validation (right axis) along training, or None without any.

    Args:
        logs: label -> seed -> the lines of its fit log.
        prefix: begins every id.
    """
    found = {label: told for label, log in logs.items() if (told := course(log)) is not None}
    if not found:
        return None
    n_curves = sum(len(told.curves) for told in found.values())
    most = max(6, _POINTS // n_curves)
    lines = max(_key_lines(told)[-1] for told in found.values())
    high = _HIGH + _KEY_LINE * lines
    thinned = any(len(curve.xs) > most for told in found.values() for curve in told.curves)
    surface = Surface(WIDTH, high * -(-len(found) // _ACROSS) + (18 if thinned else 0))
    for place, (label, told) in enumerate(found.items()):
        left, top = _WIDE * (place % _ACROSS), high * (place // _ACROSS)
        _Panel(surface, told, left, top, high, most).draw(shortened(label))
    if thinned:
        surface.note(f"At most {most} points of each line are drawn, evenly spaced, ends included.")
    return surface.svg("Losses and validation during training", prefix)


class _Panel:
    """One row's part of the surface."""

    def __init__(
        self, surface: Surface, told: Course, left: float, top: float, high: float, most: int
    ) -> None:
        self.surface, self.told, self.most = surface, told, most
        self.left, self.right = left + _INSET, left + _WIDE - _INSET
        self.head = top + 10
        self.top, self.bottom = top + high - _HIGH + 40, top + high - 40
        self.across = Scale(0, told.length or 1, self.left + 4, self.right - 4)

    def draw(self, label: str) -> None:
        self.surface.text(self.left, self.head, label, INK, bold=True, part="label")
        self._key()
        self._stages()
        for kind, anchor in (("loss", "left"), ("validation", "right")):
            curves = [curve for curve in self.told.curves if curve.kind == kind]
            if curves:
                self._kind(kind, curves, at_left=anchor == "left")

    def _key(self) -> None:
        names = [shortened(key) for key in _keys(self.told)]
        xs, lines = key_places(names, 0, _WIDE - _INSET)
        for place, key in enumerate(_keys(self.told)):
            x, y = self.left + xs[place], self.head + 16 + _KEY_LINE * lines[place]
            colour, marks = self._looks(key)
            self.surface.line([x, x + 16], [y, y], colour, 1.4, marks)
            self.surface.text(x + 20, y, shortened(key), MUTED, SMALL, part="key")

    def _stages(self) -> None:
        along = self.across
        self.surface.line([self.left, self.right], [self.bottom] * 2, GRID, part="grid")
        for place, stage in enumerate(self.told.stages):
            start, end = along(stage.start), along(stage.start + stage.last - stage.first)
            self.surface.text(start, self.bottom + 9, f"{stage.first:g}", MUTED, SMALL, "center")
            if end - start > 20:
                self.surface.text(end, self.bottom + 9, f"{stage.last:g}", MUTED, SMALL, "center")
            words = f"{stage.name}: {self.told.position}" if stage.name else self.told.position
            line = self.bottom + 21 + (11 * (place % 2))
            self.surface.text((start + end) / 2, line, shortened(words), MUTED, SMALL, "center")
            if place:
                before = self.told.stages[place - 1]
                edge = (along(before.start + before.last - before.first) + start) / 2
                self.surface.line([edge] * 2, [self.top, self.bottom], MUTED, 0.8, (2, 2), "stage")

    def _kind(self, kind: str, curves: Sequence[Curve], *, at_left: bool) -> None:
        up = scale([y for curve in curves for y in curve.ys], self.bottom, self.top)
        colour, edge = _COLOURS[kind], self.left - 4 if at_left else self.right + 4
        for tick in up.ticks(30):
            self.surface.text(edge, up(tick), number(tick), colour, SMALL,
                              "right" if at_left else "left")  # fmt: skip
        for key in self.told.keys(kind):
            self._curves([curve for curve in curves if curve.key == key], up)

    def _curves(self, curves: Sequence[Curve], up: Scale) -> None:
        """Draw one key's curves as one path; a curve of one point is a dot."""
        across, part = self.across, f"{curves[0].kind} {curves[0].key}"
        colour, marks = self._looks(curves[0].key)
        alone = [(across(c.xs[0]), up(c.ys[0])) for c in curves if len(c.xs) == 1]
        self.surface.dots([x for x, _ in alone], [y for _, y in alone], colour, 3, part)
        xs: list[float] = []
        ys: list[float] = []
        for curve in curves:
            if len(curve.xs) > 1:
                xs += [*map(across, _thinned(curve.xs, self.most)), math.nan]
                ys += [*map(up, _thinned(curve.ys, self.most)), math.nan]
        if xs:
            self.surface.line(xs, ys, colour, 1.0, marks, part)

    def _looks(self, key: str) -> tuple[str, tuple[float, ...] | None]:
        kind = kind_of(key) or "loss"
        return _COLOURS[kind], DASHES[self.told.keys(kind).index(key) % len(DASHES)]


def _keys(told: Course) -> list[str]:
    return [key for kind in _COLOURS for key in told.keys(kind)]


def _key_lines(told: Course) -> list[int]:
    return key_places([shortened(key) for key in _keys(told)], 0, _WIDE - _INSET)[1]


def _thinned(values: Sequence[float], most: int) -> list[float]:
    n = len(values)
    if n <= most:
        return list(values)
    return [values[round(place * (n - 1) / (most - 1))] for place in range(most)]
