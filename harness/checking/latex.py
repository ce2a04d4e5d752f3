"""The LaTeX table of a board: its columns, numbers and marks."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from harness.checking.printed import cell_faults, columns, differs, improvement

Facts = Mapping[str, Any]
NAMED = {"textbackslash{}": "\\", "textasciitilde{}": "~", "textasciicircum{}": "^"}


def plain(text: str) -> str:
    """Return what LaTeX prints of an escaped text."""
    escape = r"\\(textbackslash\{\}|textasciitilde\{\}|textasciicircum\{\}|[&%$#_{}])"
    return re.sub(escape, lambda match: NAMED.get(match[1], match[1]), text)


def latex_faults(board: Facts, text: str) -> Iterator[str]:
    """Yield what is wrong with a board's LaTeX table."""
    parts = re.split(r"\\(?:toprule|midrule|bottomrule)", text)
    if len(parts) != 4:
        yield f"{len(parts) - 1} rules instead of the three of one table"
        return
    caption = re.search(r"\\caption\{(.*)\}", parts[0])
    if caption is None or not plain(caption[1]).startswith(f"{board['title']}. "):
        yield f"the caption does not begin with the title {board['title']!r}"
    (head, *others), body = _lines(parts[1]), _lines(parts[2])
    labels = columns(board)
    wanted = ["Data set", "Metric", *labels, "Improvement"]
    if others or [plain(cell) for cell in head] != wanted:
        yield f"the columns are {head}, the records give {wanted}"
        return
    pairs = [(section, metric) for section in board["sections"] for metric in board["metrics"]]
    if len(body) != len(pairs) or any(len(cells) != len(wanted) for cells in body):
        yield f"the table is not one of {len(pairs)} lines of {len(wanted)} cells"
        return
    for (section, metric), cells in zip(pairs, body, strict=True):
        name = section["dataset"]["name"]
        first = [name if metric == board["metrics"][0] else "", metric]
        if [plain(cell) for cell in cells[:2]] != first:
            yield f"{name}, {metric}: the line begins with {cells[:2]}, not {first}"
        for fault in cell_faults(dict(zip(labels, cells[2:], strict=False)), section, metric):
            yield f"{name}, {metric}: {fault}"
        found = differs(cells[-1], improvement(section["improvements"].get(metric)), plain)
        if found is not None:
            yield f"{name}, {metric}, improvement: {found}"


def _lines(text: str) -> list[list[str]]:
    lines = [line.strip().removesuffix("\\\\") for line in text.splitlines() if line.strip()]
    return [[cell.strip() for cell in re.split(r"(?<!\\)&", line)] for line in lines]
