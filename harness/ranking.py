"""Optimistic and pessimistic ranks of the targets, in one pass over the scores, without sorting.

With g items scored above the target and e other items scored exactly like it, the optimistic rank
is 1 + g and the pessimistic rank 1 + g + e (CALRec, section 4, "Evaluation Metrics").
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.compiled import compiled
from harness.errors import MethodError
from harness.histories import FloatArray, IntArray

UNRANKED = 0
"""The rank of a target that the method did not recommend (scored ``-inf``): a miss everywhere."""

TOP_K = 10
"""How many of the items ranked first are kept for each user."""


class NotANumberError(MethodError):
    """A score is NaN."""

    def __init__(self, row: int, column: int) -> None:
        super().__init__(f"the score of row {row}, item {column} is NaN")
        self.row = row
        self.column = column


@dataclass(frozen=True)
class TargetRanks:
    """Where the held-out item of each user stands.

    Attributes:
        optimistic: int32 [n_users], from 1; `UNRANKED` where the target was scored ``-inf``.
        pessimistic: int32 [n_users], not below ``optimistic``.
        top: int32 [n_users, k], the columns scored highest, best first; equal scores stand in
            column order (for display: ranks never depend on it); -1 where fewer were scored.
    """

    optimistic: NDArray[np.int32]
    pessimistic: NDArray[np.int32]
    top: NDArray[np.int32]


def rank_targets(scores: FloatArray, targets: IntArray, top_k: int = TOP_K) -> TargetRanks:
    """Rank each user's target among all columns of its row.

    Args:
        scores: float32 or float64 [n_users, n_items], higher is better.
        targets: int [n_users], the target's column.
        top_k: how many of the first columns to keep.

    Raises:
        NotANumberError: a NaN among the scores.
    """
    if scores.ndim != 2 or len(scores) != len(targets):
        raise ValueError(f"scores {scores.shape} do not fit {len(targets)} targets")
    if len(targets) and not (targets.min() >= 0 and targets.max() < scores.shape[1]):
        raise ValueError(f"targets must be columns 0 to {scores.shape[1] - 1}")
    ranks = TargetRanks(
        optimistic=np.empty(len(targets), np.int32),
        pessimistic=np.empty(len(targets), np.int32),
        top=np.full((len(targets), top_k), -1, np.int32),
    )
    columns = np.ascontiguousarray(targets, dtype=np.int64)
    bad = _rank_rows(
        np.ascontiguousarray(scores), columns, ranks.optimistic, ranks.pessimistic, ranks.top
    )
    if bad >= 0:
        raise NotANumberError(*divmod(bad, scores.shape[1]))
    return ranks


@compiled
def _rank_rows(
    scores: FloatArray,
    targets: NDArray[np.int64],
    optimistic: NDArray[np.int32],
    pessimistic: NDArray[np.int32],
    top: NDArray[np.int32],
) -> int:
    """Fill the three outputs row by row; return the flat position of the first NaN, or -1."""
    n_columns = scores.shape[1]
    top_k = top.shape[1]
    best = np.empty(top_k, scores.dtype)
    for row in range(scores.shape[0]):
        target_score = scores[row, targets[row]]
        above = 0
        equal = 0
        numbers = 0
        for column in range(n_columns):  # three counters and no branch: the compiler vectorises
            score = scores[row, column]
            above += score > target_score
            equal += score == target_score
            numbers += score == score  # noqa: PLR0124  (false for NaN only)
        if numbers != n_columns:
            for column in range(n_columns):
                if scores[row, column] != scores[row, column]:
                    return int(row * n_columns + column)
        if target_score == -np.inf:
            optimistic[row] = 0
            pessimistic[row] = 0
        else:
            optimistic[row] = 1 + above
            pessimistic[row] = above + equal  # `equal` counts the target itself
        best[:] = -np.inf
        for column in range(n_columns):
            score = scores[row, column]
            if top_k and score > best[top_k - 1]:
                place = top_k - 1
                while place > 0 and score > best[place - 1]:
                    best[place] = best[place - 1]
                    top[row, place] = top[row, place - 1]
                    place -= 1
                best[place] = score
                top[row, place] = column
    return -1
