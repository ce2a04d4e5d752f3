"""Recall against the length of the list."""

from __future__ import annotations

from collections.abc import Sequence

from harness.board.table import RECALL_AT, Section
from harness.report.plots.layout import (
    WIDTH,
    Scale,
    nothing,
    rows_with_numbers,
    scale,
    shortened,
    spread,
    ticks_beside,
    width_of,
)
from harness.report.plots.palette import GRID, INK, MUTED, dashes, series
from harness.report.plots.svg import SMALL, Surface, house_style

_LEFT, _TOP, _LEAST_HEIGHT = 66.0, 12.0, 280.0
_LINE = 13.0


@house_style()
def recall_curves(section: Section, *, prefix: str = "") -> str:
    """Return mean Recall@K at each K of `RECALL_AT`, a band from pessimistic to optimistic."""
    title = f"{section.dataset.get('title') or section.dataset['name']}: Recall@K"
    rows = [row for row in rows_with_numbers(section) if row.recall]
    if not rows:
        return nothing(title, prefix)
    labels = [shortened(row.label) for row in rows]
    bottom = _TOP + max(_LEAST_HEIGHT, _LINE * len(rows))
    right = WIDTH - max(map(width_of, labels)) - 34
    surface = Surface(WIDTH, bottom + 36)
    across = Scale(RECALL_AT[0], RECALL_AT[-1], _LEFT, right, log=True)
    values = [
        v for row in rows for bound in ("optimistic", "pessimistic") for v in row.recall[bound]
    ]
    up = scale(values, bottom, _TOP, from_zero=True)
    _axes(surface, across, up)
    xs = [across(k) for k in RECALL_AT]
    for number, (label, row) in enumerate(zip(labels, rows, strict=True)):
        low, high = ([up(v) for v in row.recall[b]] for b in ("pessimistic", "optimistic"))
        if low != high:
            surface.band(xs, low, high, series(number), f"band {label}")
        surface.line(xs, low, series(number), 1.5, dashes(number), f"recall {label}")
    _ends(surface, labels, [up(row.recall["pessimistic"][-1]) for row in rows], right, up)
    return surface.svg(title, prefix)


def _axes(surface: Surface, across: Scale, up: Scale) -> None:
    ticks_beside(surface, up, _LEFT, across.end)
    at = [across(k) for k in RECALL_AT]
    bottom = up.start
    surface.segments(at, [_TOP] * len(at), at, [bottom] * len(at), GRID, part="grid")
    for x, k in zip(at, RECALL_AT, strict=True):
        surface.text(x, bottom + 10, str(k), MUTED, SMALL, "center")
    surface.text((_LEFT + across.end) / 2, bottom + 26, "K", MUTED, SMALL, "center")
    surface.text(10, (_TOP + bottom) / 2, "Recall@K", MUTED, SMALL, "center", turned=90)


def _ends(
    surface: Surface, labels: Sequence[str], wanted: Sequence[float], right: float, up: Scale
) -> None:
    """Write each label beside its curve's end, apart from the others, in the curve's dashes."""
    placed = spread(wanted, _LINE, up.end, up.start)
    for number, (label, y, end) in enumerate(zip(labels, placed, wanted, strict=True)):
        surface.line([right, right + 10, right + 27], [end, y, y], series(number), 1.2,
                     dashes(number))  # fmt: skip
        surface.text(right + 31, y, label, INK, SMALL, part="label")
