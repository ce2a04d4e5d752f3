from __future__ import annotations

import gzip
import itertools
import tracemalloc
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.data.card import DatasetCard
from harness.data.cards import load_card
from harness.data.prepare import build
from harness.data.prepared import PreparedData
from harness.data.readers import table_rows, tables
from harness.data.readers.faults import Faults
from harness.errors import DataError
from harness.progress import Progress

HEAD = """\
name = "shop"
title = "A shop"
licence = "none needed"
citation = "nobody"
url = "https://example.org"
redistributable = true
verb = "bought"
"""
PROTOCOL = """\
[protocol]
dedup = "{dedup}"
min_user_events = 3
split = "leave-one-out"
"""
TITLE = """\
[text]
items_without_text = "unknown"
[[text.attributes]]
label = "Title"
field = "title"
words = 9
cleaning = "plain"
"""
COLUMNS = ("user", "item", "rating", "time")
ROWS = [
    ("v", "a", 5, 30),
    ("u", "b", 4, 20),
    ("v", "b", 1, 10),
    ("u", "a", 3, 20),
    ("v", "a", 5, 20),
    ("u", "c", 2, 10),
]
TITLES = [("a", "Apple, red"), ("b", 'the "Bee"'), ("c", "Crème brûlée"), ("d", "never bought")]
SEQUENCES = {"u": [("c", 10), ("b", 20), ("a", 20)], "v": [("b", 10), ("a", 20), ("a", 30)]}

Write = Callable[..., DatasetCard]


@pytest.fixture
def shop(tmp_path: Path) -> Write:
    """Write a card over files that stand in the test's folder."""

    def write(
        events: str = "events.csv",
        items: str | None = None,
        *,
        columns: Sequence[str] = COLUMNS,
        dedup: str = "none",
        unit: str = "s",
        limit: int = 0,
    ) -> DatasetCard:
        parts = [HEAD, '[source]\nkind = "table"\nfolder_default = "."\n']
        parts += [f'time_unit = "{unit}"\nfault_limit = {limit}\n[source.fields]\n']
        parts += [f'{column} = "{column}"\n' for column in columns]
        parts += [f'[source.files.events]\npath = "{events}"\n']
        if items is not None:
            parts += [f'[source.files.items]\npath = "{items}"\n', TITLE]
        parts += [PROTOCOL.format(dedup=dedup)]
        (tmp_path / "shop.toml").write_text("".join(parts), encoding="utf-8")
        return load_card(str(tmp_path / "shop.toml"))

    return write


def delimited(head: Iterable[str], rows: Iterable[Iterable[Any]], mark: str = ",") -> str:
    def cell(value: Any) -> str:
        text = str(value)
        quoted = '"' + text.replace('"', '""') + '"'
        return quoted if any(letter in text for letter in ',"\t\r\n') else text

    return "".join(mark.join(map(cell, row)) + "\n" for row in (head, *rows))


