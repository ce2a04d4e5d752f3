"""The reader of raw Amazon files: its quick way says what its careful way says, or nothing."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from harness.data.cards import load_card
from harness.data.event_batches import EventBatch
from harness.data.prepare import build
from harness.data.readers import amazon, lines
from harness.data.readers.amazon import batch_of, read_events, read_items
from harness.data.readers.faults import Faults
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import Block
from harness.data.readers.reading import Reading
from harness.errors import DataError
from harness.progress import Progress

CardWriter = Callable[..., str]
Row = tuple[str, str, str, str, str]
ROOT = Path(__file__).resolve().parents[3]
CARD: Any = SimpleNamespace(name="small")
SILENT = Progress(shown=False)
NAMES = ("reviewerID", "asin", "overall", "unixReviewTime", "reviewText")
EXAMPLES = settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow])


class Collected:
    """Takes the event table's place: the reviews that a reader hands on."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def append(self, batch: EventBatch) -> None:
        self.rows += plain(batch)


def plain(batch: EventBatch) -> list[Row]:
    if not len(batch):
        return []
    assert batch.times is not None
    assert batch.ratings is not None
    assert batch.texts is not None
    assert len(batch.users) == len(batch.items) == len(batch.times)
    rows = zip(
        batch.users,
        batch.items,
        batch.times.tolist(),
        batch.ratings.tolist(),
        batch.texts,
        strict=True,
    )
    # as text: the sign of a zero counts
    return [(user, item, repr(time), repr(rating), text) for user, item, time, rating, text in rows]


def expected(*reviews: tuple[str, str, int, float, str]) -> list[Row]:
    return [
        (user, item, repr(time), repr(float(rating)), amazon._storable(text))
        for user, item, time, rating, text in reviews
    ]


def read(path: Path, limit: int = 10**9) -> tuple[list[Row], tuple[str, ...]]:
    """Return the reviews of a file and the report of its faults."""
    collected, faults = Collected(), Faults(limit)
    table: Any = collected
    read_events(Reading(CARD, {"events": path}, faults, SILENT), table)
    return collected.rows, faults.report()


def line_by_line(content: bytes) -> tuple[list[Row], tuple[str, ...]]:
    """Return what reading a block the careful way gives."""

    def blocks(path: Path, *_: object) -> Iterator[Block]:
        yield Block(path, 1, content.count(b"\n"), content)

    with (
        patch.object(amazon, "batch_of", lambda _: None),
        patch.object(amazon, "read_blocks", blocks),
    ):
        return read(Path("file"))


# ---- any lines at all ------------------------------------------------------------------------

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=5)  # lone surrogates too
GOOD_TEXT = st.text(max_size=5)
ID = GOOD_TEXT.filter(str.strip)
EXTRA_NAMES = st.sampled_from(["vote", "summary", "verified", "style", "reviewerid", "", "asin "])
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | GOOD_TEXT | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(GOOD_TEXT, inner, max_size=3),
    max_leaves=4,
)
GOOD = {
    "reviewerID": ID,
    "asin": ID,
    "overall": st.floats(-9e18, 9e18) | st.integers(-9 * 10**18, 9 * 10**18),
    "unixReviewTime": st.integers(-(10**11) + 1, 10**11 - 1),
}
TEXTS = {"reviewText": st.none() | GOOD_TEXT}
ODD = st.sampled_from(
    [
        *(None, True, False, 0, -0.0, 1.5, 1e9, 1e308, float("nan"), float("inf"), -float("inf")),
        *(2**53 + 1, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 10**30, 10**11, -(10**11)),
        *("5.0", "", " ", "\u2003", "\0", "\ud800", "}\n{", [], {}, [1, [None]], {"asin": "x"}),
    ]
)


@st.composite
def review_items(draw: st.DrawFn, odd: bool) -> list[tuple[str, Any]]:
    """The fields of a review, in any order; with odd ones among them, or all as they should be."""
    values = draw(st.fixed_dictionaries(GOOD, optional=TEXTS))
    extra = draw(st.dictionaries(EXTRA_NAMES, JSON_VALUES, max_size=2))
    fields = [*values.items(), *extra.items()]
    if odd:
        for name in draw(st.lists(st.sampled_from([*NAMES, "style"]), max_size=2)):
            fields = [field for field in fields if field[0] != name]
            if draw(st.booleans()):
                fields.append((name, draw(ODD | ANY_TEXT)))
            if draw(st.integers(0, 5)) == 0:
                fields.append((name, draw(ODD)))  # a second value of the same name
    return draw(st.permutations(fields))


