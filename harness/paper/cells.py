"""A cell of the report: what the paper prints, and ours where it was measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.paper.estimates import Estimate
from harness.paper.facts import Fact
from harness.paper.states import State, state


@dataclass(frozen=True)
class Measurement:
    """A value of ours.

    Attributes:
        row: the board's row that it is of, or several, joined; empty in table 1.
        dataset: ours that it was measured on; the names of several, joined, for an average.
        estimate: value and interval.
        basis: what it is a mean over; empty where another measurement of the row says so.
        difference: what sets it apart from the paper's protocol.
        settings: of the row's method; empty for what was made of several rows.
    """

    row: str
    dataset: str
    estimate: Estimate
    basis: str
    difference: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """The measured number."""
        return self.estimate.value


@dataclass(frozen=True)
class Cell:
    """A value that the paper prints beside ours; several rows of ours make several cells.

    Attributes:
        fact: table, data set, metric, variant, bound and what is printed.
        dataset: ours; for an average, `harness.paper.layouts.AVERAGE`.
        measured: None where nothing was.
        remark: why nothing was, where more can be said than that nobody ran it.
    """

    fact: Fact
    dataset: str
    measured: Measurement | None = None
    remark: str = ""

    @property
    def state(self) -> State | None:
        """How ours stands to the paper's, None where nothing was measured."""
        if self.measured is None:
            return None
        estimate = self.measured.estimate
        return state(self.fact.value, estimate.value, estimate.interval, self.fact.digits)

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's, in the unit of the fact."""
        return None if self.measured is None else self.measured.value - self.fact.value

    @property
    def difference_percent(self) -> float | None:
        """The difference in percent of the paper's; None also where that is 0 or in percent."""
        if self.difference is None or self.fact.unit or not self.fact.value:
            return None
        return 100 * self.difference / self.fact.value
