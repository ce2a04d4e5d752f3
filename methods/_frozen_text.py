"""Text vectors inside a network: frozen, and projected to the network's width.

Imports torch and RecBole at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from numpy.typing import NDArray
from recbole.model.layers import MLPLayers


def frozen_rows(vectors: NDArray[Any], overwritten: float | None) -> Any:
    """Return float32 [n + 1, width]: a row of zeros for padding, then the vectors.

    Args:
        vectors: float32 [n, width].
        overwritten: None for the vectors as they are. A number: noise of that standard deviation
            in place of all rows, which is what UniSRec's code trains FDSA and S3-Rec with
            (METHODS 3): its initialisation overwrites the frozen table.
    """
    rows = torch.zeros(len(vectors) + 1, vectors.shape[1])
    if overwritten is not None:
        return rows.normal_(std=overwritten)
    rows[1:] = torch.from_numpy(vectors)
    return rows


class ProjectedText(torch.nn.Module):
    """Frozen text vectors through one layer with ReLU (RecBole's ``MLPLayers``).

    Args:
        rows: float32 [n + 1, width], see `frozen_rows`; no parameters, and not in the state.
        hidden: the network's width.
        std: standard deviation of the initial weights; biases start at 0.
    """

    def __init__(self, rows: Any, hidden: int, std: float) -> None:
        super().__init__()
        self.register_buffer("rows", rows, persistent=False)
        self.layers = MLPLayers([rows.shape[1], hidden])
        for part in self.layers.modules():
            if isinstance(part, torch.nn.Linear):
                part.weight.data.normal_(std=std)
                part.bias.data.zero_()

    def forward(self, places: Any) -> Any:
        """Return float32 [..., hidden] for int64 [...] rows.

        Nothing is random here, so each row is projected once where that is less work.
        """
        if places.numel() > len(self.rows):
            return self.layers(self.rows)[places]
        return self.layers(self.rows[places])
