from __future__ import annotations

import errno
import gzip
import hashlib
import io
import json
import re
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from isal import igzip

from harness.data.cards import load_card
from harness.data.prepare import build, prepare, prepared_folder
from harness.data.readers import lines as lines_of_files
from harness.data.readers.lines import read_blocks
from harness.data.variants import variant
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


def lines(rows: Iterable[Any]) -> bytes:
    """Return JSON lines; a row that is a string already stands as it is."""
    texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    return "".join(text + "\n" for text in texts).encode()


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
    path = write_card(events=b'{"user": "u", "items": ["a", "a", "a"]}\n', items=items)
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
    fails(card, r"events\.jsonl\.gz, after line 0: .*\(truncated\); fetch it again", silent)


def test_damaged_gzip_data_names_the_file(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = tidy_card(suffix=".jsonl.gz")
    rewritten(card, tmp_path / "items.jsonl.gz", b"this was never compressed")
    fails(card, r"items\.jsonl\.gz, after line 0: damaged gzip data", silent)


def test_a_flipped_byte_in_gzip_data_is_noticed(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = tidy_card(suffix=".jsonl.gz")
    file = tmp_path / "items.jsonl.gz"
    content = bytearray(gzip.compress(gzip.decompress(file.read_bytes()), mtime=0))
    content[-8] ^= 1  # the checksum
    rewritten(card, file, bytes(content))
    fails(card, r"items\.jsonl\.gz, after line \d+: damaged gzip data", silent)


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
        ({"item": "b", "title": ["x", {}]}, "line 2: 'title' must be text.* found dict"),
        ({"item": 7, "title": "x"}, "line 2: 'item' must be a string, found int '7'"),
    ],
)
def test_a_wrong_item_line(
    tidy_card: CardWriter, silent: Progress, item: Any, message: str
) -> None:
    first = {"item": "a", "title": "x", "price": "$1"}
    users = [{"user": "u", "items": list("aba")}]
    fails(tidy_card(items=[first, item], users=users), message, silent)


def test_an_item_that_nobody_has_is_passed_over(tidy_card: CardWriter, silent: Progress) -> None:
    first = {"item": "a", "title": "x", "price": "$1"}
    users = [{"user": "u", "items": list("aaa")}]
    others = [{"item": "b", "title": {"x": 1}}, {"item": "c"}, {"item": "c", "title": "y"}]
    data = build(load_card(tidy_card(items=[first, *others], users=users)), silent)
    assert data.item_ids == ("a",)
    assert data.counts["faulty_lines"] == data.counts["item_lines_repeated"] == 0


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
    events = (INTER + "u\ta\t5\t1\n" * 3).encode()
    path = write_card("recbole-atomic", events=events, items=b"", suffix=".atomic")
    fails(path, re.escape("items.atomic, line 1: the file is empty"), silent)
    path = write_card("recbole-atomic", events=b"", items=ITEM.encode(), suffix=".atomic")
    fails(path, re.escape("events.atomic, line 1: the file is empty"), silent)
    path = write_card("recbole-atomic", events=events, items=ITEM.encode(), suffix=".atomic")
    fails(path, re.escape("items.atomic: the catalogue is empty"), silent)
    path = write_card("recbole-atomic", events=INTER.encode(), items=b"", suffix=".atomic")
    fails(path, re.escape("events.atomic holds no events"), silent)


# --- faulty lines ----------------------------------------------------------------------------

GOOD = [("u", item, "", 5.0, day) for day, item in enumerate("abc")]


def tolerant(limit: int) -> dict[str, str]:
    """What makes a card allow faulty lines."""
    return {"location": f'folder_default = "."\nfault_limit = {limit}'}


