"""The comparison as text, for a terminal or as a markdown page; a pure function of its cells."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

from tabulate import tabulate

from harness.paper.cells import Cell
from harness.paper.estimates import Estimate
from harness.paper.layouts import AVERAGE, TITLES
from harness.paper.names import DATASETS, TABLE_NOTES
from harness.paper.states import NOT_MEASURED, STATES

HEADS = (
    "variant", "row", "metric", "bound", "published", "measured", "95 % interval", "difference",
    "in %", "state",
)  # fmt: skip
OTHERS = "The others:"
SUMMARY_HEADS = ("table", "what", "cells", *STATES, NOT_MEASURED)

LEGEND = (
    "agrees: the published value, to its printed digits, lies in the 95 % interval of ours, or "
    "ours rounds to it where there is no interval; agrees (wide): it lies there, but ours is more "
    "than 10 % off, so only the width of the interval lets it agree; near: ours is within 10 % of "
    "it; differs: neither. The paper prints no intervals, so its own spread is not counted.",
    "95 % interval: of the t-test over users, with several seeds generalized to seeds.",
    "A cell is one printed value beside one row of ours; what was not measured stays empty.",
)


@dataclass(frozen=True)
class Style:
    """How text is marked up.

    Attributes:
        markdown: headings, pipe tables and bullets, in place of plain lines.
    """

    markdown: bool

    def heading(self, level: int, text: str) -> str:
        """Return a heading."""
        return f"{'#' * level} {self.safe(text)}" if self.markdown else text

    def table(self, lines: Iterable[Sequence[str]], heads: Sequence[str]) -> str:
        """Return a table whose cells are text."""
        rows = [[self.safe(cell) for cell in line] for line in lines]
        form = "github" if self.markdown else "simple"
        return tabulate(rows, heads, tablefmt=form, disable_numparse=True)

    def bullets(self, lines: Iterable[str]) -> str:
        """Return a list."""
        mark = "- " if self.markdown else ""
        return "\n".join(f"{mark}{self.safe(line)}" for line in lines)

    def safe(self, text: str) -> str:
        """Return text that keeps to its line and its cell, whatever a setting holds."""
        line = " ".join(text.split())
        return line.replace("|", "\\|").replace("<", "&lt;") if self.markdown else line


TERMINAL, MARKDOWN = Style(markdown=False), Style(markdown=True)


def page(cells: Sequence[Cell]) -> str:
    """Return the report as a markdown page."""
    parts = [
        MARKDOWN.heading(1, "The paper's tables beside ours"),
        "Every value of tables 1 to 8 of [CALRec](https://doi.org/10.1145/3640457.3688121), and "
        "ours where it was measured. Made by `python -m harness reproduce`.",
        MARKDOWN.bullets(LEGEND),
        summary(cells, MARKDOWN),
        *(table_text(mine, MARKDOWN) for mine in by_table(cells)),
    ]
    return "\n\n".join(parts) + "\n"


def terminal(cells: Sequence[Cell]) -> str:
    """Return the tables that have a measured cell, the legend, and how many of each state."""
    told = [mine for mine in by_table(cells) if any(cell.measured for cell in mine)]
    parts = [table_text(mine, TERMINAL) for mine in told]
    parts += [TERMINAL.bullets(LEGEND)] if told else []
    return "\n\n".join([*parts, summary(cells, TERMINAL)]) + "\n"


def by_table(cells: Sequence[Cell]) -> list[list[Cell]]:
    """Return the cells of each table; a table's follow each other."""
    return [list(mine) for _, mine in groupby(cells, key=lambda cell: cell.fact.table)]


def summary(cells: Sequence[Cell], style: Style) -> str:
    """Return how many cells of each table have which state."""
    lines = []
    for mine in by_table(cells):
        table = mine[0].fact.table
        counts: Counter[str] = Counter(cell.state or NOT_MEASURED for cell in mine)
        states = (str(counts[name]) for name in (*STATES, NOT_MEASURED))
        lines.append([str(table), TITLES[table], str(len(mine)), *states])
    return style.table(lines, SUMMARY_HEADS)


# ---- one table -----------------------------------------------------------------------------------


