"""Where things stand on a plot: labels, scales with their ticks, and what must not overlap."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from harness.board.table import RowTable, Section
from harness.board.words import number
from harness.report.plots.palette import GRID, INK, MUTED
from harness.report.plots.svg import SMALL, Surface, house_style, printable

WIDTH = 760.0
LONGEST = 28
"""Letters of the longest label."""

NO_NUMBERS = "No row has numbers to draw."
_NARROW, _BROAD = frozenset("iljtfrI.,:;|'!()[] "), frozenset("mwMW@%")


def shortened(label: str) -> str:
    """Return at most `LONGEST` letters; the middle is left out, for the ends tell rows apart."""
    label = printable(label)
    if len(label) <= LONGEST:
        return label
    return f"{label[: LONGEST - 11]}…{label[-10:]}"


def width_of(words: str, size: float = SMALL) -> float:
    """Return about how many pixels words take in a usual font without serifs."""
    ems = sum(
        1.0 if letter in _BROAD or unicodedata.east_asian_width(letter) in "WF"
        else 0.36 if letter in _NARROW
        else 0.7 if letter.isupper()
        else 0.6
        for letter in words
    )  # fmt: skip
    return ems * size


def rows_with_numbers(section: Section) -> list[RowTable]:
    """Return the rows that can be drawn, in the section's order."""
    return [row for row in section.rows if row.status == "ok" and row.values]


@house_style()
def nothing(title: str, prefix: str, told: str = NO_NUMBERS) -> str:
    """Return a plot that says why it is empty."""
    surface = Surface(WIDTH, 40)
    surface.note(told)
    return surface.svg(title, prefix)


# ---- scales --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """From values to pixels.

    Attributes:
        low: the value at `start`.
        high: the value at `end`, above `low`.
        start: pixels.
        end: pixels.
        log: whether equal factors, not equal differences, take equal space; `low` is above 0 then.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        """Return the pixel of a value."""
        low, high = self._plain(self.low), self._plain(self.high)
        return self.start + (self._plain(value) - low) / (high - low) * (self.end - self.start)

    def ticks(self, room: float) -> list[float]:
        """Return round values between the ends, at least `room` pixels apart."""
        most = max(1, int(abs(self.end - self.start) // room))
        if self.log:
            first, last = math.ceil(math.log10(self.low)), math.floor(math.log10(self.high))
            step = max(1, math.ceil((last - first + 1) / (most + 1)))
            return [10.0**power for power in range(first, last + 1, step)]
        slack = 1e-9 * (self.high - self.low)
        tried: list[list[float]] = []
        for intervals in range(most + 1, 0, -1):
            round_values = MaxNLocator(intervals, steps=[1, 2, 2.5, 5, 10])
            found = [
                float(t)
                for t in round_values.tick_values(self.low, self.high)
                if self.low - slack <= t <= self.high + slack
            ]
            if len(found) > 1 and abs(self(found[1]) - self(found[0])) >= room:
                return found
            tried.append(found)
        # too narrow for evenly spaced ones: two still tell the scale, one where even they touch
        ends = next(([found[0], found[-1]] for found in tried if len(found) > 1), tried[0])
        return ends if abs(self(ends[-1]) - self(ends[0])) >= room else ends[:1]

    def _plain(self, value: float) -> float:
        return math.log10(value) if self.log else value


def scale(values: Iterable[float], start: float, end: float, *, from_zero: bool = False) -> Scale:
    """Return a scale that shows all of some values with a margin; 0 to 1 where there are none."""
    found = [value for value in values if math.isfinite(value)]
    found += [0.0] if from_zero or not found else []
    low, high = min(found), max(found)
    margin = 0.05 * (high - low) or 0.1 * abs(high) or 1.0
    bottom = low if from_zero and low == 0 else low - margin
    return Scale(bottom, high + margin, start, end)


def decades(values: Sequence[float], start: float, end: float) -> Scale:
    """Return a logarithmic scale of whole powers of ten around positive values."""
    first = math.floor(math.log10(min(values)))
    last = max(first + 1, math.ceil(math.log10(max(values))))
    return Scale(10.0**first, 10.0**last, start, end, log=True)


def ticks_below(surface: Surface, along: Scale, top: float, bottom: float) -> None:
    """Draw a linear horizontal axis: lines of the grid, and numbers below."""
    found = along.ticks(38)
    at = [along(tick) for tick in found]
    surface.segments(at, [top] * len(at), at, [bottom] * len(at), GRID, part="grid")
    for x, tick in zip(at, found, strict=True):
        surface.text(x, bottom + 9, number(tick), MUTED, SMALL, "center")


def ticks_beside(surface: Surface, along: Scale, left: float, right: float) -> None:
    """Draw a linear vertical axis: lines of the grid, and numbers to the left."""
    found = along.ticks(30)
    at = [along(tick) for tick in found]
    surface.segments([left] * len(at), at, [right] * len(at), at, GRID, part="grid")
    for y, tick in zip(at, found, strict=True):
        surface.text(left - 5, y, number(tick), MUTED, SMALL, "right")


# ---- keys and labels -----------------------------------------------------------------------------


def key_places(labels: Sequence[str], left: float, right: float) -> tuple[list[float], list[int]]:
    """Return where a key's entries begin, and in which line each is, to stay within a width."""
    xs, lines, x, line = [], [], left, 0
    for label in labels:
        wide = width_of(label) + 30
        if x > left and x + wide > right:
            x, line = left, line + 1
        xs.append(x)
        lines.append(line)
        x += wide
    return xs, lines


def spread(wanted: Sequence[float], room: float, low: float, high: float) -> list[float]:
    """Return places near those wanted, in their order, at least `room` apart, `low` to `high`.

    Where that many do not fit they are evenly spaced, closer than `room`.
    """
    if not wanted:
        return []
    room = min(room, (high - low) / max(1, len(wanted) - 1))
    order = sorted(range(len(wanted)), key=lambda number: (wanted[number], number))
    placed = [0.0] * len(wanted)
    last = low - room
    for place in order:
        last = placed[place] = max(wanted[place], last + room)
    last = high + room
    for place in reversed(order):
        last = placed[place] = min(placed[place], last - room)
    return placed


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Return the shared area."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, wide) * max(0.0, high)


def row_labels(surface: Surface, labels: Sequence[str], ys: Sequence[float], right: float) -> None:
    """Write labels that end at one place."""
    for label, y in zip(labels, ys, strict=True):
        surface.text(right, y, shortened(label), INK, anchor="right", part="label")