def as_json(fields: list[tuple[str, Any]], ascii_only: bool = True, space: str = " ") -> bytes:
    def dumped(value: Any) -> str:
        return json.dumps(value, ensure_ascii=ascii_only)

    inner = f",{space}".join(f"{dumped(name)}:{space}{dumped(value)}" for name, value in fields)
    return ("{" + inner + "}").encode("utf-8", "surrogatepass")


LETTERS = b'{}[]":,\\ \n\r\t01.eE-nNtI\0\x01\x7f\xff\xc3'
BYTES = st.sampled_from(
    [
        *(bytes([letter]) for letter in LETTERS),
        *(b"}\n{", b'"}\n{"', b"\\ud800", b"\\udc00", b"\\u0000", b"\\q", b"\xed\xa0\x80"),
        *(b"NaN", b"null", b"true", b"1e999", b"01", b"1.", b"\xe2\x80\xa8", b"\xef\xbb\xbf"),
    ]
)
FORMS: list[Callable[[bytes], bytes]] = [
    lambda line: line + line,
    lambda line: line + b" " + line,
    lambda line: line + b"," + line,
    lambda line: line.replace(b", ", b",\n").replace(b"{", b"{\n", 1),
    lambda line: "\ufeff".encode() + line,
    lambda line: line[:-1] + b",}",
    lambda line: b"[" + line + b"]",
    lambda line: b" " + line,
    lambda line: line + b" ",
    lambda line: line + b"\x0c",
    lambda line: line + b"\0",
    lambda line: line + b"\r",
    lambda line: line[:-1] + b', "style": "}\n{"}' + line,
    *(lambda _, blank=blank: blank for blank in (b"", b" ", b"\t \x0b\x0c", b"\r", b"\xc2\xa0")),
]


@st.composite
def any_line(draw: st.DrawFn) -> bytes:
    """A line, or two: mostly a review, with something odd about it perhaps."""
    fields = draw(review_items(odd=draw(st.booleans())))
    line = as_json(fields, draw(st.booleans()), draw(st.sampled_from(["", " ", "\t"])))
    form = draw(st.sampled_from(["json"] * 6 + ["altered"] * 4 + ["another"] * 4 + ["literal"]))
    if form == "altered":
        place, length = draw(st.integers(0, len(line))), draw(st.integers(0, 3))
        return line[:place] + draw(BYTES) + line[place + length :]
    if form == "another":
        return draw(st.sampled_from(FORMS))(line)
    if form == "literal":
        return repr(dict(fields)).encode("utf-8", "surrogatepass")
    return line


LINE_END = st.sampled_from([b"\n"] * 6 + [b"\r\n"] * 3 + [b"\r\r\n", b"\n\n", b"\r"])


@st.composite
def any_block(draw: st.DrawFn) -> bytes:
    content = b"".join(
        line + draw(LINE_END) for line in draw(st.lists(any_line(), min_size=1, max_size=3))
    )
    content = draw(st.sampled_from([b""] * 9 + [b"\n", b"\r\n"])) + content
    return content.rstrip(b"\r\n") if draw(st.booleans()) else content


ONE = b'{"reviewerID": "u", "asin": "a", "overall": 5, "unixReviewTime": 1}'


@EXAMPLES
@given(any_block())
@example(b"\n" + ONE + ONE)
@example(ONE[:-1] + b', "x": "}\n{"}' + ONE)
@example(ONE.replace(b": 1}", b": -9223372036854775808}"))
@example(b"")
def test_the_quick_way_says_what_the_careful_way_says_or_nothing(content: bytes) -> None:
    batch = batch_of(content)
    if batch is not None:
        rows, faults = line_by_line(content)
        assert plain(batch) == rows
        assert faults == ()


