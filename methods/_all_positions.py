"""A loss at every position of a sequence at once, in place of one example per prefix.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.sasrec import SASRec


class AllPositions:
    """Mixed into one of RecBole's causal models; only its loss differs.

    Each position predicts the item after it. Where a sequence fits into one window and without
    dropout, the loss is the mean of RecBole's losses of all its prefixes, because attention is
    causal: one pass does the work of many.
    """

    def gather_indexes(self, output: Any, gather_index: Any) -> Any:
        """Return one state per row for an index per row, all states for an index per position."""
        if gather_index.dim() == 1:
            return super().gather_indexes(output, gather_index)  # type: ignore[misc]
        return output

    def all_states(self, items: Any) -> Any:
        """Return float32 [n_rows, width, hidden]: a state for each position."""
        return self.forward(items, torch.ones_like(items))  # type: ignore[attr-defined]

    def logits(self, states: Any) -> Any:
        """Return float32 [n, n_items + 1]: over the whole table, padding row included."""
        return states @ self.item_embedding.weight.transpose(0, 1)  # type: ignore[attr-defined]

    def calculate_loss(self, interaction: Any) -> Any:
        """Return the mean cross-entropy over all targets; a target of 0 is no target."""
        items = interaction[self.ITEM_SEQ]  # type: ignore[attr-defined]
        targets = interaction[self.POS_ITEM_ID]  # type: ignore[attr-defined]
        wanted = targets > 0
        return torch.nn.functional.cross_entropy(
            self.logits(self.all_states(items)[wanted]), targets[wanted]
        )


class AllPositionsSASRec(AllPositions, SASRec):  # type: ignore[misc]
    """RecBole's SASRec with a loss at every position."""
