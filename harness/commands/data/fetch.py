"""``data fetch``: download a data set's source files, resumably, and verify them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.commands.options import add_data_options, default_cache
from harness.errors import UsageError


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser("fetch", help="download source files from where they are published")
    parser.add_argument("names", nargs="+", metavar="NAME", help="a name or a .toml card")
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER",
        help="where to put them (default: the cache, where `data prepare` looks too)",
    )  # fmt: skip
    add_data_options(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Fetch every file of every data set named; print digests."""
    from harness.data.cards import load_card
    from harness.data.fetch import fetch_file
    from harness.data.sources import FETCHED
    from harness.progress import Progress

    progress = Progress(shown=not options.quiet)
    folder = options.to or (options.cache or default_cache()) / FETCHED
    for name in options.names:
        card = load_card(name)
        files = card.source.files
        if not any(file.urls for file in files.values()):
            raise UsageError(f"the card of {name} says no address for its files; see {card.url}")
        print(f"{card.title}. Licence: {card.licence}.")
        for role, file in files.items():
            if not file.urls:
                print(f"{role}: {file.path}: no address in the card, not fetched")
                continue
            fetched = fetch_file(file.urls, folder / file.path, file.sha256, progress)
            state = "already there" if fetched.kept else f"{fetched.n_bytes:,} bytes"
            print(f"{role}: {fetched.path} ({state}), sha256 {fetched.sha256}")
    return 0