@EXAMPLES
@given(
    st.lists(review_items(odd=False), min_size=1, max_size=4),
    st.booleans(),
    st.sampled_from(["", " ", "\t"]),
    st.sampled_from([b"\n", b"\r\n"]),
    st.booleans(),
)
def test_proper_reviews_are_read_the_quick_way(
    reviews: list[list[tuple[str, Any]]], ascii_only: bool, space: str, end: bytes, ended: bool
) -> None:
    content = end.join(as_json(review, ascii_only, space) for review in reviews)
    batch = batch_of(content + end if ended else content)
    assert batch is not None
    wanted = []
    for fields in reviews:
        user, item, rating, time, text = (dict(fields).get(name) for name in NAMES)
        wanted.append((user, item, time, rating, text or ""))
    assert plain(batch) == expected(*wanted)
    assert line_by_line(content) == (plain(batch), ())


LONG_NUMBER = b'{"reviewerID": "u", "asin": "a", "overall": 5, "unixReviewTime": 1, "x": '
ODD_NEIGHBOURS = {
    "a blank line": b"\n",
    "a faulty line": b"{\n",
    "a literal": b"{'reviewerID': 'u', 'asin': 'a', 'overall': 5, 'unixReviewTime': 1}\n",
    "space behind a line": ONE + b" \n",
}


@pytest.mark.parametrize("neighbour", ODD_NEIGHBOURS.values(), ids=ODD_NEIGHBOURS)
@pytest.mark.parametrize(
    "value", [b"9" * 5000, b"[" * 1200 + b"]" * 1200], ids=["a long number", "deep nesting"]
)
def test_whether_a_review_is_taken_does_not_depend_on_its_neighbours(
    tmp_path: Path, neighbour: bytes, value: bytes
) -> None:
    # Python's own parser refuses such values, also in a field that nobody asked for
    unusual = LONG_NUMBER + value + b"}\n"
    alone, beside, both = (tmp_path / name for name in ("alone", "beside", "both"))
    alone.write_bytes(unusual)
    beside.write_bytes(neighbour)
    both.write_bytes(unusual + neighbour + unusual)
    rows = read(alone)[0]
    assert read(both)[0] == [*rows, *read(beside)[0], *rows]


def test_texts_that_utf8_cannot_hold_stay_apart() -> None:
    texts = ["\ud800", "\udfff", "\ud800\ud800", "\ufffd", "?", "", "ed a0 80", "eda080"]
    stored = [amazon._storable(text) for text in texts]
    assert len(set(stored)) == len(texts)
    assert stored[3:] == texts[3:]
    assert all(text.encode() for text in stored if text)


# ---- one by one ------------------------------------------------------------------------------


def review(**changes: Any) -> bytes:
    values = {
        "overall": 5.0,
        "verified": True,
        "reviewerID": "u",
        "asin": "a",
        "reviewText": "good",
        "summary": "é",
        "unixReviewTime": 1_500_000_000,
    } | changes
    return json.dumps({name: value for name, value in values.items() if value is not ...}).encode()


USUAL = ("u", "a", 1_500_000_000, 5.0, "good")
RAW = review()


def with_raw(old: bytes, new: bytes) -> bytes:
    assert old in RAW
    return RAW.replace(old, new)


