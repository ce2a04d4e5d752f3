"""A measured mean with its interval: of one row over users and seeds, and of several data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.layouts import student_interval, variance_of_mean

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A measured value and how sure it is.

    Attributes:
        value: the mean, or another number of ours.
        variance: of the mean; None where there is no interval.
        freedom: its degrees of freedom; None where there is no interval.
        reason: why there is no interval; None where there is one, or none could be: a count.
    """

    value: float
    variance: float | None = None
    freedom: float | None = None
    reason: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's 95 % interval of the mean, or None."""
        if self.variance is None or self.freedom is None:
            return None
        return student_interval(self.value, self.variance, self.freedom, CONFIDENCE)


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Return the mean over users and seeds, both counted as random.

    Args:
        values: float64 [n_seeds, n_users], a metric's value of every test user under every seed.
    """
    mean = math.fsum(values.ravel()) / values.size
    n_users = values.shape[1]
    if n_users < 2:
        return Estimate(mean, reason="one user only")
    if np.ptp(values) == 0.0:
        return Estimate(mean, reason="all values are equal")
    variance, freedom = variance_of_mean(values)
    if variance <= (1e-12 * mean) ** 2:  # what differs by rounding alone does not vary
        return Estimate(mean, reason="every user has the same mean over seeds")
    return Estimate(mean, variance, freedom)


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over data sets, each weighing alike, as the paper's ``Average``.

    The data sets are fixed and their users independent: variances add up, the degrees of freedom
    follow Satterthwaite (1946).

    Args:
        estimates: one for each data set, one or more.
    """
    n = len(estimates)
    mean = math.fsum(one.value for one in estimates) / n
    parts = [
        (one.variance, one.freedom)
        for one in estimates
        if one.variance is not None and one.freedom is not None
    ]
    if len(parts) < n:
        return Estimate(mean, reason="a data set of it has no interval")
    total = math.fsum(variance for variance, _ in parts)
    freedom = total**2 / math.fsum(variance**2 / freedom for variance, freedom in parts)
    return Estimate(mean, total / n**2, freedom)
