"""One data set of a board as it must be stated: rows, values, tests, marks, costs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from harness.checking.asked import Asked
from harness.checking.comparing import alike, improvement, tests
from harness.checking.leaves import ABSOLUTE, Either, ends
from harness.checking.letters import Verdicts
from harness.checking.numbers import Student, average, student
from harness.checking.rows import GATES, RowOfCells, in_order, learning

FACTS = ("name", "title", "licence", "citation", "split_hash", "n_users", "n_items", "n_events")
COSTS = ("fit_s", "score_s", "peak_memory_bytes", "peak_gpu_bytes", "parameters")
CURVE = (1, 2, 3, 5, 10, 20, 50, 100)
PRINTED_BOUNDS = ("optimistic", "pessimistic")

Said = Callable[..., Any]
"""Looks a part of the board's JSON up, step by step; None where it is not there."""


@dataclass
class Recomputed:
    """A section as it must be stated, the rows behind it, and what its letters must say."""

    facts: dict[str, Any]
    rows: list[RowOfCells]
    alike: dict[str, Verdicts] = field(default_factory=dict)


def section(
    dataset: str, asked: Asked, everything: Mapping[str, RowOfCells], said: Said
) -> Recomputed:  # fmt: skip
    """Recompute a data set's section; letters are left empty, for they are checked by their rule.

    Args:
        dataset: its name.
        asked: what the board shows.
        everything: label -> row, all that there are records of.
        said: the section as stated: where rounding alone decides, it may choose.
    """
    chosen = {
        label: part
        for label, row in everything.items()
        if (asked.rows is None or label in asked.rows)
        and (part := row.of(asked.seeds(label))) is not None
    }
    rows = in_order(chosen, [said("rows", place, "label") for place in range(len(chosen))])
    place = {row.label: number for number, row in enumerate(rows)}
    found = _tests(rows, asked, said)
    values = _values(rows, asked.metrics)
    stated_rows = [
        _row(row, asked, everything, values[row.label],
             {metric: found[metric][row.label] for metric in asked.metrics
              if row.label in found[metric]})
        for row in rows
    ]  # fmt: skip
    missing = [_missing(label) for label in asked.rows or () if label not in place]
    facts = {
        **_dataset(dataset, everything),
        "rows": stated_rows + missing,
        "improvements": _improvements(rows, asked, said),
        "not_judged": _not_judged(everything),
    }
    pairs = {metric: alike(rows, metric, asked.family) for metric in asked.metrics}
    return Recomputed(facts, rows, pairs)


def _dataset(dataset: str, everything: Mapping[str, RowOfCells]) -> dict[str, Any]:
    if not everything:
        nothing = {**dict.fromkeys(FACTS), "name": dataset, "title": dataset}
        return {"dataset": {**nothing, "redistributable": False}, "protocol": {}}
    record = in_order(everything, [])[0].first
    facts = {name: record["dataset"].get(name) for name in FACTS}
    allowed = record["dataset"].get("redistributable") is True
    return {"dataset": {**facts, "redistributable": allowed}, "protocol": record["protocol"]}


def _not_judged(everything: Mapping[str, RowOfCells]) -> str | None:
    absent = [f"{gate} is missing" for gate in GATES if gate not in everything]
    return f"not judged: {', '.join(absent)}" if absent else None


def _tests(
    rows: Sequence[RowOfCells], asked: Asked, said: Said
) -> dict[str, dict[str, dict[str, Any]]]:  # fmt: skip
    found = {}
    for metric in asked.metrics:
        against = [said("rows", n, "comparisons", metric, "against") for n in range(len(rows))]
        stated = next((label for label in against if label is not None), None)
        found[metric] = tests(rows, metric, asked.family, stated)
    return found


def _improvements(rows: Sequence[RowOfCells], asked: Asked, said: Said) -> dict[str, Any]:
    found = {
        metric: improvement(
            rows, metric, asked.improvement_of, said("improvements", metric, "over")
        )
        for metric in asked.metrics
    }
    return {metric: one for metric, one in found.items() if one is not None}


# ---- values --------------------------------------------------------------------------------------


def _values(rows: Sequence[RowOfCells], metrics: Sequence[str]) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {row.label: {} for row in rows}
    for metric in metrics:
        for row in rows:
            values = row.values(metric, "pessimistic")
            found[row.label][metric] = _value(row, metric, student(values, float(values.max())))
        for row in rows:
            found[row.label][metric]["best"] = _best(row.label, found, metric)
    return found


def _value(row: RowOfCells, metric: str, test: Student) -> dict[str, Any]:
    return {
        "optimistic": row.mean(metric, "optimistic"),
        "pessimistic": row.mean(metric, "pessimistic"),
        "expected": row.mean(metric, "expected"),
        "low": test.low,
        "high": test.high,
        "reason": test.reason,
        "best": [],
        "group": "",
    }


