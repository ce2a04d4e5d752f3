"""A whole board: its JSON against what the records give, then its other files."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checking.asked import Asked, read_asked, shown_elsewhere
from harness.checking.flat import flat_faults
from harness.checking.latex import latex_faults
from harness.checking.leaves import differences, settled
from harness.checking.letters import letter_faults
from harness.checking.markdown import page_faults
from harness.checking.numbers import over_datasets, winner
from harness.checking.rows import RowOfCells, read_rows
from harness.checking.sections import Recomputed, Said, section

FORMAT = 1
RECORDS = "records"
DAMAGE = (OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError,
          csv.Error)  # fmt: skip

Facts = dict[str, Any]
FORMS: dict[str, Callable[[Facts, str], Iterator[str]]] = {
    "md": page_faults, "csv": flat_faults, "tex": latex_faults,
}  # fmt: skip
"""Ending of a file -> what checks its text against the facts of the board."""


def boards_in(root: Path) -> list[str]:
    """Return the names of all boards: of board files, pages, and records no board file shows."""
    files = {path.stem for ending in ("toml", "json") for path in root.glob(f"*.{ending}")}
    records = {path.name for path in (root / RECORDS).glob("*") if path.is_dir()}
    return sorted(files | (records - set(shown_elsewhere(root))))


def check_board(root: Path, name: str) -> list[str]:
    """Return what is wrong with a board's records and files, one line each; see the package.

    Args:
        root: usually ``leaderboards``.
        name: of its files ``NAME.json``, ``NAME.md``, ``NAME.csv`` and ``NAME.tex``.
    """
    try:
        asked = read_asked(root, name)
    except DAMAGE as error:
        return [f"{root / name}.toml: no board file: {_line(error)}"]
    try:
        return _board_faults(root, asked)
    except Exception as error:  # a sealed record may hold nonsense; a check must not end there
        return [f"{root / name}.json: cannot be checked: {_line(error)}"]


def _board_faults(root: Path, asked: Asked) -> list[str]:
    name, other = asked.name, shown_elsewhere(root).get(asked.name)
    if other is not None and not (root / f"{name}.toml").is_file():
        return [
            f"{root / name}.json: there is no such board; the board file {other} shows its data"
        ]
    rows, faults = _records(root, asked)
    if not faults:
        return _file_faults(root, asked, rows)
    return faults + [
        f"{path}: the file is missing though records of it are published"
        for path in _paths(root, name)
        if not path.is_file()
    ]


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _paths(root: Path, name: str) -> list[Path]:
    return [root / f"{name}.{ending}" for ending in ("json", *FORMS)]


def _records(root: Path, asked: Asked) -> tuple[dict[str, dict[str, RowOfCells]], list[str]]:
    rows, faults = {}, []
    for dataset in asked.datasets:
        rows[dataset], found = read_rows(root / RECORDS / dataset)
        faults += found
    if not any(rows.values()) and not faults:
        faults = [f"{root / asked.name}.json: none of its records is there"]
    return rows, faults


def _file_faults(
    root: Path, asked: Asked, rows: dict[str, dict[str, RowOfCells]]
) -> list[str]:  # fmt: skip
    page, *others = _paths(root, asked.name)
    try:
        stated = json.loads(page.read_text(encoding="utf-8"))
    except DAMAGE as error:
        return [f"{page}: cannot be read: {_line(error)}"]
    found = recomputed(asked, rows, stated)
    faults = [f"{page}: {fault}" for fault in _json_faults(found, stated)]
    facts = settled(found.facts, stated)
    _take_letters(facts, _looking_in(stated))
    for path in others:
        faults += [f"{path}: {fault}" for fault in _form_faults(path, facts)]
    return faults


def _form_faults(path: Path, facts: Facts) -> list[str]:
    try:
        text = path.read_text(encoding="utf-8")
        return list(FORMS[path.suffix[1:]](facts, text))
    except DAMAGE as error:
        return [f"cannot be checked: {_line(error)}"]


# ---- the facts of a board ------------------------------------------------------------------------


@dataclass(frozen=True)
class RecomputedBoard:
    """The board's JSON as it must be, letters excepted, and its sections with what is behind."""

    facts: Facts
    sections: list[Recomputed]


