"""One row of a board: its facts, its note, its marks, its costs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.board.definition import RowChoice
from harness.board.ranks import RankedRow
from harness.board.table import (
    RECALL_AT,
    Comparison,
    Improvement,
    RowStatus,
    RowTable,
    Value,
)
from harness.leaderboard import Board, Row
from harness.metrics import Bound, Metric
from harness.protocol import GATE
from harness.records import EXTERNAL

COSTS = ("fit_s", "score_s", "peak_memory_bytes", "peak_gpu_bytes", "parameters")
UNCOMMITTED = "Made with uncommitted code."
NOT_STATED = "not stated"


def row_table(
    ranked: RankedRow,
    values: Mapping[str, Value],
    tests: Mapping[str, Comparison],
    arranged: Board,
    folders: Mapping[int, Path],
    choice: RowChoice | None,
) -> RowTable:
    """Return a row with numbers.

    Args:
        ranked: records and ranks.
        values: metric name -> value.
        tests: metric name -> the test of the board's family.
        arranged: all rows of the data set, the baselines of the gate among them.
        folders: ``id`` of a record -> where it lies.
        choice: how the board names the row; None where it shows all there are.
    """
    row = ranked.row
    missing = sorted(set((choice and choice.seeds) or ()) - set(ranked.seeds))
    judged = row.label not in GATE and arranged.not_judged is None
    return RowTable(
        **_facts(row),
        status="ok",
        reason=f"seeds {', '.join(map(str, missing))} are missing" if missing else None,
        n_users=len(ranked.users),
        values=values,
        comparisons=tests,
        tie_rate=row.tie_rate,
        gap_exceeds=any(value.gap_exceeds for value in values.values()),
        not_learnt=arranged.not_shown_to_learn(row) if judged else None,
        cost={name: cost for name in COSTS if (cost := row.cost(name)) is not None},
        recall={bound: _recall(ranked, bound) for bound in ("optimistic", "pessimistic")},
        records={
            str(record.seed): {"folder": folders[id(record)].name, "run_id": record.run_id}
            for record in row.records
        },
    )  # fmt: skip


def without_numbers(row: Row | str, status: RowStatus, reason: str) -> RowTable:
    """Return a row that shows why it has no numbers; ``row`` is a label where nothing is known."""
    facts = _facts(row) if isinstance(row, Row) else _nothing(row)
    return RowTable(
        **facts, status=status, reason=reason, n_users=0, values={}, comparisons={},
        tie_rate=None, gap_exceeds=False, not_learnt=None, cost={}, recall={}, records={},
    )  # fmt: skip


def _facts(row: Row) -> dict[str, Any]:
    method = row.first.method
    inputs = tuple(method["inputs"])
    if method["name"] == EXTERNAL:
        inputs = inputs or (NOT_STATED,)
    return {
        "label": row.label,
        "title": method["title"],
        "paper": method["paper"],
        "inputs": inputs,
        "seeds": tuple(record.seed for record in row.records),
        "note": note(row),
        "device": str(row.first.cost.get("device") or NOT_STATED),
    }


def _nothing(label: str) -> dict[str, Any]:
    return {
        "label": label, "title": label, "paper": "", "inputs": (), "seeds": (), "note": "",
        "device": NOT_STATED,
    }  # fmt: skip


def note(row: Row) -> str:
    """Return what sets a row apart: settings not at their default, and the method's own note."""
    method = row.first.method
    given = [
        f"{name}={method['settings'][name]} ({origin})"
        for name, origin in sorted(method["origins"].items())
        if origin != "default"
    ]
    parts = [method["title"] + ".", method["paper"] + "."]
    if row.first.report.get("note"):
        parts.append(str(row.first.report["note"]).rstrip(".") + ".")
    if any(record.is_dirty for record in row.records):
        parts.append(UNCOMMITTED)
    if given:
        parts.append("Settings: " + ", ".join(given) + ".")
    return " ".join(parts)


def _recall(ranked: RankedRow, bound: Bound) -> tuple[float, ...]:
    return tuple(ranked.mean(Metric("Recall", k), bound) for k in RECALL_AT)


def improvement(
    rows: Sequence[RankedRow], metric: Metric, of: str | None
) -> Improvement | None:  # fmt: skip
    """Return how far a row is above the best of the others, bound by bound.

    Args:
        rows: those with numbers, best first.
        metric: which one.
        of: the row's label; None takes the first.
    """
    own = rows[0] if rows and of is None else next((r for r in rows if r.label == of), None)
    others = [row for row in rows if row is not own]
    if own is None or not others:
        return None
    over: dict[str, str] = {}
    percent: dict[str, float | None] = {}
    bounds: tuple[Bound, ...] = ("optimistic", "pessimistic")
    for bound in bounds:
        best = max(others, key=lambda row: row.mean(metric, bound))
        other = best.mean(metric, bound)
        over[bound] = best.label
        percent[bound] = 100 * (own.mean(metric, bound) - other) / other if other else None
    return Improvement(own.label, over, percent)
