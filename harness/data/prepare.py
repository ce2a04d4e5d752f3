"""Preparing a data set: load it where it is whole, else build it from its sources."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness import source
from harness.data.card import TIME_UNITS, DatasetCard
from harness.data.cards import CHECKOUT
from harness.data.event_batches import OrderedEvents
from harness.data.events import EventTable
from harness.data.item_texts import item_texts
from harness.data.prepared import PreparedData, consecutive_repeats, content_hash
from harness.data.readers import read_events, read_items
from harness.data.readers.faults import Faults, allowed_faults
from harness.data.readers.reading import Reading
from harness.data.sources import (
    FoundFile,
    check_sources,
    find_source,
    find_sources,
    is_same_file,
)
from harness.data.storage import MANIFEST, load, store, stored_sources
from harness.data.text import cleaned
from harness.errors import DataError
from harness.files import sha256_text
from harness.histories import Histories
from harness.locking import alone
from harness.progress import Progress

_PREPARING = (
    "harness.data.card",
    "harness.data.card_parsing",
    "harness.data.event_batches",
    "harness.data.events",
    "harness.data.item_texts",
    "harness.data.prepare",
    "harness.data.prepared",
    "harness.data.readers",
    "harness.data.storage",
    "harness.data.text",
    "harness.histories",
)
"""The code that decides what a prepared data set holds; what merely uses one is not part of it."""


def prepare(
    card: DatasetCard,
    cache: Path,
    progress: Progress,
    refresh: bool = False,
    folder: Path | None = None,
) -> PreparedData:
    """Return the prepared data set, building it where it is not in ``cache`` yet.

    Args:
        card: the data set.
        cache: a folder for prepared data sets; each has its own folder in it, named by the card,
            the digests of its sources and the version of this code.
        progress: shows the bars.
        refresh: build anew even where a finished folder stands (the way out of a damaged one).
        folder: where the source files lie, in place of what the card says.

    Raises:
        DataError: sources missing or damaged, an empty result, counts other than expected, a
            damaged prepared folder, a full disk. Nothing half-built is ever taken for finished.
    """
    target = prepared_folder(card, cache)
    waiting = f"{card.name}: waiting for another process that prepares it"
    try:
        with alone(target, waiting, progress):
            if refresh or not _is_current(target, card, folder, cache, progress):
                _build_into(target, card, progress, folder)
            data = load(target, card)
    except OSError as error:
        raise DataError(
            f"data set {card.name}: cannot keep it in {target}: {error.strerror or error}; free "
            "some space there or choose another folder; nothing unfinished was kept"
        ) from error
    _check_expected(card, data)
    return data


def preparation() -> str:
    """Return a digest of the code that prepares: other code prepares anew, in another folder."""
    return source.digest(_PREPARING)


def prepared_folder(card: DatasetCard, cache: Path) -> Path:
    """Return where the prepared data set stands, or would stand.

    Its name carries the digests of the source files. Where a user's card does not state them, it
    carries the card's own folder: a card of the same name elsewhere may mean other files.
    """
    unstated = any(file.sha256 is None for file in card.source.files.values())
    place = str(card.source.anchor) if unstated and card.source.anchor != CHECKOUT else ""
    key = sha256_text(f"{card.data_hash} {preparation()} {place}")[:16]
    return cache / f"{card.name}-{key}"


def _is_current(
    target: Path, card: DatasetCard, folder: Path | None, cache: Path, progress: Progress
) -> bool:
    """Return whether a finished folder stands, made from the files that are there now.

    A file whose digest the card states is not looked at again: the folder is named by it. Any
    other one is, where it can be found. Where it cannot, what was prepared from it is kept, and
    that is said; in a folder that the user names it must be there.
    """
    if not (target / MANIFEST).is_file():
        return False
    unstated = [role for role, file in card.source.files.items() if file.sha256 is None]
    known = stored_sources(target) if unstated else {}
    for role in unstated:
        try:
            path = find_source(card, role, folder, cache)
        except DataError as error:
            if folder is not None:
                raise
            progress.warn(f"{error}; using what was prepared from sha256 {known[role].sha256}")
            continue
        if not is_same_file(path, known[role]):
            progress.warn(f"{card.name}: {path} has changed; preparing anew")
            return False
    return True


def _build_into(target: Path, card: DatasetCard, progress: Progress, folder: Path | None) -> None:
    """Build beside ``target`` and rename: a reader sees the former folder or the whole new one."""
    building = target.with_name(f".{target.name}.building")
    former = target.with_name(f".{target.name}.former")
    for left_over in (building, former):  # of a killed process; we hold the lock
        shutil.rmtree(left_over, ignore_errors=True)
    try:
        paths = find_sources(card, folder, target.parent)
        found = check_sources(card, paths, progress)
        data = _built(card, paths, found, progress, building)
        _check_expected(card, data)
        store(building, data, preparation(), found)
        if target.exists():
            target.rename(former)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
        shutil.rmtree(former, ignore_errors=True)


def build(card: DatasetCard, progress: Progress) -> PreparedData:
    """Build the data set from its sources and keep it nowhere.

    Raises:
        DataError: see `prepare`.
    """
    paths = find_sources(card)
    return _built(card, paths, check_sources(card, paths, progress), progress, None)


def _built(
    card: DatasetCard,
    paths: dict[str, Path],
    found: Mapping[str, FoundFile],
    progress: Progress,
    workspace: Path | None,
) -> PreparedData:
    """Build the data set; the event table stands in ``workspace`` meanwhile."""
    faults = Faults(card.source.fault_limit, card.source.fault_share)
    reading = Reading(card, paths, faults, progress)
    with EventTable(workspace) as table:
        read_events(reading, table)
        if not table.n_read:
            raise DataError(
                f"data set {card.name}: {next(iter(paths.values()))} holds no events"
                f"{': ' + '; '.join(faults.report()) if len(faults) else ''}"
            )
        table.close_reading()
        counts = _drop(card, table, progress)
        kept = table.ordered(TIME_UNITS[card.source.time_unit])
    items = read_items(reading, kept.item_ids)
    texts = item_texts(card, items.values, kept.item_ids, progress)
    sequences = _sequences(kept)
    counts |= {
        "users": len(kept.user_ids),
        "items": len(kept.item_ids),
        "events": len(kept),
        "items_without_text": texts.n_without,
        "distinct_texts": len(set(texts.texts)),
        "consecutive_repeats": consecutive_repeats(sequences),
        "item_lines_repeated": items.repeated,
        "faulty_lines": len(faults),
        "lines_read": faults.lines_read,
    }
    attributes = {
        attribute.name: tuple(
            cleaned(items.values.get(item, {}).get(attribute.field), attribute.cleaning)
            for item in kept.item_ids
        )
        for attribute in card.attributes
    }
    empty = tuple(
        f"attribute {attribute.name!r}: no item has a value in the field {attribute.field!r}"
        for attribute in card.attributes
        if "items" in card.source.files and not any(attributes[attribute.name])
    )
    digest = content_hash(kept.item_ids, texts.texts, kept.user_ids, sequences, card.protocol)
    return PreparedData(
        card,
        kept.item_ids,
        texts.texts,
        kept.user_ids,
        sequences,
        counts,
        digest,
        (*faults.report(), *texts.report, *empty),
        {role: file.sha256 for role, file in found.items()},
        attributes,
    )


def _drop(card: DatasetCard, table: EventTable, progress: Progress) -> dict[str, int]:
    """Drop what the protocol drops; return the counts."""
    protocol = card.protocol
    counts = {"events_read": table.n_read, "users_read": table.n_users}
    with progress.bar(f"{card.name}: dedup and filter", total=3, unit="steps") as bar:
        table.deduplicate(protocol.dedup)
        counts["duplicates_dropped"] = table.n_read - table.n_events
        bar.advance()
        table.keep_users_with(protocol.min_user_events)
        left = table.n_users
        counts["users_dropped"] = counts["users_read"] - left
        bar.advance()
        if not left:
            raise DataError(
                f"data set {card.name}: no user is left: none of {counts['users_read']} has "
                f"{protocol.min_user_events} events after dedup; lower min_user_events or check "
                "the source"
            )
        if protocol.user_sample is not None:
            table.keep_sampled_users(protocol.user_sample)
        counts["users_not_sampled"] = left - table.n_users
        bar.advance()
    return counts


def _sequences(events: OrderedEvents) -> Histories:
    """Return ragged histories of events that are in (user, time) order."""
    n_users = len(events.user_ids)
    return Histories(
        users=np.arange(n_users, dtype=np.int64),
        items=events.items,
        offsets=np.searchsorted(events.users, np.arange(n_users + 1)).astype(np.int64),
        timestamps=events.times,
    )


def _check_expected(card: DatasetCard, data: PreparedData) -> None:
    faulty, source = data.counts["faulty_lines"], card.source
    limit = allowed_faults(source.fault_limit, source.fault_share, data.counts["lines_read"])
    if faulty > limit:  # it was prepared with a higher one
        raise DataError(
            f"data set {card.name}: {faulty} faulty lines were left out, more than the limit of "
            f"{limit}: say again that you allow them (--fault-limit {faulty})"
        )
    for name, expected in card.expected.items():
        if data.counts[name] != expected:
            raise DataError(
                f"data set {card.name}: {name} expected {expected}, found {data.counts[name]}: the "
                "card's [expected] does not fit what its sources and protocol give; correct one"
            )