def columns_of(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> pa.Table:
    return pa.table(dict(zip(head, map(list, zip(*rows, strict=True)), strict=True)))


def write_events(folder: Path, rows: Iterable[Iterable[Any]], *, head: Sequence[str]) -> None:
    (folder / "events.csv").write_text(delimited(head, rows), encoding="utf-8", newline="")


def timed(data: PreparedData) -> dict[str, list[tuple[str, int]]]:
    """Return (item, time) of every event by user."""
    assert data.sequences.timestamps is not None
    events = [
        (data.item_ids[item], time)
        for item, time in zip(
            data.sequences.items.tolist(), data.sequences.timestamps.tolist(), strict=True
        )
    ]
    bounds = itertools.pairwise(data.sequences.offsets.tolist())
    return dict(zip(data.user_ids, [events[start:stop] for start, stop in bounds], strict=True))


# ---- forms ---------------------------------------------------------------------------------------


def plain(text: str) -> bytes:
    return text.encode()


def with_mark(text: str) -> bytes:
    return text.encode("utf-8-sig")


def with_windows_ends(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def with_blank_lines(text: str) -> bytes:
    return text.replace("\n", "\n\n").encode()


def without_last_end(text: str) -> bytes:
    return text.removesuffix("\n").encode()


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)


def packed_twice(text: str) -> bytes:
    middle = text.index("\n") + 3  # members may end anywhere
    return packed(text[:middle]) + packed(text[middle:])


@pytest.mark.parametrize(
    ("suffix", "mark", "encode"),
    [
        ("csv", ",", plain),
        ("CSV", ",", plain),
        ("tsv", "\t", plain),
        ("csv", ",", with_mark),
        ("tsv", "\t", with_mark),
        ("csv", ",", with_windows_ends),
        ("csv", ",", with_blank_lines),
        ("csv", ",", without_last_end),
        ("csv.gz", ",", packed),
        ("tsv.gz", "\t", packed),
        ("csv.gz", ",", packed_twice),
    ],
)
def test_delimited_tables_of_every_form_say_the_same(
    shop: Write, tmp_path: Path, silent: Progress, suffix: str, mark: str, encode: Any
) -> None:
    (tmp_path / f"events.{suffix}").write_bytes(encode(delimited(COLUMNS, ROWS, mark)))
    (tmp_path / f"items.{suffix}").write_bytes(encode(delimited(("item", "title"), TITLES, mark)))
    data = build(shop(f"events.{suffix}", f"items.{suffix}"), silent)
    assert timed(data) == SEQUENCES
    assert data.item_ids == ("a", "b", "c")
    assert data.item_texts == tuple(f"Title: {title}." for _, title in TITLES[:3])


@pytest.mark.parametrize("suffix", ["parquet", "pq", "PARQUET"])
def test_parquet_tables_say_it_too(
    shop: Write, tmp_path: Path, silent: Progress, suffix: str
) -> None:
    pq.write_table(columns_of(COLUMNS, ROWS), tmp_path / f"events.{suffix}", row_group_size=2)
    pq.write_table(columns_of(("item", "title"), TITLES), tmp_path / f"items.{suffix}")
    data = build(shop(f"events.{suffix}", f"items.{suffix}"), silent)
    write_events(tmp_path, ROWS, head=COLUMNS)
    (tmp_path / "items.csv").write_text(delimited(("item", "title"), TITLES), encoding="utf-8")
    same = build(shop("events.csv", "items.csv"), silent)
    assert timed(data) == SEQUENCES
    assert data.content_hash == same.content_hash


def test_other_columns_may_hold_anything(shop: Write, tmp_path: Path, silent: Progress) -> None:
    table = columns_of(COLUMNS, ROWS)
    strange = pa.array([{"deep": [1]}] * len(ROWS))
    pq.write_table(table.append_column("strange", strange), tmp_path / "events.parquet")
    assert timed(build(shop("events.parquet"), silent)) == SEQUENCES


def test_line_ends_and_delimiters_within_quoted_cells(
    shop: Write, tmp_path: Path, silent: Progress
) -> None:
    write_events(tmp_path, [("u\nx", "a,b", 1, n) for n in range(3)], head=COLUMNS)
    items = [("a,b", 'one, two\nthree "four"\r\nfive\tsix')]
    (tmp_path / "items.csv").write_text(
        delimited(("item", "title"), items), encoding="utf-8", newline=""
    )
    data = build(shop("events.csv", "items.csv"), silent)
    assert data.user_ids == ("u\nx",)
    assert data.item_ids == ("a,b",)
    assert data.item_texts == ('Title: one, two three "four" five six.',)


@pytest.mark.parametrize(
    ("kind", "ids"),
    [
        (pa.int64(), [7, 7, 7, 10, 10, 10]),
        (pa.uint8(), [7, 7, 7, 10, 10, 10]),
        (pa.string(), ["7", "7", "7", "10", "10", "10"]),
        (pa.large_string(), ["7", "7", "7", "10", "10", "10"]),
        (pa.dictionary(pa.int8(), pa.string()), ["7", "7", "7", "10", "10", "10"]),
    ],
    ids=str,
)
def test_ids_of_every_parquet_type_are_the_same_texts(
    shop: Write, tmp_path: Path, silent: Progress, kind: Any, ids: list[Any]
) -> None:
    table = pa.table({"user": pa.array(ids, kind), "item": pa.array(ids[::-1], kind)})
    pq.write_table(table, tmp_path / "events.parquet")
    data = build(shop("events.parquet", columns=("user", "item")), silent)
    assert data.user_ids == data.item_ids == ("10", "7")
    assert data.sequences.items.tolist() == [1, 1, 1, 0, 0, 0]
    assert data.sequences.timestamps is None


def test_lists_and_numbers_are_item_texts_too(
    shop: Write, tmp_path: Path, silent: Progress
) -> None:
    write_events(tmp_path, [("u", item, 1, 1) for item in "abc"], head=COLUMNS)
    titles: list[Any] = [["one", None, "two"], [], None]
    pq.write_table(pa.table({"item": list("abc"), "title": titles}), tmp_path / "items.parquet")
    data = build(shop("events.csv", "items.parquet"), silent)
    assert data.item_texts == ("Title: one two.", "Title: Unknown.", "Title: Unknown.")
    assert data.counts["items_without_text"] == 2
    prices = pa.array([Decimal("1.50"), Decimal("2.00"), None], pa.decimal128(6, 2))
    pq.write_table(pa.table({"item": list("abc"), "title": prices}), tmp_path / "items.parquet")
    data = build(shop("events.csv", "items.parquet"), silent)
    assert data.item_texts == ("Title: 1.50.", "Title: 2.00.", "Title: Unknown.")


def test_review_texts_tell_duplicates(shop: Write, tmp_path: Path, silent: Progress) -> None:
    rows = [("u", "a", 5, 1, "good"), ("u", "a", 5, 1, "good"), ("u", "a", 5, 1, ""), *(
        ("u", "a", 5, 2, text) for text in ("", "")
    ), ("u", "b", 5, 3, "0")]  # fmt: skip
    head = (*COLUMNS, "text")
    write_events(tmp_path, rows, head=head)
    data = build(shop(columns=head, dedup="consecutive"), silent)
    assert data.counts["duplicates_dropped"] == 2
    without = [None if text == "" else text for *_, text in rows]
    table = columns_of(COLUMNS, [row[:4] for row in rows]).append_column("text", pa.array(without))
    pq.write_table(table, tmp_path / "events.parquet")
    same = build(shop("events.parquet", columns=head, dedup="consecutive"), silent)
    assert same.content_hash == data.content_hash


# ---- times ---------------------------------------------------------------------------------------

#: an order that neither the file nor the items have
SECONDS = {"c": -86_400, "a": -1, "d": 0, "b": 1_396_867_869}
IN_FILE = ["a", "b", "c", "d"]
BERLIN = timezone(timedelta(hours=2))


def moment(seconds: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "written",
    [
        str,
        lambda seconds: f"{seconds}.0",
        lambda seconds: f" {seconds} ",
        lambda seconds: moment(seconds).strftime("%Y-%m-%dT%H:%M:%S"),
        lambda seconds: moment(seconds).strftime("%Y-%m-%d %H:%M:%S"),
        lambda seconds: moment(seconds).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda seconds: moment(seconds).astimezone(BERLIN).isoformat(),
        lambda seconds: moment(seconds).isoformat(timespec="microseconds"),
    ],
    ids=["number", "float", "padded", "iso", "iso with a blank", "utc", "zone", "microseconds"],
)
def test_times_in_a_csv_file(
    shop: Write, tmp_path: Path, silent: Progress, written: Callable[[int], str]
) -> None:
    write_events(
        tmp_path, [("u", item, 1, written(SECONDS[item])) for item in IN_FILE], head=COLUMNS
    )
    assert timed(build(shop(), silent)) == {"u": list(SECONDS.items())}


@pytest.mark.parametrize(
    "kind",
    [
        pa.timestamp("ms"),
        pa.timestamp("us"),
        pa.timestamp("ns"),
        pa.timestamp("us", "UTC"),
        pa.timestamp("ns", "+05:30"),
        pa.timestamp("ms", "Europe/Berlin"),
        pa.timestamp("us", "Not/A_Place"),  # what a zone is called does not change the moment
        pa.int64(),
        pa.int32(),
        pa.float64(),
        pa.string(),
    ],
    ids=str,
)
def test_times_in_a_parquet_file(shop: Write, tmp_path: Path, silent: Progress, kind: Any) -> None:
    seconds = [SECONDS[item] for item in IN_FILE]
    if pa.types.is_timestamp(kind):
        times = pa.array(seconds, pa.int64()).cast(pa.timestamp("s")).cast(kind)
    else:
        times = pa.array(seconds, pa.int64()).cast(kind)
    table = pa.table({"user": ["u"] * 4, "item": IN_FILE, "time": times})
    pq.write_table(table, tmp_path / "events.parquet")
    data = build(shop("events.parquet", columns=("user", "item", "time")), silent)
    assert timed(data) == {"u": list(SECONDS.items())}


@pytest.mark.parametrize("kind", [pa.date32(), pa.date64()], ids=str)
def test_dates_in_a_parquet_file(shop: Write, tmp_path: Path, silent: Progress, kind: Any) -> None:
    days = pa.array([date(1970, 1, 2), date(2014, 4, 7), date(1969, 12, 31)], kind)
    table = pa.table({"user": ["u"] * 3, "item": list("abc"), "time": days})
    pq.write_table(table, tmp_path / "events.parquet")
    data = build(shop("events.parquet", columns=("user", "item", "time")), silent)
    assert timed(data) == {"u": [("c", -86_400), ("a", 86_400), ("b", 1_396_828_800)]}


def test_a_date_without_a_time_of_day(shop: Write, tmp_path: Path, silent: Progress) -> None:
    days = ["1970-01-02", "2014-04-07", "1969-12-31"]
    rows = [("u", item, 1, day) for item, day in zip("abc", days, strict=True)]
    write_events(tmp_path, rows, head=COLUMNS)
    expected = [("c", -86_400), ("a", 86_400), ("b", 1_396_828_800)]
    assert timed(build(shop(), silent)) == {"u": expected}


#: item -> milliseconds; in a file of reversed order, so that only these tell the order
MOMENTS = {"a": -1_001, "b": -1_000, "c": -2, "d": 0, "e": 1, "f": 999, "g": 1_500_000_000_123}


def iso(milliseconds: int) -> str:
    moment = datetime(1970, 1, 1) + timedelta(milliseconds=milliseconds)
    return moment.isoformat(timespec="milliseconds")


@pytest.mark.parametrize(
    "times",
    [
        lambda ms: pa.array(ms, pa.int64()),
        lambda ms: pa.array(ms, pa.float64()),
        lambda ms: pa.array(ms, pa.timestamp("ms")),
        lambda ms: pa.array([1000 * value for value in ms], pa.timestamp("us", "Asia/Tokyo")),
        lambda ms: pa.array([1_000_000 * value for value in ms], pa.timestamp("ns")),
        lambda ms: pa.array([iso(value) for value in ms]),
        lambda ms: pa.array([f"{iso(value)}Z" for value in ms]),
    ],
    ids=["int", "float", "ms", "us", "ns", "iso", "utc"],
)
def test_milliseconds_order_what_is_kept_in_seconds(
    shop: Write, tmp_path: Path, silent: Progress, times: Callable[[list[int]], Any]
) -> None:
    items = list(MOMENTS)[::-1]
    column = times([MOMENTS[item] for item in items])
    table = pa.table({"user": ["u"] * len(items), "item": items, "time": column})
    pq.write_table(table, tmp_path / "events.parquet")
    card = shop("events.parquet", columns=("user", "item", "time"), unit="ms")
    data = build(card, silent)
    assert [data.item_ids[item] for item in data.sequences[0]] == list(MOMENTS)
    assert timed(data) == {"u": [(item, ms // 1000) for item, ms in MOMENTS.items()]}


def test_milliseconds_in_a_csv_file(shop: Write, tmp_path: Path, silent: Progress) -> None:
    rows = [("u", item, 1, MOMENTS[item]) for item in list(MOMENTS)[::-1]]
    write_events(tmp_path, rows, head=COLUMNS)
    data = build(shop(unit="ms"), silent)
    assert timed(data) == {"u": [(item, ms // 1000) for item, ms in MOMENTS.items()]}


def test_seconds_count_as_equal_within_a_second(
    shop: Write, tmp_path: Path, silent: Progress
) -> None:
    times = ["2014-04-07T10:51:09.900", "2014-04-07T10:51:09.100", "2014-04-07T10:51:08.999"]
    rows = [("u", item, 1, time) for item, time in zip("abc", times, strict=True)]
    write_events(tmp_path, rows, head=COLUMNS)
    order = [("c", 1_396_867_868), ("a", 1_396_867_869), ("b", 1_396_867_869)]
    assert timed(build(shop(), silent)) == {"u": order}


@pytest.mark.parametrize(
    ("values", "dates"),
    [
        (["1", "2"], False),
        (["", " ", "1.5e9"], False),
        (["", "2014-04-07"], True),
        (["nonsense"], True),  # the reader will say what is wrong with it
        ([], False),
        (["", ""], False),
    ],
)
def test_a_column_of_dates_is_told_by_its_first_value(
    tmp_path: Path, values: list[str], dates: bool
) -> None:
    write_events(tmp_path, [("u", value) for value in values], head=("user", "time"))
    assert tables.holds_dates(tmp_path / "events.csv", "time") is dates


def test_parquets_own_types_are_told_too(tmp_path: Path) -> None:
    for values, dates in (
        (pa.array([None, 1], pa.timestamp("us")), True),
        (pa.array([None, 1], pa.date32()), True),
        (pa.array([None, 1], pa.int64()), False),
        (pa.array([None, 1.0]), False),
        (pa.array([None, "1970-01-01"]), True),
        (pa.array([None, None]), False),
    ):
        pq.write_table(pa.table({"time": values}), tmp_path / "t.parquet")
        assert tables.holds_dates(tmp_path / "t.parquet", "time") is dates


# ---- faults --------------------------------------------------------------------------------------

GOOD = ["u,a,5,1", "u,b,5,2", "u,c,5,3"]
FAULTY_LINES = {
    "too few cells": (b"u,a,5", "expected 4 columns, found 3", "wrong number of columns"),
    "too many cells": (b"u,a,5,1,9", "expected 4 columns, found 5", "wrong number of columns"),
    "no user": (b",a,5,1", "'user' is empty", "wrong value"),
    "a blank item": (b"u, ,5,1", "'item' is empty", "wrong value"),
    "no rating": (b"u,a,,1", "'rating' is empty", "missing field"),
    "a rating in words": (b"u,a,good,1", "'rating' must be a number, found 'good'", "wrong value"),
    "an endless rating": (b"u,a,inf,1", "'rating' must be a finite number", "wrong value"),
    "no time": (b"u,a,5,", "'time' is empty", "missing field"),
    "a time in words": (
        b"u,a,5,yesterday",
        "'time' must be a number or an ISO 8601 date, found 'yesterday'",
        "wrong value",
    ),
    "no such day": (b"u,a,5,2014-02-30", "'time' must be a number or an ISO 8601", "wrong value"),
    "half a second": (b"u,a,5,1.5", "'time' must be a whole number, found '1.5'", "wrong value"),
    "no time at all": (b"u,a,5,nan", "'time' must be a finite number", "wrong value"),
    "milliseconds": (
        b"u,a,5,1396867869277",
        "'time' is '1396867869277', which looks like milliseconds: say so (--time-unit ms",
        "time in a smaller unit",
    ),
    "not utf-8": (b"u,\xff,5,1", "not UTF-8", "not UTF-8"),
    "not utf-8 elsewhere": (b"\xe9t\xe9,a,5,1", "not UTF-8", "not UTF-8"),
    "a nul byte": (b"u,a\0b,5,1", "holds a NUL byte", "NUL byte"),
    "text behind a quotation": (b'u,"a"b,5,1', "not CSV: ',' expected after '\"'", "not CSV"),
}


def write_lines(folder: Path, lines: Iterable[str | bytes]) -> None:
    head = ",".join(COLUMNS)
    raw = [line if isinstance(line, bytes) else line.encode() for line in (head, *lines)]
    (folder / "events.csv").write_bytes(b"\n".join(raw) + b"\n")


@pytest.mark.parametrize("what", FAULTY_LINES)
def test_a_faulty_line_is_named_and_may_be_left_out(
    shop: Write, tmp_path: Path, silent: Progress, what: str
) -> None:
    line, message, kind = FAULTY_LINES[what]
    write_lines(tmp_path, [GOOD[0], line, *GOOD[1:]])
    with pytest.raises(DataError) as caught:
        build(shop(), silent)
    assert f"{tmp_path / 'events.csv'}, line 3: {message}" in str(caught.value)
    assert "--fault-limit" in str(caught.value)
    data = build(shop(limit=1), silent)
    assert timed(data) == {"u": [("a", 1), ("b", 2), ("c", 3)]}
    assert data.counts["faulty_lines"] == 1
    assert data.fault_report[0] == f"1 faulty line ({kind}: 1) left out"
    assert f"events.csv, line 3: {message}" in data.fault_report[1]


def test_as_many_as_the_limit_are_left_out_and_one_more_stops(
    shop: Write, tmp_path: Path, silent: Progress
) -> None:
    write_lines(tmp_path, [*GOOD, *(line for line, *_ in FAULTY_LINES.values())])
    n = len(FAULTY_LINES)
    data = build(shop(limit=n), silent)
    assert data.counts["faulty_lines"] == n
    assert data.counts["events_read"] == 3
    assert f"{n} faulty lines" in data.fault_report[0]
    with pytest.raises(DataError, match=rf"{n} faulty lines .*more than the limit of {n - 1}"):
        build(shop(limit=n - 1), silent)


def test_rows_of_several_lines_are_named_by_their_first(
    shop: Write, tmp_path: Path, silent: Progress
) -> None:
    write_lines(tmp_path, ['"u\n\nx",a,5,1', "", '"u\nx",a,five,1'])
    with pytest.raises(DataError, match=r"events\.csv, line 6: 'rating' must be a number"):
        build(shop(), silent)


@pytest.mark.parametrize("tail", [0, 5, 5_000])
def test_an_open_quotation_mark_costs_every_line_that_it_swallows(
    shop: Write, tmp_path: Path, silent: Progress, tail: int
) -> None:
    followers = [f"w{n},a,5,1" for n in range(tail)]
    write_lines(tmp_path, [*GOOD, 'v,"a,5,1', *followers])
    with pytest.raises(DataError, match=r"events\.csv, line 5: not CSV"):
        build(shop(), silent)
    data = build(shop(limit=10_000), silent)
    assert data.user_ids == ("u",)
    # every line is read or counted, and a long field does not hide where it began
    assert data.counts["events_read"] + data.counts["faulty_lines"] == 4 + tail
    if tail:
        assert "is a quotation mark left open?" in data.fault_report[1]


@pytest.mark.parametrize(
    ("row", "column", "values", "message"),
    [
        (2, "user", ["u", None, "u"], "the field 'user' is missing"),
        (2, "user", ["u", "", "u"], "'user' is empty"),
        (3, "user", ["u", "u", "a\0b"], "holds a NUL byte"),
        (1, "user", [1.0, 1.0, 1.0], "'user' must be a string, found float"),
        (1, "user", [True, True, False], "'user' must be a string, found bool"),
        (2, "item", ["a", None, "b"], "the field 'item' is missing"),
        (2, "rating", [1.0, None, 2.0], "the field 'rating' is missing"),
        (2, "rating", [1.0, float("nan"), 2.0], "'rating' must be a finite number"),
        (3, "rating", ["1", "2", "x"], "'rating' must be a number, found 'x'"),
        (2, "time", [1, None, 2], "the field 'time' is missing"),
        (2, "time", [1.0, 1.5, 2.0], "'time' must be a whole number, found 1.5"),
        (2, "time", [1, 1_396_867_869_277, 2], "'time' is 1396867869277, which looks like milli"),
        (2, "time", [moment(0), None, moment(1)], "the field 'time' is missing"),
        (3, "time", [date(1970, 1, 1), date(1970, 1, 1), None], "the field 'time' is missing"),
        (2, "time", ["1970-01-01", "soon", "1970-01-02"], "'time' must be a number or an ISO"),
        (2, "time", ["1", "", "2"], "'time' is empty"),
        (1, "time", [[1], [2], [3]], "'time' must be a number, found list"),
    ],
)
def test_a_faulty_row_of_parquet_is_named(
    shop: Write,
    tmp_path: Path,
    silent: Progress,
    row: int,
    column: str,
    values: list[Any],
    message: str,
) -> None:
    columns: dict[str, Any] = {"user": ["u"] * 3, "item": list("abc"), "rating": [1.0] * 3}
    columns |= {"time": [1, 2, 3], column: values}
    pq.write_table(pa.table(columns), tmp_path / "events.parquet", row_group_size=1)
    with pytest.raises(DataError) as caught:
        build(shop("events.parquet"), silent)
    assert f"{tmp_path / 'events.parquet'}, row {row}: {message}" in str(caught.value)


def test_microseconds_are_no_milliseconds(shop: Write, tmp_path: Path, silent: Progress) -> None:
    write_lines(tmp_path, ["u,a,5,1396867869277000"])
    with pytest.raises(DataError, match="which looks like microseconds"):
        build(shop(unit="ms"), silent)


def test_two_rows_for_one_item(shop: Write, tmp_path: Path, silent: Progress) -> None:
    write_lines(tmp_path, GOOD)
    rows = [*TITLES, ("a", "Apple, red"), ("b", "another")]
    (tmp_path / "items.csv").write_text(delimited(("item", "title"), rows), encoding="utf-8")
    with pytest.raises(DataError, match=r"items\.csv, line 7: item 'b' stands in line 3 with oth"):
        build(shop("events.csv", "items.csv"), silent)
    data = build(shop("events.csv", "items.csv", limit=1), silent)
    assert data.counts["item_lines_repeated"] == 1
    assert data.item_texts[1] == "Title: another."  # the first of the two by their content


# ---- files that are none -------------------------------------------------------------------------


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def parquet_bytes(**columns: Any) -> bytes:
    stream = pa.BufferOutputStream()
    pq.write_table(pa.table(columns), stream)
    return bytes(stream.getvalue())


HEADER = b"user,item,rating,time\n"
LONG = b"".join(b"u%d,a,5,1\n" % n for n in range(20_000))
FILES = {
    "an empty file": ("csv", b"", "the file is empty"),
    "an empty gzip file": ("csv.gz", gzip.compress(b""), "the file is empty"),
    "a header alone": ("csv", HEADER, "holds no events"),
    "a missing column": (
        "csv",
        b"user,item,ratings,time\n",
        "no column 'rating', which the card names: did you mean 'ratings'?",
    ),
    "another delimiter": ("csv", b"user;item;rating;time\nu;a;5;1\n", "no column 'user'"),
    "a column twice": ("csv", b"user,item,user,time\n", "line 1: the column 'user' stands twice"),
    "a header not in utf-8": ("csv", b"us\xe9r,item,rating,time\n", "line 1: not UTF-8"),
    "a header in utf-16": ("csv", "user,item\n".encode("utf-16"), "line 1: not UTF-8"),
    "a header with nul bytes": ("csv", b"user,it\0em,rating,time\n", "line 1: holds a NUL byte"),
    "a quotation mark in the header": ("csv", b'user,"item\n', "damaged, or no table"),
    "a cut gzip file": ("csv.gz", cut(gzip.compress(HEADER + LONG)), "damaged, or no table"),
    "no gzip file": ("csv.gz", HEADER + LONG, "damaged, or no table"),
    "no parquet file": ("parquet", HEADER + LONG, "damaged, or no table"),
    "an empty parquet file": ("parquet", b"", "damaged, or no table"),
    "a cut parquet file": ("parquet", cut(parquet_bytes(user=["u"])), "damaged, or no table"),
    "a missing parquet column": ("parquet", parquet_bytes(usr=["u"]), "did you mean 'usr'?"),
}


@pytest.mark.parametrize("what", FILES)
def test_a_file_that_is_no_such_table(
    shop: Write, tmp_path: Path, silent: Progress, what: str
) -> None:
    suffix, content, message = FILES[what]
    (tmp_path / f"events.{suffix}").write_bytes(content)
    with pytest.raises(DataError) as caught:
        build(shop(f"events.{suffix}", limit=100_000), silent)
    assert str(tmp_path / f"events.{suffix}") in str(caught.value)
    assert message in str(caught.value)


def test_flipped_bytes_in_a_gzip_file_are_noticed(
    shop: Write, tmp_path: Path, silent: Progress
) -> None:
    content = bytearray(gzip.compress(HEADER + LONG))
    content[-8] ^= 1  # the checksum
    (tmp_path / "events.csv.gz").write_bytes(content)
    with pytest.raises(DataError, match=r"events\.csv\.gz: damaged, or no table"):
        build(shop("events.csv.gz"), silent)


def test_a_parquet_column_twice(shop: Write, tmp_path: Path, silent: Progress) -> None:
    arrays = [pa.array(["u"]), pa.array(["a"]), pa.array(["b"])]
    pq.write_table(
        pa.Table.from_arrays(arrays, names=["user", "item", "item"]), tmp_path / "events.parquet"
    )
    with pytest.raises(DataError, match="the column 'item' stands twice"):
        build(shop("events.parquet"), silent)


def test_parquet_texts_that_are_not_utf8(shop: Write, tmp_path: Path, silent: Progress) -> None:
    offsets = pa.py_buffer(b"\0\0\0\0\2\0\0\0")
    broken = pa.StringArray.from_buffers(1, offsets, pa.py_buffer(b"\xff\xfe"))
    pq.write_table(pa.table({"user": broken, "item": ["a"]}), tmp_path / "events.parquet")
    with pytest.raises(DataError, match=r"events\.parquet: damaged, or no table: 'utf-8'"):
        build(shop("events.parquet", columns=("user", "item")), silent)


def test_a_folder_in_place_of_a_file(tmp_path: Path) -> None:
    for name in ("events.csv", "events.parquet"):
        (tmp_path / name).mkdir()
        with pytest.raises(DataError, match=f"cannot read .*{name}"):
            table_rows.column_names(tmp_path / name)


def test_items_without_any_row(shop: Write, tmp_path: Path, silent: Progress) -> None:
    write_lines(tmp_path, GOOD)
    (tmp_path / "items.csv").write_text("item,title\n")
    with pytest.raises(DataError, match=r"items\.csv: the catalogue is empty"):
        build(shop("events.csv", "items.csv"), silent)


# ---- memory --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_rows_are_streamed(
    tmp_path: Path, silent: Progress, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    n_rows, width = 30_000, 300
    monkeypatch.setattr(table_rows, "_ROWS", 500)
    path = tmp_path / f"events.{suffix}"
    rows = [(f"u{n}", f"{n:0{width}d}") for n in range(n_rows)]
    if suffix == "parquet":
        pq.write_table(columns_of(("user", "text"), rows), path, row_group_size=500)
    else:
        content = delimited(("user", "text"), rows).encode()
        path.write_bytes(gzip.compress(content, 1) if suffix == "csv.gz" else content)
    del rows
    table_rows.column_names(path)  # imports
    tracemalloc.start()
    try:
        found = 0
        for _, row in table_rows.each_row(path, ["text"], "rows", Faults(0), silent):
            found += int(row["text"]) == found
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == n_rows
    assert peak < n_rows * width / 4
