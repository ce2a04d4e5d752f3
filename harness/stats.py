"""Paired comparisons of two methods over the same users, and of several data sets.

The place of the public names; ``harness.statistics`` holds what they are made of.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.statistics.across import AcrossDatasets, Alternative, across_datasets
from harness.statistics.families import Correction, adjusted
from harness.statistics.paired import PairedTests, paired_tests

__all__ = [
    "AcrossDatasets",
    "Alternative",
    "Correction",
    "PairedDifference",
    "PairedTests",
    "across_datasets",
    "adjusted",
    "paired_difference",
    "paired_tests",
]


@dataclass(frozen=True)
class PairedDifference:
    """The mean difference of paired values, and how sure it is.

    Attributes:
        mean: mean of first minus second.
        low: lower end of the 95 % interval of the mean (Student's t).
        high: its upper end.
        p_value: two-sided paired t-test; None where the differences do not vary.
        n: number of pairs.
    """

    mean: float
    low: float
    high: float
    p_value: float | None
    n: int


def paired_difference(
    first: NDArray[np.float64], second: NDArray[np.float64], confidence: float = 0.95
) -> PairedDifference:
    """Compare two methods by their values for the same users, in the same order.

    Args:
        first: float64 [n_users].
        second: float64 [n_users].
        confidence: coverage of the interval.

    Raises:
        ValueError: fewer than two pairs, or lengths that differ.
    """
    from scipy import stats

    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(f"paired values need equal lengths from 2: {first.shape}, {second.shape}")
    difference = first - second
    if np.ptp(difference) == 0.0:
        constant = float(difference[0])
        return PairedDifference(constant, constant, constant, None, len(difference))
    result = stats.ttest_rel(first, second)
    interval = result.confidence_interval(confidence)
    return PairedDifference(
        mean=float(difference.mean()),
        low=float(interval.low),
        high=float(interval.high),
        p_value=float(result.pvalue),
        n=len(difference),
    )
