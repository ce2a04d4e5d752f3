"""Ranks against a sort written out in plain Python, and the paper's special cases."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from harness.errors import MethodError
from harness.metrics import METRICS, summary, tie_rate
from harness.ranking import UNRANKED, rank_targets

few_values = st.sampled_from([-1.5, -0.0, 0.0, 0.25, 1.0, np.inf])


@given(
    scores=hnp.arrays(
        np.float64, st.tuples(st.integers(1, 5), st.integers(1, 15)), elements=few_values
    ),
    data=st.data(),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_ranks_equal_a_sort(scores, data, dtype):
    scores = scores.astype(dtype)
    targets = np.array([data.draw(st.integers(0, scores.shape[1] - 1)) for _ in scores])
    ranks = rank_targets(scores, targets, top_k=10)
    for row, target in enumerate(targets):
        values = scores[row].tolist()
        order = sorted(range(len(values)), key=lambda item: (-values[item], item))
        expected_top = order[:10] + [-1] * (10 - len(order[:10]))
        assert ranks.top[row].tolist() == expected_top
        descending = sorted(values, reverse=True)
        assert ranks.optimistic[row] == descending.index(values[target]) + 1
        assert ranks.pessimistic[row] == len(values) - descending[::-1].index(values[target])


def test_all_tied_is_first_optimistically_and_last_pessimistically():
    # the paper's footnote 12: an empty output scores every candidate 0
    ranks = rank_targets(np.zeros((3, 50)), np.array([0, 20, 49]))
    assert ranks.optimistic.tolist() == [1, 1, 1]
    assert ranks.pessimistic.tolist() == [50, 50, 50]
    means = summary(ranks.optimistic, ranks.pessimistic)
    for name in ("NDCG@10", "Recall@1", "Recall@10"):
        assert means[name]["optimistic"] == 1.0
        assert means[name]["pessimistic"] == 0.0
    assert means["MRR"]["pessimistic"] == pytest.approx(1 / 50)
    assert means["Recall@10"]["expected"] == pytest.approx(10 / 50)
    assert tie_rate(ranks.optimistic, ranks.pessimistic) == 1.0


def test_a_target_that_is_not_recommended_is_a_miss_in_every_metric():
    scores = np.full((1, 4), -np.inf)
    scores[0, 1] = 3.0
    ranks = rank_targets(scores, np.array([2]), top_k=3)
    assert ranks.optimistic[0] == ranks.pessimistic[0] == UNRANKED
    assert ranks.top[0].tolist() == [1, -1, -1]
    assert all(
        value == 0.0
        for bounds in summary(ranks.optimistic, ranks.pessimistic).values()
        for value in bounds.values()
    )


def test_nan_is_an_error_that_names_the_place():
    scores = np.zeros((3, 7), np.float32)
    scores[2, 5] = np.nan
    with pytest.raises(MethodError, match="row 2, item 5"):
        rank_targets(scores, np.array([0, 1, 2]))


def test_targets_outside_the_catalogue_are_refused():
    with pytest.raises(ValueError, match="0 to 6"):
        rank_targets(np.zeros((1, 7)), np.array([7]))


def test_metrics_by_hand():
    ranks = np.array([1, 2, 10, 11, UNRANKED])
    ndcg, recall_1, recall_10, mrr = (metric.values(ranks).tolist() for metric in METRICS)
    assert ndcg == pytest.approx([1, 1 / np.log2(3), 1 / np.log2(11), 0, 0])
    assert recall_1 == [1, 0, 0, 0, 0]
    assert recall_10 == [1, 1, 1, 0, 0]
    assert mrr == pytest.approx([1, 1 / 2, 1 / 10, 1 / 11, 0])


@given(first=st.integers(1, 30), tied=st.integers(0, 30))
def test_expected_value_is_the_mean_over_the_tie(first, tied):
    places = np.arange(first, first + tied + 1)
    for metric in METRICS:
        expected = metric.expected(np.array([first]), np.array([first + tied]))
        assert expected[0] == pytest.approx(metric.values(places).mean(), abs=1e-12)


def test_ten_thousand_users_by_forty_thousand_items_in_blocks_stay_small():
    import tracemalloc

    block = np.random.default_rng(0).random((250, 40_000))
    rank_targets(block[:1], np.array([0]))  # compile before measuring
    tracemalloc.start()
    rank_targets(block, np.zeros(250, np.int64))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000  # no copy of the block: only ranks and the items ranked first
