"""LIR on real data: the figures known from an independent script with rank_bm25."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.data.prepared import PreparedData
from harness.method import Input, RunContext, TrainingData
from harness.progress import Progress
from harness.ranking import rank_targets
from harness.splits import leave_one_out
from methods._bm25 import BM25, words_of
from methods.lir import LastItemRepeater, LastItemRepeaterSettings

# optimistic and pessimistic, to four decimals
PUBLISHED = {
    "NDCG@10": (0.0544, 0.0445),
    "Recall@1": (0.0107, 0.0019),
    "Recall@10": (0.0977, 0.0892),
    "MRR": (0.0444, 0.0347),
}
ROUNDING = 0.6e-4


@pytest.fixture(scope="module")
def scientific(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "HARNESS_SHARED_DATA", str(shared_data))
        cache = tmp_path_factory.mktemp("prepared")
        return prepare(load_card("scientific"), cache, Progress(shown=False))


def metrics(ranks: np.ndarray) -> dict[str, float]:
    """The paper's four metrics, written out here so that the library's are not their own judge."""
    ranks = ranks.astype(np.float64)
    return {
        "NDCG@10": float(np.mean((ranks <= 10) / np.log2(ranks + 1))),
        "Recall@1": float(np.mean(ranks == 1)),
        "Recall@10": float(np.mean(ranks <= 10)),
        "MRR": float(np.mean(1 / ranks)),
    }


def test_the_published_figures(scientific: PreparedData, tmp_path: Path) -> None:
    split = leave_one_out(scientific.sequences)
    method = LastItemRepeater(LastItemRepeaterSettings())
    data = TrainingData(
        dataset="scientific",
        n_items=len(scientific.item_texts),
        histories=split.train,
        verb="bought",
        inputs=frozenset({Input.ITEM_TEXT}),
        _item_texts=scientific.item_texts,
    )
    context = RunContext(
        seed=0,
        device="cpu",
        work_dir=tmp_path,
        progress=Progress(shown=False),
        validate_fn=lambda method, users: 0.0,
        log_fn=lambda values: None,
    )
    method.fit(data, context)
    items = np.arange(data.n_items)
    optimistic, pessimistic = [], []
    for start in range(0, len(split.test_histories), 512):
        rows = np.arange(start, min(start + 512, len(split.test_histories)))
        scores = method.score(split.test_histories.select(rows), items)
        ranks = rank_targets(scores, split.test_targets[rows])
        optimistic.append(ranks.optimistic)
        pessimistic.append(ranks.pessimistic)
    found = (metrics(np.concatenate(optimistic)), metrics(np.concatenate(pessimistic)))
    for name, wanted in PUBLISHED.items():
        assert (found[0][name], found[1][name]) == pytest.approx(wanted, abs=ROUNDING), name


def test_real_texts_score_with_the_bits_of_rank_bm25(scientific: PreparedData) -> None:
    items = scientific.item_texts
    ours, peer = BM25(items), BM25Okapi([words_of(text) for text in items])
    for item in range(0, len(items), 400):
        wanted = peer.get_scores(words_of(items[item]))
        assert ours.scores(items[item]).tobytes() == wanted.tobytes()
        # every item holds the labels, so that no item scores 0, and an item finds itself
        assert wanted.min() > 0
        assert wanted[item] == wanted.max()
