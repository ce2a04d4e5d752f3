"""Mean ranks, and which rows cannot be told apart: the diagram of critical differences."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from harness.board.table import Section
from harness.board.words import number
from harness.report.plots.layout import (
    WIDTH,
    Scale,
    nothing,
    rows_with_numbers,
    shortened,
    width_of,
)
from harness.report.plots.palette import INK, MUTED
from harness.report.plots.svg import NORMAL, SMALL, Surface, house_style

_AXIS = 46.0
_BAR_PITCH = 9.0
_PITCH = 17.0

_Bar = tuple[float, ...]
"""The mean ranks of a group, rising."""


def mean_ranks(values: Mapping[str, NDArray[np.float64]]) -> dict[str, float]:
    """Return each row's rank among the rows, 1 the highest value, averaged over users.

    Rows of equal value share the mean of their ranks.

    Args:
        values: label -> float [n_users], users in the same order for every row.

    Raises:
        ValueError: rows differ in their number of users, or there are none.
    """
    if not values:
        return {}
    sizes = {len(row) for row in values.values()}
    if len(sizes) != 1 or sizes == {0}:
        raise ValueError(
            f"rows must be of the same users, at least one; found {sorted(sizes)} users"
        )
    ranks = rankdata(-np.stack(list(values.values())), axis=0)
    return dict(zip(values, ranks.mean(axis=1).tolist(), strict=True))


def groups_of(section: Section, metric: str) -> list[list[str]]:
    """Return the labels that share a letter, a list for each letter with at least two rows."""
    found: dict[str, list[str]] = {}
    for row in rows_with_numbers(section):
        if metric in row.values:
            for letter in row.values[metric].group:
                found.setdefault(letter, []).append(row.label)
    return [labels for _, labels in sorted(found.items()) if len(labels) > 1]


@house_style()
def critical_difference(
    ranks: Mapping[str, float], groups: Sequence[Sequence[str]], title: str, *, prefix: str = ""
) -> str:
    """Return mean ranks on an axis, best to the left, with a bar for each group.

    A bar may pass rows that are not of its group: letters come of tests of means, the axis of
    ranks. A dot marks each row that is.

    Args:
        ranks: label -> mean rank.
        groups: labels that cannot be told apart; those without a rank are left out.
        title: of the plot.
        prefix: begins every id.
    """
    if not ranks:
        return nothing(title, prefix)
    order = sorted(ranks, key=lambda label: (ranks[label], label))
    half = (len(order) + 1) // 2
    bars = _bars(ranks, groups)
    levels = _levels(bars)
    first = _AXIS + _BAR_PITCH * (max(levels, default=-1) + 1) + 16
    surface = Surface(WIDTH, first + _PITCH * (half - 1) + 12)
    margin = max(width_of(_told(label, ranks), NORMAL) for label in order) + 18
    low, high = math.floor(min(ranks.values())), math.ceil(max(ranks.values()))
    along = Scale(low, max(high, low + 1), margin + 14, WIDTH - margin - 14)
    _axis(surface, along, title)
    for place, label in enumerate(order):
        to_left = place < half
        line = place if to_left else len(order) - 1 - place
        _label(surface, along(ranks[label]), first + _PITCH * line, _told(label, ranks),
               margin if to_left else WIDTH - margin)  # fmt: skip
    at = [_AXIS + _BAR_PITCH * (level + 1) for level in levels]
    surface.segments(
        [along(bar[0]) - 3 for bar in bars], at, [along(bar[-1]) + 3 for bar in bars], at,
        INK, 1.6, "groups", round_ends=True,
    )  # fmt: skip
    members = [(along(rank), y) for bar, y in zip(bars, at, strict=True) for rank in bar]
    surface.dots([x for x, _ in members], [y for _, y in members], INK, 5.5, "members")
    return surface.svg(title, prefix)


def _told(label: str, ranks: Mapping[str, float]) -> str:
    return f"{shortened(label)} {number(ranks[label])}"


def _bars(ranks: Mapping[str, float], groups: Sequence[Sequence[str]]) -> list[_Bar]:
    found = [[ranks[label] for label in group if label in ranks] for group in groups]
    return sorted(
        (tuple(sorted(group)) for group in found if len(group) > 1),
        key=lambda bar: (bar[0], bar[-1]),
    )


def _levels(bars: Sequence[_Bar]) -> list[int]:
    """Return the line of each bar, the highest in which it meets no other."""
    ends: list[float] = []
    levels = []
    for low, *_, high in bars:
        free = (level for level, end in enumerate(ends) if end + 0.1 < low)
        level = next(free, len(ends))
        ends[level : level + 1] = [high]
        levels.append(level)
    return levels


def _axis(surface: Surface, along: Scale, title: str) -> None:
    surface.text(WIDTH / 2, 9, title, MUTED, SMALL, "center")
    surface.line([along.start, along.end], [_AXIS, _AXIS], INK, part="axis")
    whole = range(int(along.low), int(along.high) + 1)
    at = [along(tick) for tick in whole]
    surface.segments(at, [_AXIS - 6] * len(at), at, [_AXIS] * len(at), INK)
    for x, tick in zip(at, whole, strict=True):
        surface.text(x, _AXIS - 14, str(tick), MUTED, SMALL, "center")


def _label(surface: Surface, x: float, y: float, told: str, side: float) -> None:
    to_left = side < WIDTH / 2
    surface.line([x, x, side], [_AXIS, y, y], MUTED, 0.8, part="rank")
    surface.text(side + (-5 if to_left else 5), y, told, INK, NORMAL,
                 "right" if to_left else "left", "label")  # fmt: skip
