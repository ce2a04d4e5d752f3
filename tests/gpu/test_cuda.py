"""Trained methods on a CUDA device, through the harness; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness import environment, registry
from harness.cells import CellInput, CellResult, execute
from harness.histories import Histories
from harness.method import Method
from harness.progress import Progress
from harness.settings import Layer, resolve
from harness.splits import leave_one_out

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]

N_ITEMS, N_USERS, EVENTS = 12, 96, 9
TEXTS = tuple(f"Title: thing {item:02d}. Brand: Unknown." for item in range(N_ITEMS))
CHANCE = float(np.mean([1 / np.log2(rank + 1) if rank <= 10 else 0 for rank in range(1, 13)]))


def made(name: str, **values: Any) -> Method:
    method = registry.load_method(name).method
    layers = [Layer("quick", method.card.quick_settings), Layer("test", values)]
    return method(resolve(method.Settings, name, layers)[0])


def cell(method: Method) -> CellInput:
    """After item i always comes item i + 1."""
    starts = np.random.default_rng(5).integers(0, N_ITEMS, N_USERS)
    sequences = Histories.from_lists([(s + np.arange(EVENTS)) % N_ITEMS for s in starts.tolist()])
    return CellInput(
        method=method,
        dataset="a cycle",
        item_texts=TEXTS,
        verb="bought",
        split=leave_one_out(sequences),
        seed=0,
        device="cuda",
        item_attributes={"title": TEXTS},
    )


def run(method: Method, folder: Path) -> CellResult:
    return execute(cell(method), folder, folder / "fit.jsonl", Progress(shown=False))


def test_auto_resolves_to_cuda() -> None:
    assert environment.default_device() == "cuda"


@pytest.mark.parametrize(
    "name", ["bert4rec", "calrec", "fdsa", "recformer", "s3rec", "sasrec", "unisrec"]
)
def test_a_cycle_is_learnt_on_cuda(name: str, tmp_path: Path) -> None:
    result = run(made(name), tmp_path)
    ranks = result.ranks.pessimistic
    ndcg = np.where(ranks <= 10, 1 / np.log2(ranks + 1.0), 0.0).mean()
    assert ndcg > 1.5 * CHANCE
    assert result.cost["device"] == "cuda"
    assert result.cost["peak_gpu_bytes"] > 0


def test_calrec_gives_a_user_the_same_texts_alone_and_in_a_batch(tmp_path: Path) -> None:
    """Sampling is float32: what rounding is left flips no more than a rare sample."""
    method = made("calrec")
    run(method, tmp_path)
    histories = cell(method).split.test_histories.select(np.arange(40))
    candidates = np.arange(N_ITEMS)
    together = method.score(histories, candidates)
    alone = np.concatenate(
        [method.score(histories.select(np.array([row])), candidates) for row in range(40)]
    )
    changed = (np.abs(together - alone) > 1e-4).any(axis=1)
    assert changed.sum() <= 1
