"""``data import``: a card for files that the user has, and the data set prepared from them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.data.prepare import described
from harness.commands.data.preparing import Preparing
from harness.commands.options import add_data_options, default_cache, names
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.data.card_writing import Description

ROLES = ("user", "item", "time", "rating", "text")
_COLUMNS = {f"{role}_column" for role in ROLES}
_TAKEN = {
    "interactions": {*_COLUMNS, "items", "text", "ready_text", "time_unit"},
    "recbole": {*_COLUMNS, "text", "ready_text"},
    "unisrec": {"items", "text", "ready_text"},
    "recformer": {"text"},
}
"""Which options say something about which files."""


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser(
        "import", help="tables, or folders processed for RecBole, UniSRec or Recformer"
    )
    parser.add_argument("name", metavar="NAME", help="what the data set is to be called")
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument(
        "--interactions", type=Path, metavar="FILE", help="a CSV, TSV or Parquet file"
    )
    for tool in ("recbole", "unisrec", "recformer"):
        which.add_argument(f"--{tool}", type=Path, metavar="FOLDER", help=f"files for {tool}")
    parser.add_argument("--items", type=Path, metavar="FILE", help="the items, a table likewise")
    for role in ROLES:
        parser.add_argument(f"--{role}-column", metavar="COLUMN", help=_column_help(role))
    parser.add_argument(
        "--text", default="", metavar="A,B", help="the columns of items that make their text"
    )
    parser.add_argument("--ready-text", metavar="COLUMN", help="the column that is the text")
    parser.add_argument(
        "--time-unit", choices=("s", "ms"), help="what numbers of time count (default: s)"
    )
    parser.add_argument("--dedup", choices=("consecutive", "global", "none"))
    parser.add_argument("--min-user-events", type=int, metavar="N")
    parser.add_argument("--title")
    parser.add_argument("--licence", default="not stated")
    parser.add_argument("--citation", default="none", help="whom to cite (default: none)")
    parser.add_argument("--url", default="not stated", help="a page about the data")
    parser.add_argument(
        "--redistributable", action="store_true", help="pages with item texts may be published"
    )
    parser.add_argument("--verb", default="bought", help="in prompts (default: bought)")
    parser.add_argument(
        "--card", type=Path, metavar="FILE", help="where to write the card (default: NAME.toml)"
    )
    parser.add_argument("--fault-limit", type=int, metavar="N", help="leave out N faulty lines")
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def _column_help(role: str) -> str:
    what = "the review text" if role == "text" else f"the {role}"
    return f"the column of {what} (default: guessed by its name)"


def execute(options: argparse.Namespace) -> int:
    """Prepare the data set, write its card, say how to run on it."""
    from harness.data.card_files import planned_card, write_card
    from harness.progress import Progress

    _check_together(options)
    path = options.card or Path(f"{options.name}.toml")
    card = _card(options)
    planned = planned_card(card, path)
    progress = Progress(shown=not options.quiet)
    data = Preparing(options.cache or default_cache(), progress).prepared(planned)
    write_card(card, path)  # last: whoever is told to say something else has no card in the way
    print(described(data))
    print(f"card: {path}; run: python -m harness run --methods sasrec --datasets {path}")
    return 0


def _card(options: argparse.Namespace) -> dict[str, Any]:
    """Return what the card is to say.

    Raises:
        UsageError: a column that is needed cannot be told, or is not there.
        DataError: a file is missing or cannot be read.
    """
    from harness.data import card_writing as writing

    said = _description(options)
    if options.interactions is not None:
        card = writing.from_tables(said, options.interactions, options.items)
    elif options.recbole is not None:
        card = writing.from_recbole(said, options.recbole)
    elif options.unisrec is not None:
        card = writing.from_unisrec(said, options.unisrec, options.items)
    else:
        card = writing.from_recformer(said, options.recformer)
    if options.fault_limit is not None:
        card["source"]["fault_limit"] = options.fault_limit
    return card


def _check_together(options: argparse.Namespace) -> None:
    """Refuse options that say something about files of another kind.

    Raises:
        UsageError: naming the option.
    """
    kind = next(kind for kind in _TAKEN if getattr(options, kind) is not None)
    given = {name for name in set().union(*_TAKEN.values()) if getattr(options, name)}
    for name in sorted(given - _TAKEN[kind]):
        takers = " or ".join(f"--{taker}" for taker, taken in _TAKEN.items() if name in taken)
        raise UsageError(f"--{name.replace('_', '-')} goes with {takers}, not with --{kind}")


def _description(options: argparse.Namespace) -> Description:
    from harness.data.card_writing import Description

    columns = {role: getattr(options, f"{role}_column") for role in ROLES}
    return Description(
        name=options.name,
        title=options.title,
        licence=options.licence,
        citation=options.citation,
        url=options.url,
        redistributable=options.redistributable,
        verb=options.verb,
        columns={role: name for role, name in columns.items() if name is not None},
        text_fields=names(options.text),
        ready_text=options.ready_text,
        time_unit=options.time_unit,
        dedup=options.dedup,
        min_user_events=options.min_user_events,
    )
