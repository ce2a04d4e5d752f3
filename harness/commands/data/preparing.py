"""How data sets are prepared, as several actions are told on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.commands.options import add_data_options, add_variant_options, default_cache
from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.data.card import DatasetCard
    from harness.data.prepared import PreparedData
    from harness.progress import Progress


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


@dataclass(frozen=True)
class Preparing:
    """How to prepare.

    Attributes:
        cache: where prepared data sets are kept.
        progress: shows the bars.
        refresh: whether to prepare anew what is finished.
        folder: where the source files lie, in place of what the cards say.
    """

    cache: Path
    progress: Progress
    refresh: bool = False
    folder: Path | None = None

    @classmethod
    def asked_for(cls, options: argparse.Namespace) -> Preparing:
        """Return what `add_preparing_options` were given.

        Raises:
            UsageError: --source names no folder.
        """
        from harness.progress import Progress

        folder = options.source
        if folder is not None and not folder.is_dir():
            raise UsageError(f"--source {folder} is no folder: name the one with the source files")
        progress = Progress(shown=not options.quiet)
        return cls(options.cache or default_cache(), progress, options.refresh, folder)

    def prepared(self, card: DatasetCard) -> PreparedData:
        """Return one data set.

        Raises:
            DataError: see `harness.data.prepare.prepare`.
        """
        from harness.data.prepare import prepare

        return prepare(card, self.cache, self.progress, refresh=self.refresh, folder=self.folder)

    def why_absent(self, card: DatasetCard) -> str | None:
        """Return why files that `prepared` would need cannot be found, or None; reads no file."""
        from harness.data.prepare import prepared_folder
        from harness.data.sources import find_sources
        from harness.data.storage import MANIFEST

        finished = (prepared_folder(card, self.cache) / MANIFEST).is_file()
        stated = all(file.sha256 for file in card.source.files.values())
        # where a folder is named, files whose digest nobody states are looked for there
        if finished and not self.refresh and (stated or self.folder is None):
            return None
        try:
            find_sources(card, self.folder, self.cache)
        except DataError as error:
            return str(error)
        return None
