"""The paired tests against textbook formulas, hand-computed values, scipy and statsmodels."""

from __future__ import annotations

import math
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from harness.metrics import Metric
from harness.statistics import resampling
from harness.statistics.layouts import MeanSquares, detectable_effect, mean_squares
from harness.stats import across_datasets, adjusted, paired_tests
from tests.layouts import expected_half_width

# whole numbers: exact differences, so that ties and zeros are the same here as in scipy
PAIRS = hnp.arrays(
    np.float64, st.tuples(st.just(2), st.integers(2, 60)), elements=st.integers(0, 8)
)
P_VALUES = st.lists(st.floats(0.0, 1.0), min_size=1, max_size=30)


def _nan_fields(result):
    return {
        field.name
        for field in fields(result)
        if field.name != "notes" and np.isnan(getattr(result, field.name)).any()
    }


# all tests over users


def test_paired_t_by_hand():
    first = np.array([1.0, 2.0, 4.0, 3.0])
    second = np.array([0.0, 2.0, 1.0, 1.0])
    result = paired_tests(first, second, resamples=1)  # differences 1, 0, 3, 2
    assert result.mean == 1.5
    low, high = result.t_interval
    standard_error = math.sqrt(5 / 3) / 2  # variance 5/3 of four differences
    assert (high - low) / 2 == pytest.approx(3.18244630528371 * standard_error)
    # t = 1.5 / .6455 = 2.3238 with 3 degrees of freedom
    assert result.p_t == pytest.approx(0.10274, abs=1e-4)


def test_all_paired_tests_by_hand():
    first = np.array([1.0, 2.0, 4.0, 3.0])
    second = np.array([0.0, 2.0, 1.0, 1.0])
    result = paired_tests(first, second)
    assert (result.n, result.n_seeds, result.mean) == (4, 1, 1.5)
    assert (result.wins, result.ties, result.losses) == (3, 1, 0)
    assert result.effect_size == pytest.approx(1.5 / math.sqrt(5 / 3))
    assert result.p_t == pytest.approx(0.10274, abs=1e-4)
    half = 3.18244630528371 * math.sqrt(5 / 3) / 2
    assert result.t_interval == pytest.approx((1.5 - half, 1.5 + half))
    # Wilcoxon leaves out the zero: of 8 sets of signs, 2 have a rank sum as far out as 6
    assert result.p_wilcoxon == pytest.approx(2 / 8)
    # signs: +++ and --- of 8 sets; 4 binomial standard errors of 10,000 resamples
    assert result.p_randomisation == pytest.approx(2 / 8, abs=0.018)
    assert result.notes == ()


@settings(max_examples=60, deadline=None)
@given(PAIRS)
def test_paired_tests_agree_with_scipy(pair):
    first, second = pair
    assume(np.ptp(first - second) > 0)
    ours = paired_tests(first, second, resamples=20)
    t_test = stats.ttest_rel(first, second)
    interval = t_test.confidence_interval(0.95)
    assert ours.p_t == pytest.approx(t_test.pvalue, rel=1e-9)
    assert ours.t_interval == pytest.approx((interval.low, interval.high), rel=1e-9, abs=1e-12)
    assert ours.p_wilcoxon == pytest.approx(stats.wilcoxon(first, second).pvalue, rel=1e-9)
    assert ours.wins + ours.ties + ours.losses == len(first)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 400))
def test_paired_tests_agree_with_scipy_on_continuous_values(seed, n_users):
    first, second = np.random.default_rng(seed).normal(size=(2, n_users))
    ours = paired_tests(first, second, resamples=20)
    assert ours.p_t == pytest.approx(stats.ttest_rel(first, second).pvalue, rel=1e-9)
    assert ours.p_wilcoxon == pytest.approx(stats.wilcoxon(first, second).pvalue, rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 5000))
def test_the_detectable_effect_agrees_with_statsmodels(n_users):
    power = pytest.importorskip("statsmodels.stats.power").TTestPower()
    ours = detectable_effect(n_users)
    assert power.power(ours, n_users, 0.05, alternative="two-sided") == pytest.approx(0.8, abs=1e-6)


