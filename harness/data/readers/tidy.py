"""Reader for tidy JSONL: one item per line, and one user's whole sequence per line.

Items: ``{"item": id, field: value, …}``. Sequences: ``{"user": id, "items": [id, …]}``, oldest
first, without times, ratings or review texts.
"""

from __future__ import annotations

from pathlib import Path

from harness.data.card import DatasetCard
from harness.data.events import EventRows
from harness.data.readers import RawData
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import fault, identifier, read_objects
from harness.progress import Progress


def read(card: DatasetCard, paths: dict[str, Path], progress: Progress) -> RawData:
    """Read both files.

    Raises:
        DataError: naming file and line.
    """
    items = ItemRows(card.text.fields, paths["items"])
    for line, values in read_objects(paths["items"], f"{card.name}: items", progress):
        items.add(identifier(values.get("item"), "item", paths["items"], line), values, line)
    return RawData(_sequences(paths["events"], card.name, progress), items.finish(), items.repeated)


def _sequences(path: Path, name: str, progress: Progress) -> EventRows:
    rows = EventRows()
    first_lines: dict[str, int] = {}
    for line, values in read_objects(path, f"{name}: sequences", progress):
        user = identifier(values.get("user"), "user", path, line)
        if first_lines.setdefault(user, line) != line:
            fault(path, line, f"user {user!r} has a sequence in line {first_lines[user]} already")
        items = values.get("items")
        if not isinstance(items, list):
            fault(path, line, f"'items' must be a list of item ids, found {type(items).__name__}")
        for item in items:
            rows.add(user, identifier(item, "items", path, line))
    return rows
