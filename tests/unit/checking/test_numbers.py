"""The checker's own statistics: by hand, and against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from harness.checking.leaves import Span
from harness.checking.numbers import (
    corrected,
    gain,
    gain_of_tie,
    gains,
    metric_parts,
    over_datasets,
    steps,
    student,
    two_sided,
    winner,
)
from harness.checking.records import arrays_digest, rank_means
from harness.metrics import METRICS, Metric, summary, tie_rate
from harness.records import ranks_digest
from harness.statistics.families import adjusted
from harness.statistics.layouts import settled
from harness.statistics.means import mean_test
from tests.layouts import expected_half_width, expected_p

rank_pairs = st.lists(
    st.one_of(
        st.just((0, 0)),
        st.tuples(st.integers(1, 100), st.integers(0, 40)).map(
            lambda pair: (pair[0], min(100, sum(pair)))
        ),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


def test_gains_by_hand():
    assert [gain("NDCG@3", rank) for rank in (0, 1, 3, 4)] == [0, 1, 0.5, 0]
    assert [gain("Recall@2", rank) for rank in (0, 1, 2, 3)] == [0, 1, 1, 0]
    assert [gain("MRR", rank) for rank in (0, 1, 50)] == [0, 1, 0.02]
    assert [gain("MRR@4", rank) for rank in (4, 5)] == [0.25, 0]
    assert gain_of_tie("MRR", 3, 5) == pytest.approx((1 / 3 + 1 / 4 + 1 / 5) / 3, rel=1e-14)
    assert gain_of_tie("MRR@4", 3, 6) == pytest.approx((1 / 3 + 1 / 4) / 4)
    assert gain_of_tie("Recall@4", 3, 7) == pytest.approx(2 / 5)
    assert gain_of_tie("NDCG@3", 1, 4) == pytest.approx((1 + 1 / math.log2(3) + 0.5) / 4)
    assert gain_of_tie("NDCG@3", 4, 9) == gain_of_tie("NDCG@3", 0, 0) == 0


@pytest.mark.parametrize("name", ["NDCG", "Recall", "HIT@1", "MRR@", "MRR@0", "Recall@01", "", "@"])
def test_what_is_no_metric(name):
    with pytest.raises(ValueError, match="no metric"):
        metric_parts(name)


def test_means_of_ranks_by_hand():
    means = rank_means(np.array([1, 3, 0]), np.array([2, 11, 0]))
    assert means["NDCG@10", "optimistic"] == pytest.approx((1 + 1 / 2) / 3)
    assert means["NDCG@10", "pessimistic"] == pytest.approx(1 / math.log2(3) / 3)
    assert means["Recall@1", "optimistic"] == pytest.approx(1 / 3)
    assert means["Recall@10", "pessimistic"] == pytest.approx(1 / 3)
    assert means["MRR", "pessimistic"] == pytest.approx((1 / 2 + 1 / 11) / 3)
    assert means["tied", ""] == pytest.approx(2 / 3)
    assert means["Recall@1", "expected"] == pytest.approx(1 / 2 / 3)
    assert means["Recall@10", "expected"] == pytest.approx((1 + 8 / 9) / 3)
    ninths = sum(1 / rank for rank in range(3, 12)) / 9
    assert means["MRR", "expected"] == pytest.approx((3 / 4 + ninths) / 3)


@given(rank_pairs)
def test_checker_and_writer_agree_on_any_ranks(pairs):
    low, high = np.array(pairs).T
    means = rank_means(low, high)
    for metric, bounds in summary(low, high).items():
        for bound in ("optimistic", "pessimistic", "expected"):
            assert math.isclose(means[metric, bound], bounds[bound], rel_tol=0, abs_tol=1e-13)
    assert means["tied", ""] == tie_rate(low, high)
    for metric in (*METRICS, Metric("MRR", 7), Metric("NDCG", 50), Metric("Recall", 3)):
        for bound in ("optimistic", "pessimistic", "expected"):
            own = gains(metric.name, low, high, bound)
            assert own == pytest.approx(metric.users(low, high, bound), rel=0, abs=1e-13)


@given(st.lists(st.integers(-5, 5), max_size=6), st.sampled_from(["i4", "i8", "f4"]))
def test_digests_of_checker_and_writer_agree(values, kind):
    arrays = {"user": np.array(values, kind), "top": np.array([values, values], kind)}
    assert arrays_digest(arrays) == ranks_digest(arrays)


# ---- Student's t ---------------------------------------------------------------------------------


def test_one_seed_is_the_paired_t_test():
    one, two = np.random.default_rng(1).random((2, 50))
    found = student((one - two)[None, :], 1.0)
    wanted = stats.ttest_rel(one, two)
    low, high = wanted.confidence_interval()
    assert found.p == pytest.approx(wanted.pvalue, rel=1e-10)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-10)
    assert found.mean == pytest.approx(np.mean(one - two), abs=1e-13)
    assert found.effect == pytest.approx(np.mean(one - two) / np.std(one - two, ddof=1))


def test_seeds_that_vary_by_hand():
    # seed means 2 and 5, user means 2, 3.5 and 5, all around 3.5; sums of squares: users
    # 2 (1.5^2 + 1.5^2) = 9, seeds 3 (1.5^2 + 1.5^2) = 13.5, in all 23.5, so 1 is left; mean
    # squares 9 / 2, 13.5 / 1 and 1 / 2
    layout = np.array([[1.0, 2.0, 3.0], [3.0, 5.0, 7.0]])
    found = student(layout, 7.0)
    assert found.mean == 3.5
    assert found.p == pytest.approx(expected_p(layout), rel=1e-7)
    half = expected_half_width(layout)
    assert (found.low, found.high) == pytest.approx((3.5 - half, 3.5 + half), rel=1e-7)
    assert found.effect == pytest.approx(3.5 / 1.5)  # the users' means deviate by 1.5


def test_seeds_that_do_not_vary_count_users_alone():
    # user means 1.5 and 1.75, seeds' the same
    found = student(np.array([[1.0, 2.25], [2.0, 1.25]]), 4.0)
    half = stats.t.ppf(0.975, 1) * 0.125
    assert (found.low, found.high) == pytest.approx((1.625 - half, 1.625 + half), rel=1e-10)


@given(st.integers(2, 5), st.integers(3, 40), st.floats(-3, 1), st.integers(0, 10**6))
@settings(max_examples=25)
def test_any_layout_is_what_plain_integration_gives(n_seeds, n_users, spread, seed):
    generator = np.random.default_rng(seed)
    values = generator.random((n_seeds, n_users)) + generator.random((n_seeds, 1)) * 10**spread
    values, _ = steps(values, 16.0)
    values = values * 2.0**-40
    found = student(values, 16.0)
    assert found.p == pytest.approx(expected_p(values), rel=1e-6)
    board = mean_test(values, scale=16.0)
    assert found.p == pytest.approx(board.p_value, rel=1e-9)
    assert found.low == pytest.approx(board.low, rel=1e-9, abs=1e-12)


@example(2, 2, 999_998)  # users hardly vary: near the bend chances go by a root
@given(st.integers(1, 4), st.integers(2, 30), st.integers(0, 10**6))
def test_any_layout_agrees_with_the_board(n_seeds, n_users, seed):
    generator = np.random.default_rng(seed)
    values = generator.random((n_seeds, n_users)) + generator.random((n_seeds, 1)) * seed % 3
    own, other = student(values, 4.0), mean_test(values, scale=4.0)
    assert own.p == pytest.approx(other.p_value, rel=1e-8)
    assert own.low == pytest.approx(other.low, rel=1e-9)
    assert own.effect == pytest.approx(other.effect_size, rel=1e-9)


def test_why_there_is_no_test():
    assert student(np.ones((2, 1)), 1.0).reason == "one user only, nothing can vary"
    assert "3 users have the value 0," in student(np.zeros((2, 3)), 1.0).reason
    assert "3 users have the same value," in student(np.full((2, 3), 0.1), 1.0).reason
    crossed = student(np.array([[1.0, 0.5], [0.5, 1.0]]), 1.0)
    assert (crossed.p, crossed.low) == (None, None)
    assert "2 users have the same value," in crossed.reason


@given(st.floats(1e-6, 1e6), st.integers(1, 2**30))
def test_what_differs_by_rounding_is_equal(scale, numerator):
    value = scale * numerator / 2**30
    whole, unit = steps(np.array([value, np.nextafter(value, 0), 0.0]), scale)
    assert whole[0] in (whole[1], whole[1] + 1)
    assert (whole * unit).tolist() == settled(whole * unit, scale).tolist()
    assert whole[0] * unit == settled(np.array([value]), scale)[0]


@pytest.mark.parametrize("t", [0.0, 0.3, -2.5, 12.0, 40.0])
@pytest.mark.parametrize("freedom", [1.0, 1.37, 20.0, 7999.0])
def test_two_sided_chances(t, freedom):
    assert two_sided(t, freedom) == pytest.approx(2 * stats.t.sf(abs(t), freedom), rel=1e-9)


def test_over_data_sets_is_a_paired_t_test_of_these():
    one, two = [0.3, 0.5, 0.2, 0.4], [0.1, 0.4, 0.3, 0.2]
    both, greater, reason = over_datasets([a - b for a, b in zip(one, two, strict=True)])
    assert both == pytest.approx(stats.ttest_rel(one, two).pvalue)
    assert greater == pytest.approx(stats.ttest_rel(one, two, alternative="greater").pvalue)
    assert reason is None
    both, greater, _ = over_datasets([b - a for a, b in zip(one, two, strict=True)])
    assert greater == pytest.approx(stats.ttest_rel(two, one, alternative="greater").pvalue)
    assert over_datasets([0.1])[2] == "a t-test over data sets needs two of them, found 1"
    assert "same difference" in over_datasets([0.3 - 0.1, 0.2, 0.2])[2]


# ---- many tests ----------------------------------------------------------------------------------


def test_corrections_by_hand():
    p = [0.04, None, 0.01, 0.03]
    assert corrected(p, "holm") == pytest.approx([0.06, None, 0.03, 0.06])
    assert corrected(p, "bonferroni") == pytest.approx([0.12, None, 0.03, 0.09])
    assert corrected(p, "benjamini-hochberg") == pytest.approx([0.04, None, 0.03, 0.04])
    assert corrected([], "holm") == []
    with pytest.raises(ValueError, match="no correction"):
        corrected([0.1], "sidak")


def test_an_open_p_value_leaves_those_behind_it_open():
    first, second = corrected([Span(0.01, 0.02), 0.015], "holm")
    assert (first, second) == (Span(0.02, 0.03), Span(0.02, 0.03))


@given(
    st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.01, 1.0]), st.floats(0, 1)), max_size=9),
    st.sampled_from(["holm", "bonferroni", "benjamini-hochberg"]),
)
def test_corrections_agree_with_the_board(p_values, method):
    other = adjusted([math.nan if p is None else p for p in p_values], method)
    own = [math.nan if p is None else p for p in corrected(p_values, method)]
    assert own == pytest.approx(other, rel=1e-12, nan_ok=True)


def test_the_best_of_equal_ones_is_the_first_unless_rounding_alone_decides():
    assert winner({"a": [0.5], "b": [0.5]}, "b") == "a"
    assert winner({"a": [0.5, 0.7], "b": [0.7, 0.5]}, "b") == "b"
    assert winner({"a": [0.5], "b": [0.5 - 1e-16]}, "b") == "b"
    assert winner({"a": [0.5], "b": [0.4]}, "b") == "a"
    assert winner({"a": [0.5], "b": [0.4]}, None) == "a"
