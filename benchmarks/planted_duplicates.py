"""Whether dedup finds planted duplicates, all and only those, and what they do to the LIR baseline.

    python -m benchmarks.planted_duplicates [--rate 0.055] [--seed 11]

In a copy of the real Gift Cards file below HARNESS_SHARED_DATA, in a temporary folder, some reviews
are repeated, each directly after itself; ``--rate`` is their share of all events after planting.
Then ``data duplicates`` runs on the copy and on the clean data set, both with the real metadata.
Exit code 1 unless as many are dropped as were planted and, after dedup, content and LIR's metrics
are those of the clean data set; or where the data is absent.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

CLEAN = "amazon-gift-cards"
REVIEWS, METADATA = "Gift_Cards_5.json.gz", "meta_Gift_Cards.json.gz"
CARD = f"""
extends = "_amazon-2018"
name = "planted"
title = "Gift Cards with planted duplicates"
[source]
folder_env = "NOT_SET_BY_ANYBODY"
folder_default = "."
[source.files]
events.path = "{REVIEWS}"
items.path = "{METADATA}"
"""


def planted(lines: Sequence[bytes], n: int, seed: int) -> list[bytes]:
    """Return the lines with ``n`` of them repeated, each directly after itself."""
    chosen = set(random.Random(seed).sample(range(len(lines)), n))
    return [copy for row, line in enumerate(lines) for copy in [line] * (1 + (row in chosen))]


def plant(raw: Path, folder: Path, rate: float, seed: int) -> int:
    """Write the copy and its card into ``folder``; return how many duplicates were planted."""
    lines = gzip.decompress((raw / REVIEWS).read_bytes()).splitlines(keepends=True)
    n = round(len(lines) * rate / (1 - rate))
    (folder / REVIEWS).write_bytes(gzip.compress(b"".join(planted(lines, n, seed)), mtime=0))
    (folder / METADATA).symlink_to((raw / METADATA).resolve())
    (folder / "planted.toml").write_text(CARD, encoding="utf-8")
    return n


def compare(folder: Path, n: int) -> bool:
    """Run ``data duplicates``, print, and return whether the targets are met."""
    from harness.cli import main as harness
    from harness.data.cards import load_card
    from harness.data.prepare import prepare
    from harness.progress import Progress

    card, cache, runs = str(folder / "planted.toml"), folder / "cache", folder / "runs"
    places = ["--cache", str(cache), "--out", str(runs), "--quiet"]
    if harness(["data", "duplicates", card, CLEAN, *places]):
        return False
    dirty, clean = (prepare(load_card(name), cache, Progress(False)) for name in (card, CLEAN))
    dropped = dirty.counts["duplicates_dropped"]
    same_content = dirty.content_hash == clean.content_hash
    same_metrics = _metrics(runs, "planted") == _metrics(runs, CLEAN)
    print(f"\nduplicates planted: {n:,}; dropped: {dropped:,}")
    print(f"after dedup: the clean content: {same_content}; the clean metrics: {same_metrics}")
    return dropped == n and same_content and same_metrics


def _metrics(runs: Path, name: str) -> Any:
    """Return all of LIR's metrics, optimistic and pessimistic, on a data set after dedup."""
    (record,) = (runs / name / "lir").rglob("record.json")
    return json.loads(record.read_text(encoding="utf-8"))["metrics"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Plant, compare, say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rate", type=float, default=0.055)
    parser.add_argument("--seed", type=int, default=11)
    options = parser.parse_args(arguments)
    if not 0 < options.rate <= 0.5:
        parser.error(f"--rate must be above 0 and at most 0.5, found {options.rate}")
    raw = Path(os.environ.get("HARNESS_SHARED_DATA", "../shared/data")) / "amazon2018_raw"
    for name in (REVIEWS, METADATA):
        if not (raw / name).is_file():
            print(f"absent data: no file {raw / name} (set HARNESS_SHARED_DATA)")
            return 1
    with tempfile.TemporaryDirectory(prefix="planted-") as name:
        folder = Path(name)
        met = compare(folder, plant(raw, folder, options.rate, options.seed))
    print("targets met" if met else "a target is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
