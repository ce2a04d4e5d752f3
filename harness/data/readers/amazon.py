"""Reader for the raw Amazon Reviews 2018 files: one review, or one item, per line of JSON.

Reviews: ``reviewerID``, ``asin``, ``overall`` (rating), ``unixReviewTime`` (seconds, to the day),
``reviewText``. A few reviews have no ``reviewText``; they count as having an empty one. Metadata:
``asin`` and the fields that the card names.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.data.card import DatasetCard
from harness.data.events import EventRows
from harness.data.readers import RawData
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import fault, identifier, number, read_objects, seconds
from harness.progress import Progress


def read(card: DatasetCard, paths: dict[str, Path], progress: Progress) -> RawData:
    """Read the reviews, and the metadata where the card names it.

    Raises:
        DataError: naming file and line.
    """
    events = _reviews(paths["events"], card.name, progress)
    if "items" not in paths:
        return RawData(events, {}, 0)
    items = ItemRows(card.text.fields, paths["items"])
    for line, values in read_objects(paths["items"], f"{card.name}: metadata", progress):
        items.add(identifier(values.get("asin"), "asin", paths["items"], line), values, line)
    return RawData(events, items.finish(), items.repeated)


def _reviews(path: Path, name: str, progress: Progress) -> EventRows:
    rows = EventRows()
    for line, values in read_objects(path, f"{name}: reviews", progress):
        rows.add(
            user=identifier(values.get("reviewerID"), "reviewerID", path, line),
            item=identifier(values.get("asin"), "asin", path, line),
            time=seconds(values.get("unixReviewTime"), "unixReviewTime", path, line),
            rating=number(values.get("overall"), "overall", path, line),
            text=_review_text(values.get("reviewText"), path, line),
        )
    return rows


def _review_text(value: Any, path: Path, line: int) -> str:
    if value is not None and not isinstance(value, str):
        fault(path, line, f"'reviewText' must be a string, found {type(value).__name__}")
    return value or ""
