"""Popularity: items ranked by how often they occur in the training histories.

The shortest complete method, and the one to copy for a new one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData


@dataclass(frozen=True)
class PopularitySettings:
    """Popularity has nothing to set."""


class Popularity(Method):
    """Scores an item by its number of training events; the same for every user."""

    card = MethodCard(
        title="Popularity",
        paper="non-personalised baseline",
        inputs=frozenset({Input.ITEM_IDS}),
        learns=False,
    )
    Settings = PopularitySettings

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Count the training events of every item."""
        self._counts = np.bincount(data.histories.items, minlength=data.n_items).astype(np.float64)

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return the counts, float64 [B, C]."""
        return np.tile(self._counts[candidates], (len(histories), 1))

    def describe(self) -> Mapping[str, Any]:
        """Return the number of counts as the parameters."""
        return {"parameters": len(self._counts)}


METHOD = Popularity
