"""``data``: prepare a data set, or show its figures as the paper's table 1 does."""

from __future__ import annotations

import argparse
from typing import Any

from tabulate import tabulate

from harness.commands.options import add_data_options, default_cache

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


def add_parser(parsers: Any) -> None:
    """Declare the command and its two actions."""
    parser = parsers.add_parser("data", help="prepare data sets, show their figures")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action, text in (("prepare", "prepare and verify"), ("stats", "the columns of table 1")):
        sub = actions.add_parser(action, help=text)
        sub.add_argument("names", nargs="+", metavar="NAME", help="a name or a .toml card")
        sub.add_argument("--refresh", action="store_true", help="prepare anew from the source")
        add_data_options(sub)
        sub.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Prepare each data set named; print counts or table 1."""
    from harness.data.cards import load_card
    from harness.data.prepare import prepare
    from harness.data.stats import table1_row
    from harness.progress import Progress

    progress = Progress(shown=not options.quiet)
    cache = options.cache or default_cache()
    cards = [load_card(name) for name in options.names]
    prepared = [prepare(card, cache, progress, refresh=options.refresh) for card in cards]
    if options.action == "stats":
        print(_table1([table1_row(data) for data in prepared]))
        return 0
    for data in prepared:
        rows_ = [*data.counts.items(), ("content hash", data.content_hash)]
        print(f"{data.card.name}\n{tabulate(rows_, tablefmt='plain', disable_numparse=True)}\n")
    return 0


def _table1(rows: list[dict[str, Any]]) -> str:
    """Return table 1, a column per data set; a figure that does not apply reads "not told"."""
    lines = [
        [title, *("not told" if row[key] is None else form.format(row[key]) for row in rows)]
        for key, (title, form) in TABLE_1.items()
    ]
    return tabulate(lines, tablefmt="plain", disable_numparse=True)
