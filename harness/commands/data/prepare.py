"""``data prepare``: prepare and verify data sets and mixtures; print what was read and dropped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.options import (
    add_data_options,
    add_variant_options,
    chosen_card,
    default_cache,
)

if TYPE_CHECKING:
    from harness.data.mixture import Mixture
    from harness.data.prepared import PreparedData


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser("prepare", help="prepare and verify data sets or mixtures")
    add_preparing_options(parser)
    parser.set_defaults(execute=execute)


def add_preparing_options(parser: argparse.ArgumentParser) -> None:
    """Add the names, and how to prepare them."""
    parser.add_argument("names", nargs="+", metavar="NAME", help="a name or a .toml card")
    parser.add_argument(
        "--source", type=Path, metavar="FOLDER",
        help="where the source files lie (default: what the card says, then fetched files)",
    )  # fmt: skip
    parser.add_argument("--refresh", action="store_true", help="prepare anew from the source")
    add_variant_options(parser)
    add_data_options(parser)


def execute(options: argparse.Namespace) -> int:
    """Prepare everything named; print the counts of each data set, the parts of each mixture."""
    from harness.data.mixture import load_mixture_card, names_mixture, prepare_mixture

    for name in options.names:
        if names_mixture(name):
            mixture = prepare_mixture(load_mixture_card(name), lambda part: prepared(part, options))
            print(_mixture_text(mixture))
        else:
            print(described(prepared(name, options)))
    return 0


def prepared(name: str, options: argparse.Namespace) -> PreparedData:
    """Return one data set as the command line asks for it.

    Raises:
        DataError: see `harness.data.prepare.prepare`.
    """
    from harness.data.prepare import prepare
    from harness.progress import Progress

    return prepare(
        chosen_card(name, options),
        options.cache or default_cache(),
        Progress(shown=not options.quiet),
        refresh=options.refresh,
        folder=options.source,
    )


def described(data: PreparedData) -> str:
    """Return what was read and dropped, for the terminal."""
    rows: list[Sequence[object]] = [*data.counts.items()]
    share = data.duplicates_percent
    rows.append(("duplicates", "not looked for" if share is None else f"{share:.1f} % of events"))
    rows.append(("content hash", data.content_hash))
    lines = [data.card.name, tabulate(rows, tablefmt="plain", disable_numparse=True)]
    return "\n".join([*lines, *data.fault_report, ""])


def _mixture_text(mixture: Mixture) -> str:
    from harness.data.mixture import DESCRIPTION, describe

    return "\n".join(
        [
            mixture.card.name,
            tabulate(describe(mixture), DESCRIPTION, disable_numparse=True),
            f"content hash  {mixture.content_hash}",
            "",
        ]
    )
