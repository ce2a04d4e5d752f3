"""Who is in which slice, by hand; partitions, by property; the table, by the textbook formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.card import TextAttribute, TextRules
from harness.data.cards import load_card
from harness.data.prepared import PreparedData
from harness.data.text import item_text
from harness.errors import DataError
from harness.histories import Histories
from harness.slices import EVERYONE, Slice, slice_table, slices_of
from harness.stats import paired_tests

SEEN = ("target unseen in training", "target seen in training")
FREQUENCY = (SEEN[0], "rare target", "middling target", "frequent target")
REPEATED = ("repeat target", "new target")
LENGTHS = tuple(
    f"history: {name}" for name in ("up to 5", "6 to 10", "11 to 20", "more than 20")
)  # fmt: skip
TEXT = ("target without text", "target shares its text")
TIME = "timestamp collision"

CARD = load_card("ml-100k")
TEMPLATE = TextRules(
    (TextAttribute("Title", "title", 25, "plain"), TextAttribute("Year", "year", 1, "plain")),
    "unknown",
)
VERBATIM = TextRules((), "unknown", verbatim="text")
NO_TEXTS = TextRules((), "unknown")


def made(
    sequences: Sequence[Sequence[int]],
    rules: TextRules = NO_TEXTS,
    texts: Sequence[str] | None = None,
    times: Sequence[int] | None = None,
) -> PreparedData:
    """Return a data set of these item indices, texts and times of all events."""
    plain = Histories.from_lists(sequences)
    stamps = None if times is None else np.array(times, np.int64)
    n_items = int(plain.items.max(initial=-1)) + 1 if texts is None else len(texts)
    return PreparedData(
        card=replace(CARD, text=rules),
        item_ids=tuple(f"i{item}" for item in range(n_items)),
        item_texts=("",) * n_items if texts is None else tuple(texts),
        user_ids=tuple(f"u{row}" for row in range(len(sequences))),
        sequences=Histories(plain.users, plain.items, plain.offsets, stamps),
        counts={},
        content_hash="none needed",
    )


def members(data: PreparedData) -> dict[str, list[bool]]:
    return {slice_.name: slice_.members.tolist() for slice_ in slices_of(data)}


def users(data: PreparedData, name: str) -> list[int]:
    """Return the users of one slice."""
    return np.flatnonzero(members(data)[name]).tolist()


# ---- who is in which slice -----------------------------------------------------------------------


def test_a_target_is_seen_where_any_user_trains_on_it_and_validation_does_not_count():
    # training 0 1 | 2 3 | 0; validation 4, 5, 1; targets 2 (of the second user), 4 (held out), 6
    data = made([[0, 1, 4, 2], [2, 3, 5, 4], [0, 1, 6]])
    assert users(data, SEEN[0]) == [1, 2]
    assert users(data, SEEN[1]) == [0]


@pytest.mark.parametrize(
    ("times", "expected"),
    [(0, 0), (1, 1), (4, 1), (5, 2), (49, 2), (50, 3), (60, 3)],
)
def test_how_often_the_target_occurs_in_training(times, expected):
    # the second user trains on item 1 as often as asked
    data = made([[0, 0, 1], [0, *[1] * times, 0, 0]])
    found = [name for name in FREQUENCY if 0 in users(data, name)]
    assert found == [FREQUENCY[expected]]


def test_a_repeated_target_counts_the_validation_item_and_no_other_user():
    data = made([[0, 1, 2, 0], [1, 2, 2], [3, 4, 1], [0, 1, 2, 1, 3, 1]])
    assert users(data, "repeat target") == [0, 1, 3]
    assert users(data, "new target") == [2]
    assert users(data, "target is the last item") == [1]


@pytest.mark.parametrize(
    ("length", "expected"), [(2, 0), (5, 0), (6, 1), (10, 1), (11, 2), (20, 2), (21, 3), (90, 3)]
)
def test_length_is_that_of_the_test_history(length, expected):
    data = made([[0] * (length + 1)])
    assert [name for name in LENGTHS if users(data, name)] == [LENGTHS[expected]]


def test_a_target_has_no_text_where_every_attribute_is_unknown():
    values = [{}, {"title": "Up"}, {"year": 1999}, {"title": "", "year": " "}]
    texts = [item_text(item, TEMPLATE) for item in values]
    data = made([[1, 1, item] for item in range(4)], TEMPLATE, texts)
    assert users(data, TEXT[0]) == [0, 3]


def test_a_ready_made_text_that_is_missing_reads_unknown():
    texts = [item_text({"text": text}, VERBATIM) for text in ("Up", None, "Unknown land")]
    data = made([[0, 0, item] for item in range(3)], VERBATIM, texts)
    assert users(data, TEXT[0]) == [1]


def test_a_target_shares_its_text_with_another_item():
    texts = [item_text({"title": title}, TEMPLATE) for title in ("Up", "Up", "up", "Heat")]
    data = made([[0, 0, item] for item in range(4)], TEMPLATE, texts)
    assert users(data, TEXT[1]) == [0, 1]


def test_texts_are_left_out_where_no_item_has_one():
    blank = item_text({}, TEMPLATE)
    for data in (made([[0, 1, 2]]), made([[0, 1, 2]], TEMPLATE, [blank] * 3)):
        assert not set(TEXT) & set(members(data))


def test_a_collision_is_with_the_event_before_the_target_of_the_same_user():
    # the second user's first event collides with the first user's last, which says nothing
    data = made([[0, 1, 2], [0, 1, 2], [0, 1, 2]], times=[1, 5, 5, 5, 6, 7, 8, 8, 9])
    assert users(data, TIME) == [0]


def test_collisions_are_left_out_without_timestamps():
    assert TIME not in members(made([[0, 1, 2]]))


def test_a_history_too_short_for_the_split_is_refused():
    with pytest.raises(DataError, match="leave-one-out"):
        slices_of(made([[0, 1]]))


SEQUENCES = st.lists(st.lists(st.integers(0, 6), min_size=3, max_size=30), max_size=40)


@given(SEQUENCES)
def test_every_partition_holds_every_user_once(sequences):
    found = members(made(sequences))
    for partition in (SEEN, FREQUENCY, REPEATED, LENGTHS, (EVERYONE,)):
        counted = np.sum([found[name] for name in partition], axis=0)
        assert counted.tolist() == [1] * len(sequences)


@given(SEQUENCES)
def test_every_slice_follows_its_definition(sequences):
    times = [position // 2 for row in sequences for position in range(len(row))]
    data = made(sequences, times=times)
    found = members(data)
    trained = [item for row in sequences for item in row[:-2]]
    for user, row in enumerate(sequences):
        *history, target = row
        often = trained.count(target)
        assert found[SEEN[1]][user] == (often > 0)
        assert found["rare target"][user] == (1 <= often <= 4)
        assert found["frequent target"][user] == (often >= 50)
        assert found["repeat target"][user] == (target in history)
        assert found["target is the last item"][user] == (target == history[-1])
        assert found[LENGTHS[1]][user] == (6 <= len(history) <= 10)
        assert found[TIME][user] == (len(history) % 2 == 1)  # 0 0 1 1 2 2 …


def test_names_differ_and_each_slice_says_in_a_sentence_what_it_is():
    texts = [item_text({"title": "Up"}, TEMPLATE)] * 3
    slices = slices_of(made([[0, 1, 2]], TEMPLATE, texts, times=[1, 2, 3]))
    assert len({slice_.name for slice_ in slices}) == len(slices) == 16
    for slice_ in slices:
        assert slice_.what.endswith(".")
        assert slice_.members.dtype == np.bool_


# ---- a metric in each of them --------------------------------------------------------------------


def _slice(*inside: int) -> Slice:
    return Slice("some", "Some users.", np.array(inside, np.bool_))


def test_mean_and_interval_by_hand():
    values = np.array([1.0, 0.0, 3.0, 2.0, 100.0])
    (row,) = slice_table(values, [_slice(1, 1, 1, 1, 0)])
    assert (row.name, row.n, row.share, row.mean, row.reason) == ("some", 4, 0.8, 1.5, None)
    standard_error = math.sqrt(5 / 3) / 2  # variance 5/3 of four values
    assert row.low == pytest.approx(1.5 - 3.18244630528371 * standard_error)
    assert row.high == pytest.approx(1.5 + 3.18244630528371 * standard_error)


def test_seeds_count_in_the_interval_as_users_do():
    values = np.array([[1.0, 0.0, 3.0, 2.0, 9.0], [2.0, 1.0, 5.0, 2.5, 9.0]])
    (row,) = slice_table(values, [_slice(1, 1, 1, 1, 0)])
    one, two = values[0, :4], values[1, :4]
    expected = paired_tests(np.stack([one, two]), np.zeros((2, 4)), resamples=1).t_interval
    assert (row.low, row.high) == pytest.approx(expected)
    assert row.mean == pytest.approx(np.mean([one, two]))


def test_less_confidence_is_a_narrower_interval():
    values = np.array([1.0, 0.0, 3.0, 2.0])
    (row,) = slice_table(values, [_slice(1, 1, 1, 1)], confidence=0.5)
    quantile = 0.76489232840435  # Student's t, 3 degrees of freedom, 75 %
    assert row.high == pytest.approx(1.5 + quantile * math.sqrt(5 / 3) / 2)


@pytest.mark.parametrize(
    ("inside", "mean", "reason"),
    [
        ((0, 0, 0, 0), None, "no users"),
        ((1, 0, 0, 0), 0.0, "one user only"),
        ((1, 1, 0, 0), 0.0, "all values are equal"),
    ],
)
def test_what_cannot_be_told_is_none_with_the_reason(inside, mean, reason):
    (row,) = slice_table(np.array([0.0, 0.0, 1.0, 1.0]), [_slice(*inside)])
    assert (row.n, row.mean, row.low, row.high) == (sum(inside), mean, None, None)
    assert row.reason == reason


def test_a_data_set_without_users_has_no_share():
    (row,) = slice_table(np.array([]), [_slice()])
    assert (row.n, row.share, row.mean) == (0, 0.0, None)


def test_values_of_other_users_are_refused():
    with pytest.raises(ValueError, match="'some' has users"):
        slice_table(np.zeros(3), [_slice(1, 1)])
    with pytest.raises(ValueError, match="'some' has users"):
        slice_table(np.zeros((2, 3)), [_slice(1, 1)])


@given(SEQUENCES.filter(bool))
def test_a_partition_adds_up_to_the_whole(sequences):
    slices = slices_of(made(sequences))
    values = np.random.default_rng(0).random(len(sequences))
    rows = {row.name: row for row in slice_table(values, slices)}
    for partition in (SEEN, FREQUENCY, REPEATED, LENGTHS):
        total = sum(rows[name].n * (rows[name].mean or 0.0) for name in partition)
        assert total == pytest.approx(values.sum())
        assert sum(rows[name].share for name in partition) == pytest.approx(1.0)
