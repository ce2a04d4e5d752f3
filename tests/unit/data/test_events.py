from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.data import events
from harness.data.card import DEDUPS, UserSample
from harness.data.cards import load_card
from harness.data.event_batches import EventBatch, OrderedEvents, joined
from harness.data.events import MEMORY_MB, EventTable
from harness.data.prepare import build, prepare, prepared_folder
from harness.data.readers import rows as row_by_row
from harness.data.readers.rows import EventRows
from harness.progress import Progress

ROOT = Path(__file__).resolve().parents[3]
Row = tuple[str, str, int, float, str]
Plain = list[tuple[str, str, int]]
ROWS = st.lists(
    st.tuples(
        st.sampled_from("uvw"),
        st.sampled_from("abc"),
        st.integers(0, 2),
        st.sampled_from([1.0, 5.0]),
        st.sampled_from(["", "good"]),
    ),
    max_size=40,
)
FEWER = settings(max_examples=25)  # a database for each


def batch(rows: Sequence[Row]) -> EventBatch:
    return EventBatch(
        users=[row[0] for row in rows],
        items=[row[1] for row in rows],
        times=np.array([row[2] for row in rows], np.int64),
        ratings=np.array([row[3] for row in rows], np.float64),
        texts=[row[4] for row in rows],
    )


@contextlib.contextmanager
def table_of(*batches: EventBatch, memory_mb: int = MEMORY_MB) -> Any:
    """A table that has read everything."""
    with EventTable(memory_mb=memory_mb) as table:
        for part in batches:
            table.append(part)
        table.close_reading()
        yield table


def plain(found: OrderedEvents) -> Plain:
    times = [0] * len(found) if found.times is None else found.times.tolist()
    return [
        (found.user_ids[user], found.item_ids[item], time)
        for user, item, time in zip(found.users, found.items, times, strict=True)
    ]


def by_hand(rows: list[Row], rule: str) -> Plain:
    """Drop duplicates the slow and obvious way, user by user."""
    kept: Plain = []
    for user in sorted({row[0] for row in rows}):
        mine = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        for position, row in enumerate(mine):
            earlier = {
                "none": [],
                "consecutive": mine[max(0, position - 1) : position],
                "global": mine[:position],
            }[rule]
            if row not in earlier:
                kept.append(row[:3])
    return kept


# ---- duplicates --------------------------------------------------------------------------------


@FEWER
@given(ROWS)
def test_dedup_agrees_with_the_obvious_way(rows: list[Row]) -> None:
    for rule in DEDUPS:
        with table_of(batch(rows)) as table:
            table.deduplicate(rule)
            expected = by_hand(rows, rule)
            assert plain(table.ordered()) == expected
            assert table.n_events == len(expected)
            assert table.n_read == len(rows)
            assert table.n_users == len({row[0] for row in rows})


@FEWER
@given(ROWS)
def test_dedup_is_idempotent_and_global_drops_at_least_as_much(rows: list[Row]) -> None:
    with table_of(batch(rows)) as table:
        table.deduplicate("consecutive")
        once = plain(table.ordered())
        table.deduplicate("none")
        table.deduplicate("consecutive")
        assert plain(table.ordered()) == once
        table.deduplicate("global")
        everywhere = plain(table.ordered())
        assert everywhere == by_hand(rows, "global")  # whatever was dropped before
        assert len(everywhere) <= len(once)
        for rule in ("global", "consecutive"):
            table.deduplicate(rule)
            assert plain(table.ordered()) == everywhere


@pytest.mark.parametrize(
    "other",
    [
        ("v", "a", 1, 5.0, "good"),
        ("u", "b", 1, 5.0, "good"),
        ("u", "a", 2, 5.0, "good"),
        ("u", "a", 1, 4.0, "good"),
        ("u", "a", 1, 5.0, "fine"),
        ("u", "a", 1, 5.0, "good "),
        ("u", "a", 1, 5.0, ""),
    ],
)
@pytest.mark.parametrize("rule", ["consecutive", "global"])
def test_events_that_differ_in_one_field_stay(other: Row, rule: str) -> None:
    event: Row = ("u", "a", 1, 5.0, "good")
    for rows in ([event, other], [event, other, other], [event, event, other]):
        with table_of(batch(rows)) as table:
            table.deduplicate(rule)
            assert table.n_events == 2


