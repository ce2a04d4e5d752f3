"""Vectors of many sequences: batches of similar lengths, each sequence encoded once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from methods.recformer.model import Recformer, normalised
from methods.recformer.precision import products
from methods.recformer.settings import FLOAT32
from methods.recformer.tokens import Padded, Sequences, Vocabulary, batches, padded


@dataclass
class Encoder:
    """A model with what it needs to read sequences.

    Attributes:
        model: the network, on its device.
        vocabulary: of its tokeniser.
        tokens_at_once: tokens of a batch, padding included.
        device: "cpu" or "cuda".
    """

    model: Recformer
    vocabulary: Vocabulary
    tokens_at_once: int
    device: str

    def padded(
        self, sequences: Sequences, rows: NDArray[np.int64], width: int | None = None
    ) -> Padded:
        """Return some sequences as one batch."""
        last = self.model.item_positions.num_embeddings - 1
        return padded(sequences, rows, self.vocabulary, last, width)

    def batches(
        self, sequences: Sequences, rows: NDArray[np.int64] | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Padded]]:
        """Yield rows of ``sequences`` (all by default) and them as a batch, longest first."""
        rows = np.arange(len(sequences)) if rows is None else rows
        for part in batches(sequences.lengths[rows], self.tokens_at_once):
            yield rows[part], self.padded(sequences, rows[part])

    def vectors(
        self, sequences: Sequences, precision: str = FLOAT32, bar: Any = None
    ) -> torch.Tensor:
        """Return vectors of length 1, float32 [n, width], without dropout and gradient.

        Args:
            sequences: what to encode.
            precision: "float32" or "bfloat16", of the products.
            bar: a progress bar that counts sequences.
        """
        found = torch.empty(len(sequences), self.model.width, device=self.device)
        was_training = self.model.training
        self.model.eval()
        with torch.inference_mode(), products(precision, self.device):
            for rows, batch in self.batches(sequences):
                found[torch.from_numpy(rows).to(self.device)] = normalised(self.model(batch))
                if bar is not None:
                    bar.advance(len(rows))
        self.model.train(was_training)
        return found.clone()
