"""A board as a LaTeX table in the layout of the paper's table 2 (package ``booktabs``)."""

from __future__ import annotations

import re

from tabulate import tabulate

from harness.board import words
from harness.board.markdown import labels
from harness.board.table import BoardTable, RowTable

MARKS = {"optimistic": r"\textbf{%s}", "pessimistic": r"\underline{%s}"}
SPECIAL = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}  # fmt: skip


def latex(table: BoardTable) -> str:
    """Return a ``table*`` with caption: every data set and metric a line, every row a column."""
    columns = labels(table)
    heads = ["Data set", "Metric", *map(escaped, columns), "Improvement"]
    lines = [
        [
            escaped(str(section.dataset["name"])) if metric == table.metrics[0] else "",
            escaped(metric),
            *(_cell(section.row(label), metric) for label in columns),
            escaped(words.improvement(section.improvements.get(metric))),
        ]
        for section in table.sections
        for metric in table.metrics
    ]
    body = tabulate(lines, heads, tablefmt="latex_raw", disable_numparse=True)
    for rule in ("toprule", "midrule", "bottomrule"):  # tabulate's own booktabs escapes our marks
        body = body.replace(r"\hline", rf"\{rule}", 1)
    return "\n".join(
        [
            r"\begin{table*}",
            r"\centering",
            r"\caption{" + escaped(f"{table.title}. {words.legend(table)[0]}") + "}",
            body,
            r"\end{table*}",
            "",
        ]
    )


def _cell(row: RowTable | None, metric: str) -> str:
    if row is None:
        return "missing"
    printed = words.value(row, metric)
    if printed is None:
        return row.status
    found = row.values[metric]
    texts = [
        MARKS[bound] % text if bound in found.best else text
        for bound, text in zip(words.BOUNDS, printed, strict=True)
    ]
    letters = rf"\textsuperscript{{{found.group}}}" if found.group else ""
    return "/".join(texts) + letters


def escaped(text: str) -> str:
    """Return a text that LaTeX prints as it stands."""
    return re.sub(r"[\\~^&%$#_{}]", lambda match: SPECIAL[match[0]], text)
