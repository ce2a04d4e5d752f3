"""From scores, lists or stated ranks to the two ranks of every test user."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.external.content import (
    ScoredItems,
    StatedRanks,
    check_coverage,
    check_scored,
    check_stated,
    not_a_number,
    places_within,
)
from harness.external.held_out import HeldOut
from harness.histories import FloatArray
from harness.ranking import TOP_K, UNRANKED, NotANumberError, TargetRanks, rank_targets

Content = Literal["scores", "ranked lists", "ranks"]


@dataclass(frozen=True)
class Ranked:
    """What a file comes to.

    Attributes:
        ranks: of every test user, in the order of their indices.
        content: what the file held.
        ties: "scores" (equal scores tie), "none" (a rank alone) or "stated" (by the ranks).
        mean_list_length: items recommended per user; None where only ranks are known.
    """

    ranks: TargetRanks
    content: Content
    ties: Literal["scores", "none", "stated"]
    mean_list_length: float | None

    @property
    def targets_not_listed(self) -> int:
        """How many users' targets were not recommended: a miss in every metric."""
        return int((self.ranks.optimistic == UNRANKED).sum())


def no_ranks(n_users: int) -> TargetRanks:
    """Return ranks of users of whom nothing is known: a miss, and no items ranked first."""
    return TargetRanks(
        optimistic=np.full(n_users, UNRANKED, np.int32),
        pessimistic=np.full(n_users, UNRANKED, np.int32),
        top=np.full((n_users, TOP_K), -1, np.int32),
    )


def rank_stated(found: StatedRanks, held_out: HeldOut) -> Ranked:
    """Check stated ranks and bring them into the users' order.

    Raises:
        DataError: users are missing or repeated, or ranks impossible.
    """
    check_coverage(found.users, held_out)
    check_stated(found, held_out)
    ranks = no_ranks(len(held_out.users))
    ranks.optimistic[found.users] = found.optimistic
    ranks.pessimistic[found.users] = found.pessimistic
    return Ranked(ranks, "ranks", "stated", None)


# ---- lists ---------------------------------------------------------------------------------------


def rank_scored(found: ScoredItems, held_out: HeldOut) -> Ranked:
    """Check scored items and rank each user's target among them, without a matrix.

    The caller has checked that every user is covered: a list may be empty.

    Raises:
        DataError: repeated pairs, NaN, or ranks that no list can have.
    """
    check_scored(found, held_out)
    scores = found.scores
    if scores is None:
        if found.positions is None:
            raise ValueError("scored items need scores or positions")
        scores = -found.positions.astype(np.float64)
    ranks = _rank_pairs(found.users, found.items, scores, held_out)
    return Ranked(
        ranks,
        "scores" if found.positions is None else "ranked lists",
        "none" if found.scores is None else "scores",
        float((scores > -np.inf).sum()) / len(held_out.users),
    )


def _rank_pairs(
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    scores: NDArray[np.float64],
    held_out: HeldOut,
) -> TargetRanks:
    """Rank by counting: 1 + items above the target; of equal ones, all stand before it at worst."""
    n_users = len(held_out.users)
    ranks = no_ranks(n_users)
    of_target = np.full(n_users, -np.inf)
    is_target = items == held_out.targets[users]
    of_target[users[is_target]] = scores[is_target]
    listed = of_target > -np.inf
    above = np.bincount(users[scores > of_target[users]], minlength=n_users)
    equal = np.bincount(users[scores == of_target[users]], minlength=n_users)
    ranks.optimistic[listed] = 1 + above[listed]
    ranks.pessimistic[listed] = (above + equal)[listed]  # `equal` counts the target itself
    _fill_top(ranks.top, users, items, scores)
    return ranks


def _fill_top(
    top: NDArray[np.int32],
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    scores: NDArray[np.float64],
) -> None:
    """Fill in the items scored highest; equal scores stand in the order of item indices."""
    kept = scores > -np.inf
    users, items, scores = users[kept], items[kept], scores[kept]
    order = np.lexsort((items, -scores, users))
    users, items = users[order], items[order]
    places = places_within(users)
    first = places < top.shape[1]
    top[users[first], places[first]] = items[first]


# ---- matrices ------------------------------------------------------------------------------------


def rank_matrix(
    blocks: Iterable[FloatArray],
    users: NDArray[np.int64],
    items: NDArray[np.int64],
    held_out: HeldOut,
) -> Ranked:
    """Rank the targets in a matrix of scores that comes in blocks of rows.

    Args:
        blocks: float32 or float64 [block, n_columns], all rows in order.
        users: int64 [n_rows], the user of each row; all test users, each once.
        items: int64 [n_columns], the item of each column, each once; others are not recommended.
        held_out: the targets.

    Raises:
        DataError: a NaN, naming user and item.
    """
    order = np.argsort(items)
    by_index = items[order]
    sorted_already = np.array_equal(by_index, items)
    column_of = np.full(len(held_out.items), -1, np.int64)
    column_of[by_index] = np.arange(len(items))
    ranks, start, listed = no_ranks(len(held_out.users)), 0, 0
    for block in blocks:
        rows = users[start : start + len(block)]
        scores = block if sorted_already else block[:, order]
        _rank_block(scores, rows, by_index, column_of[held_out.targets[rows]], ranks, held_out)
        start += len(block)
        listed += int((block > -np.inf).sum())
    return Ranked(ranks, "scores", "scores", listed / len(held_out.users))


def _rank_block(
    scores: FloatArray,
    rows: NDArray[np.int64],
    items: NDArray[np.int64],
    columns: NDArray[np.int64],
    ranks: TargetRanks,
    held_out: HeldOut,
) -> None:
    """Rank one block; a target without a column (-1) stays a miss."""
    try:
        found = rank_targets(scores, np.maximum(columns, 0))
    except NotANumberError as error:
        user, item = int(rows[error.row]), int(items[error.column])
        raise not_a_number(user, item, held_out) from error
    there = columns >= 0
    ranks.optimistic[rows[there]] = found.optimistic[there]
    ranks.pessimistic[rows[there]] = found.pessimistic[there]
    ranks.top[rows] = np.where(found.top >= 0, items[found.top], -1)