@pytest.mark.parametrize(("rule", "left"), [("consecutive", 3), ("global", 2), ("none", 3)])
def test_a_repeat_with_another_event_between_is_dropped_by_global_only(
    rule: str, left: int
) -> None:
    rows: list[Row] = [("u", "a", 1, 5.0, ""), ("u", "b", 1, 5.0, ""), ("u", "a", 1, 5.0, "")]
    with table_of(batch(rows)) as table:
        table.deduplicate(rule)
        assert table.n_events == left


@pytest.mark.parametrize("rule", ["consecutive", "global"])
def test_another_users_event_between_in_the_file_does_not_hide_a_repeat(rule: str) -> None:
    rows: list[Row] = [("u", "a", 1, 5.0, ""), ("v", "b", 1, 5.0, ""), ("u", "a", 1, 5.0, "")]
    with table_of(batch(rows)) as table:
        table.deduplicate(rule)
        assert plain(table.ordered()) == [("u", "a", 1), ("v", "b", 1)]


def test_a_long_run_of_equal_events_keeps_one() -> None:
    rows: list[Row] = [("u", "a", 1, 5.0, "good")] * 5000
    for rule in ("consecutive", "global"):
        with table_of(batch(rows)) as table:
            table.deduplicate(rule)
            assert table.n_events == 1


def test_the_sign_of_a_zero_rating_makes_no_difference() -> None:
    rows: list[Row] = [("u", "a", 1, 0.0, ""), ("u", "a", 1, -0.0, "")]
    for rule in ("consecutive", "global"):
        with table_of(batch(rows)) as table:
            table.deduplicate(rule)
            assert table.n_events == 1


@pytest.mark.parametrize("absent", ["times", "ratings", "texts"])
@pytest.mark.parametrize("rule", ["consecutive", "global"])
def test_dedup_needs_all_of_its_columns(absent: str, rule: str) -> None:
    columns: dict[str, Any] = {
        "times": np.array([1, 1]),
        "ratings": np.array([5.0, 5.0]),
        "texts": ["x", "x"],
    }
    with table_of(EventBatch(["u", "u"], ["a", "a"], **(columns | {absent: None}))) as table:
        with pytest.raises(ValueError, match="one of them is absent"):
            table.deduplicate(rule)
        table.deduplicate("none")
        assert table.n_events == 2


# ---- order -------------------------------------------------------------------------------------


@FEWER
@given(ROWS)
def test_order_is_by_user_then_time_then_file(rows: list[Row]) -> None:
    marked: list[Row] = [
        (user, f"{place:03}", time, rating, text)
        for place, (user, _, time, rating, text) in enumerate(rows)
    ]
    with table_of(batch(marked)) as table:
        found = plain(table.ordered())
    expected = [(user, item, time) for user, item, time, *_ in marked]
    assert found == sorted(expected, key=lambda event: (event[0], event[2], event[1]))


@pytest.mark.parametrize("with_times", [True, False])
def test_many_equal_times_keep_file_order(with_times: bool) -> None:
    items = [f"{(number * 7919) % 1000:04}" for number in range(1000)]  # a fixed shuffle
    times = np.full(1000, 7) if with_times else None
    with table_of(EventBatch(["u"] * 1000, items, times)) as table:
        found = table.ordered()
    assert [found.item_ids[item] for item in found.items] == items
    assert (found.times is not None) is with_times


def test_ids_are_sorted_whatever_the_order_of_lines() -> None:
    rows: list[Row] = [("10", "b", 1, 1.0, ""), ("9", "a", 1, 1.0, ""), ("10", "a", 1, 1.0, "")]
    with table_of(batch(rows)) as table:
        found = table.ordered()
    assert found.user_ids == ("10", "9")
    assert found.item_ids == ("a", "b")
    assert found.items.tolist() == [1, 0, 0]
    assert found.users.dtype == found.items.dtype == np.int32


STRANGE_IDS = [
    *("a", "a\0", "a\0b", "\0", "\0\0", "a\x01", "é", "e\u0301", "E", "z", "\u2028", "\uffff"),
    *("\U00010000", "\U0010ffff", "a" * 12, "a" * 12 + "\0", "a" * 13, "x" * 100_000),
    *("x" * 100_000 + "y", " ", "-1", "NULL", "'", '"', "\\", "\n"),
]


@FEWER
@given(st.lists(st.text(min_size=1, max_size=20), min_size=1, max_size=30))
def test_ids_of_any_characters_are_sorted_by_code_point(names: list[str]) -> None:
    with table_of(EventBatch(names, names[::-1])) as table:
        found = table.ordered()
    assert found.user_ids == found.item_ids == tuple(sorted(set(names)))
    assert plain(found) == sorted(
        [(user, item, 0) for user, item in zip(names, names[::-1], strict=True)],
        key=lambda event: event[0],
    )