QUICK: dict[str, tuple[bytes, list[tuple[str, str, int, float, str]]]] = {
    "a usual line": (RAW, [USUAL]),
    "the last line without a line feed, others with": (RAW + b"\n" + RAW, [USUAL] * 2),
    "Windows line ends": (RAW + b"\r\n" + RAW + b"\r\n", [USUAL] * 2),
    "mixed line ends": (RAW + b"\r\n" + RAW + b"\n", [USUAL] * 2),
    "no review text": (review(reviewText=...), [(*USUAL[:4], "")]),
    "a review text of null": (review(reviewText=None), [(*USUAL[:4], "")]),
    "an empty review text": (review(reviewText=""), [(*USUAL[:4], "")]),
    "escapes": (
        with_raw(b'"good"', b'"\\u00e9\\n\\ud83d\\ude00\\/\\u0000"'),
        [(*USUAL[:4], "é\n😀/\0")],
    ),
    "an escaped name of a field": (with_raw(b"reviewerID", b"\\u0072eviewerID"), [USUAL]),
    "characters as they are": (
        with_raw(b"good", "é\u2028😀\x85".encode()),
        [(*USUAL[:4], "é\u2028😀\x85")],
    ),
    "a whole number for a rating": (review(overall=4), [("u", "a", 1_500_000_000, 4.0, "good")]),
    "a rating of minus zero": (review(overall=-0.0), [("u", "a", 1_500_000_000, -0.0, "good")]),
    "a rating that float64 must round": (
        with_raw(b"5.0", b"9007199254740993"),
        [("u", "a", 1_500_000_000, 9007199254740992.0, "good")],
    ),
    "a very small rating": (with_raw(b"5.0", b"1e-400"), [("u", "a", 1_500_000_000, 0.0, "good")]),
    "before 1970": (review(unixReviewTime=-5), [("u", "a", -5, 5.0, "good")]),
    "the latest time": (review(unixReviewTime=10**11 - 1), [("u", "a", 10**11 - 1, 5.0, "good")]),
    "fields that nobody asked for": (review(style={"a": [1, {"b": None}]}, vote=10**30), [USUAL]),
    "a name twice, the last counts": (with_raw(b"{", b'{"asin": "z", '), [USUAL]),
    "ids with spaces in them": (review(asin=" a b "), [("u", " a b ", 1_500_000_000, 5.0, "good")]),
    "something like an end within a text": (
        review(reviewText="}\n{", summary="}{"),
        [(*USUAL[:4], "}\n{")],
    ),
}
CAREFUL: dict[str, tuple[bytes, list[tuple[str, str, int, float, str]]]] = {
    "blank lines": (b"\n" + RAW + b"\n \n\r\n" + RAW + b"\n\n", [USUAL] * 2),
    "a line of form feeds": (RAW + b"\n\x0c\x0b\n" + RAW, [USUAL] * 2),
    "space before a line": (RAW + b"\n " + RAW, [USUAL] * 2),
    "space behind a line": (RAW + b" \n" + RAW, [USUAL] * 2),
    "two carriage returns": (RAW + b"\r\r\n" + RAW, [USUAL] * 2),
    "a time with a point": (with_raw(b"1500000000", b"1500000000.0"), [USUAL]),
    "a time with an exponent": (with_raw(b"1500000000", b"15e8"), [USUAL]),
    "NaN in a field that nobody asked for": (review(vote=float("nan")), [USUAL]),
    "half a surrogate pair in the text": (review(reviewText="\ud800"), [(*USUAL[:4], "\ud800")]),
    "half a surrogate pair in a field that nobody asked for": (review(summary="\ud800"), [USUAL]),
    "a Python literal": (repr(json.loads(RAW)).encode(), [USUAL]),
    "a Python literal with single quotes in it": (
        repr({**json.loads(RAW), "reviewText": 'it\'s "so"\n'}).encode(),
        [(*USUAL[:4], 'it\'s "so"\n')],
    ),
    "a comma at the end": (with_raw(b'"verified": true, ', b"")[:-1] + b",}", [USUAL]),
    "the largest rating": (
        with_raw(b"5.0", b"9223372036854775807"),
        [("u", "a", 1_500_000_000, 2.0**63, "good")],
    ),
    "a name twice, the first wrong": (with_raw(b"{", b'{"overall": "x", '), [USUAL]),
}
FAULTY: dict[str, tuple[bytes, str, str]] = {
    "two objects in a line": (RAW + RAW, "neither JSON nor a Python literal", "not valid JSON"),
    "two objects with a comma": (RAW + b"," + RAW, "neither JSON", "not valid JSON"),
    "an object over two lines": (
        with_raw(b', "asin"', b',\n"asin"'),
        "neither JSON",
        "not valid JSON",
    ),
    "a line feed within a text": (with_raw(b"good", b"go\nod"), "neither JSON", "not valid JSON"),
    "invalid UTF-8 in a field that is kept": (with_raw(b"good", b"\xff"), "not UTF-8", "not UTF-8"),
    "invalid UTF-8 in a field that is skipped": (
        review(summary="?").replace(b'"?"', b'"\xff"'),
        "not UTF-8",
        "not UTF-8: invalid start byte at byte ",
    ),
    "a surrogate as bytes": (with_raw(b"good", b"\xed\xa0\x80"), "not UTF-8", "not UTF-8"),
    "a byte order mark": ("\ufeff".encode() + RAW, "neither JSON", "not valid JSON"),
    "a list": (b"[" + RAW + b"]", "no object", "must hold a JSON object, found list"),
    "NaN": (review(overall=float("nan")), "wrong value", "'overall' must be a finite number"),
    "infinity": (with_raw(b"5.0", b"1e999"), "wrong value", "'overall' must be a finite number"),
    "a huge number": (review(overall=2**63), "wrong value", "'overall' must be a finite number"),
    "a huge float": (review(overall=1e308), "wrong value", "'overall' must be a finite number"),
    "bool": (review(overall=True), "wrong value", "'overall' must be a number, found bool 'True'"),
    "a rating as text": (review(overall="5.0"), "wrong value", "'overall' must be a number"),
    "null for a rating": (review(overall=None), "missing field", "the field 'overall' is missing"),
    "no rating": (review(overall=...), "missing field", "the field 'overall' is missing"),
    "no user": (review(reviewerID=...), "missing field", "the field 'reviewerID' is missing"),
    "no item": (review(asin=...), "missing field", "the field 'asin' is missing"),
    "no time": (review(unixReviewTime=...), "missing field", "'unixReviewTime' is missing"),
    "a user of null": (review(reviewerID=None), "missing field", "'reviewerID' is missing"),
    "a blank user": (review(reviewerID="\u2003 "), "wrong value", "'reviewerID' is empty"),
    "an empty item": (review(asin=""), "wrong value", "'asin' is empty"),
    "an item that is a number": (review(asin=7), "wrong value", "'asin' must be a string"),
    "half a character in an id": (review(asin="\ud800"), "wrong value", "'asin' holds half a char"),
    "half a second": (review(unixReviewTime=1.5), "wrong value", "must be in whole seconds"),
    "milliseconds": (
        review(unixReviewTime=1_500_000_000_000),
        "time in milliseconds",
        "must be in seconds since 1970, found int '1500000000000', which looks like milliseconds",
    ),
    "milliseconds long before 1970": (
        review(unixReviewTime=-(10**11)),
        "time in milliseconds",
        "looks like milliseconds",
    ),
    "the lowest time": (
        review(unixReviewTime=-(2**63)),
        "wrong value",
        "'unixReviewTime' must be a finite number",
    ),
    "a time out of range": (review(unixReviewTime=2**63), "wrong value", "must be a finite number"),
    "a text that is none": (review(reviewText=4), "wrong value", "'reviewText' must be a string"),
    "cut off": (RAW[:-10], "neither JSON", "not valid JSON"),
    "not JSON": (b"<html>", "neither JSON", "not valid JSON"),
    "Python that is no literal": (b"{'asin': open('x')}", "neither JSON", "not valid JSON"),
    "an escape that JSON does not know": (
        with_raw(b"good", b"\\q").replace(b"true", b"1"),
        "neither JSON",
        "not valid JSON: Invalid \\escape",
    ),
    "an escape that a Python literal would not have": (
        b"{'reviewerID': 'u', 'asin': 'a\\/', 'overall': 5, 'unixReviewTime': 1}",
        "neither JSON",
        "not valid JSON",
    ),
    "far too deep": (b"[" * 100_000, "neither JSON", "not valid JSON"),
}


