"""Every test of two methods over the same users."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.layouts import detectable_effect, mean_squares, settled
from harness.statistics.resampling import bootstrap_means, randomisation_p
from harness.statistics.uncertainty import Uncertainty

_Values = NDArray[np.float64]
_NO_INTERVAL = (math.nan, math.nan)


@dataclass(frozen=True)
class PairedTests:
    """What the paired values of two methods tell. A value that does not exist is NaN.

    All but `t_interval` are about users, each the mean over the seeds at hand. `t_interval` is
    about users and seeds, so that with several seeds it can hold 0 where `p_t` is small: these
    users are sure of these seeds, but other seeds might have come out otherwise.

    Attributes:
        n: number of users.
        n_seeds: number of seeds.
        mean: mean of first minus second.
        t_interval: interval of the mean over users and seeds, with one seed that of the paired
            t-test (`harness.statistics.uncertainty`).
        bootstrap_interval: interval of the mean, percentiles of the bootstrap over users.
        p_t: paired t-test, two-sided.
        p_wilcoxon: Wilcoxon's signed-rank test, two-sided; users without a difference are left
            out (``zero_method="wilcox"``, scipy's default), and what it tests is symmetry about 0
            rather than the mean.
        p_randomisation: paired randomisation test of the mean, two-sided.
        effect_size: Cohen's d_z, the mean over the standard deviation of the differences.
        smallest_detectable: the mean difference that the paired t-test over as many users, of this
            standard deviation, finds with power .8 at alpha .05, two-sided.
        wins: users for whom first is above second.
        ties: users for whom neither is.
        losses: users for whom second is above first.
        notes: one sentence for each reason why values are NaN, naming them.
    """

    n: int
    n_seeds: int
    mean: float
    t_interval: tuple[float, float]
    bootstrap_interval: tuple[float, float]
    p_t: float
    p_wilcoxon: float
    p_randomisation: float
    effect_size: float
    smallest_detectable: float
    wins: int
    ties: int
    losses: int
    notes: tuple[str, ...] = ()


def paired_tests(
    first: _Values,
    second: _Values,
    *,
    seed: int = 0,
    resamples: int = 10_000,
    confidence: float = 0.95,
) -> PairedTests:
    """Compare two methods by their values for the same users (and seeds), in the same order.

    Differences that are closer to each other than 2**-44 of the largest value count as equal: they
    come from the rounding of sums, which would otherwise break ties and pass for variance.

    Args:
        first: float64 [n_users] or [n_seeds, n_users].
        second: the same shape.
        seed: of the bootstrap and of the randomisation test, from 0.
        resamples: of each of them.
        confidence: coverage of both intervals, between 0 and 1.

    Raises:
        ValueError: shapes that differ or have no user, values that are not finite, or settings
            out of range.
    """
    _check_settings(resamples, confidence)
    one, two = _checked(first, second)
    scale = max(float(np.max(np.abs(one))), float(np.max(np.abs(two))))
    layout = settled(one - two, scale)
    users = settled(layout.mean(axis=0), scale)
    n = len(users)
    varies = n > 1 and bool(np.ptp(users) > 0.0)
    differs = n > 1 and bool(np.any(users))
    mean = float(users.mean())
    deviation = float(np.std(users, ddof=1)) if varies else math.nan
    t_interval = _t_interval(layout, mean, confidence)
    return PairedTests(
        n=n,
        n_seeds=len(layout),
        mean=mean,
        t_interval=t_interval,
        bootstrap_interval=(
            _percentiles(bootstrap_means(users, resamples, seed), confidence)
            if varies
            else _NO_INTERVAL
        ),
        p_t=_p_t(mean / deviation, n),
        p_wilcoxon=_p_wilcoxon(users) if differs else math.nan,
        p_randomisation=randomisation_p(users, resamples, seed) if differs else math.nan,
        effect_size=mean / deviation,
        smallest_detectable=detectable_effect(n) * deviation if varies else math.nan,
        wins=int(np.count_nonzero(users > 0.0)),
        ties=int(np.count_nonzero(users == 0.0)),
        losses=int(np.count_nonzero(users < 0.0)),
        notes=_notes(n, varies, differs, not math.isnan(t_interval[0])),
    )


def _check_settings(resamples: int, confidence: float) -> None:
    if resamples < 1:
        raise ValueError(f"resamples must be 1 or more, found {resamples}")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, such as .95; found {confidence}")


def _checked(first: _Values, second: _Values) -> tuple[_Values, _Values]:
    """Return both as float64 [n_seeds, n_users], or say what is wrong with them."""
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.shape != two.shape or one.ndim not in {1, 2} or one.size == 0:
        raise ValueError(
            "paired values need the same shape, [n_users] or [n_seeds, n_users], with a user or "
            f"more: found {one.shape} and {two.shape}"
        )
    for name, values in (("first", one), ("second", two)):
        wrong = np.argwhere(~np.isfinite(np.atleast_2d(values)))
        if len(wrong):
            seed, user = wrong[0]
            raise ValueError(
                f"{name} is {np.atleast_2d(values)[seed, user]} for the user at {user}, seed at "
                f"{seed}, and not finite for {len(wrong)} of {values.size} values in all"
            )
    return np.atleast_2d(one), np.atleast_2d(two)


def _t_interval(layout: _Values, mean: float, confidence: float) -> tuple[float, float]:
    if layout.shape[1] < 2 or np.ptp(layout) == 0.0:
        return _NO_INTERVAL
    uncertainty = Uncertainty(mean_squares(layout))
    if not uncertainty.exists:
        return _NO_INTERVAL
    half = uncertainty.half_width(confidence)
    return mean - half, mean + half


def _percentiles(means: _Values, confidence: float) -> tuple[float, float]:
    low, high = np.quantile(means, [(1.0 - confidence) / 2.0, (1.0 + confidence) / 2.0])
    return float(low), float(high)


def _p_t(effect: float, n: int) -> float:
    from scipy import stats

    return float(2.0 * stats.t.sf(abs(effect) * math.sqrt(n), n - 1))


def _p_wilcoxon(users: _Values) -> float:
    from scipy import stats

    return float(stats.wilcoxon(users, zero_method="wilcox").pvalue)


def _notes(n: int, varies: bool, differs: bool, interval: bool) -> tuple[str, ...]:
    spread = "bootstrap_interval, p_t, effect_size, smallest_detectable"
    if not interval:
        spread = f"t_interval, {spread}"
    if n == 1:
        return (f"{spread}, p_wilcoxon, p_randomisation: one user only, nothing can vary",)
    notes = []
    if not varies:
        notes.append(f"{spread}: all {n} users have the same difference, so there is no variance")
    if not differs:
        notes.append(f"p_wilcoxon, p_randomisation: none of the {n} users has a difference")
    return tuple(notes)
