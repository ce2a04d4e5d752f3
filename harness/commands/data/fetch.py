"""``data fetch``: download data sets' source files, resumably, and verify them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.commands.options import add_data_options, default_cache
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.data.card import DatasetCard
    from harness.progress import Progress


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser("fetch", help="download source files from where they are published")
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="a name or a .toml card, of a mixture too"
    )
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER",
        help="where to put them (default: the cache, where `data prepare` looks too)",
    )  # fmt: skip
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Fetch every file of every data set named, and of the parts of mixtures; print digests."""
    from harness.data.sources import FETCHED
    from harness.progress import Progress

    progress = Progress(shown=not options.quiet)
    folder = options.to or (options.cache or default_cache()) / FETCHED
    cards = [card for name in options.names for card in _cards(name)]  # all, before any is fetched
    for card in cards:
        print(f"{card.title}. Licence: {card.licence}.")
        _fetch(card, folder, progress)
    return 0


def _cards(name: str) -> list[DatasetCard]:
    """Return the card of a data set, or those of a mixture's parts.

    Raises:
        UsageError: there is none, or no address for any file.
    """
    from harness.data.cards import load_card
    from harness.data.mixture import load_mixture_card, names_mixture

    if names_mixture(name):
        cards = [load_card(part.reference) for part in load_mixture_card(name).parts]
        who = f"no part of the mixture {name}"
    else:
        cards = [load_card(name)]
        who = f"no file of {name}"
    if not any(file.urls for card in cards for file in card.source.files.values()):
        pages = ", ".join(dict.fromkeys(card.url for card in cards))
        raise UsageError(f"{who} has an address in its card; see {pages}")
    return cards


def _fetch(card: DatasetCard, folder: Path, progress: Progress) -> None:
    from harness.data.fetch import fetch_file

    for role, file in card.source.files.items():
        if not file.urls:
            print(f"{role}: {file.path}: no address in the card, not fetched")
            continue
        fetched = fetch_file(file.urls, folder / file.path, file.sha256, progress)
        state = "already there" if fetched.kept else f"{fetched.n_bytes:,} bytes"
        print(f"{role}: {fetched.path} ({state}), sha256 {fetched.sha256}")
