"""A metric in every slice of the users, for every row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.report.plots.layout import (
    WIDTH,
    key_places,
    nothing,
    scale,
    shortened,
    ticks_below,
    width_of,
)
from harness.report.plots.palette import GRID, INK, MUTED, series
from harness.report.plots.svg import NORMAL, SMALL, Surface, house_style
from harness.slices import SliceRow

_LINE = 15.0


@house_style()
def slice_values(
    rows: Mapping[str, Sequence[SliceRow]], metric: str, *, prefix: str = ""
) -> str:  # fmt: skip
    """Return a metric's mean and 95 % interval in every slice, a line for each row.

    Args:
        rows: label -> its slices; slices of the same name are of the same users.
        metric: its name.
        prefix: begins every id.
    """
    title = f"{metric} in slices of the users"
    drawn = {
        label: found for label, found in rows.items() if any(s.mean is not None for s in found)
    }
    if not drawn:
        return nothing(title, prefix)
    sizes = {part.name: part.n for found in drawn.values() for part in found}
    names = [f"{shortened(name)} (n {n:,})" for name, n in sizes.items()]
    margin = max(width_of(name, NORMAL) for name in names) + 14
    labels = [shortened(label) for label in drawn]
    xs, lines = key_places(labels, margin, WIDTH)
    top = _LINE * (lines[-1] + 1) + 8
    pitch = 7.0 if len(drawn) > 3 else 10.0
    band = max(18.0, pitch * len(drawn) + 8)
    surface = Surface(WIDTH, top + band * len(sizes) + 24)
    for number, label in enumerate(labels):
        y = _LINE * (lines[number] + 0.5)
        surface.line([xs[number], xs[number] + 14], [y, y], series(number), 1.5)
        surface.dots([xs[number] + 7], [y], series(number), 5)
        surface.text(xs[number] + 19, y, label, INK, SMALL, part="label")
    tops = {name: top + band * number for number, name in enumerate(sizes)}
    _frame(surface, names, list(tops.values()), band, margin)
    ends = [end for found in drawn.values() for s in found for end in (s.mean, s.low, s.high)]
    along = scale([end for end in ends if end is not None], margin, WIDTH - 20)
    ticks_below(surface, along, top, top + band * len(sizes))
    for number, found in enumerate(drawn.values()):
        offset = band / 2 + pitch * (number - (len(drawn) - 1) / 2)
        held = [(s, tops[s.name] + offset) for s in found if s.mean is not None]
        sure = [(s.low, s.high, y) for s, y in held if s.low is not None and s.high is not None]
        ys = [y for _, _, y in sure]
        surface.segments([along(low) for low, _, _ in sure], ys, [along(h) for _, h, _ in sure],
                         ys, series(number), 1.2, f"intervals {labels[number]}")  # fmt: skip
        surface.dots([along(s.mean) for s, _ in held if s.mean is not None], [y for _, y in held],
                     series(number), 4.5, f"means {labels[number]}")  # fmt: skip
    return surface.svg(title, prefix)


def _frame(
    surface: Surface, names: Sequence[str], tops: Sequence[float], band: float, margin: float
) -> None:
    edges = [*tops, tops[-1] + band]
    surface.segments([4.0] * len(edges), edges, [WIDTH - 20] * len(edges), edges, GRID)
    for name, top in zip(names, tops, strict=True):
        colour = MUTED if name.endswith("(n 0)") else INK
        surface.text(margin - 10, top + band / 2, name, colour, NORMAL, "right", "slice")
