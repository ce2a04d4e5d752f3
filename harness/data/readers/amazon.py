"""Reader for the raw Amazon Reviews 2018 files: one review, or one item, per line of JSON.

Reviews: ``reviewerID``, ``asin``, ``overall`` (rating), ``unixReviewTime`` (seconds, to the day),
``reviewText``. A few reviews have no ``reviewText``; they count as having an empty one. Metadata:
``asin`` and the fields that the card names. Lines of the older editions, which are Python literals
instead of JSON, are read too, more slowly.

Files of several gigabytes: blocks of lines are parsed by msgspec into typed records, which skips
all other fields. `benchmarks.json_parsers` measures it against others: DuckDB and Polars take about
as much CPU time, which they spread over the cores; but they make a rating of a text or an id of a
number, or leave a missing one empty, without a word. msgspec refuses all of that. Unpacking and the
event table have threads of their own beside it (`benchmarks.amazon_reading` prints how many cores
that keeps at work, and compares with ``zcat``).
A block with anything unusual in it is read again line by line: each line first the same way, then,
where that refuses it, by the rules of `harness.data.readers.lines`.
"""

from __future__ import annotations

import contextlib
from functools import cache
from typing import Any

import numpy as np

from harness.data.event_batches import EventBatch, joined
from harness.data.events import EventTable
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


def read_events(reading: Reading, events: EventTable) -> None:
    """Append all reviews.

    Raises:
        DataError: naming file and line.
    """
    path = reading.paths["events"]

    def parse(place: Place, raw: bytes) -> EventBatch:
        quick = batch_of(raw)
        if quick is not None:
            return quick
        return _review(object_of(raw, place, literals=True), place)

    with contextlib.closing(
        read_blocks(path, reading.label("reviews"), reading.progress)
    ) as blocks:
        for block in blocks:
            batch = batch_of(block.content)
            if batch is not None:
                reading.faults.count_lines(block.n_lines)
            else:
                batch = joined(list(parsed_lines(block, parse, reading.faults)))
            events.append(batch)


def batch_of(content: bytes) -> EventBatch | None:
    """Return the reviews of some lines, or None where they must be read one by one.

    What it takes from a block it takes from each line alone, and the other way round; so whether a
    review is taken does not depend on its neighbours.
    """
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
    if not in_range or _any_blank(users) or _any_blank(items):
        return None
    return EventBatch(users, items, times, ratings, [row.reviewText or "" for row in rows])


def _any_blank(ids: list[str]) -> bool:
    # letters and digits throughout, and none empty: nearly always, and told far more quickly
    if "".join(ids).isalnum() and "" not in ids:
        return False
    return not all(map(str.strip, ids))


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


def _review(values: dict[str, Any], place: Place) -> EventBatch:
    return EventBatch(
        users=[identifier(values.get("reviewerID"), "reviewerID", place)],
        items=[identifier(values.get("asin"), "asin", place)],
        times=np.array([seconds(values.get("unixReviewTime"), "unixReviewTime", place)]),
        ratings=np.array([number(values.get("overall"), "overall", place)]),
        texts=[_storable(_review_text(values.get("reviewText"), place))],
    )


def _review_text(value: Any, place: Place) -> str:
    if value is not None and not isinstance(value, str):
        fault(place, f"'reviewText' must be a string, found {type(value).__name__}")
    return value or ""


def _storable(text: str) -> str:
    """Return a text as UTF-8 can hold it; different texts stay different."""
    try:
        text.encode()
    except UnicodeEncodeError:  # half a surrogate pair is legal in JSON
        return "\0" + text.encode("utf-8", "surrogatepass").hex()
    return text


# ---- metadata ----------------------------------------------------------------------------------


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the metadata of the wanted items.

    Raises:
        DataError: naming file and line.
    """
    path = reading.paths["items"]
    decoder = _items_decoder(items.kept)

    def parse(place: Place, raw: bytes) -> None:
        values = _quick_item(decoder, items.kept, raw)
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