@pytest.mark.parametrize("seed", range(3))
def test_strange_and_very_long_ids_are_sorted_by_code_point(seed: int) -> None:
    names = list(STRANGE_IDS)
    random.Random(seed).shuffle(names)
    with table_of(EventBatch(names, names[::-1])) as table:
        found = table.ordered()
    assert found.user_ids == found.item_ids == tuple(sorted(names))
    back = names[::-1]
    assert [found.item_ids[item] for item in found.items] == [
        back[names.index(user)] for user in sorted(names)
    ]


# ---- filter and sample -------------------------------------------------------------------------


def test_the_filter_counts_what_is_left() -> None:
    rows: list[Row] = [("u", "a", t, 1.0, "") for t in range(3)] + [("v", "b", 1, 1.0, "")]
    with table_of(batch(rows)) as table:
        table.keep_users_with(1)
        assert table.n_users == 2
        table.keep_users_with(3)
        assert plain(table.ordered()) == [("u", "a", t) for t in range(3)]
        table.keep_users_with(4)
        assert table.n_events == table.n_users == len(table.ordered()) == 0
        assert table.ordered().user_ids == ()


@FEWER
@given(ROWS, st.integers(1, 6))
def test_the_filter_agrees_with_the_obvious_way(rows: list[Row], minimum: int) -> None:
    users = [row[0] for row in rows]
    expected = [row for row in by_hand(rows, "none") if users.count(row[0]) >= minimum]
    with table_of(batch(rows)) as table:
        table.keep_users_with(minimum)
        assert plain(table.ordered()) == expected
        assert table.n_read == len(rows)


def test_numbers_have_no_gaps_after_users_are_dropped() -> None:
    rows: list[Row] = [("b", "only b's", 1, 1.0, "")]
    for user, item in (("a", "z"), ("c", "m"), ("c", "a")):
        rows += [(user, item, t, 1.0, "") for t in range(3)]
    with table_of(batch(rows)) as table:
        table.keep_users_with(3)
        found = table.ordered()
    assert found.user_ids == ("a", "c")
    assert found.item_ids == ("a", "m", "z")
    assert np.unique(found.users).tolist() == [0, 1]
    assert np.unique(found.items).tolist() == [0, 1, 2]


def sampled(names: list[str], sample: UserSample) -> tuple[str, ...]:
    with table_of(EventBatch(names, ["a"] * len(names))) as table:
        table.keep_sampled_users(sample)
        return table.ordered().user_ids


@FEWER
@given(st.integers(0, 5), st.integers(1, 30), st.randoms(use_true_random=False))
def test_a_sample_depends_on_seed_and_ids_only(seed: int, count: int, random: Any) -> None:
    names = [f"user {number}" for number in range(20)]
    sample = UserSample(count=count, fraction=None, seed=seed)
    shuffled = names * 2
    random.shuffle(shuffled)
    drawn = sampled(names, sample)
    assert sampled(shuffled, sample) == drawn
    by_digest = sorted(names, key=lambda name: hashlib.sha256(f"{seed}\0{name}".encode()).digest())
    assert drawn == tuple(sorted(by_digest[:count]))
    assert len(drawn) == min(count, 20)


def test_a_sample_is_drawn_from_those_who_still_have_events() -> None:
    rows = [(f"u{n}", "a", t, 1.0, "") for n in range(20) for t in range(1 + n % 2)]
    with table_of(batch(rows)) as table:
        table.keep_users_with(2)
        table.keep_sampled_users(UserSample(count=10, fraction=None, seed=0))
        assert table.n_users == 10
        assert table.n_events == 20


def test_a_fraction_keeps_whole_users_and_seeds_differ() -> None:
    rows: list[Row] = [(f"u{number:03}", "a", t, 1.0, "") for number in range(100) for t in (0, 1)]
    chosen = []
    for seed in (0, 1):
        with table_of(batch(rows)) as table:
            table.keep_sampled_users(UserSample(count=None, fraction=0.2, seed=seed))
            found = table.ordered()
        assert np.unique(found.users, return_counts=True)[1].tolist() == [2] * 20
        chosen.append(found.user_ids)
    assert chosen[0] != chosen[1]