def test_the_detectable_difference_is_the_normal_one_for_many_users():
    rng = np.random.default_rng(3)
    values = rng.normal(0.0, 2.0, 50_000)
    result = paired_tests(values, np.zeros(50_000), resamples=10)
    normal = (1.959964 + 0.841621) * np.std(values, ddof=1) / math.sqrt(50_000)
    assert result.smallest_detectable == pytest.approx(normal, rel=1e-4)


def test_a_difference_of_the_detectable_size_is_found_four_times_in_five():
    rng = np.random.default_rng(5)
    values = rng.normal(detectable_effect(12), 1.0, (4000, 12))
    found = np.mean(stats.ttest_1samp(values, 0.0, axis=1).pvalue < 0.05)
    assert found == pytest.approx(0.8, abs=4 * math.sqrt(0.8 * 0.2 / 4000))


# several seeds


def test_the_interval_over_users_and_seeds_by_hand():
    # means of users 1, 2, 6 and of seeds 2, 4, all 3; residuals -+1, 0, +-1
    first = np.array([[-1.0, 1.0, 6.0], [3.0, 3.0, 6.0]])
    # MS_users = 2 (4 + 1 + 9) / 2 = 14; MS_seeds = 3 (1 + 1) / 1 = 6;
    # residuals: -1, 0, 1 and 1, 0, -1: MS_residual = 4 / 2 = 2
    assert mean_squares(first) == MeanSquares(14.0, 6.0, 2.0, n_users=3, n_seeds=2)
    half = expected_half_width(first)
    result = paired_tests(first, np.zeros((2, 3)))
    assert (result.n, result.n_seeds, result.mean) == (3, 2, 3.0)
    assert result.t_interval == pytest.approx((3.0 - half, 3.0 + half))
    # the rest is over users: 1, 2, 6
    users = paired_tests(np.array([1.0, 2.0, 6.0]), np.zeros(3))
    for name in ("p_t", "p_wilcoxon", "p_randomisation", "bootstrap_interval", "effect_size"):
        assert getattr(result, name) == getattr(users, name)


def test_seeds_that_vary_less_than_their_noise_do_not_narrow_the_interval():
    # seeds have the same mean, so MS_seeds = 0 and the formula alone would go below the users'
    first = np.array([[0.0, 3.0, 6.0], [2.0, 1.0, 6.0]])
    result = paired_tests(first, np.zeros((2, 3)))
    users = paired_tests(first.mean(axis=0), np.zeros(3))
    assert result.t_interval == pytest.approx(users.t_interval)


def test_without_variance_of_users_and_of_seeds_there_is_no_interval():
    # every user has the mean 0 over seeds, and every seed over users
    first = np.array([[0.1, -0.1, 0.2], [-0.1, 0.1, -0.2]])
    first -= first.mean(axis=1, keepdims=True)
    result = paired_tests(first, np.zeros((2, 3)))
    assert all(math.isnan(end) for end in result.t_interval)
    assert any(note.startswith("t_interval, ") for note in result.notes)


def test_equal_seeds_say_no_more_than_one():
    first, second = np.random.default_rng(0).normal(size=(2, 50))
    one = paired_tests(first, second)
    three = paired_tests(np.tile(first, (3, 1)), np.tile(second, (3, 1)))
    assert three.t_interval == pytest.approx(one.t_interval)
    assert (three.p_t, three.n_seeds) == (pytest.approx(one.p_t), 3)


def test_seeds_that_disagree_widen_the_interval():
    first = np.random.default_rng(0).normal(1.0, 1.0, (3, 200))
    apart = first + np.array([[-0.5], [0.0], [0.5]])
    near, far = (paired_tests(one, np.zeros((3, 200))).t_interval for one in (first, apart))
    assert far[1] - far[0] > 3 * (near[1] - near[0])


# resampling


