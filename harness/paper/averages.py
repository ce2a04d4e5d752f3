"""What the paper prints over its six data sets: table 2's averages and table 4."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.paper.cells import Cell, Measurement
from harness.paper.estimates import Estimate, average
from harness.paper.facts import Fact
from harness.paper.layouts import (
    AVERAGE,
    GAIN,
    IMPROVEMENT,
    P_VALUE,
    PAPER_DATASETS,
    PAPER_METHODS,
    WITH_CONTRASTIVE,
    WITHOUT_CONTRASTIVE,
    PaperBound,
)
from harness.paper.measuring import (
    NO_ROW,
    NOT_ALL_METHODS,
    Measured,
    change,
    filled,
    improvements,
    joined,
    same_settings,
)
from harness.paper.names import ours
from harness.stats import across_datasets

NOT_ALL_DATASETS = "an average needs all six data sets"
Pair = tuple[Measurement, Measurement]


def average_cells(facts: Iterable[Fact], measured: Measured) -> list[Cell]:
    """Return the cells of the facts that are over data sets, in their order."""
    return [
        cell
        for fact in facts
        if fact.dataset == AVERAGE
        for cell in _cells(fact, measured)
    ]  # fmt: skip


def _cells(fact: Fact, measured: Measured) -> list[Cell]:
    if fact.variant == P_VALUE:
        return _p_values(fact, measured)
    if fact.variant == GAIN:
        return _gains(fact, measured)
    if fact.variant == IMPROVEMENT:
        methods = {name: _averages(fact, measured, 2, name) for name in PAPER_METHODS}
        return filled(fact, AVERAGE, list(improvements(methods)), NOT_ALL_METHODS)
    found = _averages(fact, measured, fact.table, fact.variant)
    known = (fact.table, fact.variant) in measured.variants
    return filled(fact, AVERAGE, found, NOT_ALL_DATASETS if known else NO_ROW.format(fact.variant))


def _averages(fact: Fact, measured: Measured, table: int, variant: str) -> list[Measurement]:
    """Return the mean of each row that all six data sets have, by label."""
    rows: dict[str, dict[str, Measurement]] = {}
    for paper in PAPER_DATASETS:
        for name in ours(paper):  # the closest first, and only the first is kept
            for one in measured.of(table, name, fact.metric, variant, _bound(fact)):
                rows.setdefault(one.row, {}).setdefault(paper, one)
    return [_mean(list(row.values())) for row in rows.values() if len(row) == len(PAPER_DATASETS)]


def _mean(parts: Sequence[Measurement]) -> Measurement:
    return joined(parts, average([one.estimate for one in parts]))


def _bound(fact: Fact) -> PaperBound:
    if fact.bound is None:
        raise ValueError(f"{fact} is of no bound")
    return fact.bound


# ---- table 4 -------------------------------------------------------------------------------------


def _pairs(fact: Fact, measured: Measured) -> list[list[Pair]]:
    """Return, for each two rows with the same settings, both on every data set that has both."""
    found: dict[tuple[str, str], dict[str, Pair]] = {}
    for paper in PAPER_DATASETS:
        for name in ours(paper):
            first, second = (
                measured.of(4, name, fact.metric, variant, _bound(fact))
                for variant in (WITH_CONTRASTIVE, WITHOUT_CONTRASTIVE)
            )
            for pair in same_settings(first, second, but=("alpha", "beta")):
                found.setdefault((pair[0].row, pair[1].row), {}).setdefault(paper, pair)
    return [list(pairs.values()) for pairs in found.values()]


def _gains(fact: Fact, measured: Measured) -> list[Cell]:
    whole = [pairs for pairs in _pairs(fact, measured) if len(pairs) == len(PAPER_DATASETS)]
    gains: list[Measurement] = []
    for pairs in whole:
        with_, without = (_mean([pair[side] for pair in pairs]) for side in (0, 1))
        gains += change([without], [with_])
    return filled(fact, AVERAGE, gains, _lacking(measured) or NOT_ALL_DATASETS)


def _p_values(fact: Fact, measured: Measured) -> list[Cell]:
    remark = _lacking(measured) or "no data set has both rows"
    found = []
    for pairs in _pairs(fact, measured):
        differences = [with_.value - without.value for with_, without in pairs]
        test = across_datasets(differences)
        if test.reason is not None:
            remark = test.reason
            continue
        one_sided = across_datasets(differences, "greater").p_value
        told = f"two-sided; one-sided {one_sided:.4f}; the units are {test.n} data sets"
        parts = [one for pair in pairs for one in pair]
        found.append(joined(parts, Estimate(test.p_value, reason=told)))
    return filled(fact, AVERAGE, found, remark)


def _lacking(measured: Measured) -> str:
    """Return which side no row of ours can stand for, or nothing."""
    for variant in (WITH_CONTRASTIVE, WITHOUT_CONTRASTIVE):
        if (4, variant) not in measured.variants:
            return NO_ROW.format(variant)
    return ""
