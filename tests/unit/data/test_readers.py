from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.data.cards import load_card
from harness.data.prepare import build
from harness.errors import DataError
from harness.progress import Progress

CardWriter = Callable[..., str]
REVIEW = ("u", "a", "good", 5.0, 1_500_000_000)
INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
ITEM = "item_id:token\ttitle:token_seq\tprice:token\n"


def review(**changes: Any) -> dict[str, Any]:
    names = ("reviewerID", "asin", "reviewText", "overall", "unixReviewTime")
    values = dict(zip(names, REVIEW, strict=True)) | changes
    return {name: value for name, value in values.items() if value is not ...}


def fails(path: str, message: str, silent: Progress) -> None:
    with pytest.raises(DataError, match=message):
        build(load_card(path), silent)


# --- any file of lines -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"user": "w", "items": ["a"', r"events\.jsonl, line 3: not valid JSON"),
        ("[1, 2]", r"events\.jsonl, line 3: must hold a JSON object, found list"),
        ('"text"', "line 3: must hold a JSON object, found str"),
        ("[" * 100_000, "line 3: not valid JSON"),
        ('{"user": "w", "items": ' + "9" * 5000 + "}", "line 3: not valid JSON"),
    ],
)
def test_malformed_json_names_file_and_line(
    tidy_card: CardWriter, silent: Progress, line: str, message: str
) -> None:
    users = [{"user": "v", "items": list("abc")}, "  ", line]  # the blank line counts as a line
    fails(tidy_card(users=users), message, silent)


def test_bytes_that_are_not_utf8_name_the_line(write_card: CardWriter, silent: Progress) -> None:
    items = b'{"item": "a", "title": "x", "price": ""}\n{"item": "\xff"}\n'
    path = write_card(events=b'{"user": "u", "items": []}\n', items=items)
    fails(path, r"items\.jsonl, line 2: not UTF-8", silent)


def rewritten(card: str, file: Path, content: bytes) -> str:
    """Replace a source file and its digest in the card, so that only the reader can object."""
    old = hashlib.sha256(file.read_bytes()).hexdigest()
    file.write_bytes(content)
    text = Path(card).read_text(encoding="utf-8")
    assert old in text
    Path(card).write_text(text.replace(old, hashlib.sha256(content).hexdigest()), encoding="utf-8")
    return card


def test_a_truncated_gzip_names_file_and_line(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    users = [{"user": f"u{number}", "items": ["a", "b", "c"]} for number in range(3)]
    card = tidy_card(users=users, suffix=".jsonl.gz")
    file = tmp_path / "events.jsonl.gz"
    assert len(build(load_card(card), silent).user_ids) == 3
    rewritten(card, file, file.read_bytes()[:-9])
    fails(card, r"events\.jsonl\.gz, line \d+: .*truncated", silent)


def test_damaged_gzip_data_names_the_file(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = tidy_card(suffix=".jsonl.gz")
    rewritten(card, tmp_path / "items.jsonl.gz", b"this was never compressed")
    fails(card, r"items\.jsonl\.gz, line 1: damaged gzip data", silent)


def test_a_flipped_byte_in_gzip_data_is_noticed(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = tidy_card(suffix=".jsonl.gz")
    file = tmp_path / "items.jsonl.gz"
    content = bytearray(gzip.compress(gzip.decompress(file.read_bytes()), mtime=0))
    content[-8] ^= 1  # the checksum
    rewritten(card, file, bytes(content))
    fails(card, r"items\.jsonl\.gz, line \d+: damaged gzip data", silent)


def test_other_line_separators_stay_inside_a_text(tidy_card: CardWriter, silent: Progress) -> None:
    title = "one\u2028two\x85three"
    items = ['{"item": "a", "title": "%s", "price": ""}' % title]  # noqa: UP031
    data = build(
        load_card(tidy_card(items=items, users=[{"user": "u", "items": list("aaa")}])), silent
    )
    assert data.item_texts == ("Title: one two three. Price: Unknown.",)


# --- tidy JSONL ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "message"),
    [
        ({"items": ["a"]}, "line 1: the field 'user' is missing"),
        ({"user": 7, "items": ["a"]}, "line 1: 'user' must be a string, found int '7'"),
        ({"user": " ", "items": ["a"]}, "line 1: 'user' is empty"),
        ({"user": "\ud800", "items": ["a"]}, "line 1: 'user' holds half a character"),
        ({"user": "u"}, "line 1: 'items' must be a list of item ids, found NoneType"),
        ({"user": "u", "items": "abc"}, "line 1: 'items' must be a list of item ids, found str"),
        ({"user": "u", "items": ["a", 3]}, "line 1: 'items' must be a string, found int"),
    ],
)
def test_a_wrong_sequence_line(
    tidy_card: CardWriter, silent: Progress, user: Any, message: str
) -> None:
    fails(tidy_card(users=[user]), message, silent)


def test_a_user_with_two_sequences_is_refused(tidy_card: CardWriter, silent: Progress) -> None:
    users = [{"user": "u", "items": list("abc")}, {"user": "u", "items": list("abc")}]
    fails(tidy_card(users=users), "line 2: user 'u' has a sequence in line 1 already", silent)


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ({"title": "x"}, r"items\.jsonl, line 2: the field 'item' is missing"),
        ({"item": "b", "title": {"x": 1}}, "line 2: 'title' must be text, a number or a list"),
        ({"item": "b", "title": True}, "line 2: 'title' must be text.* found bool"),
        ({"item": "a", "title": "other"}, "line 2: item 'a' stands in line 1 with other content"),
    ],
)
def test_a_wrong_item_line(
    tidy_card: CardWriter, silent: Progress, item: Any, message: str
) -> None:
    first = {"item": "a", "title": "x", "price": "$1"}
    users = [{"user": "u", "items": list("aaa")}]
    fails(tidy_card(items=[first, item], users=users), message, silent)


