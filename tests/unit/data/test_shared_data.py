"""Acceptance on real data: the counts and word statistics that the cards promise."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import numpy as np
import pytest

from harness.data.cards import load_card
from harness.data.prepare import build, prepare
from harness.data.sources import find_sources
from harness.data.stats import table1_row
from harness.data.variants import variant
from harness.progress import Progress
from harness.splits import leave_one_out


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
    data = prepare(load_card("amazon-gift-cards"), tmp_path, silent)
    assert data.counts["events_read"] == 2972
    assert data.counts["duplicates_dropped"] == data.counts["faulty_lines"] == 0
    assert data.fault_report == ()
    assert (len(data.user_ids), len(data.item_ids)) == (458, 148)
    assert not any("<img" in text or "&amp;" in text for text in data.item_texts)
    form = re.compile(r"Title: .+\. Category: .+\. Brand: .+\. Price: (.+)\.")
    prices = [match[1] for match in map(form.fullmatch, data.item_texts) if match]
    assert len(prices) == 148
    assert all(price.startswith("$") or price == "Unknown" for price in prices)
    assert any(price.startswith("$") for price in prices)


Event = tuple[str, float, int, str]  # item, rating, time, review text


def kept_by_hand(path: Path, rule: str) -> tuple[dict[str, list[Event]], int, int]:
    """Return each user's events after dedup, how many were read and how many dropped."""
    by_user: dict[str, list[Event]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        for line in stream:
            row = json.loads(line)
            event = (row["asin"], row["overall"], row["unixReviewTime"], row.get("reviewText", ""))
            by_user.setdefault(row["reviewerID"], []).append(event)
    kept: dict[str, list[Event]] = {}
    for user, events in by_user.items():
        mine = kept[user] = []
        for event in sorted(events, key=lambda event: event[2]):  # stable
            if event not in (mine if rule == "global" else mine[-1:]):
                mine.append(event)
    read, left = (sum(map(len, users.values())) for users in (by_user, kept))
    return kept, read, read - left


@pytest.mark.parametrize(
    ("name", "file", "reviews", "consecutive", "everywhere"),
    [
        ("amazon-gift-cards", "Gift_Cards", 2972, 0, 0),
        ("amazon-magazine-subscriptions", "Magazine_Subscriptions", 2375, 44, 44),
        ("amazon-fashion", "AMAZON_FASHION", 3176, 41, 89),
        ("amazon-all-beauty", "All_Beauty", 5269, 1040, 1053),
        ("amazon-appliances", "Appliances", 2277, 2062, 2074),
    ],
)
def test_the_raw_categories_against_a_count_in_plain_python(
    shared_data: Path,
    silent: Progress,
    tmp_path: Path,
    name: str,
    file: str,
    reviews: int,
    consecutive: int,
    everywhere: int,
) -> None:
    folder = shared_data / "amazon2018_raw"
    for rule, dropped in (("consecutive", consecutive), ("global", everywhere)):
        card = variant(load_card(name), dedup=rule, without_texts=True)
        data = prepare(card, tmp_path, silent, folder=folder)
        kept, read, by_hand = kept_by_hand(folder / f"{file}_5.json.gz", rule)
        assert data.counts["events_read"] == read == reviews
        assert data.counts["duplicates_dropped"] == by_hand == dropped
        assert data.counts["faulty_lines"] == 0
        assert data.counts["users_read"] == len(kept)
        left = {user: events for user, events in kept.items() if len(events) >= 5}
        assert data.user_ids == tuple(sorted(left))
        assert data.item_ids == tuple(sorted({event[0] for user in left for event in left[user]}))
        assert data.sequences.timestamps is not None
        for user, start, stop in zip(
            data.user_ids, data.sequences.offsets, data.sequences.offsets[1:], strict=False
        ):
            items = [data.item_ids[item] for item in data.sequences.items[start:stop]]
            times = data.sequences.timestamps[start:stop].tolist()
            expected = [(item, time) for item, _, time, _ in left[user]]
            assert list(zip(items, times, strict=True)) == expected
