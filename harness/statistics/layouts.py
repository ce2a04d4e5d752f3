"""How sure the mean of paired differences is, and what the number of users could have shown."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

POWER, ALPHA = 0.8, 0.05

EQUAL = 1e-9
"""Mean squares that differ by less, relative to their size, differ by rounding."""


def settled(differences: NDArray[np.float64], scale: float) -> NDArray[np.float64]:
    """Round to multiples of 2**-44 of the scale, so that what is equal on paper is equal here.

    Args:
        differences: of values whose size is at most ``scale``.
        scale: 0 or above.
    """
    unit = math.ldexp(1.0, math.frexp(scale)[1] - 44)
    return differences if unit == 0.0 else np.rint(differences / unit) * unit


def variance_of_mean(differences: NDArray[np.float64]) -> tuple[float, float]:
    """Return the estimated variance of the grand mean, and its degrees of freedom.

    One seed: the sample variance over n_users. Several: the crossed two-way layout with one value
    a cell, difference = mean + user + seed + residual, users and seeds both random (Searle,
    Casella and McCulloch, *Variance Components*, 1992, section 4.4). Its mean squares expect

        MS_users    = residual + n_seeds * users
        MS_seeds    = residual + n_users * seeds
        MS_residual = residual

    (each word at the right a variance), and the grand mean has the variance users / n_users +
    seeds / n_seeds + residual / (n_users * n_seeds): so (MS_users + MS_seeds - MS_residual) /
    (n_users * n_seeds) estimates it without bias. Where that falls below MS_users / (n_users *
    n_seeds), the variance of the seed-averaged users alone, that is taken: seeds cannot make the
    mean surer. Degrees of freedom by Satterthwaite (1946), but no fewer than the
    seeds have: where a mean square is subtracted, his formula can fall far below that (Gaylor and
    Hopper, 1969) and the interval take any width. Assumed: effects that are independent,
    of one variance each and near normal, and seeds that are a sample of those one might have
    used. With two or three seeds the degrees of freedom are few and the interval is wide.

    Args:
        differences: float64 [n_seeds, n_users], from one seed and two users.
    """
    n_seeds, n_users = differences.shape
    of_users, of_seeds = differences.mean(axis=0), differences.mean(axis=1)
    # the variance of equal numbers is exactly 0 only where they are equal to the last bit
    users = n_seeds * float(np.var(of_users, ddof=1)) if np.ptp(of_users) > 0.0 else 0.0
    if n_seeds == 1:
        return users / n_users, float(n_users - 1)
    seeds = n_users * float(np.var(of_seeds, ddof=1))
    left = differences - of_users - of_seeds[:, None] + differences.mean()
    n_left = (n_seeds - 1) * (n_users - 1)
    residual = float(np.sum(left**2)) / n_left
    excess = seeds - residual
    if excess <= EQUAL * residual:  # equal on paper, such as where the seeds differ for one user
        return users / differences.size, float(n_users - 1)
    total = users + excess
    parts = users**2 / (n_users - 1) + seeds**2 / (n_seeds - 1) + residual**2 / n_left
    return total / differences.size, max(total**2 / parts, float(n_seeds - 1))


def student_interval(
    mean: float, variance: float, freedom: float, confidence: float
) -> tuple[float, float]:
    """Return the ends of Student's interval of a mean with that variance (of the mean)."""
    from scipy import stats

    half = float(stats.t.ppf((1.0 + confidence) / 2.0, freedom)) * math.sqrt(variance)
    return mean - half, mean + half


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
