"""UniSRec's network: RecBole's SASRec whose items are adapted text vectors.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.sasrec import SASRec
from torch.nn import functional

from methods._all_positions import AllPositions
from methods.unisrec.adaptor import Adaptor


class UniSRec(SASRec):  # type: ignore[misc]
    """Histories and items in one space; cosines over a temperature go into the softmax.

    Args:
        config: RecBole's, with ``n_experts``, ``adaptor_dropout``, ``temperature`` and
            ``with_ids``: whether an embedding of each item is added to its adapted text, in
            histories and among candidates.
        catalogue: knows the number of items.
        rows: float32 [n_items + 1, width], the text vector of each item, padding first; no
            parameters, and not in the state. None for pre-training, which brings its own.
        width: of text vectors.
    """

    def __init__(self, config: Any, catalogue: Any, rows: Any, width: int) -> None:
        super().__init__(config, catalogue)
        if not config["with_ids"]:
            self.item_embedding = None
        self.temperature = config["temperature"]
        self.register_buffer("rows", rows, persistent=False)
        self.moe_adaptor = Adaptor(
            width, self.hidden_size, config["n_experts"], config["adaptor_dropout"]
        )

    def encode(self, items: Any, adapted: Any, lengths: Any) -> Any:
        """Return float32 [n_rows, hidden], the last states.

        Args:
            items: int64 [n_rows, longest], right-padded with 0.
            adapted: float32 [n_rows, longest, hidden], the adapted texts of these items.
            lengths: int64 [n_rows], at least 1; or [n_rows, longest] where a network with a loss
                at all positions is to return the states of all.
        """
        places = torch.arange(items.shape[1], device=items.device)
        inputs = adapted + self.position_embedding(places)
        if self.item_embedding is not None:
            inputs = inputs + self.item_embedding(items)
        inputs = self.dropout(self.LayerNorm(inputs))
        mask = self.get_attention_mask(items)
        states = self.trm_encoder(inputs, mask, output_all_encoded_layers=True)[-1]
        return self.gather_indexes(states, lengths - 1)

    def forward(self, items: Any, lengths: Any) -> Any:
        """Return float32 [n_rows, hidden], the last states of histories of this catalogue."""
        real = items > 0  # padding is never attended to: nothing need be adapted for it
        adapted = self.rows.new_zeros(*items.shape, self.hidden_size)
        adapted[real] = self.moe_adaptor(self.rows[items[real]])
        return self.encode(items, adapted, lengths)

    def candidates(self) -> Any:
        """Return float32 [n_items + 1, hidden] of length 1: every item, padding row first."""
        vectors = self.moe_adaptor(self.rows)
        if self.item_embedding is not None:
            vectors = vectors + self.item_embedding.weight
        return functional.normalize(vectors, dim=1)

    def logits(self, states: Any) -> Any:
        """Return float32 [n, n_items + 1]: cosines over the temperature."""
        return functional.normalize(states, dim=1) @ self.candidates().T / self.temperature

    def calculate_loss(self, interaction: Any) -> Any:
        """Return the mean cross-entropy over all items, the padding row included."""
        states = self.forward(interaction[self.ITEM_SEQ], interaction[self.ITEM_SEQ_LEN])
        return functional.cross_entropy(self.logits(states), interaction[self.POS_ITEM_ID])


class AllPositionsUniSRec(AllPositions, UniSRec):
    """The same with a loss at every position."""

    def logits(self, states: Any) -> Any:
        """Return the logits of `UniSRec`, which know the temperature."""
        return UniSRec.logits(self, states)