def _best(label: str, found: Mapping[str, dict[str, Any]], metric: str) -> Any:
    """Return the bounds in which a row's printed value is the best and above 0."""
    choices: list[list[str]] = [[]]
    for bound in PRINTED_BOUNDS:
        own = printings(found[label][metric][bound])
        others = [printings(other[metric][bound]) for other in found.values()]
        if max(own) > 0 and max(own) >= max(min(pair) for pair in others):
            surely = min(own) > 0 and min(own) >= max(max(pair) for pair in others)
            added = [[*choice, bound] for choice in choices]
            choices = added if surely else choices + added
    return choices[0] if len(choices) == 1 else Either(tuple(choices))


def printings(value: float) -> list[float]:
    """Return what four digits may say: one number, or two at the edge of rounding."""
    return sorted({float(f"{value + moved:.4f}") for moved in (-ABSOLUTE, 0, ABSOLUTE)})


# ---- rows ----------------------------------------------------------------------------------------


def _row(
    row: RowOfCells,
    asked: Asked,
    everything: Mapping[str, RowOfCells],
    values: dict[str, Any],
    comparisons: dict[str, Any],
) -> dict[str, Any]:
    lacking = [str(seed) for seed in asked.seeds(row.label) or () if seed not in row.seeds]
    tied = [int((cell.low != cell.high).sum()) / len(cell.users) for cell in row.cells]
    return {
        **_method(row),
        "status": "ok",
        "reason": f"seeds {', '.join(lacking)} are missing" if lacking else None,
        "n_users": len(row.cells[0].users),
        "values": values,
        "comparisons": comparisons,
        "tie_rate": average(tied),
        "gap_exceeds": _any([_gap(value) for value in values.values()]),
        "not_learnt": _open(learning(row, everything)),
        "cost": _costs(row),
        "recall": {bound: _curve(row, bound) for bound in PRINTED_BOUNDS},
        "records": {
            str(cell.record["seed"]): {"folder": cell.folder.name, "run_id": cell.record["run_id"]}
            for cell in row.cells
        },
    }


def _method(row: RowOfCells) -> dict[str, Any]:
    method = row.first["method"]
    inputs = list(method["inputs"])
    return {
        "label": row.label,
        "title": method["title"],
        "paper": method["paper"],
        "inputs": ["not stated"] if method["name"] == "external" and not inputs else inputs,
        "seeds": row.seeds,
        "note": _note(row),
        "device": str(row.first["cost"].get("device") or "not stated"),
    }


def _note(row: RowOfCells) -> str:
    method, told = row.first["method"], row.first["report"].get("note")
    sentences = [method["title"], method["paper"]]
    if told:
        sentences.append(str(told).rstrip("."))
    code = [cell.record["code"] for cell in row.cells]
    own = [one for one in code if one["source"] != "external"]
    if any(one["dirty"] is not False or not one["commit"] for one in own):
        sentences.append("Made with uncommitted code")
    given = [name for name in sorted(method["origins"]) if method["origins"][name] != "default"]
    if given:
        settings = [f"{n}={method['settings'][n]} ({method['origins'][n]})" for n in given]
        sentences.append(f"Settings: {', '.join(settings)}")
    return " ".join(f"{sentence}." for sentence in sentences)


def _gap(value: Mapping[str, Any]) -> set[bool]:
    """Return whether ties move a mean above its interval, or at all where it has none.

    Both where rounding decides.
    """
    if value["high"] is None:
        last = value["pessimistic"]
        return {value["optimistic"] > last + ABSOLUTE, value["optimistic"] > last}
    low, high = ends(value["high"])
    return {value["optimistic"] > low + ABSOLUTE, value["optimistic"] > high - ABSOLUTE}


def _any(found: Sequence[set[bool]]) -> Any:
    if {True} in found:
        return True
    return _open(set().union(*found))


def _open(allowed: set[bool] | None) -> Any:
    if allowed is None:
        return None
    return next(iter(allowed)) if len(allowed) == 1 else Either(tuple(sorted(allowed)))


def _costs(row: RowOfCells) -> dict[str, float]:
    known = {
        name: [c for cell in row.cells if (c := cell.record["cost"].get(name)) is not None]
        for name in COSTS
    }
    return {name: average(values) for name, values in known.items() if values}


def _curve(row: RowOfCells, bound: str) -> list[float]:
    ranks = [cell.low if bound == "optimistic" else cell.high for cell in row.cells]
    return [
        average([int(((one > 0) & (one <= k)).sum()) / len(one) for one in ranks]) for k in CURVE
    ]


def _missing(label: str) -> dict[str, Any]:
    return {
        "label": label, "status": "missing", "reason": "no record of it is there",
        "title": label, "paper": "", "inputs": [], "seeds": [], "note": "", "n_users": 0,
        "values": {}, "comparisons": {}, "tie_rate": None, "gap_exceeds": False,
        "not_learnt": None, "cost": {}, "device": "not stated", "recall": {}, "records": {},
    }  # fmt: skip