@pytest.mark.parametrize(
    ("fraction", "users"), [(0.001, 1), (0.2, 20), (0.206, 21), (0.204, 20), (1.0, 100)]
)
def test_a_fraction_is_rounded_to_whole_users_and_at_least_one(fraction: float, users: int) -> None:
    names = [f"u{number:03}" for number in range(100)]
    drawn = sampled(names, UserSample(count=None, fraction=fraction, seed=0))
    assert len(drawn) == users


# ---- batches -----------------------------------------------------------------------------------


def many(n: int, seed: int = 0) -> list[Row]:
    """Rows with many ties and many duplicates, always the same."""
    draw = random.Random(seed)
    rows = []
    while len(rows) < n:
        user, item = f"user {draw.randrange(50)}", f"item {draw.randrange(30)}"
        row = (user, item, draw.randrange(4), draw.choice([1.0, 5.0]), draw.choice(["", "x"]))
        rows += [row] * draw.choice([1, 1, 2])
    return rows[:n]


@pytest.mark.parametrize("at_once", [1, 3, 64, 200_000])
@pytest.mark.parametrize("sizes", [[1] * 300, [300], [0, 7, 0, 200, 93], [299, 1], [50] * 6])
def test_batches_of_any_size_give_the_same(
    monkeypatch: pytest.MonkeyPatch, sizes: list[int], at_once: int
) -> None:
    monkeypatch.setattr(events, "_ROWS_AT_ONCE", at_once)
    rows = many(300)
    ends = np.cumsum(sizes)
    parts = [batch(rows[end - size : end]) for size, end in zip(sizes, ends, strict=True)]
    with table_of(*parts) as table:
        assert table.n_read == 300
        assert plain(table.ordered()) == by_hand(rows, "none")
        table.deduplicate("consecutive")
        assert plain(table.ordered()) == by_hand(rows, "consecutive")


