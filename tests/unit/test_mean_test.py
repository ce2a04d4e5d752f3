"""The quick test of one mean: against scipy, against the full paired tests, and by its reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from harness.stats import mean_test, paired_tests


@given(st.integers(0, 10_000), st.integers(2, 40))
def test_with_one_seed_it_is_scipys_paired_t_test(seed, n_users):
    first, second = np.random.default_rng(seed).random((2, n_users))
    found = mean_test((first - second)[None, :], scale=1.0)
    expected = stats.ttest_rel(first, second)
    assert found.p_value == pytest.approx(expected.pvalue, rel=1e-6)
    interval = expected.confidence_interval()
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-6)
    assert found.mean == pytest.approx((first - second).mean())


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 30))
def test_with_several_seeds_interval_and_p_value_are_of_one_t(seed, n_seeds, n_users):
    first, second = np.random.default_rng(seed).random((2, n_seeds, n_users))
    found = mean_test(first - second, scale=1.0)
    full = paired_tests(first, second, resamples=1)
    assert (found.low, found.high) == pytest.approx(full.t_interval, rel=1e-9)
    assert found.effect_size == pytest.approx(full.effect_size)
    covered = found.low <= 0.0 <= found.high
    assert covered == (found.p_value >= 0.05)


@pytest.mark.parametrize(
    ("layout", "reason"),
    [
        ([[0.5]], "one user only, nothing can vary"),
        ([[0.0, 0.0, 0.0]], "all 3 users have the value 0, so there is no variance"),
        ([[0.25, 0.25]], "all 2 users have the same value, so there is no variance"),
    ],
)
def test_what_cannot_be_tested_says_why(layout, reason):
    found = mean_test(np.array(layout))
    assert found.reason == reason
    assert all(math.isnan(value) for value in (found.low, found.high, found.p_value))
    assert found.mean == np.mean(layout)


def test_differences_by_rounding_alone_do_not_pass_for_variance():
    one, two = np.full(5, 0.3), np.array([0.1 + 0.2] * 4 + [0.3])
    assert mean_test((one - two)[None, :], scale=0.3).reason is not None
    assert mean_test((one - two)[None, :]).reason is None


def test_settings_out_of_range():
    with pytest.raises(ValueError, match="n_seeds, n_users"):
        mean_test(np.zeros(3))
    with pytest.raises(ValueError, match="n_seeds, n_users"):
        mean_test(np.zeros((1, 0)))
    with pytest.raises(ValueError, match="confidence"):
        mean_test(np.zeros((1, 2)), confidence=1.0)


def test_seeds_that_differ_for_one_user_alone_are_not_taken_for_seeds_that_vary():
    # mean squares of seeds and of the rest are equal on paper: 2 d^2 / n_users both
    layout = np.random.default_rng(1).random(9)[None, :].repeat(2, axis=0)
    layout[:, 3] += [1 / 3, -1 / 3]
    found, alone = mean_test(layout), mean_test(layout.mean(axis=0)[None, :])
    assert (found.low, found.high) == pytest.approx((alone.low, alone.high), rel=1e-9)


def test_degrees_of_freedom_are_never_fewer_than_the_seeds_have():
    # users vary little, and the seeds hardly more than what neither explains
    generator = np.random.default_rng(0)
    widest = 0.0
    for _ in range(200):
        layout = generator.normal(size=(3, 9))
        layout -= 0.999 * (layout.mean(axis=0) - layout.mean())
        found = mean_test(layout)
        if found.reason is None:
            error = (found.high - found.low) / 2 / stats.t.ppf(0.975, 2)
            widest = max(widest, error / layout.std())
    assert widest < 1.0