def test_an_item_line_that_comes_twice_is_counted(tidy_card: CardWriter, silent: Progress) -> None:
    line = {"item": "a", "title": "x", "price": "$1"}
    card = tidy_card(
        items=[line, {**line, "colour": "red"}], users=[{"user": "u", "items": ["a"] * 3}]
    )
    data = build(load_card(card), silent)
    assert data.counts["item_lines_repeated"] == 1
    assert data.item_ids == ("a",)


def test_a_field_that_no_item_has_is_a_mistake_in_the_card(
    tidy_card: CardWriter, silent: Progress
) -> None:
    items = [{"item": "a", "title": "x", "prices": "$1"}]
    fails(tidy_card(items=items), "no item has the field 'price' .* did you mean 'prices'", silent)


def test_an_empty_catalogue(tidy_card: CardWriter, silent: Progress) -> None:
    fails(tidy_card(items=[]), r"items\.jsonl: the catalogue is empty", silent)


def test_no_events(tidy_card: CardWriter, silent: Progress) -> None:
    fails(tidy_card(users=[]), r"events\.jsonl holds no events", silent)


# --- Amazon 2018 -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reviewerID": ...}, "the field 'reviewerID' is missing"),
        ({"asin": ...}, "the field 'asin' is missing"),
        ({"overall": ...}, "the field 'overall' is missing"),
        ({"unixReviewTime": ...}, "the field 'unixReviewTime' is missing"),
        ({"overall": "5.0"}, "'overall' must be a number, found str '5.0'"),
        ({"overall": True}, "'overall' must be a number, found bool"),
        ({"overall": float("nan")}, "'overall' must be a finite number"),
        ({"unixReviewTime": "yesterday"}, "'unixReviewTime' must be a number, found str"),
        ({"unixReviewTime": 1.5}, "'unixReviewTime' must be in whole seconds"),
        ({"unixReviewTime": 10**30}, "'unixReviewTime' must be a finite number"),
        ({"reviewText": 4}, "'reviewText' must be a string, found int"),
    ],
)
def test_a_wrong_review_names_file_and_line(
    review_card: CardWriter, silent: Progress, changes: dict[str, Any], message: str
) -> None:
    path = review_card([REVIEW, review(**changes)])
    fails(path, rf"events\.jsonl, line 2: {message}", silent)


def test_reviews_without_text_compare_as_empty(review_card: CardWriter, silent: Progress) -> None:
    rows = [review(reviewText=...), review(reviewText=""), review(), review(asin="b"), review()]
    data = build(load_card(review_card(rows)), silent)
    assert data.counts["duplicates_dropped"] == 1
    assert data.counts["events"] == 4


