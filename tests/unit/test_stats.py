"""The paired test against the textbook formula."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.stats import paired_difference


def test_paired_t_by_hand():
    first = np.array([1.0, 2.0, 4.0, 3.0])
    second = np.array([0.0, 2.0, 1.0, 1.0])
    result = paired_difference(first, second)  # differences 1, 0, 3, 2
    assert result.mean == 1.5
    standard_error = math.sqrt(5 / 3) / 2  # variance 5/3 of four differences
    assert (result.high - result.low) / 2 == pytest.approx(3.18244630528371 * standard_error)
    # t = 1.5 / .6455 = 2.3238 with 3 degrees of freedom
    assert result.p_value == pytest.approx(0.10274, abs=1e-4)


def test_differences_without_variance_have_no_p_value():
    result = paired_difference(np.ones(5), np.zeros(5))
    assert (result.mean, result.low, result.high, result.p_value) == (1.0, 1.0, 1.0, None)


def test_unpaired_lengths_are_refused():
    with pytest.raises(ValueError, match="equal lengths"):
        paired_difference(np.ones(5), np.ones(4))
