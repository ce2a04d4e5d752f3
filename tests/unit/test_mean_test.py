"""The quick test of one mean: against scipy, against the full paired tests, and by its reasons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.stats import mean_test, paired_tests
from tests.layouts import expected_half_width, expected_p


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
def test_with_several_seeds_interval_and_p_value_are_of_one_test(seed, n_seeds, n_users):
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


@given(st.integers(0, 10_000), st.integers(2, 5), st.integers(2, 30), st.floats(-3, 1))
@settings(max_examples=30)
def test_it_is_what_plain_integration_gives(seed, n_seeds, n_users, spread):
    generator = np.random.default_rng(seed)
    layout = generator.normal(size=(n_seeds, n_users)) + generator.normal(size=(1, n_users))
    layout += generator.normal(size=(n_seeds, 1)) * 10**spread
    found = mean_test(layout)
    assert found.p_value == pytest.approx(expected_p(layout), rel=1e-6)
    assert found.high - found.mean == pytest.approx(expected_half_width(layout), rel=1e-6)


def test_a_hairs_breadth_of_seeds_moves_nothing():
    # no threshold decides whether seeds count: results move continuously with the data
    layout = np.random.default_rng(1).random(9)[None, :].repeat(2, axis=0)
    layout[:, 3] += [1 / 3, -1 / 3]
    found = mean_test(layout)
    layout[0] += 1e-9
    moved = mean_test(layout)
    assert (moved.low, moved.high) == pytest.approx((found.low, found.high), abs=1e-8)


def test_where_users_do_not_vary_seeds_alone_decide():
    layout = np.array([[1.0], [2.0], [4.0]]).repeat(50, axis=1)
    found = mean_test(layout)
    of_seeds = stats.ttest_1samp([1.0, 2.0, 4.0], 0.0)
    # 50 users instead of as many as one likes: t with 49 degrees of freedom in place of a normal
    assert found.p_value == pytest.approx(of_seeds.pvalue, rel=0.05)


# ---- its level -----------------------------------------------------------------------------------


def _rejections(generator, n_seeds, spread, n, n_users=150):
    """Return shares of p-values at .05, .01 and .001 or below, without any true difference.

    Args:
        spread: the standard deviation of seeds, over that which the users' sample has.
    """
    p_values = []
    for _ in range(n):
        layout = generator.normal(0.0, 0.6, (1, n_users)) + generator.normal(
            0.0, 1.0, (n_seeds, n_users)
        )
        layout += generator.normal(0.0, spread / math.sqrt(n_users), (n_seeds, 1))
        p_values.append(mean_test(layout).p_value)
    return [float(np.mean(np.array(p_values) <= level)) for level in LEVELS]


LEVELS = (0.05, 0.01, 0.001)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [2, 3, 5])
@pytest.mark.parametrize("spread", [0.0, 0.5, 1.0, 2.0, 4.0, 10.0])
def test_false_positives_are_no_more_than_the_level_whatever_the_seeds_do(n_seeds, spread):
    n = 3000
    found = _rejections(np.random.default_rng([n_seeds, int(10 * spread)]), n_seeds, spread, n)
    for share, level in zip(found, LEVELS, strict=True):
        assert share <= level + 3.5 * math.sqrt(level * (1 - level) / n), (found, level)


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [1, 3])
def test_false_positives_come_at_the_level_with_one_seed_and_where_seeds_rule(n_seeds):
    n = 3000
    found = _rejections(np.random.default_rng(n_seeds), n_seeds, 0.0 if n_seeds == 1 else 30.0, n)
    assert found[0] == pytest.approx(0.05, abs=4 * math.sqrt(0.05 * 0.95 / n))