def test_drawing_counts_is_the_same_bootstrap_as_drawing_users():
    values = np.random.default_rng(1).choice([-1.0, 0.0, 0.5, 1.0], 2000, p=[0.1, 0.6, 0.1, 0.2])
    distinct, users = np.unique(values, return_counts=True)
    counts = resampling.multinomial_means(distinct, users, 20_000, np.random.default_rng(2))
    indices = resampling.index_means(values, 20_000, np.random.default_rng(3))
    assert stats.ks_2samp(counts, indices).pvalue > 0.01
    spread = np.std(values) / math.sqrt(len(values))
    for level in (0.025, 0.25, 0.5, 0.75, 0.975):
        assert np.quantile(counts, level) == pytest.approx(
            np.quantile(indices, level), abs=0.06 * spread
        )


def test_drawing_binomials_is_the_same_randomisation_as_drawing_signs():
    sizes, users = np.array([0.25, 1.0, 2.0]), np.array([70, 50, 9])
    binomial = resampling.binomial_flip_sums(sizes, users, 20_000, np.random.default_rng(4))
    bits = resampling.bit_flip_sums(np.repeat(sizes, users), 20_000, np.random.default_rng(5))
    assert stats.ks_2samp(binomial, bits).pvalue > 0.01
    for sums in (binomial, bits):
        assert np.var(sums) == pytest.approx(float(sizes**2 @ users), rel=0.05)


@pytest.mark.parametrize("n_users", [7, 300])  # of three sizes
def test_the_randomisation_test_agrees_with_every_set_of_signs(n_users):
    sizes = np.random.default_rng(n_users).choice([1.0, 2.0, 3.0], n_users)
    differences = sizes * np.where(np.arange(n_users) % 9 < 5, 1.0, -1.0)
    chances = np.ones(1)  # of every sum, by adding one user after another
    for size in sizes.astype(int):
        chances = np.convolve(chances, np.eye(2 * size + 1)[[0, -1]].sum(axis=0) / 2)
    sums = np.arange(len(chances)) - sizes.sum()
    exact = chances[np.abs(sums) >= abs(differences.sum())].sum()
    ours = resampling.randomisation_p(differences, 40_000, seed=0)
    assert ours == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 40_000) + 1e-4)


def test_the_randomisation_test_is_never_surer_than_its_resamples():
    assert paired_tests(np.full(500, 2.0), np.zeros(500), resamples=99).p_randomisation == 1 / 100


def test_the_bootstrap_interval_agrees_with_scipy():
    first, second = np.random.default_rng(6).exponential(size=(2, 300))
    ours = paired_tests(first, second).bootstrap_interval
    theirs = stats.bootstrap(
        (first - second,), np.mean, method="percentile", rng=np.random.default_rng(7)
    ).confidence_interval
    spread = np.std(first - second) / math.sqrt(300)
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.1 * spread)


