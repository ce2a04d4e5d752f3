"""Which rows of ours stand beside a fact, and the cells of one data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from harness.data.prepared import PreparedData
from harness.paper.cells import Cell, Measurement
from harness.paper.description import described
from harness.paper.estimates import Estimate
from harness.paper.facts import Fact
from harness.paper.layouts import (
    AFTER_DEDUP,
    BEFORE_DEDUP,
    CHANGE_BY_DEDUP,
    CHANGE_BY_HIERARCHY,
    FULL,
    HIERARCHICAL,
    IMPROVEMENT,
    METRIC_NAMES,
    PAPER_METHODS,
    PaperBound,
)
from harness.paper.names import DATASETS, SAME_PROTOCOL, Expression, protocol_difference, tail
from harness.paper.rows import DatasetRows, MeasuredRow

NO_ROW = "no row of ours stands for {}"
NOT_ALL_METHODS = "an improvement over the best other needs all nine methods"
NOT_BOTH = "a change needs both sides, with the same settings"
NOT_KEPT = "records do not tell how generated texts match items"
NO_INTERVAL = "a ratio of means"
SHARES = {
    "format errors": "format_error_share",
    "all four match": "all_attributes_match_share",
    "title matches": "title_match_share",
}
"""Table 8's columns -> what a record's report calls them."""


class Measured:
    """All that was measured, asked for by what the paper calls it.

    Args:
        rows: our data set (or its variant without dedup) -> what was measured on it.
        expressions: which rows stand for what.
        prepared: our data set -> its prepared data, where they are at hand.
    """

    def __init__(
        self,
        rows: Mapping[str, DatasetRows],
        expressions: Sequence[Expression],
        prepared: Mapping[str, PreparedData],
    ) -> None:
        self.rows = rows
        self.prepared = prepared
        self._expressions = expressions
        self._known: dict[tuple[int, str, str, str, PaperBound], list[Measurement]] = {}

    @cached_property
    def variants(self) -> frozenset[tuple[int, str]]:
        """Table and variant of everything that some row can stand for."""
        return frozenset((one.table, one.variant) for one in self._expressions)

    def of(
        self, table: int, dataset: str, metric: str, variant: str, bound: PaperBound
    ) -> list[Measurement]:
        """Return a metric of every row that stands for a variant, by label; empty without any."""
        key = (table, dataset, metric, variant, bound)
        if key not in self._known:
            self._known[key] = [
                _measurement(row, dataset, metric, bound, expression.difference)
                for expression in self._expressions
                if (expression.table, expression.variant) == (table, variant)
                for row in self._rows_on(dataset + expression.on)
                if expression.fits(row.record)
            ]
        return self._known[key]

    def shares(self, dataset: str, metric: str) -> Iterator[Measurement]:
        """Yield one of table 8's shares of generated texts, of every row that kept it."""
        for expression in self._expressions:
            if (expression.table, expression.variant) != (8, HIERARCHICAL):
                continue
            for row in self._rows_on(dataset):
                found = row.record.report.get(SHARES[metric])
                if expression.fits(row.record) and found is not None:
                    value = Estimate(100 * found, reason="a share of texts, not of users")
                    told = protocol_difference(dataset, row.record, expression.difference)
                    seed = f"seed {row.record.seed}"
                    yield Measurement(
                        row.label, dataset, value, seed, told, row.record.method["settings"]
                    )

    def _rows_on(self, name: str) -> tuple[MeasuredRow, ...]:
        return self.rows[name].rows if name in self.rows else ()


def _measurement(
    row: MeasuredRow, dataset: str, metric: str, bound: PaperBound, difference: str
) -> Measurement:
    seeds = ", ".join(map(str, row.seeds))
    several = f", each the mean over seeds {seeds}" if len(row.seeds) > 1 else f", seed {seeds}"
    return Measurement(
        row.label,
        dataset,
        row.estimate(metric, bound),
        f"{row.n_users:,} users{several}",
        protocol_difference(dataset, row.record, difference),
        row.record.method["settings"],
    )


# ---- the cells of one data set -------------------------------------------------------------------


def dataset_cells(dataset: str, facts: Iterable[Fact], measured: Measured) -> list[Cell]:
    """Return the cells of one data set of ours, in the order of the facts.

    Args:
        dataset: one of `harness.paper.names.DATASETS`.
        facts: of any data sets; those of others are passed over.
        measured: on it, and on others.
    """
    return [
        cell
        for fact in facts
        if fact.dataset == DATASETS[dataset]
        for cell in _cells(fact, dataset, measured)
    ]


def _cells(fact: Fact, dataset: str, measured: Measured) -> list[Cell]:
    if fact.table == 1:
        return [described(fact, dataset, measured.rows.get(dataset), measured.prepared)]
    if is_mean(fact):
        return means(fact, dataset, measured)
    found = list(_derived(fact, dataset, measured))
    return filled(fact, dataset, found, _why_not_derived(fact, dataset, measured))


def is_mean(fact: Fact) -> bool:
    """Tell whether a fact is a metric's mean over users, not what follows from several."""
    return fact.metric in METRIC_NAMES and not fact.unit and fact.bound is not None


