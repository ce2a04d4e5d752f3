"""SASRec with a loss at every position of a sequence at once.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.sasrec import SASRec


class AllPositionsSASRec(SASRec):  # type: ignore[misc]
    """RecBole's SASRec; only its loss differs: each position predicts the item after it.

    Where a sequence fits into one window and without dropout, the loss is the mean of RecBole's
    losses of all its prefixes, because attention is causal: one pass does the work of many.
    """

    def gather_indexes(self, output: Any, gather_index: Any) -> Any:
        """Return one state per row for an index per row, all states for an index per position."""
        return super().gather_indexes(output, gather_index) if gather_index.dim() == 1 else output

    def calculate_loss(self, interaction: Any) -> Any:
        """Return the mean cross-entropy over all targets; a target of 0 is no target.

        The softmax runs over the whole item table, padding row included, as RecBole's does.
        """
        items, targets = interaction[self.ITEM_SEQ], interaction[self.POS_ITEM_ID]
        states = self.forward(items, torch.ones_like(items))
        wanted = targets > 0
        logits = states[wanted] @ self.item_embedding.weight.transpose(0, 1)
        return self.loss_fct(logits, targets[wanted])
