"""Acceptance on real data: the counts and word statistics that the cards promise."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.data.cards import load_card
from harness.data.events import drop_global, in_time_order
from harness.data.prepare import build, prepare
from harness.data.readers import read_sources
from harness.data.sources import find_sources
from harness.data.stats import table1_row
from harness.progress import Progress
from harness.splits import leave_one_out

CardWriter = Callable[..., str]


@pytest.fixture
def _shared(shared_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_SHARED_DATA", str(shared_data))


def test_ml_100k(silent: Progress, tmp_path: Path) -> None:
    data = prepare(load_card("ml-100k"), tmp_path, silent)
    assert len(data.user_ids) == 943
    assert len(data.item_ids) == 1682
    assert len(data.sequences.items) == 100_000
    assert data.sequences.lengths.min() == 20
    assert data.sequences.lengths.max() == 737
    assert data.item_ids[:3] == ("1", "10", "100")
    form = re.compile(r"Title: .+\. Year: \S+\. Genres: [\w' -]+\.")
    assert [text for text in data.item_texts if not form.fullmatch(text)] == []
    assert data.sequences.timestamps is not None
    falls = np.flatnonzero(np.diff(data.sequences.timestamps) < 0) + 1
    assert set(falls) <= set(data.sequences.offsets)  # time falls between users only


def test_ml_100k_keeps_file_order_within_a_second(silent: Progress) -> None:
    """Against the plain way in Python: its sort is stable, and most times are shared."""
    card = load_card("ml-100k")
    rows = find_sources(card)["events"].read_text().splitlines()[1:]
    by_user: dict[str, list[tuple[float, str]]] = {}
    for row in rows:
        user, item, _, time = row.split("\t")
        by_user.setdefault(user, []).append((float(time), item))
    data = build(card, silent)
    for row, user in enumerate(data.user_ids):
        expected = [item for _, item in sorted(by_user[user], key=lambda event: event[0])]
        assert [data.item_ids[item] for item in data.sequences[row]] == expected


@pytest.mark.usefixtures("_shared")
def test_scientific(silent: Progress, tmp_path: Path) -> None:
    data = prepare(load_card("scientific"), tmp_path, silent)
    row = table1_row(data)
    assert (row["users"], row["items"], row["purchases"]) == (8442, 4385, 59427)
    assert round(row["words_per_item"], 2) == 22.92
    assert row["word_vocabulary"] == 16556
    assert len(set(data.item_texts)) == data.counts["distinct_texts"] == 4375
    assert data.counts["consecutive_repeats"] == 141
    assert data.counts["duplicates_dropped"] == data.counts["users_dropped"] == 0
    assert data.sequences.timestamps is None
    assert len(leave_one_out(data.sequences).train.items) == 59427 - 2 * 8442


@pytest.mark.usefixtures("_shared")
def test_gift_cards(silent: Progress, tmp_path: Path) -> None:
    data = prepare(load_card("gift-cards"), tmp_path, silent)
    assert data.counts["events_read"] == 2972
    assert data.counts["duplicates_dropped"] == 0
    assert (len(data.user_ids), len(data.item_ids)) == (458, 148)
    assert not any("<img" in text or "&amp;" in text for text in data.item_texts)
    assert all(text.startswith("Title: ") and ". Price: " in text for text in data.item_texts)
    prices = [text.rpartition("Price: ")[2] for text in data.item_texts]
    assert all(price.startswith("$") or price == "Unknown." for price in prices)
    assert any(price.startswith("$") for price in prices)


@pytest.mark.parametrize(
    ("name", "reviews", "consecutive", "everywhere"),
    [
        ("Gift_Cards", 2972, 0, 0),
        ("Magazine_Subscriptions", 2375, 44, 44),
        ("AMAZON_FASHION", 3176, 41, 89),
        ("All_Beauty", 5269, 1040, 1053),
        ("Appliances", 2277, 2062, 2074),
    ],
)
def test_duplicates_of_the_raw_categories(
    shared_data: Path,
    write_card: CardWriter,
    silent: Progress,
    name: str,
    reviews: int,
    consecutive: int,
    everywhere: int,
) -> None:
    raw = gzip.decompress((shared_data / "amazon2018_raw" / f"{name}_5.json.gz").read_bytes())
    options = {"events": raw, "suffix": ".json.gz", "policy": "unknown", "minimum": 5}
    card = load_card(write_card("amazon-2018", dedup="consecutive", **options))
    data = build(card, silent)
    assert data.counts["events_read"] == reviews
    assert data.counts["duplicates_dropped"] == consecutive
    assert data.sequences.lengths.min() >= 5
    assert data.counts["items_without_text"] == len(data.item_ids)
    variant = build(load_card(write_card("amazon-2018", dedup="global", **options)), silent)
    assert variant.counts["duplicates_dropped"] == everywhere
    ordered = in_time_order(read_sources(card, find_sources(card), silent).events.finish())
    assert len(ordered) - len(drop_global(ordered)) == everywhere
