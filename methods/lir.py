"""The Last Item Repeater: items whose text is like that of the user's last item.

A baseline of the CALRec paper (section 4) that fits nothing: it shows how much of a text-based
method's score repeat purchases and text twins explain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData, text_groups
from harness.settings import setting
from methods._bm25 import BM25
from methods._vector_cache import VectorCache

CACHE_BYTES = 256 * 2**20


@dataclass(frozen=True)
class LastItemRepeaterSettings:
    """Settings of LIR."""

    exclude_last: bool = setting(
        False,
        "give the user's last item no score at all (an extension: in the paper it is a candidate "
        "like any other, and texts equal to it stay candidates in either case)",
    )


class LastItemRepeater(Method):
    """BM25 with the text of the last item as the query and all item texts as the documents.

    A user without history gets 0 for every item: all tied. Items of equal texts tie bit for bit.
    """

    card = MethodCard(
        title="LIR",
        paper="Last Item Repeater: CALRec (RecSys 2024), section 4",
        inputs=frozenset({Input.ITEM_TEXT}),
        requires=("numba",),
        learns=False,
        ties_identical_texts=True,
    )
    Settings = LastItemRepeaterSettings

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Index the item texts; the histories are not read."""
        self._texts, self._group_of_item = text_groups(data.item_texts)
        # over all items, twins included: document frequencies count items, not distinct texts
        self._bm25 = BM25(data.item_texts)
        self._cache = VectorCache(CACHE_BYTES)

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return float64 [B, C]; see the class."""
        scores = np.zeros((len(histories), len(candidates)))
        rows = np.flatnonzero(histories.lengths)
        last_items = histories.items[histories.offsets[rows + 1] - 1]
        groups = self._group_of_item[last_items]
        for group in np.unique(groups):
            vector = self._cache.vector(self._texts[group], self._bm25.scores)
            scores[rows[groups == group]] = vector[candidates]
        if self.settings.exclude_last:
            excluded = candidates == last_items[:, None]
            scores[rows] = np.where(excluded, -np.inf, scores[rows])
        return scores

    def describe(self) -> Mapping[str, Any]:
        """Return that there are no parameters, and the size of the index."""
        return {"parameters": 0, "word_types": self._bm25.n_words, "texts": len(self._texts)}


METHOD = LastItemRepeater