@pytest.mark.parametrize(
    ("limit", "faulty"), [(0, 0), (1, 0), (1, 1), (3, 2), (3, 3), (20, 20), (21, 21), (99, 40)]
)
def test_faulty_lines_up_to_the_limit_are_left_out_counted_and_reported(
    review_card: CardWriter, silent: Progress, tmp_path: Path, limit: int, faulty: int
) -> None:
    whole = build(load_card(review_card(GOOD, **tolerant(limit))), silent)
    data = build(load_card(review_card(["{"] * faulty + GOOD, **tolerant(limit))), silent)
    lines_read = whole.counts["lines_read"] + faulty
    assert data.counts == {**whole.counts, "faulty_lines": faulty, "lines_read": lines_read}
    assert data.content_hash == whole.content_hash
    assert data.counts["events_read"] == 3
    if not faulty:
        assert data.fault_report == ()
        return
    summary, *places = data.fault_report
    plural = "s" if faulty > 1 else ""
    kind = f"neither JSON nor a Python literal: {faulty}"
    assert summary == f"{faulty} faulty line{plural} ({kind}) left out"
    for number, place in enumerate(places[:20], 1):
        assert place.startswith(f"{tmp_path / 'events.jsonl'}, line {number}: not valid JSON")
    assert len(places) == faulty if faulty <= 20 else places[20:] == [f"and {faulty - 20} more"]


def test_without_a_limit_the_first_faulty_line_stops_the_run(
    review_card: CardWriter, silent: Progress
) -> None:
    fails(
        review_card([*GOOD, "{", "["]),
        r"^\S+/events\.jsonl, line 4: not valid JSON: [^;]+; mend the file, or allow faulty lines "
        r"\(--fault-limit N leaves out N\)$",
        silent,
    )


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_one_more_than_the_limit_names_the_first_lines_and_the_way_out(
    review_card: CardWriter, silent: Progress, limit: int
) -> None:
    first = "; ".join(
        rf"\S+events\.jsonl, line {line}: 'overall' must be a number, found str 'x'"
        for line in range(4, 4 + min(limit + 1, 3))
    )
    fails(
        review_card([*GOOD, *[review(overall="x")] * (limit + 3)], **tolerant(limit)),
        rf"^{limit + 1} faulty lines \(wrong value: {limit + 1}\), more than the limit of {limit}: "
        rf"{first}; check that this is the right file, or raise the limit \(--fault-limit N\)$",
        silent,
    )


def test_faults_are_counted_by_kind(review_card: CardWriter, silent: Progress) -> None:
    odd = [
        *("{", "<html>", "[1]", '"x"'),
        review(asin=...),
        review(overall=None),
        review(asin=" "),
        review(unixReviewTime=1_500_000_000_000),
        review(overall="5"),
    ]
    rows: list[Any] = []
    for row in odd:
        rows += [row, GOOD[0]]
    data = build(load_card(review_card(rows, dedup="none", **tolerant(9))), silent)
    assert data.fault_report[0] == (
        "9 faulty lines (missing field: 2, neither JSON nor a Python literal: 2, no object: 2, "
        "time in milliseconds: 1, wrong value: 2) left out"
    )
    found = [re.search(r", line (\d+): ", line) for line in data.fault_report[1:]]
    assert [int(match[1]) for match in found if match] == list(range(1, 18, 2))
    assert data.counts["events_read"] == data.counts["faulty_lines"] == 9


@pytest.mark.parametrize("kind", ["tidy", "atomic"])
def test_other_kinds_of_files_have_faulty_lines_too(
    tidy_card: CardWriter, write_card: CardWriter, silent: Progress, kind: str
) -> None:
    if kind == "tidy":
        items = [{"item": "a", "title": "x", "price": ""}, {"title": "no id"}]
        sequence = {"user": "u", "items": ["a"] * 3}
        path = tidy_card(items=items, users=[sequence, sequence, "?"], **tolerant(3))
        kinds = "missing field: 1, not JSON: 1, wrong value: 1"
    else:
        sources = {
            "events": (INTER + "u\ta\t5\t1\n" * 3 + "u\ta\t5\nu\ta\tx\t1\n").encode(),
            "items": (ITEM + "a\tx\t\na\ty\t\n").encode(),
        }
        path = write_card("recbole-atomic", suffix=".atomic", **sources, **tolerant(3))
        kinds = "two lines for one item: 1, wrong number of columns: 1, wrong value: 1"
    data = build(load_card(path), silent)
    assert data.fault_report[0] == f"3 faulty lines ({kinds}) left out"
    assert data.counts["faulty_lines"] == data.counts["events"] == 3