@pytest.mark.parametrize("name", QUICK)
def test_read_the_quick_way(name: str, tmp_path: Path) -> None:
    content, reviews = QUICK[name]
    batch = batch_of(content)
    assert batch is not None
    assert plain(batch) == expected(*reviews)
    assert line_by_line(content) == (expected(*reviews), ())
    (tmp_path / "file").write_bytes(content)
    assert read(tmp_path / "file") == (expected(*reviews), ())


@pytest.mark.parametrize("name", CAREFUL)
def test_read_the_careful_way(name: str, tmp_path: Path) -> None:
    content, reviews = CAREFUL[name]
    assert batch_of(content) is None
    (tmp_path / "file").write_bytes(content)
    assert read(tmp_path / "file") == (expected(*reviews), ())


@pytest.mark.parametrize("name", FAULTY)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_faulty_line_among_others(name: str, end: bytes, tmp_path: Path) -> None:
    content, kind, message = FAULTY[name]
    (tmp_path / "file").write_bytes(RAW + end + content + end + RAW)
    rows, (summary, *places) = read(tmp_path / "file")
    assert rows == expected(USUAL, USUAL)  # what is around it stays
    assert places[0].startswith(f"{tmp_path / 'file'}, line 2: ")
    assert message in places[0]
    n_faults = content.count(b"\n") + 1
    assert len(places) == n_faults
    assert summary.startswith(f"{n_faults} faulty line")
    assert f"({kind}" in summary


