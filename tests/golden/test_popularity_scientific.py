"""Popularity on real data: the figures known from an independent script."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.cells import CellInput, execute
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.metrics import summary
from harness.progress import Progress
from harness.splits import leave_one_out
from methods.popularity import Popularity, PopularitySettings

# optimistic and pessimistic, to four decimals; counts over training items only
PUBLISHED = {
    "NDCG@10": (0.0171, 0.0171),
    "Recall@1": (0.0077, 0.0077),
    "Recall@10": (0.0309, 0.0309),
    "MRR": (0.0175, 0.0173),
}


def test_the_published_figures(
    shared_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "HARNESS_SHARED_DATA", str(shared_data))
    silent = Progress(shown=False)
    data = prepare(load_card("scientific"), tmp_path / "cache", silent)
    cell = CellInput(
        method=Popularity(PopularitySettings()),
        dataset="scientific",
        item_texts=data.item_texts,
        verb="bought",
        split=leave_one_out(data.sequences),
        seed=0,
        device="cpu",
    )
    ranks = execute(cell, tmp_path, tmp_path / "fit.jsonl", silent).ranks
    found = summary(ranks.optimistic, ranks.pessimistic)
    for name, wanted in PUBLISHED.items():
        pair = (found[name]["optimistic"], found[name]["pessimistic"])
        assert pair == pytest.approx(wanted, abs=0.6e-4), name
    with_held_out = np.bincount(data.sequences.items, minlength=len(data.item_ids))
    scores = cell.method.score(cell.split.test_histories.select(np.arange(1)), np.arange(4385))
    assert not np.array_equal(scores[0], with_held_out)  # the plant: counting held-out items too
    assert scores.sum() == len(cell.split.train.items)
