"""A board on a terminal: one line a row, the metrics side by side."""

from __future__ import annotations

from tabulate import tabulate

from harness.board import words
from harness.board.table import BoardTable, RowTable, Section


def terminal(table: BoardTable) -> str:
    """Return the board as plain text."""
    parts = [part for section in table.sections for part in _section(table, section)]
    told = [line for line in words.legend(table) if not line.startswith("Letters")]
    return "\n\n".join([f"Leaderboard: {table.title}", *parts, "\n".join(told)]) + "\n"


def _section(table: BoardTable, section: Section) -> list[str]:
    heads = [
        "method", "inputs", "seeds", *table.metrics, "p", "tied", "fit s", "score s", "parameters",
    ]  # fmt: skip
    lines = [_line(table, section, row) for row in section.rows]
    title = [] if len(table.sections) == 1 else [str(section.dataset["title"])]
    troubles = words.troubles(section)
    return [
        *title,
        tabulate(lines, heads, tablefmt="simple", disable_numparse=True),
        *(["\n".join(troubles)] if troubles else []),
        f"p: of {table.metrics[0]} against {_against(table, section)}, corrected.",
    ]


def _against(table: BoardTable, section: Section) -> str:
    tests = (row.comparisons.get(table.metrics[0]) for row in section.rows)
    return next((test.against for test in tests if test is not None), "no other row")


def _line(table: BoardTable, section: Section, row: RowTable) -> list[str]:
    head = [words.label(row), words.inputs(row), words.seeds(row)]
    if row.status != "ok":
        return [*head, *[row.status] * len(table.metrics), "", "", "", "", ""]
    test = row.comparisons.get(table.metrics[0])
    fewer = words.over_fewer_seeds(section, row, table.metrics[0])
    return [
        *head,
        *("/".join(words.value(row, metric) or ()) for metric in table.metrics),
        words.probability(test.adjusted) + fewer if test else "",
        words.tied(row),
        words.seconds(row, "fit_s"),
        words.seconds(row, "score_s"),
        words.parameters(row),
    ]