ITEMS = [
    {"asin": "a", "title": "A", "price": "$1"},
    {"asin": "b", "title": "B", "price": "$2"},
    {"asin": "c", "title": "C", "price": "$3"},
]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("{", "neither JSON nor a Python literal", "not valid JSON"),
        ({"title": "x"}, "missing field", "the field 'asin' is missing"),
        ({"asin": ["a"]}, "wrong value", "'asin' must be a string, found list"),
        ({"asin": "a", "title": {}, "price": ""}, "wrong value", "'title' must be text"),
        (
            {"asin": "a", "title": "another", "price": "$1"},
            "two lines for one item",
            "item 'a' stands in line 1 with other content; one of the two is kept",
        ),
        (
            {"asin": "a", "price": "$1"},
            "two lines for one item",
            "item 'a' stands in line 1 with other content; one of the two is kept",
        ),
    ],
)
def test_a_faulty_line_of_metadata(
    review_card: CardWriter, silent: Progress, line: Any, kind: str, message: str
) -> None:
    whole = build(load_card(review_card(GOOD, items=lines(ITEMS))), silent)
    sources = {"items": lines([*ITEMS[:2], line, ITEMS[2]])}
    data = build(load_card(review_card(GOOD, **sources, **tolerant(1))), silent)
    assert data.item_texts == whole.item_texts  # whichever line comes first
    lines_read = whole.counts["lines_read"] + 1
    assert data.counts == {**whole.counts, "faulty_lines": 1, "lines_read": lines_read}
    summary, place = data.fault_report
    assert summary == f"1 faulty line ({kind}: 1) left out"
    assert re.search(rf"items\.jsonl, line 3: {message}", place)
    fails(review_card(GOOD, **sources), rf"items\.jsonl, line 3: {message}", silent)


def test_of_two_lines_for_one_item_the_same_is_kept_in_either_order(
    review_card: CardWriter, silent: Progress
) -> None:
    two = [{"asin": "a", "title": title, "price": "$1"} for title in ("one", "another")]
    orders = [[*two, *ITEMS[1:]], [*two[::-1], *ITEMS[1:]], [two[1], *ITEMS[1:], two[0]]]
    hashes = {
        build(load_card(review_card(GOOD, items=lines(rows), **tolerant(1))), silent).content_hash
        for rows in orders
    }
    assert len(hashes) == 1


@pytest.mark.parametrize(("share", "faulty", "stops"), [(0.1, 10, False), (0.1, 11, True)])
def test_a_share_of_the_lines_may_be_faulty(
    review_card: CardWriter, silent: Progress, share: float, faulty: int, stops: bool
) -> None:
    rows = [("u", "a", "", 5.0, day) for day in range(100 - faulty)] + ["{"] * faulty
    location = f'folder_default = "."\nfault_limit = 2\nfault_share = {share}'
    card = load_card(review_card(rows, location=location))
    if stops:
        with pytest.raises(DataError, match="more than the limit of 10:"):
            build(card, silent)
        return
    counts = build(card, silent).counts
    assert (counts["faulty_lines"], counts["lines_read"]) == (faulty, 100)


def test_metadata_that_are_not_utf8_in_a_field_nobody_asked_for_are_a_fault(
    review_card: CardWriter, silent: Progress
) -> None:
    spoilt = lines(ITEMS) + b'{"asin": "z", "title": "x", "price": "", "also_buy": "\xff"}\n'
    fails(review_card(GOOD, items=spoilt), r"items\.jsonl, line 4: not UTF-8", silent)


def test_reviews_and_metadata_share_one_limit(review_card: CardWriter, silent: Progress) -> None:
    rows, sources = [*GOOD, "{"], {"items": lines([*ITEMS, "{"])}
    data = build(load_card(review_card(rows, **sources, **tolerant(2))), silent)
    assert data.counts["faulty_lines"] == 2
    assert "events.jsonl, line 4" in data.fault_report[1]
    assert "items.jsonl, line 4" in data.fault_report[2]
    fails(review_card(rows, **sources, **tolerant(1)), "more than the limit of 1", silent)