def test_a_strange_line_changes_nothing_about_the_others_of_its_block() -> None:
    """All that the quick way reads, in one block with one line for the careful way."""
    proper = [content for content, _ in QUICK.values()]
    wanted = [review for _, reviews in QUICK.values() for review in reviews]
    content = b"\n".join([*(line.strip() for line in proper), b"not JSON"])
    assert batch_of(content) is None
    rows, faults = line_by_line(content)
    assert rows == expected(*wanted)
    assert len(faults) == 2


# ---- blocks ----------------------------------------------------------------------------------

MIXED = b"\r\n".join(
    [
        review(reviewText="é\u2028"),
        b"",
        review(asin="b").replace(b"good", "ßé😀".encode()),
        b"  ",
        review(overall="5"),
        repr(json.loads(review(reviewerID="w"))).encode(),
        b'{"asin": "\xff"}',
        review(unixReviewTime=10**12) + b"\n" + review(reviewerID="v"),
        review(reviewText=...),
    ]
)
MIXED_ROWS = expected(
    (*USUAL[:4], "é\u2028"),
    ("u", "b", 1_500_000_000, 5.0, "ßé😀"),
    ("w", *USUAL[1:]),
    ("v", *USUAL[1:]),
    (*USUAL[:4], ""),
)


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n", b"\r", b"\r\n\r\n"])
def test_where_blocks_end_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, end: bytes
) -> None:
    path = tmp_path / f"file{suffix}"
    path.write_bytes(gzip.compress(MIXED + end) if suffix else MIXED + end)
    whole = read(path)
    assert whole[0] == MIXED_ROWS
    assert whole[1][0] == (
        "3 faulty lines (not UTF-8: 1, time in milliseconds: 1, wrong value: 1) left out"
    )
    found = [report.partition(f"{path}, line ")[2].partition(":")[0] for report in whole[1][1:]]
    assert found == ["5", "7", "8"]
    for size in (*range(1, 51), len(MIXED) - 1, len(MIXED)):
        monkeypatch.setattr(lines, "BLOCK_BYTES", size)
        assert read(path) == whole, size


def test_a_line_may_span_many_blocks_but_must_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "BLOCK_BYTES", 50)
    monkeypatch.setattr(lines, "_LONGEST_LINE_BYTES", 1000)
    path = tmp_path / "file"
    path.write_bytes(RAW + b"\n" + review(reviewText="x" * 600) + b"\n" + RAW)
    assert read(path)[0] == expected(USUAL, (*USUAL[:4], "x" * 600), USUAL)
    path.write_bytes(RAW + b"\n" + RAW + b"\n" + review(reviewText="x" * 2000) + b"\n" + RAW)
    with pytest.raises(DataError, match=r"file, line 3: longer than 1000 bytes without an end"):
        read(path)
    path.write_bytes(b"\0" * 5000)
    with pytest.raises(DataError, match=r"file, line 1: longer than .* this is no file of lines"):
        read(path)


# ---- metadata --------------------------------------------------------------------------------

ITEM_VALUES = ODD | JSON_VALUES | ANY_TEXT


@st.composite
def item_line(draw: st.DrawFn) -> bytes:
    names = st.sampled_from(["asin", "title", "price", "brand", "Title", "also_buy"])
    fields = [("asin", draw(st.sampled_from("abc")))]
    if draw(st.integers(0, 6)) == 0:
        fields = [("asin", draw(ITEM_VALUES))]
    fields += draw(st.lists(st.tuples(names, ITEM_VALUES), max_size=5))
    if draw(st.booleans()):
        fields += [("title", draw(GOOD_TEXT)), ("price", "$1")]
    line = as_json(draw(st.permutations(fields)), draw(st.booleans()))
    if draw(st.integers(0, 4)) == 0:
        place = draw(st.integers(0, len(line)))
        line = line[:place] + draw(BYTES) + line[place + draw(st.integers(0, 2)) :]
    return line


def items_of(content: bytes, fields: tuple[str, ...], wanted: str) -> list[str]:
    """Return everything that reading metadata gives, as text: a NaN does not equal itself."""

    def blocks(path: Path, *_: object) -> Iterator[Block]:
        yield Block(path, 1, content.count(b"\n"), content)

    items, faults = ItemRows(fields, Path("file"), frozenset(wanted)), Faults(10**9)
    with patch.object(amazon, "read_blocks", blocks):
        read_items(Reading(CARD, {"items": Path("file")}, faults, SILENT), items)
    checked = ""
    try:
        items.check()
    except DataError as error:
        checked = str(error)
    return [repr(items.values), repr(items.repeated), *faults.report(), checked]


