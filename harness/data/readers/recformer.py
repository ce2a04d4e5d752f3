"""Reader for folders processed for Recformer: a few JSON files, each one object.

``train.json``, ``val.json`` and ``test.json`` map a user's index to item indices; ``smap.json`` and
``umap.json`` map raw ids to indices; ``meta_data.json`` maps a raw item id to its attributes. They
are read whole: such a folder holds one category.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from harness.data.events import EventTable
from harness.data.readers.faults import LineFault, Place, fault
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import identifier
from harness.data.readers.reading import Reading
from harness.data.readers.sequences import RawIds, append_sequences, whole_sequences
from harness.errors import DataError


def read_events(reading: Reading, events: EventTable) -> None:
    """Append every user's sequence: training part, validation item, test item.

    Raises:
        DataError: naming file and user.
    """
    items = _index(reading.paths["item_index"])
    users = _index(reading.paths["user_index"]) if "user_index" in reading.paths else RawIds()
    parts: dict[str, dict[str, list[str]]] = {}
    left_out = set()  # as a whole: what is left of a user would be split in another way
    with reading.progress.bar(reading.label("sequences"), total=3, unit="files") as bar:
        for role in ("train", "validation", "test"):
            parts[role] = {}
            for user, value in _object(reading.paths[role]).items():
                try:
                    found = _indices(
                        value, items, role, Place(reading.paths[role], repr(user), "user")
                    )
                except LineFault as fault_found:
                    reading.faults.add(fault_found)
                    left_out.add(user)
                else:
                    parts[role][user] = found
            bar.advance()
    for part in parts.values():
        for user in left_out:
            part.pop(user, None)
    validation, test = (
        {user: indices[0] for user, indices in parts[role].items()}
        for role in ("validation", "test")
    )
    sequences = whole_sequences(parts["train"], validation, test, reading.paths)
    append_sequences(events, sequences, users, items)


def _indices(value: Any, items: RawIds, role: str, place: Place) -> list[str]:
    if not isinstance(value, list):
        fault(place, f"must have a list of item indices, found {type(value).__name__}")
    for part in value:
        if isinstance(part, bool) or not isinstance(part, int):
            fault(place, f"must have item indices only, found {type(part).__name__} {part!r:.40}")
    if role != "train" and len(value) != 1:
        fault(place, f"must have one item here, found {len(value)}")
    indices = [str(part) for part in value]
    for index in indices:
        if index not in items:
            fault(place, f"no raw id has the item index {index}", "unknown item")
    return indices


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the wanted items.

    Raises:
        DataError: naming file and item.
    """
    path = reading.paths["items"]
    catalogue = _object(path)
    with reading.progress.bar(reading.label("items"), total=len(catalogue), unit="items") as bar:
        for item, values in catalogue.items():
            place = Place(path, repr(item), "item")
            try:
                if not isinstance(values, dict):
                    fault(place, f"must be an object, found {type(values).__name__}", "no object")
                items.add(identifier(item, "item", place), values, place)
            except LineFault as found:
                reading.faults.add(found)
            bar.advance()


def _index(path: Path) -> RawIds:
    """Return raw ids by index."""
    return RawIds(((raw, str(index)) for raw, index in _object(path).items()), path)


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's values; a key that comes twice would hide a user or an item."""
    values = dict(pairs)
    if len(values) < len(pairs):
        ((twice, _),) = Counter(name for name, _ in pairs).most_common(1)
        raise ValueError(f"the key {twice!r} stands twice")
    return values


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes(), object_pairs_hook=_distinct)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{path}: must hold one JSON object, found {type(value).__name__}")
    return value
