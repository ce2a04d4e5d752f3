"""The values that RecBole's own pipeline left (recbole_pipeline/README.md), as tests read them.

Items are numbered as RecBole numbers them, less one: no table of weights has to be moved.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.histories import Histories
from methods import _spans

FOLDER = Path(__file__).parent / "recbole_pipeline"
N_ITEMS, MAX_HISTORY, N_VALUES = 30, 12, 7
SHAPE = {
    "n_layers": 2, "n_heads": 2, "hidden_size": 8, "inner_size": 16, "hidden_dropout": 0.0,
    "attention_dropout": 0.0, "initializer_range": 0.3, "max_history": MAX_HISTORY,
}  # fmt: skip


@dataclass(frozen=True)
class Stored:
    """One model's values, by name (see ``generate.py``)."""

    arrays: dict[str, Any]

    def __getitem__(self, name: str) -> Any:
        return self.arrays[name]

    @property
    def n_batches(self) -> int:
        return len(self["losses"])

    def state(self) -> dict[str, Any]:
        """Initial weights by RecBole's keys, as tensors."""
        import torch

        return {
            key.removeprefix("state/"): torch.from_numpy(value.copy())
            for key, value in self.arrays.items()
            if key.startswith("state/")
        }

    def batch(self, number: int) -> dict[str, Any]:
        """One batch by RecBole's field names, as tensors."""
        import torch

        start = f"batch/{number}/"
        return {
            key.removeprefix(start): torch.from_numpy(value.astype(np.int64))
            for key, value in self.arrays.items()
            if key.startswith(start)
        }

    def spans(self, number: int) -> _spans.Spans:
        """The examples of one batch as ours: each a stretch that its target follows."""
        lists, lengths, targets = (
            self[f"batch/{number}/{key}"] for key in ("item_id_list", "item_length", "item_id")
        )
        rows = [
            [*row[:length], target]
            for row, length, target in zip(lists, lengths, targets, strict=True)
        ]
        flat = np.concatenate(rows).astype(np.int64)
        ends = np.cumsum([len(row) for row in rows])
        return _spans.Spans(flat, ends - lengths - 1, lengths.astype(np.int64))

    def test_histories(self) -> Histories:
        """What the scores are for, in the order of their rows."""
        lists, lengths = self["test/item_id_list"], self["test/item_length"]
        return Histories.from_lists(
            [row[:length] - 1 for row, length in zip(lists, lengths, strict=True)]
        )

    def attribute_table(self) -> Any:
        """int64 [n_items + 1, most]: every item's values as RecBole numbers them."""
        import importlib.util

        found = importlib.util.spec_from_file_location("generate", FOLDER / "generate.py")
        module = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        table = np.zeros((N_ITEMS + 1, 3), dtype=np.int64)
        for item, values in enumerate(module.values_of_items()):
            row = self["internal_of_item"][item]
            table[row, : len(values)] = self["internal_of_value"][values]
        return table


def load(model: str) -> Stored:
    """Return the stored values of "SASRec", "BERT4Rec", "FDSA", "S3Rec-pretrain", "-finetune"."""
    with np.load(FOLDER / f"{model}.npz", allow_pickle=False) as found:
        return Stored({name: found[name] for name in found.files})
