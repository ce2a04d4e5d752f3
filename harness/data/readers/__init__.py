"""Readers: source files of one kind to the event table and the item table.

A reader is a module with two functions. ``read_events(reading, events)`` appends to an
`EventTable`, in file order. ``read_items(reading, items)`` fills `ItemRows`, which keep the items
that occur in the events left. Both leave faulty lines out and count them in ``reading.faults``,
which stops at the card's limit.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from harness.data.card import DatasetCard
from harness.data.events import EventTable
from harness.data.readers.items import ItemRows
from harness.data.readers.reading import Reading

_MODULES = {
    "recbole-atomic": "atomic",
    "tidy-jsonl": "tidy",
    "amazon-2018": "amazon",
    "table": "tables",
    "unisrec": "unisrec",
    "recformer": "recformer",
}


def read_events(reading: Reading, events: EventTable) -> None:
    """Append all events of a card's files, in file order.

    Raises:
        DataError: a file is damaged, or has more faulty lines than the limit; names file and line.
    """
    _reader(reading.card).read_events(reading, events)


def read_items(reading: Reading, wanted: tuple[str, ...]) -> ItemRows:
    """Return the raw fields of the wanted items; none where the card has no file of items.

    Raises:
        DataError: as `read_events`; or no line of the file has a field that the text needs.
    """
    card, paths = reading.card, reading.paths
    if "items" not in paths or not (card.text or card.attributes):
        return ItemRows((), Path(), frozenset())
    others = tuple(
        dict.fromkeys(
            entry.field for entry in card.attributes if entry.field not in card.text.fields
        )
    )
    items = ItemRows(card.text.fields, paths["items"], frozenset(wanted), others)
    _reader(card).read_items(reading, items)
    items.check()
    return items


def _reader(card: DatasetCard) -> Any:
    return importlib.import_module(f"harness.data.readers.{_MODULES[card.source.kind]}")
