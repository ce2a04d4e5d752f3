"""The page of a board: the paper's table 2, then each data set's rows, tests and notes."""

from __future__ import annotations

from collections.abc import Sequence

from tabulate import tabulate

from harness.board import words
from harness.board.table import BoardTable, RowTable, Section

MARKS = {"optimistic": ("**", "**"), "pessimistic": ("<u>", "</u>")}

ROW_HEADS = (
    "method", "inputs", "seeds", "95 % interval", "tied", "fit s", "score s", "peak MiB", "device",
    "parameters",
)  # fmt: skip


def markdown(table: BoardTable) -> str:
    """Return the page; every number on it is a function of stored ranks and costs."""
    parts = [
        f"# Leaderboard: {_plain(table.title)}",
        *(_plain(line) for line in (words.facts(table.sections[0]) if _single(table) else [])),
        _metrics(table),
        "\n".join(f"- {_plain(line)}" for line in words.legend(table)),
        *(part for section in table.sections for part in _section(table, section)),
        *_across(table),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def labels(table: BoardTable) -> list[str]:
    """Return the rows of all data sets, each once, in the order in which they come up."""
    return list(dict.fromkeys(row.label for section in table.sections for row in section.rows))


def _single(table: BoardTable) -> bool:
    return len(table.sections) == 1


# ---- the metrics ---------------------------------------------------------------------------------


def _metrics(table: BoardTable) -> str:
    """Return one line for each data set and metric, one column for each row of the board."""
    columns = labels(table)
    marked = [words.label(_any_row(table, label)) for label in columns]
    heads = ["data set", "metric", *map(_plain, marked), "improvement"]
    lines = [
        [
            _plain(str(section.dataset["name"])),
            metric,
            *(_cell(section.row(label), metric) for label in columns),
            _plain(words.improvement(section.improvements.get(metric))),
        ]
        for section in table.sections
        for metric in table.metrics
    ]
    return _table(lines, heads)


def _any_row(table: BoardTable, label: str) -> RowTable:
    """Return a row of that label; where one data set marks it, that one (the mark is shown)."""
    found = [row for section in table.sections if (row := section.row(label)) is not None]
    return next((row for row in found if row.not_learnt), found[0])


def _cell(row: RowTable | None, metric: str) -> str:
    """Return a cell: both values, the best ones marked, and the letters of its groups."""
    if row is None:
        return "missing"
    printed = words.value(row, metric)
    if printed is None:
        return row.status
    found = row.values[metric]
    texts = [
        f"{MARKS[bound][0]}{text}{MARKS[bound][1]}" if bound in found.best else text
        for bound, text in zip(words.BOUNDS, printed, strict=True)
    ]
    letters = f" <sup>{found.group}</sup>" if found.group else ""
    return "/".join(texts) + letters


# ---- one data set --------------------------------------------------------------------------------


def _section(table: BoardTable, section: Section) -> list[str]:
    title = [] if _single(table) else [f"## {_plain(str(section.dataset['title']))}"]
    deeper = "##" if _single(table) else "###"
    told = [] if _single(table) else [_plain(line) for line in words.facts(section)]
    return [
        *title,
        *told,
        f"{deeper} Rows",
        _rows(table, section),
        "\n".join(f"- {_plain(line)}" for line in words.troubles(section)),
        *_tests(table, section, deeper),
        f"{deeper} What each row is",
        "\n".join(
            f"- `{_code(row.label)}`: {_plain(row.note)}" for row in section.rows if row.note
        ),
    ]


def _rows(table: BoardTable, section: Section) -> str:
    first = table.metrics[0]
    heads = [head if head != "95 % interval" else f"{first}, {head}" for head in ROW_HEADS]
    return _table([_row(row, first) for row in section.rows], heads)


def _row(row: RowTable, metric: str) -> list[str]:
    if row.status != "ok":
        empty = [""] * (len(ROW_HEADS) - 4)
        return [_plain(row.label), words.inputs(row), words.seeds(row), row.status, *empty]
    found = row.values[metric]
    return [
        _plain(words.label(row)),
        _plain(words.inputs(row)),
        words.seeds(row),
        words.interval(found.low, found.high) or _plain(f"none: {found.reason}"),
        words.tied(row),
        words.seconds(row, "fit_s"),
        words.seconds(row, "score_s"),
        words.memory(row),
        row.device,
        words.parameters(row),
    ]


def _tests(table: BoardTable, section: Section, deeper: str) -> list[str]:
    rows = [row for row in section.rows if row.status == "ok"]
    if len(rows) < 2:
        return []
    lines = [
        [
            _plain(row.label),
            *(_plain(words.comparison(section, row, metric)) for metric in table.metrics),
        ]
        for row in rows
    ]
    against = {
        metric: next(
            (row.comparisons[metric].against for row in rows if metric in row.comparisons), ""
        )
        for metric in table.metrics
    }
    heads = ["method", *(f"{metric}, minus {_plain(name)}" for metric, name in against.items())]
    return [f"{deeper} Tests", _table(lines, heads)]


def _across(table: BoardTable) -> list[str]:
    if not table.across:
        return []
    lines = [
        [
            _plain(one.label), _plain(one.against), one.metric, str(len(one.datasets)),
            "" if one.difference is None else f"{one.difference:+.{words.DIGITS}f}",
            words.probability(one.p_two_sided), words.probability(one.p_greater),
            _plain(one.reason or ""),
        ]
        for one in table.across
    ]  # fmt: skip
    heads = [
        "method", "minus", "metric", "data sets", "difference", "p two-sided", "p one-sided",
        "no test because",
    ]  # fmt: skip
    told = (
        "Paired t-tests whose units are data sets (CALRec, table 4), means of "
        f"{table.across[0].bound} ranks, not corrected for their number; never to be compared with "
        "p-values over users."
    )
    return ["## Over data sets", told, _table(lines, heads)]


def _table(lines: Sequence[Sequence[str]], heads: Sequence[str]) -> str:
    return tabulate(lines, heads, tablefmt="github", disable_numparse=True)


def _plain(text: str) -> str:
    """Return a text that neither ends a table cell nor reads as markup."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return escaped.replace("|", "\\|").replace("*", "\\*")


def _code(text: str) -> str:
    """Return a text for a code span, where everything but a backtick reads as it stands."""
    return text.replace("`", "'")
