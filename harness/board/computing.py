"""From a definition and records to a `BoardTable`: the one place where a board's numbers arise."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from harness.board import words
from harness.board.across import across
from harness.board.comparing import comparisons, groups
from harness.board.definition import Definition, RowChoice
from harness.board.ranks import RankedRow, check_users, ranked
from harness.board.rows import improvement, row_table, without_numbers
from harness.board.table import BoardTable, Comparison, Improvement, RowTable, Section, Value
from harness.errors import DataError, did_you_mean
from harness.leaderboard import Board, Row, Stored, board, newest
from harness.records import Record, check_stated
from harness.stats import mean_test

FACTS = (
    "name", "title", "licence", "citation", "split_hash", "n_users", "n_items", "n_events",
)  # fmt: skip


def board_table(
    definition: Definition,
    found: Iterable[Stored],
    damaged: Literal["refused", "marked"] = "refused",
) -> BoardTable:
    """Compute everything that a board says.

    Args:
        definition: what it shows.
        found: records of its data sets (others are left alone), with their folders.
        damaged: whether a row whose ranks do not verify, or are not those of the numbers that it
            states, is an error or a row marked failed.

    Raises:
        DataError: the definition names a data set or a row that does not exist, records do not
            belong on one board, or ranks do not verify.
    """
    stored = list(found)
    _check_datasets(definition, stored)
    _check_rows(definition, stored)
    sections, ranked_rows = [], {}
    for dataset in definition.datasets:
        section, rows = _section(dataset, definition, stored, damaged)
        sections.append(section)
        ranked_rows[dataset] = rows
    return BoardTable(
        name=definition.name,
        title=definition.title or _title(definition, sections),
        metrics=tuple(metric.name for metric in definition.metrics),
        family=definition.family,
        sections=tuple(sections),
        across=across(ranked_rows, definition.metrics, definition.family),
        sources=definition.sources,
    )


def _title(definition: Definition, sections: Sequence[Section]) -> str:
    """Return the heading of a board that states none: its data set's, of several its own name."""
    return str(sections[0].dataset["title"]) if len(sections) == 1 else definition.name


def _check_datasets(definition: Definition, stored: Sequence[Stored]) -> None:
    """Refuse data sets that exist nowhere: neither records nor cards know them."""
    from harness.data.cards import card_names

    known = {record.dataset["name"] for _, record in stored} | set(card_names())
    for dataset in definition.datasets:
        if dataset not in known:
            raise DataError(
                f"the board {definition.name} shows the data set {dataset!r}, of which there is "
                f"no record and no card: {did_you_mean(dataset, known)}"
            )


def _check_rows(definition: Definition, stored: Sequence[Stored]) -> None:
    """Refuse rows of methods that exist nowhere: neither records nor the registry know them."""
    from harness.registry import method_modules

    labels = {record.label for _, record in stored}
    for choice in definition.rows or ():
        name = choice.label.partition(" (")[0].partition(":")[0]
        if choice.label not in labels and name not in method_modules():
            known = did_you_mean(choice.label, labels | set(method_modules()))
            raise DataError(
                f"the board {definition.name} shows {choice.label!r}, which is no method and of "
                f"which there is no record: {known}"
            )
        if choice.label not in labels:
            _check_preset(definition.name, choice.label)


def _check_preset(name: str, label: str) -> None:
    """Refuse a row that no record is there of and whose preset its method does not have."""
    from harness.registry import load_method

    method, _, preset = label.partition(" (")[0].partition(":")
    if not preset:
        return
    presets = load_method(method).method.card.presets
    if preset not in presets:
        raise DataError(
            f"the board {name} shows {label!r}, of which there is no record, and {method} has no "
            f"preset {preset!r}: its presets are {', '.join(sorted(presets)) or 'none'}"
        )


# ---- one data set --------------------------------------------------------------------------------


def _section(
    dataset: str, definition: Definition, stored: Sequence[Stored], damaged: str
) -> tuple[Section, tuple[RankedRow, ...]]:
    mine = [(folder, record) for folder, record in stored if record.dataset["name"] == dataset]
    mine = _verified(mine, damaged)
    folders = {id(record): folder for folder, record in mine}
    arranged = board(dataset, [record for _, record in mine])
    chosen = _chosen(arranged, definition)
    with_numbers, failed = _read(chosen.rows, folders)
    check_users(with_numbers)
    tables = _numbered(with_numbers, definition, arranged, folders)
    facts, rules = _facts(dataset, arranged)
    section = Section(
        dataset=facts,
        protocol=rules,
        rows=(*tables, *failed, *_missing(arranged, definition)),
        improvements=_improvements(with_numbers, definition),
        not_judged=arranged.not_judged,
    )
    return section, tuple(with_numbers)


