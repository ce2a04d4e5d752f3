"""Preparing a data set: load it where it is whole, else build it from its sources."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from harness import source
from harness.data.card import DatasetCard
from harness.data.events import DEDUP, Events, in_time_order, keep_sampled_users, keep_users_with
from harness.data.prepared import PreparedData, consecutive_repeats, content_hash
from harness.data.readers import RawData, read_sources
from harness.data.sources import check_sources, find_sources
from harness.data.storage import MANIFEST, load, store
from harness.data.text import has_text, render
from harness.errors import DataError
from harness.files import exclusive_lock, sha256_text
from harness.histories import Histories
from harness.progress import Progress

_WAIT_S = 0.2


def prepare(
    card: DatasetCard, cache: Path, progress: Progress, refresh: bool = False
) -> PreparedData:
    """Return the prepared data set, building it where it is not in ``cache`` yet.

    Args:
        card: the data set.
        cache: a folder for prepared data sets; each has its own folder in it, named by the card,
            the digests of its sources and the version of this code.
        progress: shows the bars.
        refresh: build anew even where a finished folder stands (the way out of a damaged one).

    Raises:
        DataError: sources missing or damaged, an empty result, counts other than expected, a
            damaged prepared folder, a full disk. Nothing half-built is ever taken for finished.
    """
    folder = prepared_folder(card, cache)
    try:
        with _alone(folder, card.name, progress):
            if refresh or not (folder / MANIFEST).is_file():
                _build_into(folder, card, progress)
            data = load(folder, card)
    except OSError as error:
        raise DataError(
            f"data set {card.name}: cannot keep it in {folder}: {error.strerror or error}; free "
            "some space there or choose another folder; nothing unfinished was kept"
        ) from error
    _check_expected(card, data)
    return data


def preparation() -> str:
    """Return a digest of the code that prepares: other code prepares anew, in another folder."""
    return source.digest(["harness.data", "harness.histories"])


def prepared_folder(card: DatasetCard, cache: Path) -> Path:
    """Return where the prepared data set stands, or would stand."""
    key = sha256_text(f"{card.data_hash} {preparation()}")[:16]
    return cache / f"{card.name}-{key}"


@contextlib.contextmanager
def _alone(folder: Path, name: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process prepares or loads this folder."""
    said = False
    while True:
        with exclusive_lock(folder.with_name(f".{folder.name}.lock")) as held:
            if held:
                yield
                return
        if not said:
            progress.say(f"{name}: waiting for another process that prepares it")
            said = True
        time.sleep(_WAIT_S)


def _build_into(folder: Path, card: DatasetCard, progress: Progress) -> None:
    """Build beside ``folder`` and rename: a reader sees the former folder or the whole new one."""
    building = folder.with_name(f".{folder.name}.building")
    former = folder.with_name(f".{folder.name}.former")
    for left_over in (building, former):  # of a killed process; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        data = build(card, progress)
        _check_expected(card, data)
        building.mkdir(parents=True)
        store(building, data, preparation())
        if folder.exists():
            folder.rename(former)
        building.rename(folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def build(card: DatasetCard, progress: Progress) -> PreparedData:
    """Build the data set in memory from its sources.

    Raises:
        DataError: see `prepare`.
    """
    paths = find_sources(card)
    check_sources(card, paths, progress)
    raw = read_sources(card, paths, progress)
    if not len(raw.events):
        raise DataError(f"data set {card.name}: {paths['events']} holds no events")
    kept, counts = _kept_events(card, raw.events.finish(), progress)
    used, item_index = np.unique(kept.items, return_inverse=True)
    item_ids = tuple(kept.item_ids[item] for item in used)
    texts, without_text = _texts(card, raw, item_ids, progress)
    sequences, user_ids = _sequences(kept, item_index.astype(np.int32))
    counts |= {
        "users": len(user_ids),
        "items": len(item_ids),
        "events": len(kept),
        "items_without_text": without_text,
        "distinct_texts": len(set(texts)),
        "consecutive_repeats": consecutive_repeats(sequences),
        "item_lines_repeated": raw.item_lines_repeated,
    }
    digest = content_hash(item_ids, texts, user_ids, sequences, card.protocol)
    return PreparedData(card, item_ids, texts, user_ids, sequences, counts, digest)


def _kept_events(
    card: DatasetCard, read: Events, progress: Progress
) -> tuple[Events, dict[str, int]]:
    """Return the events that stay, in order, and the counts of what was dropped."""
    protocol = card.protocol
    with progress.bar(f"{card.name}: dedup and filter", total=4, unit="steps") as bar:
        ordered = in_time_order(read)
        bar.advance()
        deduplicated = DEDUP[protocol.dedup](ordered)
        bar.advance()
        filtered = keep_users_with(deduplicated, protocol.min_user_events)
        bar.advance()
        sampled = filtered
        if protocol.user_sample is not None:
            sampled = keep_sampled_users(filtered, protocol.user_sample)
        bar.advance()
    users_read, users_left = len(read.user_ids), len(np.unique(filtered.users))
    if not users_left:
        raise DataError(
            f"data set {card.name}: no user is left: none of {users_read} has "
            f"{protocol.min_user_events} events after dedup; lower min_user_events or check the "
            "source"
        )
    counts = {
        "events_read": len(read),
        "duplicates_dropped": len(read) - len(deduplicated),
        "users_read": users_read,
        "users_dropped": users_read - users_left,
        "users_not_sampled": users_left - len(np.unique(sampled.users)),
    }
    return sampled, counts


def _sequences(
    events: Events, items: np.ndarray[tuple[int], np.dtype[np.int32]]
) -> tuple[Histories, tuple[str, ...]]:
    """Return ragged histories of events that are in (user, time) order, and the users' ids."""
    users, lengths = np.unique(events.users, return_counts=True)
    sequences = Histories(
        users=np.arange(len(users), dtype=np.int64),
        items=items,
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        timestamps=events.times,
    )
    return sequences, tuple(events.user_ids[user] for user in users)


def _texts(
    card: DatasetCard, raw: RawData, item_ids: tuple[str, ...], progress: Progress
) -> tuple[tuple[str, ...], int]:
    """Return the rendered text of every item, and how many items have none of their own."""
    texts = []
    without_text = 0
    with progress.bar(f"{card.name}: texts", total=len(item_ids), unit="items") as bar:
        for item in item_ids:
            values = raw.items.get(item, {})
            if not has_text(values, card.text.attributes):
                without_text += 1
                if card.text.items_without_text == "error":
                    raise _without_text(card, item, item in raw.items)
            texts.append(render(values, card.text.attributes))
            bar.advance()
    return tuple(texts), without_text


def _without_text(card: DatasetCard, item: str, has_line: bool) -> DataError:
    file = card.source.files["items"].path
    what = "has no attribute with a value" if has_line else "occurs in a sequence but has no line"
    return DataError(
        f"data set {card.name}: item {item!r} {what} in {file}, so it has no text: complete the "
        'file (and the card\'s sha256), or set items_without_text = "unknown" under [text] in '
        "the card to render it as Unknown"
    )


def _check_expected(card: DatasetCard, data: PreparedData) -> None:
    for name, expected in card.expected.items():
        if data.counts[name] != expected:
            raise DataError(
                f"data set {card.name}: {name} expected {expected}, found {data.counts[name]}: the "
                "card's [expected] does not fit what its sources and protocol give; correct one"
            )
