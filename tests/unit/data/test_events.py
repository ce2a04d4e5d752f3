from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.card import UserSample
from harness.data.events import (
    DEDUP,
    EventRows,
    Events,
    drop_consecutive,
    drop_global,
    in_time_order,
    keep_sampled_users,
    keep_users_with,
)

Row = tuple[str, str, int, float, str]
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


def table(rows: list[Row]) -> Events:
    collected = EventRows()
    for user, item, time, rating, text in rows:
        collected.add(user, item, time, rating, text)
    return collected.finish()


def plain(events: Events) -> list[tuple[str, str, int, float, int]]:
    return [
        (events.user_ids[user], events.item_ids[item], int(time), float(rating), int(text))
        for user, item, time, rating, text in zip(
            events.users, events.items, events.times, events.ratings, events.texts, strict=True
        )
    ]


def by_hand(rows: list[Row], everywhere: bool) -> list[Row]:
    """Drop duplicates the slow and obvious way, user by user."""
    kept: list[Row] = []
    for user in sorted({row[0] for row in rows}):
        mine = sorted((row for row in rows if row[0] == user), key=lambda row: row[2])
        for position, row in enumerate(mine):
            earlier = mine[:position] if everywhere else mine[max(0, position - 1) : position]
            if row not in earlier:
                kept.append(row)
    return kept


@given(ROWS)
def test_dedup_agrees_with_the_obvious_way(rows: list[Row]) -> None:
    if not rows:
        return
    ordered = in_time_order(table(rows))
    for drop, everywhere in ((drop_consecutive, False), (drop_global, True)):
        expected = [row[:4] for row in by_hand(rows, everywhere)]
        assert [row[:4] for row in plain(drop(ordered))] == expected


@given(ROWS)
def test_dedup_is_idempotent_and_global_drops_at_least_as_much(rows: list[Row]) -> None:
    if not rows:
        return
    ordered = in_time_order(table(rows))
    once = drop_consecutive(ordered)
    assert plain(drop_consecutive(once)) == plain(once)
    assert len(drop_global(ordered)) <= len(once)
    assert plain(DEDUP["none"](ordered)) == plain(ordered)


@pytest.mark.parametrize(
    "other",
    [
        ("v", "a", 1, 5.0, "good"),
        ("u", "b", 1, 5.0, "good"),
        ("u", "a", 2, 5.0, "good"),
        ("u", "a", 1, 4.0, "good"),
        ("u", "a", 1, 5.0, "fine"),
    ],
)
def test_events_that_differ_in_one_field_stay(other: Row) -> None:
    event: Row = ("u", "a", 1, 5.0, "good")
    for drop in (drop_consecutive, drop_global):
        assert len(drop(in_time_order(table([event, other])))) == 2
        assert len(drop(in_time_order(table([event, other, other])))) == 2


def test_a_repeat_with_another_event_between_is_dropped_by_global_only() -> None:
    rows: list[Row] = [("u", "a", 1, 5.0, ""), ("u", "b", 1, 5.0, ""), ("u", "a", 1, 5.0, "")]
    ordered = in_time_order(table(rows))
    assert len(drop_consecutive(ordered)) == 3
    assert len(drop_global(ordered)) == 2


def test_dedup_needs_all_of_its_columns() -> None:
    rows = EventRows()
    rows.add("u", "a", time=1, rating=5.0)
    with pytest.raises(ValueError, match="one of them is absent"):
        drop_consecutive(rows.finish())


@given(ROWS)
def test_order_is_by_user_then_time_then_file(rows: list[Row]) -> None:
    if not rows:
        return
    marked = [(*row[:4], f"{number:03}") for number, row in enumerate(rows)]
    events = in_time_order(table(marked))
    places = [(row[0], row[2], row[4]) for row in plain(events)]
    assert places == sorted(places)


def test_many_equal_times_keep_file_order() -> None:
    rows = EventRows()
    items = [f"{(number * 7919) % 1000:04}" for number in range(1000)]  # a fixed shuffle
    for item in items:
        rows.add("u", item, time=7)
    events = in_time_order(rows.finish())
    assert [events.item_ids[item] for item in events.items] == items


def test_ids_are_sorted_whatever_the_order_of_lines() -> None:
    events = table([("10", "b", 1, 1.0, ""), ("9", "a", 1, 1.0, ""), ("10", "a", 1, 1.0, "")])
    assert events.user_ids == ("10", "9")
    assert events.item_ids == ("a", "b")
    assert events.items.tolist() == [1, 0, 0]


def test_the_filter_counts_what_is_left() -> None:
    events = in_time_order(
        table([("u", "a", t, 1.0, "") for t in range(3)] + [("v", "a", 1, 1.0, "")])
    )
    kept = keep_users_with(events, 3)
    assert {events.user_ids[user] for user in kept.users} == {"u"}
    assert len(keep_users_with(events, 4)) == 0


@given(st.integers(0, 5), st.integers(1, 30), st.randoms(use_true_random=False))
def test_a_sample_depends_on_seed_and_ids_only(seed: int, count: int, random: object) -> None:
    names = [f"user {number}" for number in range(20)]
    sample = UserSample(count=count, fraction=None, seed=seed)

    def drawn(order: list[str]) -> set[str]:
        events = in_time_order(table([(name, "a", 1, 1.0, "") for name in order]))
        return {events.user_ids[user] for user in keep_sampled_users(events, sample).users}

    shuffled = list(names)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert drawn(names) == drawn(shuffled)
    assert len(drawn(names)) == min(count, 20)


def test_a_fraction_keeps_whole_users_and_seeds_differ() -> None:
    rows = [(f"u{number:03}", "a", t, 1.0, "") for number in range(100) for t in range(2)]
    events = in_time_order(table(rows))
    chosen = []
    for seed in (0, 1):
        kept = keep_sampled_users(events, UserSample(count=None, fraction=0.2, seed=seed))
        users, counts = np.unique(kept.users, return_counts=True)
        assert len(users) == 20
        assert set(counts) == {2}
        chosen.append(set(users))
    assert chosen[0] != chosen[1]
    tiny = keep_sampled_users(events, UserSample(count=None, fraction=0.001, seed=0))
    assert len(np.unique(tiny.users)) == 1
