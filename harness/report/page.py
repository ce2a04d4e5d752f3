"""Puts a report together: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import base64
import hashlib
import importlib.resources
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import Any

import jinja2
from markupsafe import Markup, escape

from harness.board import words
from harness.board.json_form import rounded
from harness.board.table import BoardTable, RowTable, Section
from harness.leaderboard import Stored
from harness.paper import PlainTable
from harness.records import FIT_LOG_FILE, RECORD_FILE
from harness.report.contents import (
    Cell,
    Generated,
    Shown,
    cells_of,
    generated_texts,
    shown_to,
    slices_of_rows,
)
from harness.report.pictures import Picture, over_datasets, pictures
from harness.report.plots import PALETTE_CSS
from harness.slices import SliceRow
from harness.split_facts import SplitFacts

FIRST_ITEMS = 10
"""Items shown of what a cell ranked first."""

SIDE_BY_SIDE = 3
"""Items shown where rows stand side by side."""

LONGEST_TEXT = 120
"""Characters of an item's text that are shown."""

BRIEF_TEXT = 40
"""The same in the pages of cells, where the items of every user stand under every seed."""

Texts = Mapping[str, Sequence[str]]
"""Data set -> the text of every item, for data sets whose texts may be shown."""


@dataclass(frozen=True)
class CellPage:
    """A cell with what its page shows.

    Attributes:
        id: the anchor.
        cell: records and ranks.
        files: its published files, name and address relative to the page; none in a local report.
        facts: the record in short, name and value.
        record: the record as JSON.
        shown: what the sampled users were recommended.
        generated: what the method wrote for them; empty where it writes nothing, or in public.
    """

    id: str
    cell: Cell
    files: Sequence[tuple[str, str]]
    facts: Sequence[tuple[str, str]]
    record: str
    shown: Sequence[Shown]
    generated: Sequence[Generated]


@dataclass(frozen=True)
class SectionPage:
    """A data set with what its part of the report shows.

    Attributes:
        id: the anchor.
        section: from the board.
        pictures: plots.
        slices: label -> rows of slices; empty where the data were not at hand.
        cells: a page each.
        facts: of the split; None where the data were not at hand.
        paper: published tables beside ours.
        item: names an item by its index.
        brief: the same, in short.
    """

    id: str
    section: Section
    pictures: Sequence[Picture]
    slices: Mapping[str, tuple[SliceRow, ...]]
    cells: Sequence[CellPage]
    facts: SplitFacts | None
    paper: Sequence[PlainTable]
    item: Callable[[int], str]
    brief: Callable[[int], str]


def report_page(
    table: BoardTable,
    found: Mapping[str, Sequence[Stored]],
    facts: Mapping[str, SplitFacts | None],
    *,
    texts: Texts | None = None,
    local: bool = False,
    paper: Mapping[str, Sequence[PlainTable]] | None = None,
) -> str:
    """Return the report of a board as one HTML file; the same for the same input.

    Args:
        table: the board.
        found: data set -> its records with their folders.
        facts: data set -> facts of its split; None where the data were not at hand. A report that
            is to be published shows items by their texts where these facts hold any.
        texts: by which a local report shows items; not looked at for others.
        local: whether the report stays on this machine: it then shows texts whatever the card says,
            generated ones among them, and has no links to published records.
        paper: data set -> published tables beside ours.

    Raises:
        DataError: ranks or fit logs are missing, damaged or were changed after the run.
    """
    sections = [
        _section(table, section, f"d{number}", found, facts, texts or {}, local, paper or {})
        for number, section in enumerate(table.sections)
    ]
    script = _file("report.js")
    return _template("page.html").render(
        table=table,
        sections=sections,
        across=over_datasets(table, "across"),
        words=words,
        legend=words.legend(table),
        style=Markup(_file("report.css") + PALETTE_CSS),  # noqa: S704 - our own files
        script=Markup(script),  # noqa: S704
        script_hash=_csp_hash(script),
        data=_script_json(table),
        local=local,
        side_by_side=SIDE_BY_SIDE,
        first_items=FIRST_ITEMS,
    )


def index_page(boards: Sequence[BoardTable]) -> str:
    """Return the page that leads to every published board."""
    style = Markup(_file("report.css") + PALETTE_CSS)  # noqa: S704 - our own files
    return _template("index.html").render(boards=boards, style=style, words=words)


def without_plots(page: str) -> str:
    """Return a page with every plot emptied: another version of the library may draw it otherwise.

    What a plot's own tag says, its label for readers of the screen included, stays.
    """
    return re.sub(r"(<svg\b[^>]*>).*?(</svg>)", r"\1\2", page, flags=re.S)


# ---- one data set --------------------------------------------------------------------------------


