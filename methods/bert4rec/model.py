"""RecBole's BERT4Rec; the loss is computed at masked places alone.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.bert4rec import BERT4Rec


class MaskedBERT4Rec(BERT4Rec):  # type: ignore[misc]
    """RecBole's network, weights and products; it reads targets by place.

    RecBole gathers as many places of each row as could be masked and multiplies all by the whole
    catalogue, then forgets those that are none. Here only the masked ones are multiplied.
    """

    def calculate_loss(self, interaction: Any) -> Any:
        """Return the mean cross-entropy at the places whose target is not 0.

        The softmax runs over all items and the padding row, the mask's row excluded.
        """
        targets = interaction[self.ITEM_ID]
        wanted = targets > 0
        states = self.forward(interaction[self.ITEM_SEQ])[wanted]
        logits = states @ self.item_embedding.weight[: self.n_items].T + self.output_bias
        return torch.nn.functional.cross_entropy(logits, targets[wanted])

    def states_at_mask(self, items: Any, lengths: Any) -> Any:
        """Return float32 [n_rows, hidden]: the state of a mask put behind each row's items.

        Args:
            items: int64 [n_rows, width], right-padded with 0; width may be 0.
            lengths: int64 [n_rows].
        """
        extended = torch.nn.functional.pad(items, (0, 1))
        extended.scatter_(1, lengths[:, None], self.mask_token)
        return self.gather_indexes(self.forward(extended), lengths)