def test_a_line_of_metadata_that_comes_twice_is_no_fault(
    review_card: CardWriter, silent: Progress
) -> None:
    whole = build(load_card(review_card(GOOD, items=lines(ITEMS))), silent)
    again = {**ITEMS[0], "also_buy": ["b"]}  # other only in what nobody asked for
    data = build(load_card(review_card(GOOD, items=lines([*ITEMS, again, ITEMS[1]]))), silent)
    lines_read = whole.counts["lines_read"] + 2
    assert data.counts == {**whole.counts, "item_lines_repeated": 2, "lines_read": lines_read}
    assert data.content_hash == whole.content_hash


def test_items_without_metadata_are_an_error_or_counted(
    review_card: CardWriter, silent: Progress
) -> None:
    sources = {"items": lines([*ITEMS[:1], {"asin": "b", "title": "", "price": None}])}
    fails(
        review_card(GOOD, policy="error", **sources), "no attribute with a value in items", silent
    )
    data = build(load_card(review_card(GOOD, policy="unknown", **sources)), silent)
    assert data.counts["items_without_text"] == 2
    assert data.counts["faulty_lines"] == 0
    assert data.item_texts[1:] == ("Title: Unknown. Price: Unknown.",) * 2
    fails(
        review_card(GOOD, policy="error", items=lines(ITEMS[:2])),
        "no line in items.jsonl, such as 'c': complete",
        silent,
    )


def test_a_file_in_milliseconds_is_named_as_such(review_card: CardWriter, silent: Progress) -> None:
    rows = [review(unixReviewTime=1_500_000_000_000 + number) for number in range(3)]
    fails(review_card(rows), "line 1: .* looks like milliseconds; mend the file", silent)
    fails(review_card(rows, **tolerant(2)), r"\(time in milliseconds: 3\), more than the", silent)
    fails(
        review_card(rows, **tolerant(9)),
        r"events\.jsonl holds no events: 3 faulty lines \(time in milliseconds: 3\) left out; .*"
        r"line 1: 'unixReviewTime' must be in seconds since 1970, found int '1500000000000'",
        silent,
    )


@pytest.mark.parametrize("suffix", [".jsonl", ".jsonl.gz"])
@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n \n\n"])
def test_an_empty_file_of_reviews(
    write_card: CardWriter, silent: Progress, suffix: str, content: bytes
) -> None:
    path = write_card("amazon-2018", events=content, suffix=suffix, policy="unknown")
    fails(path, r"data set small: \S+events\S+ holds no events$", silent)


