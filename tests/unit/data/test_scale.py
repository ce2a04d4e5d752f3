"""A million reviews within a gigabyte of memory, and not one of them lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from isal import igzip

ROOT = Path(__file__).resolve().parents[3]
FILES = ("Gift_Cards", "Magazine_Subscriptions", "AMAZON_FASHION", "All_Beauty", "Appliances")
REVIEWS = 2972 + 2375 + 3176 + 5269 + 2277
COPIES = 63
USER = b'"reviewerID": "'
CARD = """\
name = "many"
title = "The same reviews again and again"
licence = "none stated"
citation = "nobody"
url = "https://example.org"
redistributable = false
verb = "bought"
[source]
kind = "amazon-2018"
folder_default = "."
[source.files.events]
path = "reviews.json.gz"
[protocol]
dedup = "consecutive"
min_user_events = 5
split = "leave-one-out"
"""
PREPARING = """
import json, resource, sys
from pathlib import Path
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.progress import Progress
data = prepare(load_card(sys.argv[1]), Path(sys.argv[2]), Progress(shown=False))
lengths = data.sequences.lengths
print(json.dumps({
    **data.counts,
    "longest": int(lengths.max()),
    "sum of squared lengths": int((lengths ** 2).sum()),
    "times": int(data.sequences.timestamps.sum()),
    "item_ids": data.item_ids,
    "first users": data.user_ids[: len(data.user_ids) // int(sys.argv[3])],
    "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
}))
"""
SAME = ("items", "distinct_texts", "items_without_text", "item_lines_repeated", "faulty_lines")
SAME_TOO = ("longest", "item_ids")


def prepared(folder: Path, raw: list[bytes], copies: int) -> dict[str, Any]:
    """Prepare so many copies of the reviews, each with users of its own, in another process."""
    folder.mkdir()
    (folder / "many.toml").write_text(CARD)
    with igzip.open(folder / "reviews.json.gz", "wb", compresslevel=1) as stream:
        for copy in range(copies):
            for content in raw:
                stream.write(content.replace(USER, USER + b"%03d-" % copy))
    done = subprocess.run(
        [sys.executable, "-c", PREPARING, folder / "many.toml", folder / "cache", str(copies)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


@pytest.mark.slow
def test_a_million_reviews_within_a_gigabyte(shared_data: Path, tmp_path: Path) -> None:
    raw = [
        igzip.decompress((shared_data / "amazon2018_raw" / f"{name}_5.json.gz").read_bytes())
        for name in FILES
    ]
    assert sum(content.count(USER) for content in raw) == REVIEWS
    one = prepared(tmp_path / "one", raw, 1)
    many = prepared(tmp_path / "many", raw, COPIES)
    peaks = {"one copy": one.pop("peak"), "all": many.pop("peak")}
    print({name: f"{peak >> 20} MiB" for name, peak in peaks.items()})
    assert many["events_read"] == REVIEWS * COPIES > 1_000_000
    assert many.pop("first users") == one.pop("first users")  # all named 000-…
    for name in (*SAME, *SAME_TOO):
        assert many.pop(name) == one.pop(name)
    assert many == {name: count * COPIES for name, count in one.items()}
    assert peaks["all"] < 10**9
