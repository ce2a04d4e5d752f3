"""The page of a board: its tables, cell by cell, and the figures in its sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.checking.printed import (
    GAP,
    cell_faults,
    columns,
    comparison,
    cost,
    differs,
    figure,
    improvement,
    interval,
    marked,
    probability,
    row_of,
)
from harness.checking.sentences import sentence_faults

Facts = Mapping[str, Any]
Table = Sequence[Sequence[str]]
"""Cells of a page, or patterns of what they may be."""

ACROSS_HEAD = (
    "method", "minus", "metric", "data sets", "difference", "p two-sided", "p one-sided",
    "no test because",
)  # fmt: skip
MIB = 2**20


def page_faults(board: Facts, text: str) -> Iterator[str]:
    """Yield what is wrong with a board's page."""
    yield from sentence_faults(board, text, plain)
    found, wanted = _tables(text), _wanted(board)
    if len(found) != 1 + len(wanted):
        yield f"{len(found)} tables on the page, the records give {1 + len(wanted)}"
        return
    yield from _metric_faults(board, found[0])
    for (name, patterns), table in zip(wanted, found[1:], strict=True):
        yield from (f"{name}: {fault}" for fault in _grid_faults(table, patterns))


def plain(text: str) -> str:
    """Return what markdown shows of an escaped text."""
    return re.sub(r"\\([|*])", r"\1", text).replace("&lt;", "<").replace("&amp;", "&")


def _tables(text: str) -> list[Table]:
    """Return every table of a page, its head first; blanks around cells are dropped."""
    tables: list[list[list[str]]] = [[]]
    for line in text.splitlines():
        if not line.startswith("|"):
            tables.append([])
            continue
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]
        if not all(re.fullmatch(":?-+:?", cell) for cell in cells):
            tables[-1].append(cells)
    return [table for table in tables if table]


def _grid_faults(table: Table, patterns: Table) -> Iterator[str]:
    """Yield which cells of a table do not fit their patterns; the first line is its head."""
    if [len(cells) for cells in table] != [len(cells) for cells in patterns]:
        yield f"not a table of {len(patterns)} lines of {len(patterns[0])} cells"
        return
    for cells, line in zip(table, patterns, strict=True):
        for place, (cell, pattern) in enumerate(zip(cells, line, strict=True)):
            fault = differs(cell, pattern, plain)
            if fault is not None:
                yield f"{plain(cells[0])!r}, column {plain(table[0][place])!r}: {fault}"


# ---- the metrics ---------------------------------------------------------------------------------


def _metric_faults(board: Facts, table: Table) -> Iterator[str]:
    """Check the first table: a line for each data set and metric, a column for each row."""
    labels = columns(board)
    head = [
        "data set",
        "metric",
        *(_marked_anywhere(board, name) for name in labels),
        "improvement",
    ]
    if [plain(cell) for cell in table[0]] != head:
        yield f"metrics: the columns are {list(table[0])}, the records give {head}"
        return
    lines = [(section, metric) for section in board["sections"] for metric in board["metrics"]]
    if [len(cells) for cells in table[1:]] != [len(head)] * len(lines):
        yield f"metrics: not a table of {len(lines)} lines of {len(head)} cells"
        return
    for (section, metric), cells in zip(lines, table[1:], strict=True):
        name = section["dataset"]["name"]
        if [plain(cell) for cell in cells[:2]] != [name, metric]:
            yield f"metrics: a line begins with {list(cells[:2])}, not {[name, metric]}"
        values = dict(zip(labels, cells[2:], strict=False))
        for fault in cell_faults(values, section, metric):
            yield f"metrics: {name}, {metric}, {fault}"
        found = differs(cells[-1], improvement(section["improvements"].get(metric)), plain)
        if found is not None:
            yield f"metrics: {name}, {metric}, improvement: {found}"


def _marked_anywhere(board: Facts, label: str) -> str:
    """Return a label, with the no-learning mark where a data set gives it."""
    found = [row for section in board["sections"] if (row := row_of(section, label)) is not None]
    return next((marked(row) for row in found if row["not_learnt"]), label)


# ---- the other tables ----------------------------------------------------------------------------


def _wanted(board: Facts) -> list[tuple[str, Table]]:
    """Return the name and the patterns of every table below that of the metrics."""
    found = []
    for section in board["sections"]:
        name = section["dataset"]["name"]
        found.append((f"{name}, rows", _rows(section, board["metrics"][0])))
        tested = [row for row in section["rows"] if row["status"] == "ok"]
        if len(tested) > 1:
            found.append((f"{name}, tests", _tests(section, tested, board["metrics"])))
    return found + ([("over data sets", _across(board["across"]))] if board["across"] else [])


def _rows(section: Facts, metric: str) -> Table:
    head = [
        "method", "inputs", "seeds", f"{metric}, 95 % interval", "tied", "fit s", "score s",
        "peak MiB", "device", "parameters",
    ]  # fmt: skip
    return [[re.escape(cell) for cell in head], *(_row(row, metric) for row in section["rows"])]


def _row(row: Facts, metric: str) -> list[str]:
    nothing = "" if row["status"] == "missing" else "none"
    facts = [marked(row), " + ".join(row["inputs"]) or nothing, ",".join(map(str, row["seeds"]))]
    start = [re.escape(fact) for fact in facts]
    if row["status"] != "ok":
        return [*start, row["status"], *[""] * 6]
    value = row["values"][metric]
    mark = f" {GAP}" if row["gap_exceeds"] else ""
    gpu = "peak_gpu_bytes"
    return [
        *start,
        interval(value["low"], value["high"]) or re.escape(f"none: {value['reason']}"),
        f"{figure(100 * row['tie_rate'], '.1f')} %{mark}",
        cost(row, "fit_s", ".1f"),
        cost(row, "score_s", ".1f"),
        cost(row, gpu if gpu in row["cost"] else "peak_memory_bytes", ",.0f", MIB),
        re.escape(row["device"]),
        cost(row, "parameters", ",.0f"),
    ]


def _tests(section: Facts, rows: Sequence[Facts], metrics: Sequence[str]) -> Table:
    head = ["method"]
    for metric in metrics:
        tests = [row["comparisons"][metric] for row in rows if metric in row["comparisons"]]
        head.append(re.escape(f"{metric}, minus {tests[0]['against'] if tests else ''}".rstrip()))
    lines = [
        [re.escape(row["label"]), *(comparison(section, row, name) for name in metrics)]
        for row in rows
    ]
    return [head, *lines]


def _across(tests: Sequence[Facts]) -> Table:
    lines = [
        [
            re.escape(test["label"]),
            re.escape(test["against"]),
            re.escape(test["metric"]),
            str(len(test["datasets"])),
            "" if test["difference"] is None else figure(test["difference"], "+.4f"),
            probability(test["p_two_sided"]),
            probability(test["p_greater"]),
            re.escape(test["reason"] or ""),
        ]
        for test in tests
    ]
    return [[re.escape(cell) for cell in ACROSS_HEAD], *lines]
