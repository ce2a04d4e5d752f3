"""Metrics of every row: with their intervals, and how far ties move them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from harness.board.table import RowTable, Section, Value
from harness.board.words import number
from harness.report.plots.layout import (
    WIDTH,
    Scale,
    nothing,
    row_labels,
    rows_with_numbers,
    scale,
    shortened,
    ticks_below,
    width_of,
)
from harness.report.plots.palette import MUTED, series
from harness.report.plots.svg import NORMAL, SMALL, Surface, house_style

_PITCH = 18.0
_HEAD, _FOOT = 22.0, 24.0
_ACROSS = 4
"""Panels beside one another."""

_Found = list[tuple[float, Value]]
"""Height in pixels and value of each row that has one."""


@house_style()
def metric_intervals(section: Section, metrics: Sequence[str], *, prefix: str = "") -> str:
    """Return every row's pessimistic mean with its 95 % interval, a panel for each metric."""
    title = f"{_name(section)}: pessimistic means with 95 % intervals"

    def reach(value: Value) -> list[float]:
        ends = [end for end in (value.low, value.high) if end is not None]
        return [value.pessimistic, *ends]

    def draw(surface: Surface, metric: str, along: Scale, found: _Found) -> None:
        ends = [
            (along(value.low), along(value.high), y)
            for y, value in found
            if value.low is not None and value.high is not None
        ]
        lows, highs, ys = ([end[part] for end in ends] for part in range(3))
        surface.segments(lows, ys, highs, ys, series(0), 1.5, f"intervals {metric}")
        surface.dots(
            [along(value.pessimistic) for _, value in found], [y for y, _ in found],
            series(0), 6, f"means {metric}",
        )  # fmt: skip

    return _panels(section, metrics, title, prefix, reach, draw, numbers=True)


@house_style()
def tie_gaps(section: Section, metrics: Sequence[str], *, prefix: str = "") -> str:
    """Return how far ties move every row's means: pessimistic filled, optimistic empty."""
    title = f"{_name(section)}: pessimistic to optimistic means"

    def reach(value: Value) -> list[float]:
        return [value.pessimistic, value.optimistic]

    def draw(surface: Surface, metric: str, along: Scale, found: _Found) -> None:
        ys = [y for y, _ in found]
        low = [along(value.pessimistic) for _, value in found]
        high = [along(value.optimistic) for _, value in found]
        surface.segments(low, ys, high, ys, MUTED, 2, f"gaps {metric}")
        surface.rings(high, ys, series(1), 7.5, f"optimistic {metric}")
        surface.dots(low, ys, series(0), 4.5, f"pessimistic {metric}")

    return _panels(section, metrics, title, prefix, reach, draw, key=True)


def _name(section: Section) -> str:
    return str(section.dataset.get("title") or section.dataset["name"])


def _panels(
    section: Section, metrics: Sequence[str], title: str, prefix: str,
    reach: Callable[[Value], list[float]],
    draw: Callable[[Surface, str, Scale, _Found], None], *, numbers: bool = False,
    key: bool = False,
) -> str:  # fmt: skip
    rows = rows_with_numbers(section)
    if not rows or not metrics:
        return nothing(title, prefix)
    margin = max(width_of(shortened(row.label), NORMAL) for row in rows) + 14
    across = min(_ACROSS, len(metrics))
    wide = (WIDTH - margin) / across
    high = _HEAD + _PITCH * len(rows) + _FOOT
    top = 20.0 if key else 0.0
    surface = Surface(WIDTH, top + high * -(-len(metrics) // across))
    if key:
        _key(surface, margin)
    for place, metric in enumerate(metrics):
        left = margin + wide * (place % across)
        head = top + high * (place // across) + _HEAD
        ys = [head + _PITCH * (row + 0.5) for row in range(len(rows))]
        if place % across == 0:
            row_labels(surface, [row.label for row in rows], ys, margin - 10)
        right = left + wide - (66 if numbers else 36)
        _panel(surface, metric, rows, ys, (left, right), reach, draw)
        if numbers:
            _numbers(surface, metric, rows, ys, right + 40)
    return surface.svg(title, prefix)


def _panel(
    surface: Surface, metric: str, rows: Sequence[RowTable], ys: Sequence[float],
    ends: tuple[float, float], reach: Callable[[Value], list[float]],
    draw: Callable[[Surface, str, Scale, _Found], None],
) -> None:  # fmt: skip
    found = [
        (y, row.values[metric]) for y, row in zip(ys, rows, strict=True) if metric in row.values
    ]
    surface.text(ends[0], ys[0] - _PITCH / 2 - 9, metric, bold=True, part="metric")
    if not found:
        return
    along = scale([end for _, value in found for end in reach(value)], *ends, from_zero=True)
    ticks_below(surface, along, ys[0] - _PITCH / 2, ys[-1] + _PITCH / 2)
    draw(surface, metric, along, found)


def _numbers(
    surface: Surface, metric: str, rows: Sequence[RowTable], ys: Sequence[float], right: float
) -> None:
    for y, row in zip(ys, rows, strict=True):
        if metric in row.values:
            told = number(row.values[metric].pessimistic)
            surface.text(right, y, told, MUTED, SMALL, "right", "number")


def _key(surface: Surface, left: float) -> None:
    surface.dots([left + 4], [9], series(0), 4.5)
    surface.text(left + 12, 9, "pessimistic: a tied target last", MUTED, SMALL)
    surface.rings([left + 184], [9], series(1), 7.5)
    surface.text(left + 192, 9, "optimistic: a tied target first", MUTED, SMALL)
