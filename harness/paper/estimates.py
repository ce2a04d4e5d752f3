"""A measured mean with its interval: of one row over users and seeds, and of several data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.layouts import mean_squares, settled
from harness.statistics.uncertainty import Uncertainty

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Estimate:
    """A measured value and how sure it is.

    Attributes:
        value: the mean, or another number of ours.
        half: half the width of its 95 % interval; None where there is none.
        reason: why there is no interval; None where there is one, or none could be: a count.
    """

    value: float
    half: float | None = None
    reason: str | None = None

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean, or None."""
        return None if self.half is None else (self.value - self.half, self.value + self.half)


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
    uncertainty = Uncertainty(mean_squares(settled(values, float(np.abs(values).max()))))
    half = uncertainty.half_width(CONFIDENCE) if uncertainty.exists else 0.0
    if half <= 1e-12 * abs(mean):  # what differs by rounding alone does not vary
        return Estimate(mean, reason="every user has the same mean over seeds")
    return Estimate(mean, half)


def average(estimates: Sequence[Estimate]) -> Estimate:
    """Return the mean over data sets, each weighing alike, as the paper's ``Average``.

    The data sets are fixed and their users independent, so the squares of the half widths add up
    (the method of variance estimates recovery; Zou and Donner, 2008).

    Args:
        estimates: one for each data set, one or more.
    """
    n = len(estimates)
    mean = math.fsum(one.value for one in estimates) / n
    halves = [one.half for one in estimates if one.half is not None]
    if len(halves) < n:
        return Estimate(mean, reason="a data set of it has no interval")
    return Estimate(mean, math.hypot(*halves) / n)
