"""Random: what a method reaches that knows nothing at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData


@dataclass(frozen=True)
class RandomSettings:
    """Random has nothing to set; its draws come from (seed, user)."""


class Random(Method):
    """Scores every item with an independent uniform draw keyed by (seed, user)."""

    card = MethodCard(
        title="Random",
        paper="uninformed baseline",
        inputs=frozenset({Input.ITEM_IDS}),
        learns=False,
    )
    Settings = RandomSettings

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Keep the seed and the catalogue's size."""
        self._context = context
        self._n_items = data.n_items

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return uniform draws, float64 [B, C], whatever the history."""
        draws = [
            self._context.user_generator(user).random(self._n_items) for user in histories.users
        ]
        return np.array(draws).reshape(len(histories), self._n_items)[:, candidates]

    def describe(self) -> Mapping[str, Any]:
        """Return that there are no parameters."""
        return {"parameters": 0}


METHOD = Random