def means(fact: Fact, dataset: str, measured: Measured) -> list[Cell]:
    """Return a cell for each row that stands for the fact's variant, or the empty one."""
    if fact.bound is None:
        raise ValueError(f"{fact} is no mean over users")
    found = measured.of(fact.table, dataset, fact.metric, fact.variant, fact.bound)
    known = (fact.table, fact.variant) in measured.variants
    return filled(fact, dataset, found, "" if known else NO_ROW.format(fact.variant))


def filled(fact: Fact, dataset: str, found: Sequence[Measurement], remark: str = "") -> list[Cell]:
    """Return a cell for each measurement; without any, the empty one with the remark."""
    return [Cell(fact, dataset, one) for one in found] or [Cell(fact, dataset, remark=remark)]


def _derived(fact: Fact, dataset: str, measured: Measured) -> Iterator[Measurement]:
    """Yield what follows from several means of one data set."""

    def of(table: int, variant: str, bound: PaperBound = "optimistic") -> list[Measurement]:
        return measured.of(table, dataset, fact.metric, variant, bound)

    if fact.variant == IMPROVEMENT:
        yield from improvements({name: of(2, name) for name in PAPER_METHODS})
    elif fact.variant == CHANGE_BY_DEDUP:
        for before, after in same_settings(of(7, BEFORE_DEDUP), of(7, AFTER_DEDUP)):
            yield from change([before], [after])
    elif fact.variant == CHANGE_BY_HIERARCHY:
        ours = same_settings(of(8, HIERARCHICAL), of(8, HIERARCHICAL, "pessimistic"))
        theirs = same_settings(of(2, FULL), of(2, FULL, "pessimistic"))
        for hierarchical in ours:
            for plain in theirs:
                if alike(plain[0], hierarchical[0], ("matching",)):
                    yield from change(plain, hierarchical)
    elif fact.variant == HIERARCHICAL and fact.metric in SHARES:
        yield from measured.shares(dataset, fact.metric)


SIDES: Mapping[str, tuple[tuple[int, str], ...]] = {
    IMPROVEMENT: ((2, FULL),),
    CHANGE_BY_DEDUP: ((7, BEFORE_DEDUP), (7, AFTER_DEDUP)),
    CHANGE_BY_HIERARCHY: ((8, HIERARCHICAL),),
    HIERARCHICAL: ((8, HIERARCHICAL),),
}
"""What follows from several means -> table and variant of those that call for it."""


def _why_not_derived(fact: Fact, dataset: str, measured: Measured) -> str:
    """Return what is lacking, where no row can be a side of it or a side was measured."""
    for table, variant in SIDES[fact.variant]:
        if (table, variant) not in measured.variants:
            return NO_ROW.format(variant)
        if fact.metric not in METRIC_NAMES:
            return NOT_KEPT
        if measured.of(table, dataset, fact.metric, variant, "optimistic"):
            return NOT_ALL_METHODS if fact.variant == IMPROVEMENT else NOT_BOTH
    return ""


def same_settings(
    first: Iterable[Measurement], second: Iterable[Measurement], but: Sequence[str] = ()
) -> list[tuple[Measurement, Measurement]]:
    """Return the pairs whose rows have the same settings, but for those named."""
    others = list(second)
    return [(one, two) for one in first for two in others if alike(one, two, but)]


def alike(one: Measurement, other: Measurement, but: Sequence[str] = ()) -> bool:
    """Tell whether two rows have the same settings, but for those named.

    Where either has none, or only others, by those that their labels state were given by hand.
    """
    common = set(one.settings) & set(other.settings)
    if not common:
        return tail(one.row) == tail(other.row)
    return all(one.settings[name] == other.settings[name] for name in common - set(but))


def change(before: Sequence[Measurement], after: Sequence[Measurement]) -> Iterator[Measurement]:
    """Yield the change of a sum in percent; nothing where the first is 0."""
    start, end = (sum(one.value for one in side) for side in (before, after))
    if start:
        yield joined([*before, *after], Estimate(100 * (end / start - 1), reason=NO_INTERVAL))


def improvements(methods: Mapping[str, Sequence[Measurement]]) -> Iterator[Measurement]:
    """Yield how far each row of CALRec is above the best of the others, in percent."""
    others = [max(rows, key=_value) for name, rows in methods.items() if name != FULL and rows]
    if len(others) == len(PAPER_METHODS) - 1:
        for own in methods[FULL]:
            yield from change([max(others, key=_value)], [own])


def _value(measurement: Measurement) -> float:
    return measurement.value


def joined(parts: Sequence[Measurement], estimate: Estimate) -> Measurement:
    """Return what was made of several measurements; it lists each of their differences once."""
    rows = dict.fromkeys(one.row for one in parts)
    datasets = dict.fromkeys(one.dataset for one in parts)
    told = [one for one in parts if one.difference != SAME_PROTOCOL]
    differences = dict.fromkeys(
        f"{one.dataset}: {one.difference}" if len(datasets) > 1 else one.difference for one in told
    )
    return Measurement(
        " / ".join(rows),
        ", ".join(datasets),
        estimate,
        "",
        "; ".join(differences) or SAME_PROTOCOL,
    )
