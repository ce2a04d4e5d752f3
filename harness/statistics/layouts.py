"""What varies in paired differences, and what the number of users could have shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

POWER, ALPHA = 0.8, 0.05


def settled(differences: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Round to multiples of 2**-44 of the scale, so that what is equal on paper is equal here.

    Args:
        differences: of values whose size is at most ``scale``.
        scale: 0 or above.
    """
    unit = math.ldexp(1.0, math.frexp(scale)[1] - 44)
    return differences if unit == 0.0 else np.rint(differences / unit) * unit


@dataclass(frozen=True)
class MeanSquares:
    """The mean squares of a crossed two-way layout with one value a cell, users by seeds.

    A value is mean + user + seed + residual, users and seeds both random (Searle, Casella and
    McCulloch, *Variance Components*, 1992, section 4.4). The mean squares expect

        users    = residual variance + n_seeds * variance of users
        seeds    = residual variance + n_users * variance of seeds
        residual = residual variance

    and the grand mean has the variance (users + seeds - residual) / (n_users * n_seeds) of these
    expectations. With one seed, ``seeds`` and ``residual`` are 0, and ``users`` is the sample
    variance.
    """

    users: float
    seeds: float
    residual: float
    n_users: int
    n_seeds: int


def mean_squares(differences: NDArray[np.float64]) -> MeanSquares:
    """Return the mean squares of float64 [n_seeds, n_users], from one seed and two users."""
    n_seeds, n_users = differences.shape
    of_users, of_seeds = differences.mean(axis=0), differences.mean(axis=1)
    # the variance of equal numbers is exactly 0 only where they are equal to the last bit
    users = n_seeds * float(np.var(of_users, ddof=1)) if np.ptp(of_users) > 0.0 else 0.0
    if n_seeds == 1 or not np.ptp(differences, axis=0).any():
        return MeanSquares(users, 0.0, 0.0, n_users, n_seeds)
    seeds = n_users * float(np.var(of_seeds, ddof=1)) if np.ptp(of_seeds) > 0.0 else 0.0
    left = differences - of_users - of_seeds[:, None] + differences.mean()
    residual = float(np.sum(left**2)) / ((n_seeds - 1) * (n_users - 1))
    return MeanSquares(users, seeds, residual, n_users, n_seeds)


def detectable_effect(n_users: int) -> float:
    """Return the Cohen's d_z that a paired t-test finds with power .8 at alpha .05, two-sided.

    Solved from the noncentral t distribution, both tails counted (Cohen, 1988, section 2).

    Args:
        n_users: from 2.
    """
    from scipy import optimize, stats

    freedom = n_users - 1
    critical = float(stats.t.ppf(1.0 - ALPHA / 2.0, freedom))

    def missing(shift: float) -> float:
        upper = stats.nct.sf(critical, freedom, shift)
        lower = stats.nct.sf(critical, freedom, -shift)  # the mirror image: cdf gives NaN at times
        return float(upper + lower) - POWER

    return float(optimize.brentq(missing, 0.0, 1.5 * critical + 1.0)) / math.sqrt(n_users)
