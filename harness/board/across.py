"""Tests whose units are data sets, where a board has two or more (the paper's table 4)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from harness.board.ranks import RankedRow
from harness.board.table import Across, Family
from harness.metrics import Metric
from harness.stats import across_datasets

Rows = Mapping[str, Sequence[RankedRow]]
"""Data set -> its rows with numbers."""


def across(rows: Rows, metrics: Sequence[Metric], family: Family) -> tuple[Across, ...]:
    """Return, for each metric, the test of every row against one over the data sets they share.

    Against "best": the row with the best unweighted mean among those that every data set has; of
    equal ones the label that comes first.
    """
    if len(rows) < 2:
        return ()
    labels = list(dict.fromkeys(row.label for section in rows.values() for row in section))
    return tuple(
        _one(rows, label, against, metric, family)
        for metric in metrics
        if (against := _against(rows, labels, metric, family)) is not None
        for label in labels
        if label != against
    )


def _means(rows: Rows, label: str, metric: Metric, family: Family) -> dict[str, float]:
    return {
        dataset: row.mean(metric, family.bound)
        for dataset, section in rows.items()
        for row in section
        if row.label == label
    }


def _against(
    rows: Rows, labels: Sequence[str], metric: Metric, family: Family
) -> str | None:  # fmt: skip
    if family.against != "best":
        return family.against
    totals = {
        label: sum(means.values())
        for label in labels
        if len(means := _means(rows, label, metric, family)) == len(rows)
    }
    return min(totals, key=lambda label: (-totals[label], label), default=None)


def _one(rows: Rows, label: str, against: str, metric: Metric, family: Family) -> Across:
    mine, other = (_means(rows, name, metric, family) for name in (label, against))
    shared = tuple(dataset for dataset in rows if dataset in mine and dataset in other)
    differences = [mine[dataset] - other[dataset] for dataset in shared]
    both = across_datasets(differences)
    greater = across_datasets(differences, "greater")
    return Across(
        label=label,
        against=against,
        metric=metric.name,
        bound=family.bound,
        datasets=shared,
        difference=_number(both.mean),
        p_two_sided=_number(both.p_value),
        p_greater=_number(greater.p_value),
        reason=both.reason,
    )


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