def table_text(cells: Sequence[Cell], style: Style) -> str:
    """Return one table: a section for each data set, those with nothing measured in a line each."""
    number = cells[0].fact.table
    sections = [list(mine) for _, mine in groupby(cells, key=lambda cell: cell.dataset)]
    told = [mine for mine in sections if any(cell.measured for cell in mine)]
    empty = [_empty(mine) for mine in sections if not any(cell.measured for cell in mine)]
    parts = [
        style.heading(2, f"Table {number}: {TITLES[number]}"),
        style.safe(TABLE_NOTES.get(number, "")),
        *(_section(mine, style) for mine in told),
        OTHERS if told and empty else "",
        style.bullets(empty),
    ]
    return "\n\n".join(part for part in parts if part)


def _name(cell: Cell) -> str:
    if cell.dataset == AVERAGE:
        return "the average over data sets"
    return f"{cell.dataset} beside the paper's {DATASETS[cell.dataset]}"


def _empty(cells: Sequence[Cell]) -> str:
    told = "".join(f"; {remark}" for remark in _remarks(cells))
    name = AVERAGE if cells[0].dataset == AVERAGE else DATASETS[cells[0].dataset]
    return f"{name}: {len(cells)} cells, none measured{told}"


def _remarks(cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.remark for cell in cells if cell.remark))


def _section(cells: Sequence[Cell], style: Style) -> str:
    order = list(dict.fromkeys(cell.fact.variant for cell in cells))
    arranged = sorted(cells, key=lambda cell: (order.index(cell.fact.variant), _row(cell)))
    lines = [_line(cell) for cell in arranged]
    # table 1 has no variants, rows, bounds and intervals
    used = [n for n, column in enumerate(zip(*lines, strict=True)) if any(column)]
    table = style.table([[line[n] for n in used] for line in lines], [HEADS[n] for n in used])
    notes = [*_explained(arranged), *(f"not measured: {remark}" for remark in _remarks(cells))]
    return "\n\n".join([style.heading(3, _name(cells[0])), table, style.bullets(notes)])


def _row(cell: Cell) -> str:
    return cell.measured.row if cell.measured else ""


def _explained(cells: Iterable[Cell]) -> list[str]:
    """Return what each row is a mean over and what sets it apart, each once."""
    told = []
    for cell in cells:
        if cell.measured is None:
            continue
        one = cell.measured
        basis = f"{one.basis}; " if one.basis else ""
        name = f"{cell.fact.variant} is {one.row}: " if one.row else ""
        told.append(f"{name}{basis}protocol difference: {one.difference}")
    return list(dict.fromkeys(told))


def _line(cell: Cell) -> tuple[str, ...]:
    """Return a cell's fields under `HEADS`; those of ours are empty where nothing was measured."""
    fact, one = cell.fact, cell.measured
    unit = f" {fact.unit}" if fact.unit else ""
    head = (fact.variant, _row(cell), fact.metric, fact.bound or "", f"{fact.printed}{unit}")
    if one is None or cell.difference is None:
        return (*head, "", "", "", "", "")
    share = cell.difference_percent
    return (
        *head,
        f"{one.value:.{fact.digits}f}{unit}",
        _interval(one.estimate, fact.digits),
        _signed(cell.difference, fact.digits),
        "" if share is None else f"{_signed(share, 1)} %",
        cell.state or "",
    )


def _interval(estimate: Estimate, digits: int) -> str:
    if estimate.interval is None:
        return f"none: {estimate.reason}" if estimate.reason else ""
    low, high = estimate.interval
    return f"{low:.{digits}f} to {high:.{digits}f}"


def _signed(value: float, digits: int) -> str:
    """Return a value with its sign; what rounds to nothing has none of its own."""
    return f"{round(value, digits) + 0.0:+.{digits}f}"


# ---- for other forms -----------------------------------------------------------------------------


@dataclass(frozen=True)
class PlainTable:
    """One of the paper's tables for one data set, as text without markup.

    Attributes:
        title: which table.
        heads: of its columns.
        lines: its cells.
        notes: what rows are means over, protocol differences, why cells are empty.
    """

    title: str
    heads: tuple[str, ...]
    lines: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def plain_tables(cells: Sequence[Cell]) -> tuple[PlainTable, ...]:
    """Return every table in which something was measured."""
    return tuple(
        PlainTable(
            title=f"Table {mine[0].fact.table}: {TITLES[mine[0].fact.table]}",
            heads=tuple(HEADS),
            lines=tuple(_line(cell) for cell in mine),
            notes=(*_explained(mine), *(f"not measured: {told}" for told in _remarks(mine))),
        )
        for mine in by_table(cells)
        if any(cell.measured for cell in mine)
    )
