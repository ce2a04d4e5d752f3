"""Readers: source files of one kind to the event table and the item table.

A reader is a module with two functions. ``read_events(card, paths, events, faults, progress)``
appends to an `EventTable`, in file order. ``read_items(card, paths, items, faults, progress)``
fills `ItemRows`, which keep the items that occur in the events left. Both leave faulty lines out
and count them in `Faults`, which stops at the card's limit.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from harness.data.card import DatasetCard
from harness.data.events import EventTable
from harness.data.readers.faults import Faults
from harness.data.readers.items import ItemRows
from harness.progress import Progress

_MODULES = {
    "recbole-atomic": "atomic",
    "tidy-jsonl": "tidy",
    "amazon-2018": "amazon",
    "table": "tables",
    "unisrec": "unisrec",
    "recformer": "recformer",
}


def read_events(
    card: DatasetCard,
    paths: dict[str, Path],
    events: EventTable,
    faults: Faults,
    progress: Progress,
) -> None:
    """Append all events of a card's files, in file order.

    Raises:
        DataError: a file is damaged, or has more faulty lines than the limit; names file and line.
    """
    _reader(card).read_events(card, paths, events, faults, progress)


def read_items(
    card: DatasetCard,
    paths: dict[str, Path],
    wanted: tuple[str, ...],
    faults: Faults,
    progress: Progress,
) -> ItemRows:
    """Return the raw fields of the wanted items; none where the card has no file of items.

    Raises:
        DataError: as `read_events`; or no line of the file has a field that the text needs.
    """
    if "items" not in paths or not card.text:
        return ItemRows((), Path(), frozenset())
    items = ItemRows(card.text.fields, paths["items"], frozenset(wanted))
    _reader(card).read_items(card, paths, items, faults, progress)
    items.check()
    return items


def _reader(card: DatasetCard) -> Any:
    return importlib.import_module(f"harness.data.readers.{_MODULES[card.source.kind]}")