def _section(
    table: BoardTable,
    section: Section,
    anchor: str,
    found: Mapping[str, Sequence[Stored]],
    facts: Mapping[str, SplitFacts | None],
    texts: Texts,
    local: bool,
    paper: Mapping[str, Sequence[PlainTable]],
) -> SectionPage:
    name = str(section.dataset["name"])
    shown = facts.get(name)
    cells = cells_of(section, found.get(name, ()))
    slices = slices_of_rows(cells, shown, table.metrics[0]) if shown else {}
    allowed = texts.get(name) if local else shown.texts if shown else None
    return SectionPage(
        id=anchor,
        section=section,
        pictures=pictures(table, section, cells, slices, anchor),
        slices=slices,
        cells=[
            _cell_page(f"{anchor}-c{n}", cell, shown, local, local and allowed is not None)
            for n, cell in enumerate(cells)
        ],
        facts=shown,
        paper=paper.get(name, ()),
        item=lambda index: _item(index, allowed, LONGEST_TEXT),
        brief=lambda index: _item(index, allowed, BRIEF_TEXT),
    )


def _item(index: int, texts: Sequence[str] | None, longest: int) -> str:
    if texts is None or index >= len(texts):
        return str(index)
    text = " ".join(texts[index].split())
    short = text if len(text) <= longest else text[: longest - 1] + "…"
    return f"{index} · {short}"


def _cell_page(
    anchor: str, cell: Cell, facts: SplitFacts | None, local: bool, generated: bool
) -> CellPage:
    users = facts.users if facts else ()
    return CellPage(
        id=anchor,
        cell=cell,
        files=() if local else _files(cell),
        facts=_facts(cell),
        record=json.dumps(_shortened(asdict(cell.record)), indent=1, ensure_ascii=False),
        shown=shown_to(cell, users, FIRST_ITEMS),
        generated=generated_texts(cell.folder, users) if generated else [],
    )


def _files(cell: Cell) -> list[tuple[str, str]]:
    """Return the files of a published record: a host may list no folder, but serves each file."""
    record = cell.record
    names = [RECORD_FILE, record.ranks_file]
    if record.fit_log_sha256 is not None:
        names.append(FIT_LOG_FILE)
    folder = f"records/{record.dataset['name']}/{cell.folder.name}"
    return [(name, f"{folder}/{name}") for name in names]


def _facts(cell: Cell) -> list[tuple[str, str]]:
    record = cell.record
    origins = sorted(record.method["origins"].items())
    settings = [
        f"{name}={record.method['settings'][name]} ({origin})"
        for name, origin in origins
        if origin != "default"
    ]
    cost = [f"{name} {value:,}" for name, value in record.cost.items() if _is_number(value)]
    return [
        ("run", record.run_id[:16]),
        ("finished", record.finished_at),
        ("settings not at their default", ", ".join(settings) or "none"),
        ("cost", ", ".join(cost) or "not stated"),
        ("code", f"commit {record.code['commit']}, dirty: {record.code['dirty']}"),
        ("ranks", f"sha256 {str(record.ranks_sha256)[:16]}"),
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shortened(record: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what every cell of a data set shares, and what the page tells elsewhere."""
    parts = {name: value for name, value in record.items() if name not in ("metrics", "protocol")}
    data = {name: record["dataset"][name] for name in ("name", "split_hash")}
    return {**rounded(parts), "dataset": data}


# ---- templates -----------------------------------------------------------------------------------


@cache
def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["svg"] = Markup
    made.filters["unbroken"] = _unbroken
    made.filters["without_empty_columns"] = _without_empty_columns
    made.globals["kinds_of_input"] = _kinds_of_input
    made.globals["sort_key"] = _sort_key
    return made


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


@cache
def _file(name: str) -> str:
    return importlib.resources.files("harness.report").joinpath(name).read_text(encoding="utf-8")


def _sort_key(value: float | None) -> str:
    """Return what a table sorts by; nothing where there is no number."""
    return "" if value is None else f"{value:.9g}"


def _kinds_of_input(rows: Sequence[RowTable]) -> list[str]:
    """Return every kind of input that the table of these rows shows, in its own words."""
    return sorted({kind for row in rows for kind in words.inputs(row).split(" + ") if kind})


def _without_empty_columns(table: PlainTable) -> PlainTable:
    """Return a table whose every column holds something: the first stays in sight, and names."""
    filled = [n for n in range(len(table.heads)) if any(line[n] for line in table.lines)]
    return replace(
        table,
        heads=tuple(table.heads[n] for n in filled),
        lines=tuple(tuple(line[n] for n in filled) for line in table.lines),
    )


def _unbroken(text: str) -> Markup:
    """Return a text whose numbers with an exponent stay whole: a line may end after their minus."""
    parts = re.split(r"(\d[\d.]*e[+-]\d+)", text)
    tagged = (
        Markup('<span class="unbroken">{}</span>').format(part) if place % 2 else escape(part)
        for place, part in enumerate(parts)
    )
    return Markup().join(tagged)


def _csp_hash(script: str) -> str:
    digest = hashlib.sha256(script.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"


def _script_json(table: BoardTable) -> Markup:
    """Return the board as JSON that no text within can end: every < is written as an escape."""
    text = json.dumps(rounded(table.as_json()), ensure_ascii=True, separators=(",", ":"))
    return Markup(text.replace("<", "\\u003c").replace("&", "\\u0026"))  # noqa: S704
