"""The paired t-test whose units are data sets, as in the paper's table 4."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Alternative = Literal["two-sided", "greater", "less"]


@dataclass(frozen=True)
class AcrossDatasets:
    """A paired t-test over data sets.

    Attributes:
        n: number of data sets.
        mean: the unweighted mean difference; NaN where there is no data set.
        t: Student's t; NaN where it cannot be computed.
        df: degrees of freedom, n - 1; 0 where there are fewer than two data sets.
        p_value: NaN where it cannot be computed.
        alternative: what the mean difference was suspected to be.
        reason: why `t` and `p_value` are NaN; None where they are not.
    """

    n: int
    mean: float
    t: float
    df: int
    p_value: float
    alternative: Alternative
    reason: str | None = None


def across_datasets(
    differences: Sequence[float] | NDArray[np.float64], alternative: Alternative = "two-sided"
) -> AcrossDatasets:
    """Test whether methods differ on average over data sets, each of them one observation.

    The paper does not say which units and sides its table 4 has; six categories are feasible, and
    one-sided fits them best. Its p-values are comparable with those of the same unit only, never
    with those over users.

    Args:
        differences: float64 [n_datasets], first minus second, such as of a metric's mean.
        alternative: "greater" where the first was suspected to be better before the data were
            seen, "less" where it was suspected to be worse.

    Raises:
        ValueError: an unknown alternative, or differences that are not finite numbers in a row.
    """
    from scipy import stats

    values = _checked(np.asarray(differences, dtype=np.float64), alternative)
    n = len(values)
    mean = float(values.mean()) if n else math.nan
    reason = _why_not(values)
    if reason is not None:
        return AcrossDatasets(n, mean, math.nan, max(n - 1, 0), math.nan, alternative, reason)
    result = stats.ttest_1samp(values, 0.0, alternative=alternative)
    return AcrossDatasets(
        n, mean, float(result.statistic), n - 1, float(result.pvalue), alternative
    )


def _checked(values: NDArray[np.float64], alternative: str) -> NDArray[np.float64]:
    if alternative not in get_args(Alternative):
        raise ValueError(f"an alternative is one of {get_args(Alternative)}, found {alternative!r}")
    if values.ndim != 1:
        raise ValueError(f"differences are one for each data set, found the shape {values.shape}")
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"the difference of data set {wrong[0]} is {values[wrong[0]]}; leave out a data set "
            "that one of the methods lacks"
        )
    return values


def _why_not(values: NDArray[np.float64]) -> str | None:
    if len(values) < 2:
        return f"a t-test over data sets needs two of them, found {len(values)}"
    # what differs by rounding alone does not vary
    if np.ptp(values) <= 1e-12 * np.max(np.abs(values)):
        return f"all {len(values)} data sets have the same difference: no variance to test against"
    return None
