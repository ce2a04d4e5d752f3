"""What a board says, as plain values: every renderer prints this, and nothing that is not in it.

All numbers are functions of stored ranks. Means are over users, each the mean over the row's seeds;
intervals are over users and seeds (`harness.statistics.uncertainty`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from harness.stats import Correction

RowStatus = Literal["ok", "failed", "skipped", "missing"]
"""``missing``: the board names the row, and no record of it is there."""


@dataclass(frozen=True)
class Family:
    """Which tests a board makes and how it corrects for their number.

    The family is declared before anything is looked at: for each data set and metric, every row
    against one.

    Attributes:
        against: "best", the row with the best value of the metric, or the label of a row.
        correction: of the p-values of one family.
        bound: which ranks the tests are made on.
        level: of the family: an adjusted p-value below it counts as a difference.
    """

    against: str = "best"
    correction: Correction = "holm"
    bound: Literal["optimistic", "pessimistic", "expected"] = "pessimistic"
    level: float = 0.05


@dataclass(frozen=True)
class Value:
    """A metric of one row.

    Attributes:
        optimistic: mean with a tied target first of its tie.
        pessimistic: mean with it last.
        expected: mean with a tie broken uniformly at random.
        low: lower end of the pessimistic mean's 95 % interval; None where there is none.
        high: its upper end.
        reason: why there is no interval; None where there is one.
        best: the bounds in which the row has the best printed value of its data set.
        group: letters; rows that share one cannot be told apart at the family's level (tests of
            all pairs of rows on this metric, corrected together). Empty where nothing was tested.
    """

    optimistic: float
    pessimistic: float
    expected: float
    low: float | None
    high: float | None
    reason: str | None
    best: tuple[str, ...] = ()
    group: str = ""

    @property
    def gap_exceeds(self) -> bool:
        """Whether ties move the mean further than its interval reaches; without one, at all."""
        return self.optimistic > (self.pessimistic if self.high is None else self.high)


@dataclass(frozen=True)
class Comparison:
    """One test of a family: a row minus the row it is held against.

    Attributes:
        against: the other row's label.
        seeds: those that both have; the test is over them.
        difference: mean of the row minus the other.
        low: lower end of the difference's 95 % interval; None where there is none.
        high: its upper end.
        p_value: two-sided, of the same test as the interval; None where there is none.
        adjusted: corrected for the family; None where there is no p-value.
        effect_size: Cohen's d_z over users, or None.
        reason: why there is no test; None where there is one.
    """

    against: str
    seeds: tuple[int, ...]
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    adjusted: float | None
    effect_size: float | None
    reason: str | None


@dataclass(frozen=True)
class RowTable:
    """One row of a data set: a method with its settings.

    Attributes:
        label: its name on the board.
        status: "ok" where it has numbers.
        reason: why it has none, or which seeds are missing; None where all is there.
        title: the method's title.
        paper: its source.
        inputs: what it saw.
        seeds: those it has.
        note: what sets it apart: backbone, objective, settings that are not at their default.
        n_users: test users.
        values: metric name -> `Value`; empty without numbers.
        comparisons: metric name -> `Comparison`; empty for the row held against.
        tie_rate: share of users whose target is tied, mean over seeds; None without numbers.
        gap_exceeds: whether, for a metric of the board, ties move the mean further than its
            interval reaches.
        not_learnt: not above both baselines of the gate; None where that cannot be judged.
        cost: fit_s, score_s, peak_memory_bytes, parameters, means over seeds, as far as known.
        device: "cpu", "cuda" or "not stated".
        recall: mean Recall@K over users and seeds at each K of `RECALL_AT`, both bounds.
        records: seed -> the published folder's name and the record's run id.
    """

    label: str
    status: RowStatus
    reason: str | None
    title: str
    paper: str
    inputs: tuple[str, ...]
    seeds: tuple[int, ...]
    note: str
    n_users: int
    values: Mapping[str, Value]
    comparisons: Mapping[str, Comparison]
    tie_rate: float | None
    gap_exceeds: bool
    not_learnt: bool | None
    cost: Mapping[str, float]
    device: str
    recall: Mapping[str, tuple[float, ...]]
    records: Mapping[str, Mapping[str, str]]


RECALL_AT = (1, 2, 3, 5, 10, 20, 50, 100)
"""The K of `RowTable.recall`."""


@dataclass(frozen=True)
class Improvement:
    """How far one row is above the best of the others, as in the paper's table 2.

    Attributes:
        of: the row.
        over: bound -> label of the best other row.
        percent: bound -> 100 * (own - other) / other; None where the other is 0.
    """

    of: str
    over: Mapping[str, str]
    percent: Mapping[str, float | None]


@dataclass(frozen=True)
class Section:
    """One data set of a board.

    Attributes:
        dataset: name, title, licence, citation, split_hash, n_users, n_items, n_events,
            redistributable.
        protocol: the rules that all its records share.
        rows: best first by the selection metric, those without numbers last.
        improvements: metric name -> `Improvement`; empty where the row or any other is missing.
        not_judged: why no row can be marked as not learnt; None where all can be judged.
    """

    dataset: Mapping[str, Any]
    protocol: Mapping[str, Any]
    rows: tuple[RowTable, ...]
    improvements: Mapping[str, Improvement]
    not_judged: str | None

    def row(self, label: str) -> RowTable | None:
        """Return the row of a label, None where the section has none."""
        return next((row for row in self.rows if row.label == label), None)


@dataclass(frozen=True)
class Across:
    """A paired t-test whose units are data sets (the paper's table 4).

    Attributes:
        label: the row.
        against: the row it is held against.
        metric: its name.
        bound: which means are compared.
        datasets: those that have both.
        difference: unweighted mean over data sets; None without one.
        p_two_sided: None where there is no test.
        p_greater: one-sided, the row suspected to be better; None where there is no test.
        reason: why there is no test; None where there is one.
    """

    label: str
    against: str
    metric: str
    bound: str
    datasets: tuple[str, ...]
    difference: float | None
    p_two_sided: float | None
    p_greater: float | None
    reason: str | None


@dataclass(frozen=True)
class BoardTable:
    """Everything that a board says.

    Attributes:
        name: its file's name.
        title: its heading.
        metrics: names, in the order of its columns.
        family: the tests that it declares.
        sections: one for each data set.
        across: tests over data sets; empty with fewer than two.
        sources: the published tables to stand beside it.
    """

    name: str
    title: str
    metrics: tuple[str, ...]
    family: Family
    sections: tuple[Section, ...]
    across: tuple[Across, ...]
    sources: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return nested dictionaries, lists, text, numbers, booleans and None."""
        return dataclasses.asdict(self)