@pytest.mark.parametrize("at_once", [1, 7, 50_000])
def test_rows_one_by_one_give_the_same(monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    monkeypatch.setattr(row_by_row, "_ROWS", at_once)
    rows = many(300)
    with EventTable() as table:
        with EventRows(table) as collected:
            for row in rows:
                collected.add(*row)
        table.close_reading()
        table.deduplicate("global")
        assert plain(table.ordered()) == by_hand(rows, "global")


def test_rows_of_a_failed_reading_are_not_handed_on() -> None:
    with EventTable() as table:
        with pytest.raises(ZeroDivisionError), EventRows(table) as collected:
            collected.add("u", "a", 1)
            raise ZeroDivisionError
        assert table.n_read == 0


def test_n_read_counts_what_waits_and_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_ROWS_AT_ONCE", 4)
    with EventTable() as table:
        for n in range(1, 11):
            table.append(EventBatch(["u"], ["a"]))
            assert table.n_read == n


@pytest.mark.parametrize(
    ("first", "then"),
    [
        ({"times": np.array([1])}, {}),
        ({}, {"times": np.array([1])}),
        ({"times": np.array([1])}, {"times": np.array([1]), "ratings": np.array([1.0])}),
        ({"texts": ["x"]}, {"ratings": np.array([1.0])}),
    ],
)
def test_all_batches_have_the_same_columns(first: dict[str, Any], then: dict[str, Any]) -> None:
    with EventTable() as table:
        table.append(EventBatch(["u"], ["a"], **first))
        table.append(EventBatch([], []))  # nothing is not other
        with pytest.raises(ValueError, match="the same optional columns"):
            table.append(EventBatch(["u"], ["a"], **then))


def test_a_table_without_events_goes_through_all_steps() -> None:
    with table_of() as table:
        table.deduplicate("global")
        table.keep_users_with(3)
        table.keep_sampled_users(UserSample(count=3, fraction=None, seed=0))
        found = table.ordered()
    assert len(found) == 0
    assert found.user_ids == found.item_ids == ()


def test_extreme_values_survive() -> None:
    times = [-(2**63), 2**63 - 1, 0]
    ratings, texts = np.array([-1e308, 5e-324, 1.0]), ["", "\0", "\U0010ffff" * 100]
    with table_of(EventBatch(["u"] * 3, list("abc"), np.array(times), ratings, texts)) as table:
        table.deduplicate("global")
        assert plain(table.ordered()) == [("u", "a", times[0]), ("u", "c", 0), ("u", "b", times[1])]


def test_texts_are_told_apart_to_the_last_character() -> None:
    texts = [
        "",
        "\0",
        "\0\0",
        "a",
        "a\0",
        "A",
        "a ",
        "\u00e9",
        "e\u0301",
        "x" * 10_000,
        "x" * 9_999,
    ]
    rows: list[Row] = [("u", "a", 1, 5.0, text) for text in texts for _ in range(2)]
    with table_of(batch(rows)) as table:
        table.deduplicate("global")
        assert table.n_events == len(texts)


def test_batches_joined_are_one_batch() -> None:
    rows: list[Row] = [("u", "a", 1, 5.0, "x"), ("v", "b", 2, 1.0, ""), ("u", "c", 0, 2.0, "y")]
    whole, parts = batch(rows), joined([batch(rows[:1]), batch(rows[1:])])
    assert (parts.users, parts.items, parts.texts) == (whole.users, whole.items, whole.texts)
    np.testing.assert_array_equal(parts.times, whole.times)
    np.testing.assert_array_equal(parts.ratings, whole.ratings)
    assert len(joined([])) == 0
    assert joined([EventBatch(["u"], ["a"])]).present == (False, False, False)
    with pytest.raises(ValueError, match="same optional columns"):
        joined([whole, EventBatch(["u"], ["a"])])


# ---- the database ------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["done", "error", "of the database"])
def test_the_database_is_deleted_at_the_end(tmp_path: Path, how: str) -> None:
    place = tmp_path / "not there yet" / "cache"
    error: type[Exception] = ValueError if how == "error" else Exception
    with contextlib.nullcontext() if how == "done" else pytest.raises(error):  # noqa: SIM117
        with EventTable(place) as table:
            table.append(batch(many(100)))
            table.close_reading()
            (folder,) = place.iterdir()
            assert (folder / "events.duckdb").is_file()
            if how == "error":
                raise ValueError
            if how == "of the database":
                table._base.execute("SELECT no_such_column FROM events")
    assert list(place.iterdir()) == []


def test_the_database_stands_among_temporary_files_by_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with EventTable():
        assert [path.name.startswith(".events-") for path in tmp_path.iterdir()] == [True]
    assert list(tmp_path.iterdir()) == []


N_LARGE = 250_000


@pytest.fixture(scope="module")
def large() -> tuple[list[EventBatch], dict[str, Plain]]:
    """Many events, in batches, and what is left of them by each rule."""
    draw = np.random.default_rng(0)
    users, items = draw.integers(0, 40_000, N_LARGE), draw.integers(0, 9_000, N_LARGE)
    times, texts = draw.integers(0, 3, N_LARGE), draw.integers(0, 2, N_LARGE)
    repeats = draw.random(N_LARGE) < 0.3
    for column in (users, items, times, texts):
        column[1:][repeats[1:]] = column[:-1][repeats[1:]]
    batches = []
    for part in np.array_split(np.arange(N_LARGE), 7):
        batches.append(
            EventBatch(
                [f"user with a long name {user:07}" for user in users[part]],
                [f"item with a long name {item:07}" for item in items[part]],
                times[part],
                np.full(len(part), 5.0),
                [str(text) for text in texts[part]],
            )
        )
    order = np.lexsort((np.arange(N_LARGE), times, users))
    rows = np.stack([column[order] for column in (users, items, times, texts)], axis=1)
    first = np.append(True, (rows[1:] != rows[:-1]).any(axis=1))
    once = np.unique(rows, axis=0, return_index=True)[1]
    kept = {"none": rows, "consecutive": rows[first], "global": rows[np.sort(once)]}
    return batches, {rule: _named(left) for rule, left in kept.items()}


def _named(rows: Any) -> Plain:
    return [
        (f"user with a long name {user:07}", f"item with a long name {item:07}", time)
        for user, item, time, _ in rows.tolist()
    ]


@pytest.mark.parametrize(
    ("threads", "memory_mb", "rule"),
    [
        ("1", MEMORY_MB, "consecutive"),
        ("2", MEMORY_MB, "global"),
        ("4", MEMORY_MB, "none"),
        ("4", MEMORY_MB, "consecutive"),
        ("1", 30, "global"),
        ("2", 30, "consecutive"),
        ("2", 30, "none"),
    ],
)
def test_neither_threads_nor_memory_change_the_result(
    large: tuple[list[EventBatch], dict[str, Plain]],
    monkeypatch: pytest.MonkeyPatch,
    threads: str,
    memory_mb: int,
    rule: str,
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", threads)
    batches, left = large
    with table_of(*batches, memory_mb=memory_mb) as table:
        assert table._number("SELECT current_setting('threads')") == int(threads)
        table.deduplicate(rule)
        assert plain(table.ordered()) == left[rule]
        spilled = Path(table._place.name) / "spill"
        assert spilled.is_dir() is (memory_mb < MEMORY_MB)  # it did not fit, or it did


def test_ctrl_c_during_a_query_is_ctrl_c() -> None:
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    try:
        with pytest.raises(KeyboardInterrupt), table_of(batch(many(10))) as table:
            timer.start()
            table._number("SELECT sum(a.range * b.range) FROM range(10000000) a, range(1000000) b")
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, former)


# ---- a disk that fills -------------------------------------------------------------------------

PREPARING = """
import resource, sys
from pathlib import Path
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import DataError
from harness.progress import Progress
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
try:
    prepare(load_card(sys.argv[2]), Path(sys.argv[3]), Progress(shown=False))
except DataError as error:
    print(error)
    sys.exit(3)
"""
TABLE = """
import random, resource, sys
from pathlib import Path
import numpy as np
from harness.data.events import EventBatch, EventTable
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
ids = [number.to_bytes(16, "little").hex() for number in range(0, 2**120, 2**120 // 300_000)]
random.Random(0).shuffle(ids)
try:
    with EventTable(Path(sys.argv[2])) as table:
        table.append(EventBatch(ids, ids[::-1], np.arange(len(ids))))
        table.close_reading()
        table.keep_users_with(1)
        table.ordered()
except OSError as error:
    print(error.strerror)
    sys.exit(3)
"""


def json_lines(rows: Sequence[Any]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in rows).encode()


def run_limited(code: str, limit: int, *arguments: object) -> tuple[int, str]:
    """Run Python in which no file may become longer than ``limit`` bytes; return code, output."""
    command = [sys.executable, "-c", code, str(limit), *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("limit", "reason"),
    [
        (2_000, r"the event table cannot be written \(IO Error.*File too large\)"),
        (50_000, r"the event table cannot be written \(.*Failed to commit.*File too large\)"),
        (900_000, "File too large"),  # the table of items, whose texts are long
    ],
)
def test_a_disk_that_fills_is_named_and_leaves_nothing_finished(
    write_card: Callable[..., str], silent: Progress, tmp_path: Path, limit: int, reason: str
) -> None:
    draw = random.Random(0)
    ids = [f"item {n}" for n in range(300)]
    reviews = [
        {
            "reviewerID": f"user {draw.randrange(300)}",
            "asin": draw.choice(ids),
            "overall": 5,
            "unixReviewTime": day,
            "reviewText": str(day),
        }
        for day in range(3000)
    ]
    items = [
        {"asin": item, "title": " ".join(draw.randbytes(500).hex() for _ in "1234"), "price": ""}
        for item in ids
    ]
    sources = {"events": json_lines(reviews), "items": json_lines(items)}
    path = write_card("amazon-2018", dedup="consecutive", **sources)
    card, cache = load_card(path), tmp_path / "cache"
    code, said = run_limited(PREPARING, limit, path, cache)
    assert code == 3, said
    where = re.escape(str(prepared_folder(card, cache)))
    assert re.fullmatch(
        f"data set small: cannot keep it in {where}: {reason}; free some space there or choose "
        "another folder; nothing unfinished was kept\n",
        said,
    )
    assert [path.name for path in cache.rglob("*") if path.suffix != ".lock"] == []
    assert prepare(card, cache, silent).content_hash == build(card, silent).content_hash


@pytest.mark.parametrize("limit", [100_000, 1_000_000, 10_000_000, 20_000_000])
def test_a_disk_that_fills_under_many_events(tmp_path: Path, limit: int) -> None:
    code, said = run_limited(TABLE, limit, tmp_path)
    assert code == 3
    assert re.fullmatch(r"the event table cannot be written \(.*: File too large\)\n", said)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error",
    [
        duckdb.IOException("IO Error: no space\nand a page of advice"),
        duckdb.OutOfMemoryException("IO Error: no space"),
        duckdb.TransactionException("IO Error: no space"),
        duckdb.FatalException("IO Error: no space"),
    ],
)
def test_what_the_system_refuses_is_an_os_error_in_one_line(error: Exception) -> None:
    with pytest.raises(OSError, match="cannot be written") as caught, EventTable():
        raise error
    assert caught.value.strerror == "the event table cannot be written (IO Error: no space)"
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [duckdb.BinderException("x"), RuntimeError("x"), ValueError("x"), KeyboardInterrupt()]
)
def test_other_errors_stay_what_they_are(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught, EventTable():
        raise error
    assert caught.value is error
