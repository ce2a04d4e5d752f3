"""RecBole's FDSA with item texts as a feature field.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from recbole.model.sequential_recommender.fdsa import FDSA

from methods._all_positions import AllPositions
from methods._frozen_text import ProjectedText


class Fields(torch.nn.Module):
    """The feature fields of items in a sequence, in the two parts that RecBole's FDSA asks for.

    Args:
        attributes: RecBole's layer of attribute embeddings, or None.
        text: the text's field, or None.
    """

    def __init__(self, attributes: Any, text: ProjectedText | None) -> None:
        super().__init__()
        self.attributes, self.text = attributes, text

    def forward(self, users: None, items: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return float32 [n_rows, width, n_fields, hidden] of attributes and of the text."""
        tokens = None if self.attributes is None else self.attributes(users, items)[0]["item"]
        text = None if self.text is None else self.text(items).unsqueeze(-2)
        return {"item": tokens}, {"item": text}


class TextFDSA(FDSA):  # type: ignore[misc]
    """RecBole's FDSA whose fields are attributes, the item's text, or both.

    With the text alone it is the network of UniSRec's repository: attention over fields gives one
    field the weight 1. The text's layer is made after RecBole's initialisation, which would
    overwrite it.

    Args:
        config: RecBole's, whose ``selected_features`` are attributes.
        catalogue: with the attributes' tokens.
        rows: float32 [n_items + 1, width] from `_frozen_text.frozen_rows`, or None.
    """

    def __init__(self, config: Any, catalogue: Any, rows: Any) -> None:
        super().__init__(config, catalogue)
        attributes = self.feature_embed_layer if config["selected_features"] else None
        text = None
        if rows is not None:
            text = ProjectedText(rows, self.hidden_size, self.initializer_range)
        self.feature_embed_layer = Fields(attributes, text)


class AllPositionsFDSA(AllPositions, TextFDSA):
    """The same with a loss at every position."""