def recomputed(
    asked: Asked, rows: dict[str, dict[str, RowOfCells]], stated: Any
) -> RecomputedBoard:  # fmt: skip
    """Recompute a board; what is stated may choose where rounding alone decides."""
    look = _looking_in(stated)
    sections = [
        section(dataset, asked, rows[dataset], _within(look, "sections", place))
        for place, dataset in enumerate(asked.datasets)
    ]
    facts = {
        "format": FORMAT,
        "name": asked.name,
        "title": asked.title or _title(asked.name, sections),
        "metrics": asked.metrics,
        "family": asked.family,
        "sections": [one.facts for one in sections],
        "across": _across(asked, sections, look),
        "sources": asked.sources,
    }
    return RecomputedBoard(facts, sections)


def _title(name: str, sections: list[Recomputed]) -> str:
    return name if len(sections) > 1 else str(sections[0].facts["dataset"]["title"])


def _looking_in(stated: Any) -> Said:
    def look(*steps: Any) -> Any:
        part = stated
        for step in steps:
            try:
                part = part[step]
            except (TypeError, KeyError, IndexError):
                return None
        return part

    return look


def _within(look: Said, *first: Any) -> Said:
    return lambda *steps: look(*first, *steps)


def _across(asked: Asked, sections: list[Recomputed], look: Said) -> list[Facts]:
    """Recompute the tests whose units are data sets."""
    if len(sections) < 2:
        return []
    bound, found = asked.family["bound"], []
    labels = list(dict.fromkeys(row.label for one in sections for row in one.rows))
    for metric in asked.metrics:
        means = {
            label: {
                dataset: row.mean(metric, bound)
                for dataset, one in zip(asked.datasets, sections, strict=True)
                for row in one.rows
                if row.label == label
            }
            for label in labels
        }
        against = _against(
            asked, means, [one for one in look("across") or () if _is_of(one, metric)]
        )
        found += [
            _one_across(label, against, metric, bound, means)
            for label in labels
            if against is not None and label != against
        ]
    return found


def _is_of(one: Any, metric: str) -> bool:
    return isinstance(one, dict) and one.get("metric") == metric


def _against(
    asked: Asked, means: dict[str, dict[str, float]], stated: list[Facts]
) -> str | None:  # fmt: skip
    if asked.family["against"] != "best":
        return str(asked.family["against"])
    whole = {
        label: list(found.values())
        for label, found in sorted(means.items())
        if len(found) == len(asked.datasets)
    }
    return winner(whole, stated[0].get("against") if stated else None) if whole else None


def _one_across(
    label: str, against: str, metric: str, bound: str, means: dict[str, dict[str, float]]
) -> Facts:  # fmt: skip
    other = means.get(against, {})
    apart = {name: mean - other[name] for name, mean in means[label].items() if name in other}
    two_sided, greater, reason = over_datasets(list(apart.values()))
    return {
        "label": label,
        "against": against,
        "metric": metric,
        "bound": bound,
        "datasets": list(apart),
        "difference": sum(apart.values()) / len(apart) if apart else None,
        "p_two_sided": two_sided,
        "p_greater": greater,
        "reason": reason,
    }


# ---- the JSON, and the letters in it -------------------------------------------------------------


def _json_faults(found: RecomputedBoard, stated: Any) -> Iterator[str]:
    look = _looking_in(stated)
    yield from differences(found.facts, _without_letters(stated))
    for place, one in enumerate(found.sections):
        for metric, verdicts in one.alike.items():
            letters = {
                row.label: look("sections", place, "rows", number, "values", metric, "group")
                for number, row in enumerate(one.rows)
            }
            where = f"data set {one.facts['dataset']['name']!r}, {metric}, groups"
            yield from (f"{where}: {fault}" for fault in letter_faults(letters, verdicts))


def _without_letters(stated: Any) -> Any:
    """Return a copy in which every text that is a group is empty: letters follow another rule."""
    if isinstance(stated, dict):
        return {
            key: "" if key == "group" and isinstance(value, str) else _without_letters(value)
            for key, value in stated.items()
        }
    return [_without_letters(part) for part in stated] if isinstance(stated, list) else stated


def _take_letters(facts: Facts, look: Said) -> None:
    """Put the letters that the JSON states into the facts that the other files are held against."""
    for place, one in enumerate(facts["sections"]):
        for number, row in enumerate(one["rows"]):
            for metric, value in row["values"].items():
                steps = ("sections", place, "rows", number, "values", metric, "group")
                value["group"] = str(look(*steps) or "")
