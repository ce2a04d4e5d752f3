"""Metrics against RecBole's own metric classes, on the same rankings without ties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.metrics import METRICS, Metric, mean, summary
from harness.ranking import rank_targets

N_ITEMS = 60


class NumpyOfThen:
    """numpy with the alias `float` that RecBole 1.2.1 still uses, for RecBole's module only."""

    float = float

    def __getattr__(self, name):
        return getattr(np, name)


@pytest.fixture(scope="module")
def recbole_metrics():
    pytest.importorskip("recbole")
    from recbole.evaluator import metrics

    real = metrics.np
    metrics.np = NumpyOfThen()
    yield metrics
    metrics.np = real


def _recbole_values(recbole_metrics, scores, targets):
    """Return family -> [n_users, n_items], the values of every user at every cutoff."""
    config = {"metric_decimal_place": 12, "topk": [N_ITEMS]}
    order = np.argsort(-scores, axis=1)
    hits = order == targets[:, None]
    relevant = np.ones(len(targets), int)
    return {
        "NDCG": recbole_metrics.NDCG(config).metric_info(hits, relevant),
        "Recall": recbole_metrics.Recall(config).metric_info(hits, relevant),
        "Hit": recbole_metrics.Hit(config).metric_info(hits),
        "MRR": recbole_metrics.MRR(config).metric_info(hits),
    }


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n_users=st.integers(1, 40))
def test_every_users_value_agrees(recbole_metrics, seed, n_users):
    generator = np.random.default_rng(seed)
    scores = generator.permuted(np.tile(np.arange(N_ITEMS) / 7, (n_users, 1)), axis=1)
    targets = generator.integers(0, N_ITEMS, n_users)
    ranks = rank_targets(scores, targets)
    assert np.array_equal(ranks.optimistic, ranks.pessimistic)
    theirs = _recbole_values(recbole_metrics, scores, targets)
    for cutoff in (1, 5, 10, N_ITEMS):
        for family in ("NDCG", "Recall", "MRR"):
            ours = Metric(family, cutoff).values(ranks.pessimistic)
            np.testing.assert_allclose(ours, theirs[family][:, cutoff - 1], rtol=0, atol=1e-8)
        np.testing.assert_array_equal(theirs["Hit"][:, cutoff - 1], theirs["Recall"][:, cutoff - 1])


def test_every_published_mean_agrees(recbole_metrics):
    generator = np.random.default_rng(11)
    scores = generator.random((500, N_ITEMS))
    targets = generator.integers(0, N_ITEMS, 500)
    ranks = rank_targets(scores, targets)
    theirs = _recbole_values(recbole_metrics, scores, targets)
    means = summary(ranks.optimistic, ranks.pessimistic)
    for metric in METRICS:
        cutoff = metric.cutoff or N_ITEMS
        their_mean = theirs[metric.family].mean(axis=0)[cutoff - 1]
        for bound in ("optimistic", "pessimistic", "expected"):
            assert abs(means[metric.name][bound] - their_mean) < 1e-8


def test_with_ties_theirs_depends_on_the_order_and_lies_between_ours(recbole_metrics):
    scores = np.zeros((1, N_ITEMS))
    scores[0, 30:] = 1.0
    targets = np.array([45])
    ranks = rank_targets(scores, targets)
    theirs = _recbole_values(recbole_metrics, scores, targets)["MRR"][0, -1]
    low, high = (mean(Metric("MRR").values(r)) for r in (ranks.pessimistic, ranks.optimistic))
    assert low < high
    assert low <= theirs <= high
