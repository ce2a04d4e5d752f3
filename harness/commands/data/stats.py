"""``data stats``: the columns of the paper's table 1, ours beside the paper's."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.data.preparing import Preparing, add_preparing_options
from harness.commands.options import chosen_card

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData

TABLE_1 = {
    "dataset": ("data set", "{}"),
    "users": ("# of users", "{:,}"),
    "duplicates_percent": ("% of duplicates before dedup", "{:.1f}"),
    "items": ("# of items", "{:,}"),
    "purchases": ("total purchase", "{:,}"),
    "items_per_user": ("items/user", "{:.2f}"),
    "purchases_per_item": ("purchases/item", "{:.2f}"),
    "density": ("density", "{:.2g}"),
    "words_per_item": ("words/item", "{:.2f}"),
    "word_vocabulary": ("word vocab size", "{:,}"),
    "average_word_frequency": ("avg. word freq.", "{:.1f}"),
}
"""Key of `table1_row` -> the paper's column and how it prints its values."""


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser("stats", help="the columns of table 1, beside the paper's")
    add_preparing_options(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print table 1: a column per data set, and its paper's own figures where there are any."""
    preparing = Preparing.asked_for(options)
    cards = [chosen_card(name, options) for name in options.names]
    print(table_1([preparing.prepared(card) for card in cards]))
    return 0


def table_1(data_sets: list[PreparedData]) -> str:
    """Return table 1; a figure that cannot be told reads "not told"."""
    from harness.data.stats import table1_row

    columns: list[dict[str, str]] = []
    for data in data_sets:
        ours = table1_row(data)
        columns.append({key: _printed(key, ours[key]) for key in TABLE_1})
        if data.card.paper:
            paper = data.card.paper
            columns.append(
                {"dataset": "paper"} | {key: _printed(key, value) for key, value in paper.items()}
            )
            columns.append(
                {"dataset": "difference"}
                | {key: _difference(ours[key], value) for key, value in paper.items()}
            )
    lines = [
        [title, *(column.get(key, "") for column in columns)] for key, (title, _) in TABLE_1.items()
    ]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)


def _printed(key: str, value: Any) -> str:
    return "not told" if value is None else TABLE_1[key][1].format(value)


def _difference(ours: float | None, paper: float) -> str:
    return "" if ours is None or not paper else f"{100 * (ours / paper - 1):+.1f} %"
