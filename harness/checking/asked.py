"""What a board is asked to show: its board file, read here by itself, or the default."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.checking.numbers import metric_parts

METRICS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")
FAMILY = {"against": "best", "correction": "holm", "bound": "pessimistic", "level": 0.05}
CHOICES = {
    "correction": ("holm", "bonferroni", "benjamini-hochberg"),
    "bound": ("pessimistic", "optimistic", "expected"),
}


@dataclass(frozen=True)
class Asked:
    """A board's definition.

    Attributes:
        name: of its files.
        title: its heading; None takes its data set's, or its name where it has several.
        datasets: their names.
        rows: label -> seeds it must have, None for all; None where every row is shown.
        metrics: its columns.
        family: against, correction, bound and level of its tests.
        improvement_of: a label; None takes the best row.
        sources: published tables beside it.
    """

    name: str
    title: str | None
    datasets: list[str]
    rows: dict[str, list[int] | None] | None
    metrics: list[str]
    family: dict[str, Any]
    improvement_of: str | None
    sources: list[str]

    def seeds(self, label: str) -> list[int] | None:
        """Return the seeds asked of a row; None for all that there are."""
        return (self.rows or {}).get(label)


def read_asked(root: Path, name: str) -> Asked:
    """Read a board file, or make the default of a data set that none shows.

    Raises:
        ValueError, TypeError, AttributeError, OSError: it is no board file; says why.
    """
    path = root / f"{name}.toml"
    said = tomllib.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    family = {**FAMILY, **said.get("family", {})}
    for key, allowed in CHOICES.items():
        if family[key] not in allowed:
            raise ValueError(f"{key} of the family is {family[key]!r}, not one of {allowed}")
    metrics = _texts(said.get("metrics", [])) or list(METRICS)
    for metric in metrics:
        metric_parts(metric)
    return Asked(
        name=name,
        title=said.get("title"),
        datasets=_texts(said["datasets"] if path.is_file() else [name]),
        rows=_rows(said),
        metrics=metrics,
        family=family,
        improvement_of=said.get("improvement", {}).get("of"),
        sources=_texts(said.get("sources", [])),
    )


def _texts(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise TypeError(f"a list of names must be there, found {value!r}")
    return list(value)


def _rows(said: dict[str, Any]) -> dict[str, list[int] | None] | None:
    seeds = sorted(said["seeds"]) if "seeds" in said else None
    if said.get("methods") == []:
        raise ValueError("methods is an empty list")
    rows: dict[str, list[int] | None] = dict.fromkeys(_texts(said.get("methods", [])), seeds)
    for part in said.get("row", []):
        rows[part["method"]] = sorted(part["seeds"]) if "seeds" in part else None
    return rows or None


def shown_elsewhere(root: Path) -> dict[str, str]:
    """Return data set -> the board file that shows it; files that cannot be read show nothing."""
    found: dict[str, str] = {}
    for path in sorted(root.glob("*.toml")):
        try:
            names = _texts(tomllib.loads(path.read_text(encoding="utf-8"))["datasets"])
        except (OSError, ValueError, TypeError, KeyError):
            continue  # the check of that board says what is wrong with its file
        found |= dict.fromkeys(names, path.name)
    return found
