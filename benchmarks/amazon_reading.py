"""How quickly a large file of Amazon reviews is read and prepared, and in how much memory.

    python -m benchmarks.amazon_reading [--reviews 10000000] [--rounds 3] [--folder FOLDER]

The files are made of the real raw ones that lie below HARNESS_SHARED_DATA: the reviews of five
categories over and over, users and items renamed in every copy, and as many copies of the one
metadata file, packed by gzip's usual level 6. They stand in ``--folder`` (the system's place for
temporary files by default; 10 million reviews need 1.4 GB) until the end.
In every round, one after the other, each a process of its own:

- ``zcat FILE | wc -l``, the yardstick;
- reading: the file becomes the event table's columns (user, item, rating, time, hash of the text);
- preparing the reviews alone: the same, then dedup, filter, sequences, content hash and storage,
  and the digest of the source file. What it takes longer than reading is the second figure;
- preparing reviews and metadata, for its peak of memory.


Peak memory is that of a preparing process (VmHWM), its threads included.
Exit code 1 where a target is missed, or the data is absent.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

WANTED_READING = 2.0  # times the yardstick, at most: half its speed
WANTED_REST = 2.0  # likewise, for all that is done after reading
WANTED_PEAK_BYTES = 2 * 10**9
USER = re.compile(rb'"reviewerID": "')
ITEM = re.compile(rb'"asin": "')

CARD = """
extends = "_amazon-2018"
name = "large"
title = "Reviews over and over"
[source]
folder_default = "."
files.events = {path = "large_5.json.gz"}
files.items = {path = "meta_large.json.gz"}
[text]
without_text_limit = 0.999
"""


def make_files(raw: Path, folder: Path, n_reviews: int) -> int:
    """Write at least ``n_reviews`` reviews, and metadata; return how many reviews."""
    reviews = sorted(raw.glob("*_5.json.gz"))
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in reviews)
    metadata = gzip.decompress((raw / "meta_Gift_Cards.json.gz").read_bytes())
    copies = -(-n_reviews // lines.count(b"\n"))
    with gzip.open(folder / "large_5.json.gz", "wb", compresslevel=6) as stream:
        for copy in range(copies):
            renamed = USER.sub(b'"reviewerID": "%d-' % copy, lines)
            stream.write(ITEM.sub(b'"asin": "%d-' % copy, renamed))
    with gzip.open(folder / "meta_large.json.gz", "wb", compresslevel=6) as stream:
        for copy in range(copies):
            stream.write(ITEM.sub(b'"asin": "%d-' % copy, metadata))
    return copies * lines.count(b"\n")


# ---- what is measured, each in a process of its own --------------------------------------------


def read(folder: Path) -> dict[str, Any]:
    """Read the file into an event table; return seconds and events."""
    from harness.data.events import EventTable
    from harness.data.readers import read_events
    from harness.data.readers.faults import Faults
    from harness.data.readers.reading import Reading
    from harness.progress import Progress

    card = _card(folder)
    start, cpu = time.perf_counter(), time.process_time()
    with EventTable(folder) as table:
        paths = {"events": folder / "large_5.json.gz"}
        read_events(Reading(card, paths, Faults(0), Progress(shown=False)), table)
        wall = time.perf_counter() - start
        return {
            "seconds": wall,
            "cores": (time.process_time() - cpu) / wall,
            "events": table.n_read,
        }


def prepare(folder: Path, texts: bool = False) -> dict[str, Any]:
    """Prepare the data set; return seconds, peak memory and what came of it."""
    from harness.data import prepare as preparing
    from harness.environment import peak_memory_bytes
    from harness.progress import Progress

    start = time.perf_counter()
    card = _card(folder, texts)
    data = preparing.prepare(card, folder / "cache", Progress(shown=False), refresh=True)
    return {
        "seconds": time.perf_counter() - start,
        "peak_bytes": peak_memory_bytes(),
        "events": data.counts["events_read"],
        "duplicates": data.counts["duplicates_dropped"],
        "kept": data.counts["events"],
        "users": data.counts["users"],
        "items": data.counts["items"],
        "content_hash": data.content_hash,
    }


def _card(folder: Path, texts: bool = False) -> Any:
    from harness.data.cards import load_card
    from harness.data.variants import variant

    return variant(load_card(str(folder / "large.toml")), without_texts=not texts)


PARTS: dict[str, Callable[[Path], dict[str, Any]]] = {
    "read": read,
    "prepare": prepare,
    "whole": lambda folder: prepare(folder, texts=True),
}


def _own_process(part: str, folder: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.amazon_reading", "--part", part]
    done = subprocess.run(
        [*command, "--folder", str(folder)], stdout=subprocess.PIPE, check=True, text=True
    )
    return dict(json.loads(done.stdout))


def yardstick(path: Path) -> float:
    """Return the seconds that unpacking and counting lines takes."""
    start = time.perf_counter()
    unpacking = subprocess.Popen(["zcat", str(path)], stdout=subprocess.PIPE)  # noqa: S607
    counting = ["wc", "-l"]
    subprocess.run(counting, stdin=unpacking.stdout, stdout=subprocess.DEVNULL, check=True)
    if unpacking.wait():
        raise RuntimeError("zcat failed")
    return time.perf_counter() - start


def compare(folder: Path, rounds: int) -> bool:
    """Measure, print, and return whether every target is met."""
    seconds: dict[str, list[float]] = {"zcat | wc -l": [], "reading": [], "the rest": []}
    hashes, peaks, cores, last = set(), [], [], {}
    for _ in range(rounds):
        seconds["zcat | wc -l"].append(yardstick(folder / "large_5.json.gz"))
        reading = _own_process("read", folder)
        last = _own_process("prepare", folder)
        seconds["reading"].append(reading["seconds"])
        seconds["the rest"].append(last["seconds"] - reading["seconds"])
        cores.append(reading["cores"])
        hashes.add(last["content_hash"])
        peaks.append(last["peak_bytes"])
    whole = _own_process("whole", folder)
    peaks.append(whole["peak_bytes"])
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        shown = ", ".join(f"{value:.1f}" for value in values)
        times = medians[name] / medians["zcat | wc -l"]
        rate = last["events"] / medians[name] / 1000
        print(f"{name:14} {shown} s; {times:.2f} of zcat's time; {rate:,.0f} thousand reviews/s")
    print(f"peak memory    {max(peaks) / 1e6:,.0f} MB; different content hashes: {len(hashes)}")
    print(f"with metadata  {whole['seconds']:.1f} s in all, {whole['peak_bytes'] / 1e6:,.0f} MB")
    print(f"cores at work while reading: {statistics.median(cores):.2f}")
    print({name: last[name] for name in ("events", "duplicates", "kept", "users", "items")})
    return (
        medians["reading"] <= WANTED_READING * medians["zcat | wc -l"]
        and medians["the rest"] <= WANTED_REST * medians["zcat | wc -l"]
        and max(peaks) < WANTED_PEAK_BYTES
        and len(hashes) == 1
    )


def main() -> int:
    """Make the file, compare, say whether the targets are met."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reviews", type=int, default=10_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--part", choices=tuple(PARTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(PARTS[options.part](options.folder)))
        return 0
    raw = Path(os.environ.get("HARNESS_SHARED_DATA", "../shared/data")) / "amazon2018_raw"
    if not raw.is_dir():
        print(f"absent data: no folder {raw} (set HARNESS_SHARED_DATA)")
        return 1
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="reviews-") as name:
        folder = Path(name)
        (folder / "large.toml").write_text(CARD, encoding="utf-8")
        n_reviews = make_files(raw, folder, options.reviews)
        sizes = [path.stat().st_size / 1e6 for path in sorted(folder.glob("*.json.gz"))]
        print(f"{n_reviews:,} reviews, {sizes[0]:,.0f} MB packed; metadata {sizes[1]:,.0f} MB")
        met = compare(folder, options.rounds)
    print("targets met" if met else "a target is missed")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
