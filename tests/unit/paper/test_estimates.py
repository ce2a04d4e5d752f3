"""Means with intervals, held against values computed here from the definitions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness.paper.estimates import Estimate, average, estimate
from tests.layouts import expected_half_width

RANDOM = np.random.default_rng(7)


def test_one_seed_is_students_interval_over_users():
    values = RANDOM.random((1, 40))
    low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values[0]))
    found = estimate(values)
    assert found.value == pytest.approx(values.mean(), rel=1e-15)
    assert found.interval == pytest.approx((low, high), rel=1e-12)


def test_seeds_that_differ_widen_the_interval_by_their_variance():
    seeds, users = np.array([[0.0], [0.3], [0.9]]), RANDOM.random((1, 50))
    values = seeds + users + 0.01 * RANDOM.random((3, 50))
    half, grand = expected_half_width(values), values.mean()
    low, high = grand - half, grand + half
    assert estimate(values).interval == pytest.approx((low, high), rel=1e-6)
    by_user = values.mean(axis=0)
    narrow = stats.t.interval(0.95, 49, grand, stats.sem(by_user))
    assert high - low > 3 * (narrow[1] - narrow[0])


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([[0.5, 0.5, 0.5]], "all values are equal"),
        ([[0.1] * 7, [0.1] * 7, [0.1] * 7], "all values are equal"),
        ([[0.3]], "one user only"),
        ([[0.3], [0.4]], "one user only"),
        ([[0.1, 0.7], [0.7, 0.1]], "every user has the same mean over seeds"),
        ([[0.1, 0.7, 0.4], [0.7, 0.1, 0.4]], "every user has the same mean over seeds"),
    ],
)
def test_without_variance_there_is_a_reason_and_no_interval(values, reason):
    found = estimate(np.array(values))
    assert (found.interval, found.reason) == (None, reason)
    assert found.value == pytest.approx(np.mean(values))


def test_an_average_adds_the_squares_of_independent_half_widths():
    sets = [RANDOM.random((1, n)) * n for n in (5, 9, 30)]
    found = average([estimate(values) for values in sets])
    halves = np.array([stats.sem(one[0]) * stats.t.ppf(0.975, one.shape[1] - 1) for one in sets])
    mean, half = np.mean([values.mean() for values in sets]), np.sqrt((halves**2).sum()) / 3
    assert found.value == pytest.approx(mean)
    assert found.interval == pytest.approx((mean - half, mean + half), rel=1e-12)


def test_an_average_with_a_part_that_has_no_interval_has_none():
    found = average([estimate(RANDOM.random((1, 9))), Estimate(0.25, reason="one user only")])
    assert (found.interval, found.reason) == (None, "a data set of it has no interval")
