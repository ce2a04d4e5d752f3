"""The paper's layout, truncation, augmentation, windows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import UsageError
from harness.histories import Histories
from methods.calrec.prompts import Template
from methods.calrec.sequences import (
    SequenceMaker,
    drop_newest,
    language_model_windows,
    training_pairs,
)

TEXTS = tuple(f"text-{index}" for index in range(40))
EOS = 0


def by_character(text: str) -> list[int]:
    return [ord(character) for character in text]


def readable(ids: list[int]) -> str:
    return "".join("<eos>" if index == EOS else chr(index) for index in ids)


def maker(
    max_input_tokens: int = 10_000, max_history_items: int | None = None, verb: str = "bought"
) -> SequenceMaker:
    return SequenceMaker(
        Template(verb),
        TEXTS,
        by_character,
        opening_ids=[],
        eos_id=EOS,
        max_input_tokens=max_input_tokens,
        max_history_items=max_history_items,
    )


def test_a_prompt_has_the_layout_of_the_paper() -> None:
    assert readable(maker().prompt(np.array([3, 4]))) == (
        "This is the summary of a user's purchase history. The first item bought is as follows. "
        "text-3\n\nThe next item bought is as follows. text-4\n\n"
        "The next item bought is as follows."
    )


def test_the_verb_of_the_data_set_stands_in_both_item_prefixes() -> None:
    text = readable(maker(verb="watched").prompt(np.array([3, 4])))
    assert text.count("item watched is as follows.") == 3
    assert "bought" not in text


def test_an_empty_history_asks_for_the_first_item() -> None:
    assert readable(maker().prompt(np.array([], dtype=int))) == (
        "This is the summary of a user's purchase history. The first item bought is as follows."
    )


def test_a_pair_has_the_last_item_as_target_after_one_space() -> None:
    pair = maker().pair(np.array([3, 4]))
    assert readable(pair.target) == " text-4<eos>"
    assert pair.prompt == maker().prompt(np.array([3]))


def test_the_beginning_of_sequence_token_comes_first() -> None:
    with_bos = SequenceMaker(
        Template("bought"),
        TEXTS,
        by_character,
        opening_ids=[7],
        eos_id=EOS,
        max_input_tokens=999,
        max_history_items=None,
    )
    assert with_bos.prompt(np.array([1])) == [7, *maker().prompt(np.array([1]))]


@given(
    items=st.lists(st.integers(0, len(TEXTS) - 1), max_size=12),
    room=st.integers(125, 700),
)
def test_a_long_prompt_loses_whole_oldest_items(items: list[int], room: int) -> None:
    ids = maker(room).prompt(np.array(items, dtype=int))
    assert len(ids) <= room
    suffixes = [maker().prompt(np.array(items[start:], dtype=int)) for start in range(len(items))]
    fitting = [suffix for suffix in suffixes if len(suffix) <= room]
    if fitting:
        assert ids == fitting[0]


def test_an_item_too_long_by_itself_is_cut_on_its_left() -> None:
    fixed = len(Template("bought").opening) + len(Template("bought").closing)
    ids = maker(fixed + 3).prompt(np.array([1, 25]))
    opening, closing = Template("bought").opening, Template("bought").closing
    assert readable(ids) == f"{opening}-25{closing}"


def test_a_limit_below_the_fixed_strings_is_refused() -> None:
    with pytest.raises(UsageError, match="max_input_tokens = 50"):
        maker(50)


def test_only_the_newest_items_are_read() -> None:
    limited = maker(max_history_items=2).prompt(np.array([1, 2, 3, 4]))
    assert limited == maker().prompt(np.array([3, 4]))


@given(length=st.integers(2, 12), most=st.integers(0, 6), seed=st.integers(0, 50))
def test_dropping_leaves_two_events(length: int, most: int, seed: int) -> None:
    items = np.arange(length)
    kept = drop_newest(items, np.random.default_rng(seed), most)
    assert max(2, length - most) <= len(kept) <= length
    np.testing.assert_array_equal(kept, items[: len(kept)])


def test_every_number_of_dropped_events_is_about_as_frequent() -> None:
    generator = np.random.default_rng(0)
    kept = [len(drop_newest(np.arange(20), generator, 4)) for _ in range(5000)]
    counts = np.bincount(kept)[16:]
    assert len(counts) == 5
    assert counts.min() > 900


def test_users_without_two_events_have_no_pair() -> None:
    histories = Histories.from_lists([[1], [], [1, 2], [3, 4, 5]])
    pairs = training_pairs(histories, maker(), np.random.default_rng(0), 0)
    assert [readable(pair.target) for pair in pairs] == [" text-2<eos>", " text-5<eos>"]


@given(
    lengths=st.lists(st.integers(0, 23), min_size=1, max_size=4),
    n_items=st.integers(1, 8),
    seed=st.integers(0, 20),
)
def test_windows_hold_every_event_once_and_in_order(
    lengths: list[int], n_items: int, seed: int
) -> None:
    histories = Histories.from_lists([list(range(length)) for length in lengths])
    windows = language_model_windows(histories, maker(), np.random.default_rng(seed), n_items)
    read = []
    for window in windows:
        words = [word for word in readable(window[:-1]).split() if word.startswith("text-")]
        assert 1 <= len(words) <= n_items
        assert readable(window).startswith(Template("bought").opening)
        read += [int(word.removeprefix("text-")) for word in words]
    assert read == [item for length in lengths for item in range(length)]
