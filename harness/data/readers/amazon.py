"""Reader for the raw Amazon Reviews 2018 files: one review, or one item, per line of JSON.

Reviews: ``reviewerID``, ``asin``, ``overall`` (rating), ``unixReviewTime`` (seconds, to the day),
``reviewText``. A few reviews have no ``reviewText``; they count as having an empty one. Metadata:
``asin`` and the fields that the card names. Lines of the older editions, which are Python literals
instead of JSON, are read too, some twenty times more slowly.

Files of several gigabytes: blocks of lines are parsed by msgspec into typed records, which skips
all other fields. `benchmarks.json_parsers` measured it against others: DuckDB and Polars need less
time, but make a rating of a text and an id of a number, or leave a missing one empty, without a
word; msgspec refuses all of that, and unpacking and parsing together still take less time than
``zcat`` does (`benchmarks.amazon_reading`). A block with anything unusual in it is read again line
by line, by the rules of `harness.data.readers.lines`; so the quick way may only be stricter, never
different.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from harness.data.events import EventBatch, EventTable, text_hashes
from harness.data.readers.faults import Place, fault
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import (
    MILLISECONDS_FROM,
    each_line,
    identifier,
    number,
    object_of,
    parsed_lines,
    read_blocks,
    seconds,
)
from harness.data.readers.reading import Reading


class Review(NamedTuple):
    """The parts of a review that are read."""

    user: str
    item: str
    rating: float
    time: int
    text: str


def read_events(reading: Reading, events: EventTable) -> None:
    """Append all reviews.

    Raises:
        DataError: naming file and line.
    """
    path = reading.paths["events"]

    def parse(place: Place, raw: bytes) -> Review:
        return _review(object_of(raw, place, literals=True), place)

    for block in read_blocks(path, reading.label("reviews"), reading.progress):
        batch = batch_of(block.content)
        if batch is None:
            batch = _collected(parsed_lines(block, parse, reading.faults))
        events.append(batch)


def batch_of(content: bytes) -> EventBatch | None:
    """Return the reviews of a block of lines, or None where it must be read line by line."""
    import msgspec

    if b"\r" in content:  # a raw one is no part of any JSON value
        content = content.replace(b"\r\n", b"\n")
    try:
        if not content.isascii():
            content.decode()  # the parser does not look into the fields that it skips
        rows = _reviews_decoder().decode_lines(content)
        times = np.array([row.unixReviewTime for row in rows], dtype=np.int64)
    except (msgspec.DecodeError, UnicodeDecodeError, OverflowError, RecursionError):
        return None
    if len(rows) != _lines_of_one_object(content):
        return None
    users, items = [row.reviewerID for row in rows], [row.asin for row in rows]
    ratings = np.array([row.overall for row in rows], dtype=np.float64)
    # not by `abs`: that of the lowest int64 is itself
    timely = (times > -MILLISECONDS_FROM).all() and (times < MILLISECONDS_FROM).all()
    in_range = timely and (np.abs(ratings) < 2.0**63).all()
    if not in_range or not all(map(str.strip, users)) or not all(map(str.strip, items)):
        return None
    texts = text_hashes([row.reviewText or "" for row in rows])
    return EventBatch(users, items, times, ratings, texts)


def _lines_of_one_object(content: bytes) -> int:
    """Return how many lines there are, or 0 where an object may not have a line to itself.

    "}", line feed, "{" cannot stand within a JSON value. So where every line feed has these
    neighbours and there are as many objects as lines, each line holds one, and one only.
    """
    letters = np.frombuffer(content, dtype=np.uint8)
    ends = np.flatnonzero(letters == ord("\n"))
    if content.endswith(b"\n"):
        ends = ends[:-1]
    alone = (letters[ends - 1] == ord("}")).all() and (letters[ends + 1] == ord("{")).all()
    # a line feed at the very beginning would have the last letter for its neighbour
    return len(ends) + 1 if alone and not content.startswith(b"\n") else 0


@cache
def _reviews_decoder() -> Any:
    import msgspec

    fields: list[Any] = [
        ("reviewerID", str),
        ("asin", str),
        ("overall", float),
        ("unixReviewTime", int),
        ("reviewText", str | None, None),
    ]
    return msgspec.json.Decoder(msgspec.defstruct("ReviewLine", fields, gc=False))


def _review(values: dict[str, Any], place: Place) -> Review:
    return Review(
        user=identifier(values.get("reviewerID"), "reviewerID", place),
        item=identifier(values.get("asin"), "asin", place),
        rating=number(values.get("overall"), "overall", place),
        time=seconds(values.get("unixReviewTime"), "unixReviewTime", place),
        text=_review_text(values.get("reviewText"), place),
    )


def _review_text(value: Any, place: Place) -> str:
    if value is not None and not isinstance(value, str):
        fault(place, f"'reviewText' must be a string, found {type(value).__name__}")
    return value or ""


def _collected(reviews: Iterator[Review]) -> EventBatch:
    rows = list(reviews)
    return EventBatch(
        users=[row.user for row in rows],
        items=[row.item for row in rows],
        times=np.array([row.time for row in rows], dtype=np.int64),
        ratings=np.array([row.rating for row in rows], dtype=np.float64),
        texts=text_hashes(row.text for row in rows),
    )


# ---- metadata ----------------------------------------------------------------------------------


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the metadata of the wanted items.

    Raises:
        DataError: naming file and line.
    """
    path = reading.paths["items"]
    decoder = _items_decoder(items.fields)

    def parse(place: Place, raw: bytes) -> None:
        values = _quick_item(decoder, items.fields, raw)
        if values is None:
            values = object_of(raw, place, literals=True)
        items.add(identifier(values.get("asin"), "asin", place), values, place)

    for _ in each_line(
        read_blocks(path, reading.label("metadata"), reading.progress), parse, reading.faults
    ):
        pass


def _items_decoder(fields: tuple[str, ...]) -> Any:
    """Return a decoder of the wanted fields alone; a field that is absent stays unset."""
    import msgspec

    names = {f"field_{place}": field for place, field in enumerate(_distinct(fields))}
    kinds = [(name, Any, msgspec.UNSET) for name in names]
    return msgspec.json.Decoder(msgspec.defstruct("ItemLine", kinds, rename=names))


def _distinct(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Return the id's field and the others, each once: a card may use one twice."""
    return tuple(dict.fromkeys(("asin", *fields)))


def _quick_item(decoder: Any, fields: tuple[str, ...], raw: bytes) -> dict[str, Any] | None:
    """Return a line's fields, or None where it must be read the careful way."""
    import msgspec

    try:
        if not raw.isascii():
            raw.decode()  # the parser does not look into the fields that it skips
        row = decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    values = {
        field: getattr(row, f"field_{place}") for place, field in enumerate(_distinct(fields))
    }
    present = {field: value for field, value in values.items() if value is not msgspec.UNSET}
    # a line that lacks a field says its names only when it is read whole, for "did you mean"
    return present if len(present) == len(values) else None
