"""On real data, items with one another's texts lower the NDCG@10 of methods that read them."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from harness.cells import CellInput, Validation, training_data
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.data.prepared import PreparedData
from harness.method import RunContext
from harness.progress import Progress
from harness.registry import load_method
from harness.seeding import seed_everything
from harness.settings import Layer, resolve
from harness.shared_folders import SharedFolders
from harness.splits import leave_one_out

SHORT = {
    "encoder": "tf-idf", "hidden_size": 64, "objective": "all-positions", "batch_size": 256,
    "hidden_dropout": 0.2, "attention_dropout": 0.2,
}  # fmt: skip
CASES = {
    "unisrec:text": {"max_epochs": 4},
    "unisrec:id-text": {"max_epochs": 4},
    "fdsa": {"max_epochs": 12},
    "s3rec": {
        "max_epochs": 12, "pretraining_epochs": 15, "pretraining_examples": "whole-histories",
        "pretraining_batch_size": 128,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def scientific(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> PreparedData:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "HARNESS_SHARED_DATA", str(shared_data))
        cache = tmp_path_factory.mktemp("prepared")
        return prepare(load_card("scientific"), cache, Progress(shown=False))


def best_validation(name: str, data: PreparedData, folder: Path, order: np.ndarray) -> float:
    """Return the best epoch's pessimistic NDCG@10 on all validation items."""
    base, _, preset = name.partition(":")
    method = load_method(base).method
    layers = [
        Layer("preset", method.card.presets[preset] if preset else {}),
        Layer("test", {**SHORT, **CASES[name]}),
    ]
    made = method(resolve(method.Settings, base, layers)[0])
    texts = tuple(data.item_texts[at] for at in order)
    attributes = {
        key: tuple(values[at] for at in order) for key, values in data.item_attributes.items()
    }
    cell = CellInput(
        made, "scientific", texts, "bought", leave_one_out(data.sequences), 0, "cpu", attributes
    )
    seen: list[float] = []
    context = RunContext(
        0, "cpu", folder, Progress(shown=False), Validation(cell),
        lambda values: seen.append(values.get("validation_ndcg10") or 0.0),
        SharedFolders(folder / "shared", base, "test"),
    )  # fmt: skip
    seed_everything(0)
    made.fit(training_data(cell), context)
    return max(seen)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_shuffled_texts_lower_ndcg(name, scientific, tmp_path):
    n_items = len(scientific.item_texts)
    own = best_validation(name, scientific, tmp_path, np.arange(n_items))
    others = best_validation(
        name, scientific, tmp_path, np.random.default_rng(0).permutation(n_items)
    )
    print(f"{name}: {own:.4f} with its own texts, {others:.4f} with others'")
    assert others < own
