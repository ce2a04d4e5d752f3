"""Faulty lines: one is left out, counted and reported; too many stop the run."""

from __future__ import annotations

import math
from collections import Counter
from pathlib import Path
from typing import NamedTuple, NoReturn

from harness.errors import DataError

_SHOWN = 20


class Place(NamedTuple):
    """Where in which file something stands: a line, a row, a user."""

    path: Path
    which: int | str
    unit: str = "line"

    def __str__(self) -> str:
        return f"{self.path}, {self.unit} {self.which}"


class LineFault(DataError):  # noqa: N818 - a fault is what it is
    """What stands at one place of one file cannot be used.

    Attributes:
        kind: what kind of fault it is, for counting: "not JSON", "wrong value", …
    """

    def __init__(self, place: Place, what: str, kind: str) -> None:
        super().__init__(f"{place}: {what}")
        self.kind = kind


def fault(place: Place, what: str, kind: str = "wrong value") -> NoReturn:
    """Raise `LineFault` for one place."""
    raise LineFault(place, what, kind)


def allowed_faults(limit: int, share: float, lines_read: int) -> int:
    """Return how many faulty lines may be left out of so many read."""
    return max(limit, math.floor(share * lines_read))


class Faults:
    """Counts the faulty lines of a data set's files.

    Args:
        limit: how many may be left out in any case.
        share: the share of the lines read so far that may be left out.

    Attributes:
        lines_read: as far as readers have said.
    """

    def __init__(self, limit: int, share: float = 0.0) -> None:
        self.limit = limit
        self.share = share
        self.lines_read = 0
        self._counts: Counter[str] = Counter()
        self._shown: list[str] = []

    def __len__(self) -> int:
        return self._counts.total()

    def count_lines(self, n: int) -> None:
        """Count lines, before the faults in them are added."""
        self.lines_read += n

    @property
    def allowed(self) -> int:
        """How many faulty lines may be left out of those read so far."""
        return allowed_faults(self.limit, self.share, self.lines_read)

    def add(self, found: LineFault) -> None:
        """Count one faulty line.

        Raises:
            DataError: it is one more than the limit; names the first faulty lines.
        """
        self._counts[found.kind] += 1
        if len(self._shown) < _SHOWN:
            self._shown.append(str(found))
        if len(self) > self.allowed:
            raise DataError(self._too_many())

    def report(self) -> tuple[str, ...]:
        """Return the counts by kind, then the first faulty lines; empty where there is none."""
        if not self._counts:
            return ()
        more = len(self) - len(self._shown)
        rest = (f"and {more} more",) if more else ()
        return (f"{self._summary()} left out", *self._shown, *rest)

    def _summary(self) -> str:
        kinds = ", ".join(f"{kind}: {count}" for kind, count in sorted(self._counts.items()))
        return f"{len(self)} faulty line{'s' if len(self) > 1 else ''} ({kinds})"

    def _too_many(self) -> str:
        first = "; ".join(self._shown[:3])
        if self.allowed == 0:
            return f"{first}; mend the file, or allow faulty lines (--fault-limit N leaves out N)"
        return (
            f"{self._summary()}, more than the limit of {self.allowed}: {first}; check that this "
            "is the right file, or raise the limit (--fault-limit N)"
        )
