"""Options that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.data.card import DatasetCard

DEFAULT_DATASET = "ml-100k"
CACHE_VARIABLE = "HARNESS_CACHE"


def names(text: str) -> list[str]:
    """Split a comma-separated list, dropping blanks and repeats."""
    return list(dict.fromkeys(part.strip() for part in text.split(",") if part.strip()))


def seeds(text: str) -> list[int]:
    """Parse ``--seeds 0,1,2``.

    Raises:
        UsageError: something that is not a whole number from 0.
    """
    parts = names(text)
    if not parts or not all(part.isdecimal() for part in parts):
        raise UsageError(f"--seeds takes whole numbers from 0, such as 0,1,2; found {text!r}")
    return list(dict.fromkeys(int(part) for part in parts))


def default_cache() -> Path:
    """Return where prepared data sets are kept: $HARNESS_CACHE, or the user's cache folder."""
    chosen = os.environ.get(CACHE_VARIABLE)
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(chosen) if chosen else Path(base).expanduser() / "sequential-harness"


def add_data_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--cache`` and ``--quiet``."""
    parser.add_argument(
        "--cache", type=Path, default=None, metavar="FOLDER",
        help=f"where prepared data sets are kept (default: ${CACHE_VARIABLE} or the user's cache)",
    )  # fmt: skip
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_variant_options(parser: argparse.ArgumentParser) -> None:
    """Add what makes a variant of each data set named."""
    parser.add_argument(
        "--dedup", choices=("consecutive", "global", "none"),
        help="drop duplicates by this rule, in place of the card's (consecutive: the paper's)",
    )  # fmt: skip
    parser.add_argument(
        "--without-texts", action="store_true", help="leave out item texts and their file"
    )
    parser.add_argument(
        "--test-users", type=int, metavar="N",
        help="test a seeded sample of N users only, for methods that take long; training sees all",
    )  # fmt: skip
    parser.add_argument(
        "--fault-limit", type=int, metavar="N",
        help="leave out up to N faulty lines, in place of the card's limit",
    )  # fmt: skip


def chosen_card(
    name: str, options: argparse.Namespace, dedup: str | None = None, tested: bool = True
) -> DatasetCard:
    """Return the card that a command line names, in the variant that it asks for.

    Args:
        name: of a card, or its path.
        options: what `add_variant_options` were given.
        dedup: a rule for duplicates in place of the one asked for.
        tested: False for a part of a mixture, which no sample of test users concerns.

    Raises:
        UsageError: no such card, or a limit below 0.
        DataError: the card is malformed, or the variant cannot be.
    """
    from harness.data.cards import load_card
    from harness.data.variants import variant

    if options.fault_limit is not None and options.fault_limit < 0:
        raise UsageError(f"--fault-limit must be at least 0, found {options.fault_limit}")
    if options.test_users is not None and options.test_users < 1:
        raise UsageError(f"--test-users must be at least 1, found {options.test_users}")
    return variant(
        load_card(name),
        dedup=dedup or options.dedup,
        without_texts=options.without_texts,
        test_users=options.test_users if tested else None,
        fault_limit=options.fault_limit,
    )


def limit_threads(threads: int | None) -> None:
    """Fix the number of threads before numpy, numba or torch is imported."""
    if threads is not None and threads < 1:
        raise UsageError(f"--threads must be at least 1, found {threads}")
    from harness.environment import THREADS_VARIABLE, numeric_threads

    count = str(threads or numeric_threads())
    os.environ[THREADS_VARIABLE] = count
    for variable in ("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[variable] = count


def add_out_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--out``, the run folder."""
    parser.add_argument(
        "--out", type=Path, default=Path("runs"), metavar="FOLDER",
        help="the run folder: records, ranks, leaderboards (default: runs)",
    )  # fmt: skip
