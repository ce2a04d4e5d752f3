"""Metrics as pure functions of ranks: each user's value, from rank alone.

One held-out item per user (leave-one-out), so Recall@K equals HIT@K and the ideal DCG is 1.
CALRec, section 4: NDCG@10, Recall@1, Recall@10 and MRR over the full list.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from harness.histories import IntArray
from harness.ranking import UNRANKED

Bound = Literal["optimistic", "pessimistic", "expected"]


@dataclass(frozen=True)
class Metric:
    """A metric of one target's rank; its name is its identity.

    Attributes:
        family: "NDCG", "Recall" or "MRR".
        cutoff: ranks beyond it gain nothing; None for the full list.
    """

    family: Literal["NDCG", "Recall", "MRR"]
    cutoff: int | None = None

    @property
    def name(self) -> str:
        """The name as tables print it, such as ``NDCG@10``."""
        return self.family if self.cutoff is None else f"{self.family}@{self.cutoff}"

    def values(self, ranks: IntArray) -> NDArray[np.float64]:
        """Return float64 [n_users]: the gain of each rank; 0 for `UNRANKED`."""
        ranks = np.asarray(ranks)
        counted = ranks != UNRANKED
        if self.cutoff is not None:
            counted &= ranks <= self.cutoff
        safe = np.where(counted, ranks, 1).astype(np.float64)
        if self.family == "NDCG":
            gains = 1.0 / np.log2(safe + 1.0)
        elif self.family == "MRR":
            gains = 1.0 / safe
        else:
            gains = np.ones_like(safe)
        return np.where(counted, gains, 0.0)

    def expected(self, optimistic: IntArray, pessimistic: IntArray) -> NDArray[np.float64]:
        """Return float64 [n_users]: the mean gain when ties are broken uniformly at random."""
        last = int(np.max(pessimistic, initial=0))
        # total[r] is the summed gain of ranks 1 to r, so a tie's mean gain is a difference
        total = np.concatenate([[0.0], np.cumsum(self.values(np.arange(1, last + 1)))])
        first = np.maximum(np.asarray(optimistic), 1)
        tied = np.asarray(pessimistic) - first + 1
        ranked = np.asarray(pessimistic) != UNRANKED
        mean = (total[pessimistic] - total[first - 1]) / np.where(ranked, tied, 1)
        alone = ranked & (tied == 1)  # spare untied users the rounding of the running sum
        return np.where(alone, self.values(pessimistic), np.where(ranked, mean, 0.0))

    def users(
        self, optimistic: IntArray, pessimistic: IntArray, bound: Bound
    ) -> NDArray[np.float64]:
        """Return float64 [n_users]: each user's value under one way to treat ties."""
        if bound == "expected":
            return self.expected(optimistic, pessimistic)
        return self.values(optimistic if bound == "optimistic" else pessimistic)


METRICS: tuple[Metric, ...] = (
    Metric("NDCG", 10),
    Metric("Recall", 1),
    Metric("Recall", 10),
    Metric("MRR"),
)
SELECTION_METRIC = METRICS[0]
BOUNDS: tuple[Bound, ...] = ("optimistic", "pessimistic", "expected")


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean with one rounding (``math.fsum``), so that it can be checked to the bit."""
    return math.fsum(values) / len(values)


def summary(optimistic: IntArray, pessimistic: IntArray) -> dict[str, dict[str, float]]:
    """Return metric name -> bound -> mean over users."""
    return {
        metric.name: {bound: mean(metric.users(optimistic, pessimistic, bound)) for bound in BOUNDS}
        for metric in METRICS
    }


def tie_rate(optimistic: IntArray, pessimistic: IntArray) -> float:
    """Return the share of users whose target is tied with another item."""
    return float(np.mean(np.asarray(optimistic) != np.asarray(pessimistic)))
