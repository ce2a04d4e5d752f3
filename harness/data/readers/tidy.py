"""Reader for tidy JSONL: one item per line, and one user's whole sequence per line.

Items: ``{"item": id, field: value, …}``. Sequences: ``{"user": id, "items": [id, …]}``, oldest
first, without times, ratings or review texts.
"""

from __future__ import annotations

from harness.data.events import EventTable
from harness.data.readers.faults import Place, fault
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import each_line, identifier, object_of, read_blocks
from harness.data.readers.reading import Reading
from harness.data.readers.rows import EventRows


def read_events(reading: Reading, events: EventTable) -> None:
    """Append every user's sequence.

    Raises:
        DataError: naming file and line.
    """
    path = reading.paths["events"]
    first_lines: dict[str, int | str] = {}

    def parse(place: Place, raw: bytes) -> tuple[str, list[str]]:
        values = object_of(raw, place)
        user = identifier(values.get("user"), "user", place)
        items = values.get("items")
        if not isinstance(items, list):
            fault(place, f"'items' must be a list of item ids, found {type(items).__name__}")
        checked = [identifier(item, "items", place) for item in items]
        if first_lines.setdefault(user, place.which) != place.which:
            fault(place, f"user {user!r} has a sequence in line {first_lines[user]} already")
        return user, checked

    blocks = read_blocks(path, reading.label("sequences"), reading.progress)
    with EventRows(events) as rows:
        for user, items in each_line(blocks, parse, reading.faults):
            for item in items:
                rows.add(user, item)


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the wanted items.

    Raises:
        DataError: naming file and line.
    """
    path = reading.paths["items"]

    def parse(place: Place, raw: bytes) -> None:
        values = object_of(raw, place)
        items.add(identifier(values.get("item"), "item", place), values, place)

    for _ in each_line(
        read_blocks(path, reading.label("items"), reading.progress), parse, reading.faults
    ):
        pass
