"""The CSV of a board: every field of every line."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any

from harness.checking.leaves import is_close

Facts = Mapping[str, Any]
HEADER = (
    "dataset", "split_hash", "method", "status", "seeds", "n_users", "metric", "bound", "value",
    "low", "high", "best", "groups", "against", "test_seeds", "difference", "difference_low",
    "difference_high", "p_value", "p_adjusted", "effect_size", "tie_rate", "gap_exceeds",
    "not_learnt", "fit_s", "score_s", "parameters", "device", "inputs",
)  # fmt: skip
TEST_FIELDS = {
    "against": "against", "difference": "difference", "low": "difference_low",
    "high": "difference_high", "p_value": "p_value", "adjusted": "p_adjusted",
    "effect_size": "effect_size",
}  # fmt: skip


def flat_faults(board: Facts, text: str) -> Iterator[str]:
    """Yield what is wrong with a board's CSV."""
    header, *found = list(csv.reader(io.StringIO(text), strict=True)) or [[]]
    wanted = [line for section in board["sections"] for line in _lines(board, section)]
    if tuple(header) != HEADER:
        yield f"the columns are {header}, not {list(HEADER)}"
        return
    if len(found) != len(wanted):
        yield f"{len(found)} lines below the header, the records give {len(wanted)}"
        return
    for number, (cells, line) in enumerate(zip(found, wanted, strict=True), start=2):
        where = f"line {number} ({line['method']}, {line['metric']} {line.get('bound', '')})"
        if len(cells) != len(HEADER):
            yield f"{where}: {len(cells)} fields instead of {len(HEADER)}"
            continue
        for column, cell in zip(HEADER, cells, strict=True):
            if not _fits(cell, line.get(column), column):
                yield f"{where}, {column}: {cell!r}, the records give {line.get(column)!r}"


def _fits(cell: str, wanted: Any, column: str) -> bool:
    if isinstance(wanted, bool):
        return cell == ("true" if wanted else "false")
    if isinstance(wanted, float):
        try:
            return is_close(float(cell), wanted, column)
        except ValueError:
            return False
    return cell == ("" if wanted is None else str(wanted))


def _lines(board: Facts, section: Facts) -> Iterator[dict[str, Any]]:
    for row in section["rows"]:
        common = {
            "dataset": section["dataset"]["name"],
            "split_hash": section["dataset"]["split_hash"],
            "method": row["label"],
            "seeds": " ".join(map(str, row["seeds"])),
            "inputs": " + ".join(row["inputs"]),
            **{name: row["cost"].get(name) for name in ("fit_s", "score_s", "parameters")},
            **{name: row[name] for name in ("status", "n_users", "tie_rate", "gap_exceeds",
                                            "not_learnt", "device")},
        }  # fmt: skip
        for metric in board["metrics"]:
            if row["status"] == "ok":
                for bound in ("optimistic", "pessimistic", "expected"):
                    yield {**common, "metric": metric, **_value(board, row, metric, bound)}
            else:
                yield {**common, "metric": metric}


def _value(board: Facts, row: Facts, metric: str, bound: str) -> dict[str, Any]:
    value, test = row["values"][metric], row["comparisons"].get(metric)
    found = {"bound": bound, "value": value[bound], "best": bound in value["best"]}
    if bound == "pessimistic":
        found |= {"low": value["low"], "high": value["high"]}
    if bound == board["family"]["bound"]:
        found["groups"] = value["group"]
        if test is not None:
            found |= {column: test[name] for name, column in TEST_FIELDS.items()}
            found["test_seeds"] = " ".join(map(str, test["seeds"]))
    return found