def _verified(found: Sequence[Stored], damaged: str) -> list[Stored]:
    """Return the newest records; rows are arranged by the numbers that these state.

    One that does not agree with its ranks is an error, or stands as failed.
    """
    folders = {id(record): folder for folder, record in found}
    verified: list[Stored] = []
    for record in newest(record for _, record in found):
        folder = folders[id(record)]
        try:
            if record.status == "ok":
                check_stated(folder, record)
            verified.append((folder, record))
        except DataError as error:
            if damaged == "refused":
                raise
            verified.append((folder, _as_failed(record, str(error))))
    return verified


def _as_failed(record: Record, reason: str) -> Record:
    return dataclasses.replace(record, status="failed", reason=reason)


def _chosen(arranged: Board, definition: Definition) -> Board:
    """Keep the rows and seeds that the definition names."""
    if definition.rows is None:
        return arranged
    choices = {choice.label: choice for choice in definition.rows}
    rows = []
    for row in arranged.rows:
        if row.label in choices:
            wanted = choices[row.label].seeds
            records = tuple(r for r in row.records if wanted is None or r.seed in wanted)
            rows += [Row(row.label, records)] if records else []
    return Board(arranged.dataset, tuple(rows))


def _read(
    rows: Iterable[Row], folders: Mapping[int, Path]
) -> tuple[list[RankedRow], list[RowTable]]:
    """Return the rows with numbers, and those without, told why."""
    good: list[RankedRow] = []
    bad: list[RowTable] = []
    for row in rows:
        if row.failure:
            status, _, reason = row.failure.partition(" ")
            bad.append(without_numbers(row, "skipped" if status == "skipped" else "failed", reason))
            continue
        good.append(ranked(row, folders))
    return good, bad


def _missing(arranged: Board, definition: Definition) -> list[RowTable]:
    """Return a row for each that the definition names and no record is there of."""
    present = {row.label for row in arranged.rows if _seeds_there(row, definition)}
    return [
        without_numbers(choice.label, "missing", "no record of it is there")
        for choice in definition.rows or ()
        if choice.label not in present
    ]


def _seeds_there(row: Row, definition: Definition) -> bool:
    wanted = {choice.label: choice.seeds for choice in definition.rows or ()}.get(row.label)
    return wanted is None or any(record.seed in wanted for record in row.records)


def _facts(dataset: str, arranged: Board) -> tuple[dict[str, Any], dict[str, Any]]:
    if not arranged.rows:
        nothing = {**dict.fromkeys(FACTS), "name": dataset, "title": dataset}
        return {**nothing, "redistributable": False}, {}
    record = arranged.rows[0].first
    facts = {name: record.dataset.get(name) for name in FACTS}
    allowed = record.dataset.get("redistributable") is True
    return {**facts, "redistributable": allowed}, dict(record.protocol)


# ---- rows with numbers ---------------------------------------------------------------------------


def _numbered(
    rows: Sequence[RankedRow],
    definition: Definition,
    arranged: Board,
    folders: Mapping[int, Path],
) -> list[RowTable]:
    values = _values(rows, definition)
    tests: dict[str, dict[str, Comparison]] = {row.label: {} for row in rows}
    for metric in definition.metrics:
        for label, test in comparisons(rows, metric, definition.family).items():
            tests[label][metric.name] = test
    wanted: dict[str, RowChoice] = {choice.label: choice for choice in definition.rows or ()}
    return [
        row_table(
            row, values[row.label], tests[row.label], arranged, folders, wanted.get(row.label)
        )
        for row in rows
    ]


def _values(
    rows: Sequence[RankedRow], definition: Definition
) -> dict[str, dict[str, Value]]:  # fmt: skip
    found: dict[str, dict[str, Value]] = {row.label: {} for row in rows}
    for metric in definition.metrics:
        plain = {row.label: _value(row, metric) for row in rows}
        letters = groups(rows, metric, definition.family)
        for label, value in plain.items():
            best = tuple(
                bound
                for bound in ("optimistic", "pessimistic")
                if _printed(value, bound) > 0
                and _printed(value, bound) == max(_printed(v, bound) for v in plain.values())
            )
            found[label][metric.name] = dataclasses.replace(value, best=best, group=letters[label])
    return found


def _printed(value: Value, bound: str) -> float:
    return float(words.number(getattr(value, bound)))


def _value(row: RankedRow, metric: Any) -> Value:
    values = row.values(metric, "pessimistic")
    test = mean_test(values, scale=float(values.max()))
    has = test.reason is None
    return Value(
        optimistic=row.mean(metric, "optimistic"),
        pessimistic=row.mean(metric, "pessimistic"),
        expected=row.mean(metric, "expected"),
        low=test.low if has else None,
        high=test.high if has else None,
        reason=test.reason,
    )


def _improvements(
    rows: Sequence[RankedRow], definition: Definition
) -> dict[str, Improvement]:  # fmt: skip
    found = {}
    for metric in definition.metrics:
        one = improvement(rows, metric, definition.improvement_of)
        if one is not None:
            found[metric.name] = one
    return found
