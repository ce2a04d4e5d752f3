"""Hierarchical matching, the paper's other way from texts to items (section 6, table 8)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from methods.calrec.attributes import attributes, labels_of
from methods.calrec.retrieval import EPSILON, N_PREDICTIONS, GeneratedText, kept_predictions
from methods.calrec.settings import Settings


@dataclass
class MatchCounts:
    """What became of generated texts.

    Attributes:
        texts: all of them, repeated ones as often as they came.
        format_errors: those that do not have the catalogue's form.
        all_attributes: those that equal an item in every attribute.
        title: those whose first attribute is some item's, finer matches included.
    """

    texts: int = 0
    format_errors: int = 0
    all_attributes: int = 0
    title: int = 0

    def shares(self) -> dict[str, float]:
        """Return the columns of table 8, and the share of format errors."""
        n = max(1, self.texts)
        return {
            "format_error_share": self.format_errors / n,
            "all_attributes_match_share": self.all_attributes / n,
            "title_match_share": self.title / n,
        }


class HierarchicalMatcher:
    """Finds the items that equal a text in as many attributes as possible.

    All attributes first; else all but the last; and so on to the title alone. Items found by one
    text tie. The paper does not describe the ranking: an item's score is the highest
    e^(epsilon s) of the texts that found it, and an item that none found is not recommended at
    all (`-inf`), for its Recall@10 has no gap between optimistic and pessimistic.

    Args:
        items: the text of every item, by item index.
        n_predictions: as in `methods.calrec.retrieval.Retriever`.
        epsilon: likewise.
        modulation: False scores all that is found alike.
    """

    def __init__(
        self, items: Sequence[str], *, n_predictions: int = N_PREDICTIONS,
        epsilon: float = EPSILON, modulation: bool = True,
    ) -> None:  # fmt: skip
        self.labels = labels_of(items)
        self._n_items, self._n_predictions = len(items), n_predictions
        self._epsilon = epsilon if modulation else 0.0
        self._found: dict[tuple[str, ...], list[int]] = {}
        self._depth = max(1, len(self.labels))
        for index, text in enumerate(items):
            values = attributes(text, self.labels)
            for level in range(1, self._depth + 1) if values else ():
                self._found.setdefault(values[:level], []).append(index)  # type: ignore[index]

    @classmethod
    def of(cls, items: Sequence[str], settings: Settings) -> HierarchicalMatcher:
        """Return the matching that CALRec's settings ask for."""
        return cls(
            items,
            n_predictions=settings.n_predictions,
            epsilon=settings.epsilon,
            modulation=settings.modulation,
        )

    def matches(self, text: str) -> tuple[int, list[int]]:
        """Return how many attributes match at most, from the first one on, and which items do."""
        values = attributes(text, self.labels)
        if values is None:
            return 0, []
        for level in range(self._depth, 0, -1):
            if found := self._found.get(values[:level]):
                return level, found
        return 0, []

    def scores(self, samples: Sequence[GeneratedText]) -> NDArray[np.float64]:
        """Return float64 [n_items] for the samples of one user; minus infinity where none match.

        Raises:
            MethodError: a log-probability is NaN or above 0.
        """
        scores = np.full(self._n_items, -np.inf)
        for kept in kept_predictions(samples, self._n_predictions):
            score = math.exp(self._epsilon * kept.log_probability) if self._epsilon else 1.0
            found = self.matches(kept.text)[1]
            scores[found] = np.maximum(scores[found], score)
        return scores

    def count(self, texts: Sequence[str], counts: MatchCounts) -> None:
        """Add texts to ``counts``."""
        for text in texts:
            level = self.matches(text)[0]
            counts.texts += 1
            counts.format_errors += attributes(text, self.labels) is None
            counts.all_attributes += level == self._depth
            counts.title += level > 0