def test_times_decide_the_order_and_lines_only_between_equals(
    review_card: CardWriter, silent: Progress
) -> None:
    rows = [("u", item, "", 5.0, time) for item, time in (("c", 9), ("b", 3), ("a", 9), ("d", 1))]
    data = build(load_card(review_card(rows)), silent)
    assert [data.item_ids[item] for item in data.sequences[0]] == ["d", "b", "c", "a"]
    assert data.sequences.timestamps is not None
    assert data.sequences.timestamps.tolist() == [1, 3, 9, 9]
    moved = build(load_card(review_card([rows[3], rows[0], rows[2], rows[1]])), silent)
    assert moved.content_hash == data.content_hash
    swapped = build(load_card(review_card([rows[2], rows[1], rows[0], rows[3]])), silent)
    assert swapped.content_hash != data.content_hash


# --- RecBole's atomic files ------------------------------------------------------------------


@pytest.fixture
def atomic_card(write_card: CardWriter) -> CardWriter:
    def write(inter: str = "", item: str = "", head: str = INTER, item_head: str = ITEM) -> str:
        events = inter or "u\ta\t5\t3\nu\tb\t4\t1\nu\ta\t5\t2\n"
        items = item or "a\tApple pie\t\nb\tBlue\t$3\n"
        return write_card(
            "recbole-atomic",
            events=(head + events).encode(),
            items=(item_head + items).encode(),
            suffix=".atomic",
        )

    return write


def test_atomic_files_with_empty_cells(atomic_card: CardWriter, silent: Progress) -> None:
    data = build(load_card(atomic_card()), silent)
    assert data.item_texts == ("Title: Apple pie. Price: Unknown.", "Title: Blue. Price: $3.")
    assert data.sequences.items.tolist() == [1, 0, 0]


def test_atomic_files_with_windows_line_ends(atomic_card: CardWriter, silent: Progress) -> None:
    plain = build(load_card(atomic_card()), silent)
    ends = {"inter": "u\ta\t5\t3\r\nu\tb\t4\t1\r\nu\ta\t5\t2\r\n", "head": INTER[:-1] + "\r\n"}
    assert build(load_card(atomic_card(**ends)), silent).content_hash == plain.content_hash


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"inter": "u\ta\t5\n"}, r"line 2: expected 4 tab-separated columns, found 3"),
        ({"inter": "u\ta\t5\t1\nu\ta\t5\t1\t9\n"}, r"line 3: expected 4 .* found 5"),
        ({"item": "a\tx\n"}, r"items\.atomic, line 2: expected 3 tab-separated columns, found 2"),
        ({"inter": "u\ta\tgood\t1\n"}, r"line 2: 'rating' must be a number, found 'good'"),
        ({"inter": "u\ta\t\t1\n"}, r"line 2: 'rating' is empty"),
        ({"inter": "u\ta\t5\tnan\n"}, r"line 2: 'timestamp' must be a finite number"),
        ({"inter": "u\ta\t5\t1.5\n"}, r"line 2: 'timestamp' must be in whole seconds"),
        ({"inter": "\ta\t5\t1\n"}, r"line 2: 'user_id' is empty"),
        ({"head": INTER.replace("rating", "stars")}, r"line 1: no column 'rating'"),
        ({"head": INTER.replace(":float\n", "\n")}, r"line 1: header cell 'timestamp' must be"),
        ({"head": INTER.replace("item_id", "user_id")}, r"line 1: .*'user_id' stands twice"),
        ({"item_head": ITEM.replace("title", "name")}, r"line 1: no column 'title'"),
    ],
)
def test_a_wrong_atomic_file(
    atomic_card: CardWriter, silent: Progress, options: dict[str, str], message: str
) -> None:
    fails(atomic_card(**options), message, silent)


def test_an_empty_atomic_file(write_card: CardWriter, silent: Progress) -> None:
    path = write_card("recbole-atomic", events=INTER.encode(), items=b"", suffix=".atomic")
    fails(path, re.escape("items.atomic, line 1: the file is empty"), silent)