def test_the_same_seed_gives_the_same_result_and_another_seed_another():
    first, second = np.random.default_rng(8).normal(size=(2, 400))
    one, again, other = (paired_tests(first, second, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one.bootstrap_interval != other.bootstrap_interval
    assert one.p_t == other.p_t


def test_blocks_are_small_and_cover_every_resample(monkeypatch):
    monkeypatch.setattr(resampling, "_BLOCK", 64)
    blocks = list(resampling._blocks(100, 10))
    assert max(block.stop - block.start for block in blocks) * 10 <= 64
    assert [n for block in blocks for n in range(block.start, block.stop)] == list(range(100))


# what cannot be computed, and says why


def test_methods_without_any_difference_have_no_test():
    result = paired_tests(np.ones(5), np.ones(5))
    assert (result.mean, result.ties) == (0.0, 5)
    nan = _nan_fields(result)
    assert nan == {"t_interval", "bootstrap_interval", "p_t", "p_wilcoxon", "p_randomisation",
                   "effect_size", "smallest_detectable"}  # fmt: skip
    assert all(any(name in note for note in result.notes) for name in nan)


def test_a_constant_difference_has_no_variance_but_has_signs():
    # .3 - .2 and .2 - .1 differ by rounding alone
    result = paired_tests(np.array([0.3, 0.2] * 5), np.array([0.2, 0.1] * 5))
    nan = _nan_fields(result)
    assert nan == {"t_interval", "bootstrap_interval", "p_t", "effect_size", "smallest_detectable"}
    assert all(any(name in note for note in result.notes) for name in nan)
    assert result.p_wilcoxon == pytest.approx(2 / 2**10)
    assert result.p_randomisation == pytest.approx(2 / 2**10, abs=0.002)


def test_one_user_has_a_mean_and_nothing_else():
    result = paired_tests(np.array([[1.0], [2.0]]), np.array([[0.0], [0.5]]))
    assert (result.n, result.n_seeds, result.mean, result.wins) == (1, 2, 1.25, 1)
    assert len(_nan_fields(result)) == 7
    assert "one user" in result.notes[0]
    assert "p_wilcoxon" in result.notes[0]


def test_values_that_are_not_finite_are_refused_by_place():
    values = np.zeros((2, 4))
    values[1, 2] = np.nan
    with pytest.raises(ValueError, match=r"second is nan for the user at 2, seed at 1"):
        paired_tests(np.zeros((2, 4)), values)
    with pytest.raises(ValueError, match=r"first is inf for the user at 0"):
        paired_tests(np.array([np.inf, 1.0]), np.zeros(2))


@pytest.mark.parametrize("shapes", [((3,), (4,)), ((1, 3), (3,)), ((0,), (0,)), ((), ())])
def test_values_that_are_not_paired_are_refused(shapes):
    with pytest.raises(ValueError, match="the same shape"):
        paired_tests(np.ones(shapes[0]), np.ones(shapes[1]))


def test_settings_out_of_range_are_refused():
    with pytest.raises(ValueError, match="resamples"):
        paired_tests(np.arange(3.0), np.zeros(3), resamples=0)
    with pytest.raises(ValueError, match="confidence"):
        paired_tests(np.arange(3.0), np.zeros(3), confidence=95)


# over data sets


def test_the_t_test_over_data_sets_by_hand():
    result = across_datasets([1.0, 0.0, 3.0, 2.0])  # as above: t = 1.5 / .6455
    assert result.t == pytest.approx(1.5 / (math.sqrt(5 / 3) / 2))
    assert (result.n, result.df, result.mean, result.reason) == (4, 3, 1.5, None)
    assert result.p_value == pytest.approx(0.10274, abs=1e-4)
    assert across_datasets([1.0, 0.0, 3.0, 2.0], "greater").p_value == result.p_value / 2
    assert across_datasets([1.0, 0.0, 3.0, 2.0], "less").p_value == 1 - result.p_value / 2


@given(PAIRS, st.sampled_from(["two-sided", "greater", "less"]))
def test_the_t_test_over_data_sets_agrees_with_scipy(pair, alternative):
    assume(np.ptp(pair[0] - pair[1]) > 0)
    theirs = stats.ttest_rel(pair[0], pair[1], alternative=alternative)
    ours = across_datasets(pair[0] - pair[1], alternative)
    assert (ours.t, ours.p_value) == pytest.approx((theirs.statistic, theirs.pvalue))


@pytest.mark.parametrize(
    ("differences", "reason"),
    [([], "found 0"), ([0.1], "found 1"), ([0.3 - 0.2, 0.2 - 0.1], "no variance"), ([0, 0], "no")],
)
def test_data_sets_that_cannot_be_tested_have_a_reason(differences, reason):
    result = across_datasets(differences)
    assert math.isnan(result.p_value)
    assert math.isnan(result.t)
    assert reason in result.reason


def test_a_data_set_without_a_number_is_refused_by_place():
    with pytest.raises(ValueError, match="data set 1 is nan"):
        across_datasets([0.1, math.nan, 0.2])
    with pytest.raises(ValueError, match="an alternative is one of"):
        across_datasets([0.1, 0.2], "bigger")


# families


def test_holm_steps_down_by_hand():
    # 4 x .01; 3 x .02; 2 x .03 is .06 as well; 1 x .04 is below its forerunner: .06
    assert adjusted([0.04, 0.01, 0.03, 0.02], "holm") == pytest.approx([0.06, 0.04, 0.06, 0.06])


def test_bonferroni_and_benjamini_hochberg_by_hand():
    assert adjusted([0.04, 0.01, 0.5], "bonferroni") == pytest.approx([0.12, 0.03, 1.0])
    # the smallest times 3 / 1, the next times 3 / 2, the largest times 3 / 3
    assert adjusted([0.04, 0.01, 0.5], "benjamini-hochberg") == pytest.approx([0.06, 0.03, 0.5])


@pytest.mark.parametrize(
    ("method", "theirs"), [("holm", "holm"), ("bonferroni", "bonferroni"),
                           ("benjamini-hochberg", "fdr_bh")]
)  # fmt: skip
@given(P_VALUES)
def test_corrections_agree_with_statsmodels(method, theirs, p_values):
    multitest = pytest.importorskip("statsmodels.stats.multitest")
    expected = multitest.multipletests(p_values, method=theirs)[1]
    assert adjusted(p_values, method) == pytest.approx(expected)


@pytest.mark.parametrize("method", ["holm", "bonferroni", "benjamini-hochberg"])
@given(P_VALUES, st.data())
def test_a_test_that_could_not_be_made_does_not_count_in_its_family(method, p_values, data):
    place = data.draw(st.integers(0, len(p_values)))
    with_nan = adjusted([*p_values[:place], math.nan, *p_values[place:]], method)
    assert math.isnan(with_nan[place])
    assert np.delete(with_nan, place) == pytest.approx(adjusted(p_values, method))


def test_a_family_may_be_empty():
    assert adjusted([], "holm").shape == (0,)
    assert np.isnan(adjusted([math.nan], "benjamini-hochberg")).all()


def test_what_is_no_p_value_or_no_correction_is_refused():
    with pytest.raises(ValueError, match=r"found 1\.5"):
        adjusted([0.5, 1.5])
    with pytest.raises(ValueError, match="a correction is one of"):
        adjusted([0.5], "sidak")
    with pytest.raises(ValueError, match="one dimension"):
        adjusted([[0.5]])


# simulations


def _rejections(draw, n_simulations):
    """Return for each test the share of simulations without a true difference that reject."""
    names = ("p_t", "p_wilcoxon", "p_randomisation")
    found = [paired_tests(*draw(), resamples=199, seed=n) for n in range(n_simulations)]
    return {name: np.mean([getattr(one, name) <= 0.05 for one in found]) for name in names}


@pytest.mark.slow
def test_false_positives_come_at_the_nominal_rate():
    rng = np.random.default_rng(9)
    metric, n = Metric("NDCG", 10), 2000
    tolerance = 4 * math.sqrt(0.05 * 0.95 / n)

    def alike():
        # ranks of two methods that are equally good, user by user
        easy = rng.geometric(0.1, 80)
        return tuple(metric.values(rng.geometric(1 / (1 + easy))) for _ in range(2))

    for name, rate in _rejections(alike, n).items():
        assert rate == pytest.approx(0.05, abs=tolerance), name


@pytest.mark.slow
def test_the_bootstrap_interval_covers_at_about_the_nominal_rate():
    rng = np.random.default_rng(10)
    covered = []
    for number in range(2000):
        values = rng.normal(size=100)
        low, high = paired_tests(
            values, np.zeros(100), seed=number, resamples=400
        ).bootstrap_interval
        covered.append(low <= 0.0 <= high)
    # percentiles are a little narrow: by sqrt(99 / 100), and by 1.96 in place of 1.984
    assert 0.92 < np.mean(covered) < 0.97


@pytest.mark.slow
def test_the_interval_over_users_and_seeds_covers_where_the_users_alone_do_not():
    rng = np.random.default_rng(11)
    both, users_only, n = [], [], 2000
    for _ in range(n):
        values = rng.normal(size=(1, 60)) + 0.3 * rng.normal(size=(4, 1)) + rng.normal(size=(4, 60))
        low, high = paired_tests(values, np.zeros((4, 60)), resamples=1).t_interval
        both.append(low <= 0.0 <= high)
        users_only.append(stats.ttest_1samp(values.mean(axis=0), 0.0).pvalue > 0.05)
    assert np.mean(both) == pytest.approx(0.95, abs=0.025)
    assert np.mean(users_only) < 0.9
