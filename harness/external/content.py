"""The three kinds of content, and what must hold of each before a rank is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.external.held_out import HeldOut
from harness.external.wording import first_few, quoted
from harness.ranking import UNRANKED


@dataclass(frozen=True)
class ScoredItems:
    """Scores or ranked lists, one entry per user and item, in any order.

    Attributes:
        users: int64 [n], user indices.
        items: int64 [n], item indices.
        scores: float64 [n], higher is better; None where only the order is known.
        positions: int64 [n], the place in the user's list; None where only scores are known.
    """

    users: NDArray[np.int64]
    items: NDArray[np.int64]
    scores: NDArray[np.float64] | None
    positions: NDArray[np.int64] | None


@dataclass(frozen=True)
class StatedRanks:
    """Ranks that somebody else computed.

    Attributes:
        users: int64 [n], user indices.
        optimistic: int64 [n], from 1; 0 where the target was not recommended.
        pessimistic: int64 [n].
    """

    users: NDArray[np.int64]
    optimistic: NDArray[np.int64]
    pessimistic: NDArray[np.int64]


def check_coverage(users: NDArray[np.int64], held_out: HeldOut) -> None:
    """Refuse what leaves out a test user.

    Args:
        users: int64 [n], the indices of those that are there, each once or more.
        held_out: all that must be there.

    Raises:
        DataError: counts the missing users and names a few.
    """
    names = held_out.users.ids
    missing = np.flatnonzero(np.bincount(users, minlength=len(names)) == 0)
    if len(missing):
        raise DataError(
            f"{len(missing):,} of {len(names):,} test users are missing: "
            f"{first_few(names[user] for user in missing[:10])}; every user of the split must be "
            "there"
        )


def check_once(users: NDArray[np.int64], held_out: HeldOut) -> None:
    """Refuse a user that stands in a file of one row per user twice.

    Raises:
        DataError: counts such users and names a few.
    """
    names = held_out.users.ids
    twice = np.flatnonzero(np.bincount(users, minlength=len(names)) > 1)
    if len(twice):
        raise DataError(
            f"{len(twice):,} users stand there more than once: "
            f"{first_few(names[user] for user in twice[:10])}; give each user one row"
        )


# ---- scores and lists ----------------------------------------------------------------------------


def places_within(users: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return int64 [n], the place of each entry among those of its user, from 0; users sorted."""
    starts = np.flatnonzero(np.diff(users, prepend=-1))
    lengths = np.diff(starts, append=len(users))
    return np.arange(len(users)) - np.repeat(starts, lengths)


def check_scored(found: ScoredItems, held_out: HeldOut) -> None:
    """Refuse lists longer than the catalogue, repeated pairs, NaN and contradictory ranks.

    Raises:
        DataError: names the first user, and the item where there is one.
    """
    _check_lengths(found, held_out)
    _check_pairs(found, held_out)
    if found.scores is not None:
        _check_numbers(found.users, found.items, found.scores, held_out)
    if found.positions is not None:
        _check_positions(found, found.positions, held_out)


def _check_lengths(found: ScoredItems, held_out: HeldOut) -> None:
    lengths = np.bincount(found.users, minlength=1)
    longest = int(np.argmax(lengths))
    if lengths[longest] > len(held_out.items):
        raise DataError(
            f"the list of user {quoted(held_out.users.ids[longest])} has {lengths[longest]:,} "
            f"items, the catalogue {len(held_out.items):,}; give each item once"
        )


def _check_pairs(found: ScoredItems, held_out: HeldOut) -> None:
    n_items = len(held_out.items)
    pairs = np.sort(found.users * n_items + found.items)
    again = pairs[1:][pairs[1:] == pairs[:-1]]
    if len(again):
        user, item = divmod(int(again[0]), n_items)
        raise DataError(
            f"{len(np.unique(again)):,} pairs of a user and an item stand there more than once, "
            f"such as {_pair(user, item, held_out)}; give each pair once"
        )


def _check_numbers(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    scores: NDArray[np.float64],
    held_out: HeldOut,
) -> None:
    bad = np.flatnonzero(np.isnan(scores))
    if len(bad):
        raise not_a_number(int(users[bad[0]]), int(items[bad[0]]), held_out, len(bad))


def not_a_number(user: int, item: int, held_out: HeldOut, count: int | None = None) -> DataError:
    """Return the error for a score that is NaN, of a user and an item by index."""
    several = f", and {count - 1:,} more are" if count is not None and count > 1 else ""
    return DataError(
        f"the score of {_pair(user, item, held_out)} is NaN{several}; scores must be numbers, or "
        "-inf for an item that is not recommended"
    )


def _pair(user: int, item: int, held_out: HeldOut) -> str:
    users, items = held_out.users.ids, held_out.items.ids
    return f"user {quoted(users[user])}, item {quoted(items[item])}"


def _check_positions(
    found: ScoredItems, positions: NDArray[np.int64], held_out: HeldOut
) -> None:  # fmt: skip
    order = np.lexsort((positions, found.users))
    users, stated = found.users[order], positions[order]
    expected = places_within(users) + (0 if (stated == 0).any() else 1)
    wrong = np.flatnonzero(stated != expected)
    if len(wrong):
        at = wrong[0]
        raise DataError(
            f"the ranks of user {quoted(held_out.users.ids[users[at]])} do not count up, each "
            f"once: {stated[at]:,} stands where {expected[at]:,} belongs; number each list from 1 "
            "(or all lists from 0) without gaps"
        )
    if found.scores is not None:
        _check_agreement(users, stated, found.scores[order], held_out)


def _check_agreement(
    users: NDArray[np.int64],
    positions: NDArray[np.int64],
    scores: NDArray[np.float64],
    held_out: HeldOut,
) -> None:
    """Refuse a list, sorted by user and rank, in which a score rises."""
    rising = np.flatnonzero((users[1:] == users[:-1]) & (scores[1:] > scores[:-1])) + 1
    if len(rising):
        at = rising[0]
        raise DataError(
            f"ranks and scores contradict each other for user "
            f"{quoted(held_out.users.ids[users[at]])}: rank {positions[at]:,} has the score "
            f"{scores[at]:g}, the rank before it {scores[at - 1]:g}; sort each list by score, "
            "highest first"
        )


# ---- ranks ---------------------------------------------------------------------------------------


def check_stated(found: StatedRanks, held_out: HeldOut) -> None:
    """Refuse repeated users, ranks outside the catalogue and crossed bounds.

    Raises:
        DataError: names the first user.
    """
    check_once(found.users, held_out)
    low, high, n_items = found.optimistic, found.pessimistic, len(held_out.items)
    missed = (low == UNRANKED) & (high == UNRANKED)
    within = (low >= 1) & (low <= n_items) & (high >= 1) & (high <= n_items)
    _refuse_ranks(
        ~(within | missed), found, held_out,
        f"ranks lie within 1 and {n_items:,}, or are both 0 for a target not recommended",
    )  # fmt: skip
    _refuse_ranks(low > high, found, held_out, "the optimistic rank is never the larger one")


def _refuse_ranks(wrong: NDArray[Any], found: StatedRanks, held_out: HeldOut, rule: str) -> None:
    rows = np.flatnonzero(wrong)
    if len(rows):
        row = rows[0]
        user = held_out.users.ids[found.users[row]]
        raise DataError(
            f"user {quoted(user)} has the optimistic rank {found.optimistic[row]} and the "
            f"pessimistic rank {found.pessimistic[row]}, and {len(rows) - 1:,} more are wrong "
            f"likewise; {rule}"
        )
