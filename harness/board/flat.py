"""A board as CSV: one line for each data set, row, metric and bound."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from harness.board.json_form import rounded
from harness.board.table import BoardTable, RowTable, Section

COLUMNS = (
    "dataset", "split_hash", "method", "status", "seeds", "n_users", "metric", "bound", "value",
    "low", "high", "best", "groups", "against", "test_seeds", "difference", "difference_low",
    "difference_high", "p_value", "p_adjusted", "effect_size", "tie_rate", "gap_exceeds",
    "not_learnt", "fit_s", "score_s", "parameters", "device", "inputs",
)  # fmt: skip
"""``low`` to ``high`` is the pessimistic mean's interval; the test is of the board's own bound,
over the seeds that both rows have."""


def flat(table: BoardTable) -> str:
    """Return the table with a header; nine significant digits, empty where there are none."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for section in table.sections:
        for row in section.rows:
            writer.writerows(_lines(table, section, row))
    return stream.getvalue()


def _lines(table: BoardTable, section: Section, row: RowTable) -> Iterator[dict[str, object]]:
    common = {
        "dataset": section.dataset["name"],
        "split_hash": section.dataset["split_hash"],
        "method": row.label,
        "status": row.status,
        "seeds": " ".join(map(str, row.seeds)),
        "n_users": row.n_users,
        "tie_rate": _text(row.tie_rate),
        "gap_exceeds": _text(row.gap_exceeds),
        "not_learnt": _text(row.not_learnt),
        "fit_s": _text(row.cost.get("fit_s")),
        "score_s": _text(row.cost.get("score_s")),
        "parameters": _text(row.cost.get("parameters")),
        "device": row.device,
        "inputs": " + ".join(row.inputs),
    }
    for metric in table.metrics:
        if row.status != "ok":
            yield {**common, "metric": metric}
            continue
        for bound in ("optimistic", "pessimistic", "expected"):
            yield {**common, **_value(table, row, metric, bound)}


def _value(table: BoardTable, row: RowTable, metric: str, bound: str) -> dict[str, object]:
    value, test = row.values[metric], row.comparisons.get(metric)
    found: dict[str, object] = {
        "metric": metric,
        "bound": bound,
        "value": _text(getattr(value, bound)),
        "best": _text(bound in value.best),
    }
    if bound == "pessimistic":
        found |= {"low": _text(value.low), "high": _text(value.high)}
    if bound == table.family.bound:
        found["groups"] = value.group
        if test is not None:
            found |= {
                "against": test.against,
                "test_seeds": " ".join(map(str, test.seeds)),
                "difference": _text(test.difference),
                "difference_low": _text(test.low),
                "difference_high": _text(test.high),
                "p_value": _text(test.p_value),
                "p_adjusted": _text(test.adjusted),
                "effect_size": _text(test.effect_size),
            }
    return found


def _text(value: float | bool | None) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(rounded(float(value)))
