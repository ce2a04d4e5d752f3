"""Table 1: a data set's sizes from its records, its words from the prepared data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.data.prepared import PreparedData
from harness.data.stats import table1_row
from harness.paper.cells import Cell, Measurement
from harness.paper.estimates import Estimate
from harness.paper.facts import Fact
from harness.paper.names import DATASET_DIFFERENCES, SAME_PROTOCOL
from harness.paper.rows import DatasetRows

NEEDS_DATA = "words and duplicates are told by the prepared data, not by records"
OTHER_DATA = "the prepared data at hand are not those of the records"
NO_DUPLICATES = "duplicates were not looked for"

OF_PREPARED: Mapping[str, str] = {
    "duplicates": "duplicates_percent",
    "words per item": "words_per_item",
    "word vocabulary": "word_vocabulary",
    "average word frequency": "average_word_frequency",
}
"""Column -> key of `harness.data.stats.table1_row`."""


def described(
    fact: Fact, dataset: str, rows: DatasetRows | None, prepared: Mapping[str, PreparedData]
) -> Cell:
    """Return a cell of table 1.

    Args:
        fact: of table 1.
        dataset: ours.
        rows: what was measured on it, None for nothing.
        prepared: our data set -> prepared data.
    """
    if rows is None:
        return Cell(fact, dataset)
    if fact.metric in OF_PREPARED:
        return _from_prepared(fact, dataset, rows, prepared.get(dataset))
    return _cell(fact, dataset, _from_records(rows)[fact.metric])


def _from_records(rows: DatasetRows) -> dict[str, float]:
    users, items, purchases = (rows.facts[name] for name in ("n_users", "n_items", "n_events"))
    sample: Mapping[str, Any] | None = rows.protocol.get("user_sample")
    return {
        "users": users,
        "users sampled": 100 * sample["fraction"] if sample else 100,
        "items": items,
        "purchases": purchases,
        "items per user": purchases / users,
        "purchases per item": purchases / items,
        "density": purchases / (users * items),
    }


def _from_prepared(fact: Fact, dataset: str, rows: DatasetRows, data: PreparedData | None) -> Cell:
    if data is None:
        return Cell(fact, dataset, remark=NEEDS_DATA)
    if data.content_hash != rows.facts.get("content_hash"):
        return Cell(fact, dataset, remark=OTHER_DATA)
    value = table1_row(data)[OF_PREPARED[fact.metric]]
    return (
        Cell(fact, dataset, remark=NO_DUPLICATES) if value is None else _cell(fact, dataset, value)
    )


def _cell(fact: Fact, dataset: str, value: float) -> Cell:
    difference = DATASET_DIFFERENCES.get(dataset, SAME_PROTOCOL)
    return Cell(fact, dataset, Measurement("", dataset, Estimate(float(value)), "", difference))