def test_a_gzip_file_of_no_bytes_holds_no_events(
    write_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    path = write_card("amazon-2018", events=b"x", suffix=".json.gz", policy="unknown")
    rewritten(path, tmp_path / "events.json.gz", b"")
    fails(path, "holds no events", silent)


def test_files_whose_names_say_the_wrong_thing(
    write_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    content = lines([review()] * 3)
    path = write_card("amazon-2018", events=content, suffix=".json.gz", policy="unknown")
    assert len(build(load_card(path), silent).user_ids) == 1
    rewritten(path, tmp_path / "events.json.gz", content)
    fails(path, r"events\.json\.gz, after line 0: damaged gzip data .*Not a gzipped", silent)
    packed = gzip.compress(content)
    path = write_card("amazon-2018", events=packed, suffix=".json", policy="unknown")
    fails(path, r"events\.json, line 1: not UTF-8", silent)


def test_what_was_left_out_is_known_after_loading_too(
    review_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    path = review_card([*GOOD, "{", "["], **tolerant(2))
    built = prepare(load_card(path), tmp_path / "cache", silent)
    (tmp_path / "events.jsonl").unlink()  # so that the second is loaded
    loaded = prepare(load_card(path), tmp_path / "cache", silent)
    assert built.counts["faulty_lines"] == loaded.counts["faulty_lines"] == 2
    assert len(loaded.fault_report) == 3
    assert built.fault_report == loaded.fault_report


def test_a_folder_prepared_with_a_higher_limit_is_not_taken_with_a_lower_one(
    review_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = load_card(review_card([*GOOD, "{", "["], **tolerant(2)))
    cache = tmp_path / "cache"
    first = prepare(card, cache, silent)
    for limit in (2, 3, 100):
        allowed = prepare(variant(card, fault_limit=limit), cache, silent)
        assert allowed.content_hash == first.content_hash
        assert allowed.counts == first.counts
    for limit in (0, 1):
        message = (
            f"data set small: 2 faulty lines were left out, more than the limit of {limit}: say "
            r"again that you allow them \(--fault-limit 2\)"
        )
        with pytest.raises(DataError, match=message):
            prepare(variant(card, fault_limit=limit), cache, silent)
        with pytest.raises(DataError, match=r"mend the file|more than the limit of 1"):
            prepare(variant(card, fault_limit=limit), tmp_path / "another", silent)
        assert not prepared_folder(card, tmp_path / "another").exists()
    assert prepare(card, cache, silent).counts["faulty_lines"] == 2  # it is there as before


# --- damaged gzip data -----------------------------------------------------------------------

PACKED = b"".join(
    b'{"reviewerID": "%x", "asin": "%x"}\n' % (n * 2654435761 % 2**32, n) for n in range(40)
)


def unpacked(path: Path) -> bytes:
    return b"".join(block.content for block in read_blocks(path, "", Progress(shown=False)))


def gzip_files() -> dict[str, bytes]:
    named = io.BytesIO()
    with gzip.GzipFile("a name", "wb", fileobj=named, mtime=1) as stream:
        stream.write(PACKED)
    return {
        "by Python": gzip.compress(PACKED, mtime=0),
        "by isal": igzip.compress(PACKED, 1),
        "with a name": named.getvalue(),
        "not compressed": gzip.compress(PACKED, 0, mtime=0),
    }


@pytest.mark.parametrize("block", [64, 4 << 20])
@pytest.mark.parametrize("name", gzip_files())
def test_no_truncated_gzip_file_passes_unnoticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, block: int
) -> None:
    monkeypatch.setattr(lines_of_files, "BLOCK_BYTES", block)
    path, whole = tmp_path / "file.gz", gzip_files()[name]
    path.write_bytes(whole)
    assert unpacked(path) == PACKED
    for length in range(1, len(whole), 1 if block > 64 else 7):
        path.write_bytes(whole[:length])
        with pytest.raises(DataError, match=r"file\.gz, after line \d+: .*truncated"):
            unpacked(path)


@pytest.mark.parametrize("flip", [0x01, 0x10, 0x80, 0xFF])
@pytest.mark.parametrize("name", gzip_files())
def test_a_flipped_byte_anywhere_gives_an_error_or_the_same_content(
    tmp_path: Path, name: str, flip: int
) -> None:
    path, whole = tmp_path / "file.gz", gzip_files()[name]
    harmless = []
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= flip
        path.write_bytes(damaged)
        try:
            found = unpacked(path)
        except DataError as error:
            assert re.search(r"file\.gz, after line \d+: (damaged|the file ends)", str(error))
        else:
            assert found == PACKED
            harmless.append(place)
    assert len(harmless) < 20  # what stands in the header, such as the time


def test_several_gzip_members_are_one_file(tmp_path: Path) -> None:
    path = tmp_path / "file.gz"
    members = [gzip.compress(PACKED[start : start + 100]) for start in range(0, len(PACKED), 100)]
    path.write_bytes(b"".join(members))
    assert unpacked(path) == PACKED
    path.write_bytes(b"".join(members) + b"\0" * 512)  # as some tape drives leave it
    assert unpacked(path) == PACKED
    path.write_bytes(b"".join(members) + b"something else altogether")
    with pytest.raises(DataError, match="damaged gzip data"):
        unpacked(path)


# --- reading ahead ---------------------------------------------------------------------------


def ahead() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "reading ahead"]


@pytest.fixture
def long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of far more blocks than are read ahead."""
    monkeypatch.setattr(lines_of_files, "BLOCK_BYTES", 64)
    path = tmp_path / "long"
    path.write_bytes(PACKED * 20)
    return path


def test_blocks_come_in_order_and_count_their_lines(long_file: Path, silent: Progress) -> None:
    line, content = 1, b""
    for block in read_blocks(long_file, "", silent):
        assert block.first_line == line
        line += block.content.count(b"\n")
        content += block.content
    assert content == long_file.read_bytes()
    assert ahead() == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError, None])
def test_who_stops_reading_early_leaves_no_thread_behind(
    long_file: Path, silent: Progress, error: type[BaseException] | None
) -> None:
    def read() -> None:
        for number, _ in enumerate(read_blocks(long_file, "", silent)):
            assert len(ahead()) == 1
            if number == 2:
                if error is None:
                    return
                raise error

    if error is None:
        read()
        assert ahead() == []
        return
    with pytest.raises(error) as caught:
        read()
    assert ahead() == []  # although the error still holds its frames
    assert caught.value is not None


def test_a_generator_that_is_closed_or_forgotten_ends_its_thread(
    long_file: Path, silent: Progress
) -> None:
    blocks = read_blocks(long_file, "", silent)
    assert ahead() == []  # nothing is read before the first is asked for
    next(blocks)
    assert len(ahead()) == 1
    blocks.close()
    assert ahead() == []
    blocks = read_blocks(long_file, "", silent)
    next(blocks)
    del blocks
    assert ahead() == []


@pytest.mark.parametrize("kind", ["reviews", "metadata", "sequences", "items", "interactions"])
def test_a_faulty_line_leaves_no_thread_behind(
    tidy_card: CardWriter,
    review_card: CardWriter,
    write_card: CardWriter,
    silent: Progress,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
) -> None:
    monkeypatch.setattr(lines_of_files, "BLOCK_BYTES", 64)
    rest = ["{}"] * 1000
    if kind == "reviews":
        path = review_card([*GOOD, "?", *rest])
    elif kind == "metadata":
        path = review_card(GOOD, items=lines([*ITEMS, "?", *rest]))
    elif kind == "sequences":
        path = tidy_card(users=[{"user": "u", "items": list("abc")}, "?", *rest])
    elif kind == "items":
        path = tidy_card(items=[{"item": "a", "title": "x", "price": ""}, "?", *rest])
    else:
        sources = {"events": (INTER + "?\n" * 1000).encode(), "items": ITEM.encode()}
        path = write_card("recbole-atomic", suffix=".atomic", **sources)
    with pytest.raises(DataError, match=r"line \d+: ") as caught:
        build(load_card(path), silent)
    assert ahead() == []  # although the error still holds its frames
    assert caught.value is not None


@pytest.mark.parametrize(
    ("error", "seen", "message"),
    [
        (OSError(errno.EIO, "Input/output error"), DataError, "cannot read .*: Input/output error"),
        (EOFError("x"), DataError, "after line 6: the file ends in the middle"),
        (gzip.BadGzipFile("x"), DataError, r"after line 6: damaged gzip data \(x\)"),
        (MemoryError("x"), MemoryError, "x"),
        (RuntimeError("x"), RuntimeError, "x"),
    ],
)
def test_an_error_of_the_thread_surfaces_where_blocks_are_read(
    long_file: Path,
    silent: Progress,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    seen: type[Exception],
    message: str,
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() == 30:
                raise error
            return super().read(10)

    monkeypatch.setattr(lines_of_files, "open_bytes", lambda _: Broken(b"one line\n\n" * 3))
    monkeypatch.setattr(lines_of_files, "BLOCK_BYTES", 10)
    found = []
    with pytest.raises(seen, match=message):
        for block in read_blocks(long_file, "", silent):
            found.append(block.content)
    assert found == [b"one line\n\n"] * 3  # what came before it was handed on
    assert ahead() == []


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path / "absent.gz", tmp_path):
        with pytest.raises(DataError, match=r"cannot read \S+: (No such file|Is a directory)"):
            unpacked(path)
    assert ahead() == []
