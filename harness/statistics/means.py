"""The test and the interval of one mean over users and seeds, alone: what a board needs often."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.layouts import mean_squares, settled
from harness.statistics.uncertainty import Uncertainty


@dataclass(frozen=True)
class MeanTest:
    """A mean, how sure it is, and whether it is 0.

    Attributes:
        mean: over users and seeds.
        low: lower end of the interval; NaN where there is none.
        high: its upper end.
        p_value: two-sided, of the hypothesis that the mean is 0; NaN where there is none.
        effect_size: Cohen's d_z, the mean over the standard deviation of the users, each the mean
            over seeds; NaN where these do not vary.
        reason: why there is no interval and no test; None where there are.
    """

    mean: float
    low: float
    high: float
    p_value: float
    effect_size: float
    reason: str | None


def mean_test(
    layout: NDArray[np.float64], *, scale: float = 0.0, confidence: float = 0.95
) -> MeanTest:
    """Test a mean, users and seeds both random (`harness.statistics.uncertainty`).

    Interval and p-value are of one test, so that they never contradict each other. With one seed
    this is the paired t-test over users.

    Args:
        layout: float64 [n_seeds, n_users], values or paired differences.
        scale: of differences, the largest value that went into them: what differs by rounding
            alone counts as equal (`harness.statistics.layouts.settled`). 0 rounds nothing.
        confidence: coverage of the interval.

    Raises:
        ValueError: no user, or a confidence out of range.
    """
    if layout.ndim != 2 or layout.size == 0:
        raise ValueError(
            f"a layout is [n_seeds, n_users], one or more of each; found {layout.shape}"
        )
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"a confidence lies between 0 and 1, such as .95; found {confidence}")
    values = settled(layout, scale) if scale else layout
    mean, reason = float(values.mean()), _why_not(values)
    if reason is not None:
        return MeanTest(mean, math.nan, math.nan, math.nan, math.nan, reason)
    uncertainty = Uncertainty(mean_squares(values))
    half, p_value = uncertainty.half_width(confidence), uncertainty.p_value(mean)
    deviation = float(np.std(values.mean(axis=0), ddof=1))
    effect = mean / deviation if deviation else math.nan
    return MeanTest(mean, mean - half, mean + half, p_value, effect, None)


def _why_not(values: NDArray[np.float64]) -> str | None:
    n_users = values.shape[1]
    if n_users < 2:
        return "one user only, nothing can vary"
    if np.ptp(values) > 0.0 and Uncertainty(mean_squares(values)).exists:
        return None
    what = "the value 0" if not np.any(values) else "the same value"
    return f"all {n_users} users have {what}, so there is no variance"