@EXAMPLES
@given(
    st.lists(item_line(), max_size=4),
    st.sampled_from([("title", "price"), ("title", "title"), ("asin", "title"), ("brand",)]),
)
def test_metadata_is_the_same_either_way(content: list[bytes], fields: tuple[str, ...]) -> None:
    quick = items_of(b"\n".join(content), fields, "ab")
    with patch.object(amazon, "_quick_item", lambda *_: None):
        assert items_of(b"\n".join(content), fields, "ab") == quick


def test_metadata_of_an_older_edition_is_read_too(write_card: CardWriter, silent: Progress) -> None:
    items = b"{'asin': 'a', 'title': \"it's\", 'price': '$3'}\n"
    events = b"\n".join([review()] * 3)
    data = build(load_card(write_card("amazon-2018", events=events, items=items)), silent)
    assert data.item_texts == ("Title: it's. Price: $3.",)


def test_a_card_may_use_a_field_twice_and_the_id_too(
    write_card: CardWriter, silent: Progress
) -> None:
    path = Path(
        write_card(
            "amazon-2018", events=b"\n".join([review()] * 3), items=b'{"asin": "a", "title": "T"}\n'
        )
    )
    card = path.read_text().replace('field = "price"\nwords = 2\ncleaning = "price"', "{second}")
    for field, text in (("title", "T"), ("asin", "a")):
        second = f'field = "{field}"\nwords = 2\ncleaning = "plain"'
        path.write_text(card.replace("{second}", second))
        assert build(load_card(str(path)), silent).item_texts == (f"Title: T. Price: {text}.",)


# ---- the same on every machine ---------------------------------------------------------------

HASHING = """
import sys
from harness.data.cards import load_card
from harness.data.prepare import build
from harness.data.readers import lines
from harness.progress import Progress
lines.BLOCK_BYTES = int(sys.argv[2])
print(build(load_card(sys.argv[1]), Progress(shown=False)).content_hash)
"""


def many_reviews(n: int) -> list[dict[str, Any]]:
    """Reviews with many ties and duplicates, always the same."""
    draw = random.Random(0)
    rows: list[dict[str, Any]] = []
    while len(rows) < n:
        row = {
            "reviewerID": f"user {draw.randrange(n // 20)} é",
            "asin": f"item {draw.randrange(n // 30)}",
            "overall": draw.randrange(1, 6),
            "unixReviewTime": 86_400 * draw.randrange(5),
            "reviewText": draw.choice(["", "good", "bad"]),
        }
        rows += [row] * draw.choice([1, 1, 1, 2])
    return rows[:n]


def test_neither_threads_nor_hash_seeds_nor_blocks_change_the_content_hash(
    review_card: CardWriter, silent: Progress
) -> None:
    path = review_card(many_reviews(3000), suffix=".json.gz")
    hashes = {build(load_card(path), silent).content_hash}
    for threads, seed, block in (("1", "0", 100), ("2", "1", 4 << 20), ("4", "random", 997)):
        done = subprocess.run(
            [sys.executable, "-c", HASHING, path, str(block)],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": threads, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        hashes.add(done.stdout.strip())
    assert len(hashes) == 1


@pytest.mark.parametrize("dedup", ["consecutive", "global", "none"])
def test_the_order_of_lines_counts_only_between_equal_times_of_a_user(
    review_card: CardWriter, silent: Progress, dedup: str
) -> None:
    rows = [
        {**row, "unixReviewTime": place} for place, row in enumerate(many_reviews(600))
    ]  # no ties
    first = build(load_card(review_card(rows, dedup=dedup)), silent)
    shuffled = list(rows)
    random.Random(1).shuffle(shuffled)
    assert build(load_card(review_card(shuffled, dedup=dedup)), silent).content_hash == (
        first.content_hash
    )
    tied = many_reviews(600)
    by_user = sorted(tied, key=lambda row: row["reviewerID"])  # stable: a user's lines keep order
    hashes = [
        build(load_card(review_card(lines, dedup=dedup)), silent).content_hash
        for lines in (tied, by_user, tied[::-1])
    ]
    assert hashes[0] == hashes[1] != hashes[2]
