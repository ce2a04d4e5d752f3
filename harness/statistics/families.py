"""P-values of a family of tests, corrected for their number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

Correction = Literal["holm", "bonferroni", "benjamini-hochberg"]


def adjusted(
    p_values: Sequence[float] | NDArray[np.float64], method: Correction = "holm"
) -> NDArray[np.float64]:
    """Return the p-values of one family, each to be compared with the level of the family.

    ``holm`` (1979) and ``bonferroni`` bound the chance of any false finding, under any dependence;
    Holm finds at least as much. ``benjamini-hochberg`` (1995) bounds the expected share of false
    findings, where tests are independent or positively dependent.

    Args:
        p_values: [n_tests], each from 0 to 1, or NaN for a test that could not be made: it stays
            NaN and does not count in the family.
        method: the correction.

    Returns:
        float64 [n_tests], in the order of the input, at most 1.

    Raises:
        ValueError: an unknown method, or something that is no p-value.
    """
    given = np.asarray(p_values, dtype=np.float64)
    if method not in get_args(Correction):
        raise ValueError(f"a correction is one of {get_args(Correction)}, found {method!r}")
    if given.ndim != 1:
        raise ValueError(f"p-values are a list of one dimension, found the shape {given.shape}")
    made = ~np.isnan(given)
    wrong = given[made & ~((given >= 0.0) & (given <= 1.0))]
    if len(wrong):
        raise ValueError(f"a p-value is from 0 to 1 or NaN, found {wrong[0]}")
    result = np.full(len(given), np.nan)
    order = np.flatnonzero(made)[np.argsort(given[made], kind="stable")]
    result[order] = np.minimum(_stepped(given[order], method), 1.0)
    return result


def _stepped(ordered: NDArray[np.float64], method: Correction) -> NDArray[np.float64]:
    """Correct p-values in rising order; what comes back rises as well, and may exceed 1."""
    n_tests = len(ordered)
    if method == "bonferroni":
        return ordered * n_tests
    if method == "holm":  # the k-th smallest answers for those not yet rejected, itself included
        return np.maximum.accumulate(ordered * np.arange(n_tests, 0, -1))
    scaled = ordered * n_tests / np.arange(1, n_tests + 1)
    return np.minimum.accumulate(scaled[::-1])[::-1]
