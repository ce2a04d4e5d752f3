"""What pages may print: patterns of text in which numbers may fall either way at an edge."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.checking.leaves import ABSOLUTE

Facts = Mapping[str, Any]
BOUNDS = ("optimistic", "pessimistic")
NOT_LEARNT, GAP = "†", "‡"
CELL = re.compile(
    r"(?P<open_first>\*\*|\\textbf\{)?(?P<first>-?\d+\.\d{4})(?P<close_first>\*\*|\})?/"
    r"(?P<open_last><u>|\\underline\{)?(?P<last>-?\d+\.\d{4})(?P<close_last></u>|\})?"
    r"(?:(?: <sup>|\\textsuperscript\{)(?P<letters>[^<}]+)(?:</sup>|\}))?"
)


def any_of(*texts: str) -> str:
    """Return a pattern of any of these texts."""
    return "(?:" + "|".join(sorted({re.escape(text) for text in texts})) + ")"


def figure(value: float, form: str = ".4f") -> str:
    """Return a pattern of a number as a format prints it, or of both at the edge of rounding."""
    moved = abs(value) * ABSOLUTE if form.endswith("g") else ABSOLUTE * max(1.0, abs(value))
    return any_of(*(format(value + shift, form) for shift in (-moved, 0.0, moved)))


def interval(low: float | None, high: float | None, form: str = ".4f") -> str:
    """Return a pattern of the ends of an interval; empty where there is none."""
    if low is None or high is None:
        return ""
    return f"{figure(low, form)} to {figure(high, form)}"


def probability(p: float | None) -> str:
    """Return a pattern of a p-value; empty where there is none."""
    if p is None:
        return ""
    return re.escape("< 1e-99") if p < 1e-99 else figure(p, ".2g")


def comparison(section: Facts, row: Facts, metric: str) -> str:
    """Return a pattern of a test's difference, interval and corrected p-value."""
    test = row["comparisons"].get(metric)
    if test is None:
        return "reference"
    seeds = ",".join(map(str, test["seeds"]))
    fewer = f", over seeds {seeds}" if is_of_fewer_seeds(section, row, metric) else ""
    if test["reason"] is not None:
        return re.escape(f"no test: {test['reason']}{fewer}")
    ends = interval(test["low"], test["high"], "+.4f")
    difference = figure(test["difference"], "+.4f")
    return rf"{difference} \[{ends}\], p {probability(test['adjusted'])}{fewer}"


def is_of_fewer_seeds(section: Facts, row: Facts, metric: str) -> bool:
    """Return whether a test is over seeds, and one of its two rows has others as well."""
    test = row["comparisons"].get(metric)
    if test is None or not test["seeds"]:
        return False
    held = row_of(section, test["against"])
    return held is not None and any(one["seeds"] != test["seeds"] for one in (row, held))


def improvement(found: Facts | None) -> str:
    """Return a pattern of how far a row is above the best other."""
    if found is None:
        return ""
    (first, last), told = (found["over"][b] for b in BOUNDS), []
    for bound in BOUNDS:
        percent = found["percent"][bound]
        told.append("no number" if percent is None else figure(percent, "+.1f") + " %")
    if first == last:
        return f"{re.escape(found['of'])} over {re.escape(first)}: {told[0]}/{told[1]}"
    return (
        f"{re.escape(found['of'])}: {told[0]} over {re.escape(first)}/{told[1]} over "
        f"{re.escape(last)}"
    )


def cost(row: Facts, name: str, form: str, unit: int = 1) -> str:
    """Return a pattern of a cost; empty where it is not known."""
    return figure(row["cost"][name] / unit, form) if name in row["cost"] else ""


def marked(row: Facts) -> str:
    """Return a row's label with the no-learning mark."""
    return f"{row['label']} {NOT_LEARNT}" if row["not_learnt"] else str(row["label"])


def columns(board: Facts) -> list[str]:
    """Return the labels of all data sets, each once, as they come up."""
    rows = [row for section in board["sections"] for row in section["rows"]]
    return list(dict.fromkeys(row["label"] for row in rows))


def row_of(section: Facts, label: str) -> Facts | None:
    """Return a section's row; None where it has none of that label."""
    return next((row for row in section["rows"] if row["label"] == label), None)


def differs(found: str, pattern: str, shown: Callable[[str], str] = str) -> str | None:
    """Return what to say of a text that does not fit a pattern; ``shown`` reads its escapes."""
    if re.fullmatch(pattern, shown(found)):
        return None
    wanted = re.sub(r"\(\?:([^|)]*)[^)]*\)", r"\1", pattern).replace("\\", "")
    return f"printed {found!r}, the records give {wanted!r}"


def cell_faults(cells: Mapping[str, str], section: Facts, metric: str) -> list[str]:
    """Return what is wrong with a data set's cells of one metric (label -> text).

    Best marks must follow from the numbers that are printed beside each other.
    """
    faults, numbers = [], {}
    for label, text in cells.items():
        row, match = row_of(section, label), CELL.fullmatch(text)
        if row is None or row["status"] != "ok":
            wanted = "missing" if row is None else row["status"]
            faults += [f"{label!r}: printed {text!r}, not {wanted!r}"] if text != wanted else []
        elif match is None:
            faults.append(f"{label!r}: printed {text!r}, which is no pair of numbers")
        else:
            numbers[label] = match
            faults += _number_faults(label, match, row["values"][metric])
    return faults + _mark_faults(numbers)


def _number_faults(label: str, match: re.Match[str], value: Facts) -> list[str]:
    faults = []
    for name, bound in (("first", "optimistic"), ("last", "pessimistic")):
        if not re.fullmatch(figure(value[bound]), match[name]):
            faults.append(f"{label!r}, {bound}: printed {match[name]}, the records give "
                          f"{value[bound]:.6f}")  # fmt: skip
    if (match["letters"] or "") != value["group"]:
        faults.append(f"{label!r}: has the letters {match['letters']!r}, not {value['group']!r}")
    return faults


def _mark_faults(numbers: Mapping[str, re.Match[str]]) -> list[str]:
    faults = []
    for name, bound in (("first", "optimistic"), ("last", "pessimistic")):
        best = max((float(match[name]) for match in numbers.values()), default=0.0)
        for label, match in numbers.items():
            wanted = float(match[name]) == best > 0
            if not (bool(match[f"open_{name}"]) == bool(match[f"close_{name}"]) == wanted):
                told = "not marked as the best" if wanted else "marked though it is not the best"
                faults.append(f"{label!r}, {bound}: {match[name]} is {told}")
    return faults
