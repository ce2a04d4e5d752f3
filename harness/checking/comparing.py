"""The tests of one data set: each row against one, and all pairs of rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations
from typing import Any

from harness.checking.letters import Verdicts, verdicts
from harness.checking.numbers import Student, average, corrected, student, winner
from harness.checking.rows import RowOfCells

Family = dict[str, Any]
Test = dict[str, Any]


def paired(one: RowOfCells, two: RowOfCells, metric: str, bound: str) -> tuple[list[int], Student]:
    """Return the seeds that both rows have, and the test of one minus two over these."""
    seeds = [seed for seed in one.seeds if seed in two.seeds]
    if not seeds:
        return [], Student(None, reason="no seed in common")
    first, second = (
        row.values(metric, bound)[[row.seeds.index(seed) for seed in seeds]] for row in (one, two)
    )
    return seeds, student(first - second, float(max(first.max(), second.max())))


def tests(
    rows: Sequence[RowOfCells], metric: str, family: Family, stated: object
) -> dict[str, Test]:
    """Return label -> the test against the family's row, corrected; that row itself is left out.

    Args:
        rows: those with numbers.
        metric: which one.
        family: what is held against what, and how p-values are corrected.
        stated: the label that the board says the others are held against.
    """
    held = _held_against(rows, metric, family, stated)
    if held is None:
        reason = f"{family['against']} has no numbers here"
        nothing = _test(family["against"], [], Student(None, reason=reason), None)
        return {row.label: nothing for row in rows}
    others = [row for row in rows if row is not held]
    found = [paired(row, held, metric, family["bound"]) for row in others]
    adjusted = corrected([test.p for _, test in found], family["correction"])
    return {
        row.label: _test(held.label, seeds, test, p)
        for row, (seeds, test), p in zip(others, found, adjusted, strict=True)
    }


def _held_against(
    rows: Sequence[RowOfCells], metric: str, family: Family, stated: object
) -> RowOfCells | None:  # fmt: skip
    named = {row.label: row for row in rows}
    if family["against"] != "best":
        return named.get(family["against"])
    means = {label: named[label].means(metric, family["bound"]) for label in sorted(named)}
    return named[winner(means, stated)] if means else None


def _test(against: str, seeds: list[int], test: Student, adjusted: object) -> Test:
    return {
        "against": against,
        "seeds": seeds,
        "difference": test.mean,
        "low": test.low,
        "high": test.high,
        "p_value": test.p,
        "adjusted": adjusted,
        "effect_size": test.effect,
        "reason": test.reason,
    }


def alike(rows: Sequence[RowOfCells], metric: str, family: Family) -> Verdicts:
    """Return which pairs of rows no test tells apart."""
    found = {
        frozenset((one.label, two.label)): paired(one, two, metric, family["bound"])[1]
        for one, two in combinations(rows, 2)
    }
    return verdicts(found, family["correction"], float(family["level"]))


def improvement(
    rows: Sequence[RowOfCells], metric: str, of: str | None, stated: object
) -> dict[str, Any] | None:
    """Return how many percent a row is above the best of the others, bound by bound."""
    own = next((row for row in rows if of in (None, row.label)), None)
    others = [row for row in rows if row is not own]
    if own is None or not others:
        return None
    said = stated if isinstance(stated, dict) else {}
    over, percent = {}, {}
    for bound in ("optimistic", "pessimistic"):
        means = {row.label: row.means(metric, bound) for row in others}
        over[bound] = best = winner(means, said.get(bound))
        other = average(means[best])
        ratio = own.mean(metric, bound) / other if other else math.nan
        percent[bound] = None if math.isnan(ratio) else 100 * (ratio - 1)
    return {"of": own.label, "over": over, "percent": percent}
