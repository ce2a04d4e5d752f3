"""RecBole's S3-Rec: its network, its four losses of pre-training by index, fine-tuning.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.s3rec import S3Rec
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from methods._all_positions import AllPositions
from methods._frozen_text import ProjectedText
from methods.s3rec.bce import summed_bce

KEPT_POSITIONS = 16_384
"""Positions of a batch up to which all is kept for the gradient."""


class S3Network(S3Rec):  # type: ignore[misc]
    """RecBole's class with losses of the same value that need no batch x width x attributes.

    Args:
        config: RecBole's, with ``align_padding``, ``align_targets`` and the losses' weights.
        catalogue: knows the number of items, and of attributes.
        tokens: int64 [n_items + 1, most]: every item's attributes from 1, padding item first; 0
            fills up.
        rows: float32 [n_attributes, width], frozen text vectors that attributes are projected
            from, or None for an embedding of each.
    """

    def __init__(self, config: Any, catalogue: Any, tokens: Any, rows: Any) -> None:
        super().__init__(config, catalogue)
        self.align_padding, self.align_targets = config["align_padding"], config["align_targets"]
        self.register_buffer("tokens", tokens, persistent=False)
        self.adapter = None
        if rows is not None:
            self.feature_embedding = None
            self.adapter = ProjectedText(rows, self.hidden_size, self.initializer_range)

    def attributes(self) -> Any:
        """Return float32 [n_attributes, hidden]."""
        if self.adapter is None:
            return self.feature_embedding.weight
        return self.adapter.layers(self.adapter.rows)

    # ---- pre-training ----------------------------------------------------------------------------

    def pretraining_loss(self, batch: dict[str, Any]) -> Any:
        """Return the weighted sum of the four losses over a batch of `examples.Examples`.

        Padded at the right where ``align_padding``, else at the left to the longest history that
        positions are known for.
        """
        items, masked = batch["items"], batch["masked"]
        states = self._remembered(self.forward, masked)
        hidden = masked == self.mask_token
        seen = (masked > 0) & ~hidden
        asked = items if self.align_targets else _padded_right(items, batch["lengths"])
        attributes, tokens = self.attributes(), self.tokens
        told = summed_bce(self.aap_norm(states[seen]), attributes, tokens[asked[seen]])
        guessed = summed_bce(self.map_norm(states[hidden]), attributes, tokens[asked[hidden]])
        return (
            self.aap_weight * told
            + self.map_weight * guessed
            + self.mip_weight * self._masked_items(states[hidden], items[hidden], batch, hidden)
            + self.sp_weight * self._segments(batch)
        )

    def _masked_items(self, states: Any, items: Any, batch: dict[str, Any], hidden: Any) -> Any:
        """Return the sum over masks of how badly the item is told from one that is not there."""
        states = self.mip_norm(states)
        right = torch.sigmoid((states * self.item_embedding(items)).sum(-1))
        wrong = torch.sigmoid((states * self.item_embedding(batch["negatives"][hidden])).sum(-1))
        return functional.softplus(wrong - right).sum()

    def _segments(self, batch: dict[str, Any]) -> Any:
        """Return the sum over rows of how badly the segment is told from another stretch."""
        context, segment, other = (
            self._ends(batch[part], batch["lengths"])
            for part in ("context", "segment", "other_segment")
        )
        context = self.sp_norm(context)
        right = torch.sigmoid((context * segment).sum(-1))
        wrong = torch.sigmoid((context * other).sum(-1))
        return functional.softplus(wrong - right).sum()

    def _ends(self, items: Any, lengths: Any) -> Any:
        """Return float32 [n_rows, hidden], the state at each row's last event."""
        return self._remembered(self._ends_now, items, lengths)

    def _remembered(self, function: Any, items: Any, *others: Any) -> Any:
        """Call it; of large batches nothing in between is kept for the gradient.

        It is computed again: the same numbers, dropout included.
        """
        if items.numel() > KEPT_POSITIONS and self.training:
            return checkpoint(function, items, *others, use_reentrant=False)
        return function(items, *others)

    def _ends_now(self, items: Any, lengths: Any) -> Any:
        states = self.forward(items)
        return self.gather_indexes(states, lengths - 1) if self.align_padding else states[:, -1]

    # ---- fine-tuning -----------------------------------------------------------------------------

    def last_states(self, items: Any, lengths: Any) -> Any:
        """Return float32 [n_rows, hidden]: causal, at the last event of each row."""
        states = self.forward(items, bidirectional=False)
        return super().gather_indexes(states, lengths - 1)

    def calculate_loss(self, interaction: Any) -> Any:
        """Return the mean cross-entropy over all items, the rows of padding and mask included."""
        states = self.last_states(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        logits = states @ self.item_embedding.weight.T
        return functional.cross_entropy(logits, interaction[self.POS_ITEM_ID])


class AllPositionsS3Network(AllPositions, S3Network):
    """The same, fine-tuned with a loss at every position."""

    def all_states(self, items: Any) -> Any:
        """Return causal states of all positions."""
        return self.forward(items, bidirectional=False)


def _padded_right(items: Any, lengths: Any) -> Any:
    """Return rows padded at the left as rows padded at the right."""
    width = items.shape[1]
    columns = torch.arange(width, device=items.device) + (width - lengths[:, None])
    return torch.where(columns < width, items.gather(1, columns.clamp(max=width - 1)), 0)
