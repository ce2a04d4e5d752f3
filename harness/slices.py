"""Slices: groups of test users, told from the split alone, and a metric's value in each.

A mean over all users hides which of them a method serves. The groups depend on the data and never
on a method, so that every row of a board is cut the same way.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.data.prepared import PreparedData
from harness.data.text import MISSING, item_text
from harness.metrics import mean
from harness.splits import Split, split_data, tested_rows
from harness.stats import mean_test

MIDDLING_FROM = 5
"""Events of the target in training from which it is no longer rare."""

FREQUENT_FROM = 50
"""Events of the target in training from which it is frequent."""

LENGTHS_UP_TO = (5, 10, 20)
"""Longest test history of each group of lengths, in events; the last group is open."""

EVERYONE = "all users"

Members = NDArray[np.bool_]


@dataclass(frozen=True)
class Slice:
    """A group of test users.

    Attributes:
        name: as tables print it.
        what: one sentence that says who is in it.
        members: bool [n_users], in the order of the prepared data set's users.
    """

    name: str
    what: str
    members: Members


@dataclass(frozen=True)
class SliceRow:
    """A metric in one slice.

    Attributes:
        name: the slice.
        n: its users.
        share: its share of all users, 0 to 1.
        mean: the mean over its users; None where it has none.
        low: lower end of the interval of the mean; None where there is no interval.
        high: its upper end.
        reason: why there is no interval; None where there is one.
    """

    name: str
    n: int
    share: float
    mean: float | None
    low: float | None
    high: float | None
    reason: str | None


# ---- who is in which slice -----------------------------------------------------------------------


def slices_of(data: PreparedData) -> tuple[Slice, ...]:
    """Return the slices of a data set's test users, all users first.

    Training is items 1 to n-2 of every user, a test history items 1 to n-1, the target item n.
    Seen or unseen, how often (with unseen), repeat or new, and the lengths are partitions: every
    user is in exactly one slice of each. What a data set cannot tell is left out: texts where no
    item has one, collisions where there are no timestamps.

    Raises:
        DataError: a user has fewer than three events.
    """
    split = split_data(data)
    everyone = np.ones(len(split.test_targets), dtype=np.bool_)
    return (
        Slice(EVERYONE, "Every test user.", everyone),
        *_by_training(split, len(data.item_ids)),
        *_by_repetition(split),
        *_by_length(split),
        *_by_text(data, split.test_targets),
        *_by_time(data),
    )


def _by_training(split: Split, n_items: int) -> tuple[Slice, ...]:
    counts = np.bincount(split.train.items, minlength=n_items)[split.test_targets]
    rare = (counts > 0) & (counts < MIDDLING_FROM)
    middling = (counts >= MIDDLING_FROM) & (counts < FREQUENT_FROM)
    until = f"{MIDDLING_FROM} to {FREQUENT_FROM - 1}"
    occurs = "The target occurs in training"
    return (
        Slice(
            "target unseen in training", "The target is in no user's training part.", counts == 0
        ),
        Slice("target seen in training", "The target is in some user's training part.", counts > 0),
        Slice("rare target", f"{occurs} 1 to {MIDDLING_FROM - 1} times.", rare),
        Slice("middling target", f"{occurs} {until} times.", middling),
        Slice(
            "frequent target", f"{occurs} {FREQUENT_FROM} times or more.", counts >= FREQUENT_FROM
        ),
    )


def _by_repetition(split: Split) -> tuple[Slice, ...]:
    histories, targets = split.test_histories, split.test_targets
    owner = np.repeat(np.arange(len(targets)), histories.lengths)
    repeats = np.zeros(len(targets), dtype=np.bool_)
    repeats[owner[histories.items == targets[owner]]] = True
    last = histories.items[histories.offsets[1:] - 1] == targets
    return (
        Slice("repeat target", "The target occurs in the user's own test history.", repeats),
        Slice("new target", "The target does not occur in the user's own test history.", ~repeats),
        Slice("target is the last item", "The target is the last item of the test history.", last),
    )


def _by_length(split: Split) -> tuple[Slice, ...]:
    # right=True: a group includes its longest
    groups = np.digitize(split.test_histories.lengths, LENGTHS_UP_TO, right=True)
    starts = [last + 1 for last in LENGTHS_UP_TO]
    between = zip(starts, LENGTHS_UP_TO[1:], strict=False)
    ranges = [f"up to {LENGTHS_UP_TO[0]}", *(f"{first} to {last}" for first, last in between)]
    ranges.append(f"more than {LENGTHS_UP_TO[-1]}")
    return tuple(
        Slice(f"history: {name}", f"The test history has {name} events.", groups == group)
        for group, name in enumerate(ranges)
    )


def _by_text(data: PreparedData, targets: NDArray[np.int32]) -> tuple[Slice, ...]:
    """Return the slices of the targets' texts; none where no item has a text.

    The prepared data keep only the rendered text. It tells an item without text by being what the
    card's rules make of no values at all, every attribute ``Unknown``. An item whose source spells
    out ``Unknown`` in every attribute reads the same, to a method as well, and counts as one.
    """
    if not data.card.text:
        return ()
    blank = item_text({}, data.card.text)
    sizes = Counter(data.item_texts)
    if set(sizes) <= {blank}:
        return ()
    without = np.array([text == blank for text in data.item_texts], dtype=np.bool_)
    shared = np.array([sizes[text] > 1 for text in data.item_texts], dtype=np.bool_)
    return (
        Slice(
            "target without text",
            f"The target has no text of its own: all of it reads {MISSING}.",
            without[targets],
        ),
        Slice(
            "target shares its text",
            "Another item has the target's text to the letter, so a method that sees text alone "
            "can only tie them.",
            shared[targets],
        ),
    )


def _by_time(data: PreparedData) -> tuple[Slice, ...]:
    times = data.sequences.timestamps
    if times is None:
        return ()
    ends = data.sequences.offsets[1:]
    rows = tested_rows(data)
    return (
        Slice(
            "timestamp collision",
            "The target has the time of the user's event before it: the order of lines in the "
            "source decided which is the target.",
            (times[ends - 1] == times[ends - 2])[rows],
        ),
    )


# ---- a metric in each of them --------------------------------------------------------------------


def slice_table(
    values: NDArray[np.float64], slices: Sequence[Slice], confidence: float = 0.95
) -> tuple[SliceRow, ...]:
    """Return size, mean and interval of the mean of each slice, in their order.

    Args:
        values: float64 [n_users], a metric's value of every test user, or [n_seeds, n_users]: the
            interval then holds the variance of users and of seeds (`harness.stats.mean_test`).
        slices: of the same users.
        confidence: coverage of each interval, one by one: not corrected for their number.

    Raises:
        ValueError: the values are not one for each user of the slices.
    """
    layout = values[None, :] if values.ndim == 1 else values
    for slice_ in slices:
        if layout.ndim != 2 or slice_.members.shape != layout.shape[1:]:
            raise ValueError(
                f"slice {slice_.name!r} has users {slice_.members.shape}, the values {values.shape}"
            )
    return tuple(_row(slice_.name, layout, slice_.members, confidence) for slice_ in slices)


def _row(
    name: str, layout: NDArray[np.float64], members: Members, confidence: float
) -> SliceRow:  # fmt: skip
    inside = layout[:, members]
    n = inside.shape[1]
    share = n / layout.shape[1] if layout.shape[1] else 0.0
    if n == 0:
        return SliceRow(name, n, share, None, None, None, "no users")
    centre = mean(inside.ravel())
    reason = _why_no_interval(inside)
    if reason is not None:
        return SliceRow(name, n, share, centre, None, None, reason)
    test = mean_test(inside, confidence=confidence)
    if test.reason is not None:
        return SliceRow(name, n, share, centre, None, None, test.reason)
    return SliceRow(name, n, share, centre, test.low, test.high, None)


def _why_no_interval(inside: NDArray[np.float64]) -> str | None:
    if inside.shape[1] < 2:
        return "one user only"
    if np.ptp(inside) == 0.0:
        return "all values are equal"
    return None
