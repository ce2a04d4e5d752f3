"""Board files: ``leaderboards/NAME.toml`` says what a board shows and which tests it makes.

Everything is decided there before a number is looked at. A data set that no file names gets the
board of `default_definition`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

from harness.board.table import Family
from harness.data.table import Table
from harness.errors import DataError, did_you_mean
from harness.metrics import METRICS, Metric
from harness.stats import Correction

SOURCES = ("calrec",)
"""Published tables that can stand beside a board: those of CALRec (RecSys 2024)."""

BOUNDS = ("pessimistic", "optimistic", "expected")


@dataclass(frozen=True)
class RowChoice:
    """A row that a board names.

    Attributes:
        label: method, preset and settings given by hand, as in records.
        seeds: those it must have; None for all that there are.
    """

    label: str
    seeds: tuple[int, ...] | None = None


@dataclass(frozen=True)
class Definition:
    """What a board is made of.

    Attributes:
        name: its file's name without the ending.
        title: its heading; None takes its data set's, or its name where it has several.
        datasets: their names, in order.
        rows: those it shows; None for all that there are records of.
        metrics: its columns.
        family: the tests it makes.
        improvement_of: the row whose distance to the best other is shown; None takes the best.
        sources: of `SOURCES`.
    """

    name: str
    title: str | None
    datasets: tuple[str, ...]
    rows: tuple[RowChoice, ...] | None = None
    metrics: tuple[Metric, ...] = METRICS
    family: Family = field(default_factory=Family)
    improvement_of: str | None = None
    sources: tuple[str, ...] = ()

    def shows(self, label: str, seed: int) -> bool:
        """Return whether a row's seed is on the board, as far as its own data sets go."""
        if self.rows is None:
            return True
        return any(
            row.label == label and (row.seeds is None or seed in row.seeds) for row in self.rows
        )


def default_definition(dataset: str) -> Definition:
    """Return the board of one data set: every row, the four metrics, Holm against the best."""
    return Definition(name=dataset, title=None, datasets=(dataset,))


def read_definition(path: Path) -> Definition:
    """Read a board file.

    Raises:
        DataError: it cannot be read, is not TOML, or says what no board can; names the key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not UTF-8, or not TOML: says where
        raise DataError(f"{path}: not a board file: {error}") from error
    return _definition(path.stem, Table(values, f"board file {path}"))


def definitions_in(root: Path, datasets: Iterable[str]) -> dict[str, Definition]:
    """Return name -> definition: the board files of a folder, and a default for other data sets.

    Args:
        root: usually ``leaderboards``.
        datasets: all that have published records.

    Raises:
        DataError: a board file is wrong, or a default board would take the name of a file.
    """
    read = {path.stem: read_definition(path) for path in sorted(root.glob("*.toml"))}
    named = {dataset for definition in read.values() for dataset in definition.datasets}
    known = set(datasets)
    for dataset in sorted(known - named):
        if dataset in read:
            raise _taken(root, read[dataset], dataset, known)
        read[dataset] = default_definition(dataset)
    return dict(sorted(read.items()))


def _taken(root: Path, definition: Definition, dataset: str, known: set[str]) -> DataError:
    """Return why a default board cannot have its name: often the file misspells the data set."""
    from harness.data.cards import card_names

    path, known = root / f"{definition.name}.toml", known | set(card_names())
    for name in definition.datasets:
        if name not in known:
            return DataError(
                f"board file {path}: 'datasets' names {name!r}, of which there is no record and no "
                f"card: {did_you_mean(name, known)}"
            )
    return DataError(
        f"{path} does not show the data set {dataset}, whose board would have that name; name the "
        "file otherwise, or add the data set to it"
    )


def metric_named(name: str, where: str = "metric") -> Metric:
    """Return the metric that tables print under a name, such as ``Recall@20``.

    Raises:
        DataError: there is no such metric.
    """
    match = re.fullmatch(r"(NDCG|Recall|MRR)(?:@([1-9][0-9]{0,5}))?", name)
    if match is None or (match[2] is None and match[1] != "MRR"):
        raise DataError(
            f"{where}: no metric {name!r}; metrics are NDCG@K, Recall@K, MRR and MRR@K, K from 1"
        )
    return Metric(match[1], int(match[2]) if match[2] else None)  # type: ignore[arg-type]


def _definition(name: str, table: Table) -> Definition:
    definition = Definition(
        name=name,
        title=table.text("title") if "title" in table else None,
        datasets=_distinct(table, "datasets"),
        rows=_rows(table, _seeds(table, "seeds")),
        metrics=_metrics(table),
        family=_family(table.table("family", optional=True)),
        improvement_of=_improvement(table.table("improvement", optional=True)),
        sources=table.texts("sources"),
    )
    table.finish()
    if not definition.datasets:
        raise table.fault("datasets", "must name one data set or more")
    for source in definition.sources:
        if source not in SOURCES:
            raise table.fault("sources", f"cannot be {source!r}: {did_you_mean(source, SOURCES)}")
    _check_labels(definition, table)
    return definition


def _distinct(table: Table, key: str) -> tuple[str, ...]:
    texts = table.texts(key)
    if len(set(texts)) < len(texts):
        raise table.fault(key, f"names something twice: {', '.join(texts)}")
    return texts


def _rows(table: Table, seeds: tuple[int, ...] | None) -> tuple[RowChoice, ...] | None:
    """Return the rows: ``methods``, with the board's seeds, and [[row]] tables with their own."""
    rows = [RowChoice(label, seeds) for label in _distinct(table, "methods")]
    if "methods" in table and not rows:
        raise table.fault("methods", "must name one method or more; without it all rows are shown")
    for part in table.tables("row", optional=True):
        rows.append(RowChoice(part.text("method"), _seeds(part, "seeds")))
        part.finish()
    labels = [row.label for row in rows]
    if len(set(labels)) < len(labels):
        raise table.fault("row", f"names a method twice: {', '.join(labels)}")
    return tuple(rows) if rows else None


def _seeds(table: Table, key: str) -> tuple[int, ...] | None:
    if key not in table:
        return None
    values: Any = table.plain_list(key)
    good = all(type(value) is int and value >= 0 for value in values)
    if not values or not good or len(set(values)) < len(values):
        raise table.fault(
            key, f"must be a list of different whole numbers from 0, found {values!r}"
        )
    return tuple(sorted(values))


def _metrics(table: Table) -> tuple[Metric, ...]:
    names = _distinct(table, "metrics")
    return tuple(metric_named(name, table.where) for name in names) or METRICS


def _family(table: Table) -> Family:
    default = Family()
    family = Family(
        against=table.text("against", default.against),
        correction=table.choice(  # type: ignore[arg-type]
            "correction", get_args(Correction), default.correction
        ),
        bound=table.choice("bound", BOUNDS, default.bound),  # type: ignore[arg-type]
        level=table.fraction("level") if "level" in table else default.level,
    )
    table.finish()
    return family


def _improvement(table: Table) -> str | None:
    label = table.text("of") if "of" in table else None
    table.finish()
    return label


def _check_labels(definition: Definition, table: Table) -> None:
    """Refuse a family or an improvement of a row that the board itself does not show."""
    if definition.rows is None:
        return
    labels = {row.label for row in definition.rows}
    asked: Mapping[str, str | None] = {
        "family": None if definition.family.against == "best" else definition.family.against,
        "improvement": definition.improvement_of,
    }
    for key, label in asked.items():
        if label is not None and label not in labels:
            raise table.fault(
                key, f"is about {label!r}, which the board does not show: "
                f"{did_you_mean(label, labels)}",
            )  # fmt: skip
