"""From generated texts to item scores: quasi-round-robin BM25 (CALRec, section 3.5, Algorithm 1).

Each kept text scores all items by BM25, scaled so that its best item gets 1 and its worst 0; a
factor a little below 1, lower for less probable texts, then sets the texts in order; an item keeps
the highest of its scores. So the first places go to the best item of each text in turn, unless a
text's runner-up comes within the factor of its best ("quasi").
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from methods._bm25 import BM25
from methods._vector_cache import VectorCache
from methods.calrec.settings import Settings

N_PREDICTIONS = 10
EPSILON = 1 / 5000
CACHE_BYTES = 256 * 2**20
POOLINGS = ("max", "mean", "min")

# Summed in float32, the log-probability of a certain text may come out a little above zero.
LOG_PROBABILITY_ROUNDING = 1e-3


@dataclass(frozen=True)
class GeneratedText:
    """One sample of the language model.

    Attributes:
        text: what it wrote, stop token left out.
        log_probability: the sequence score s, natural logarithm, 0 or below.
    """

    text: str
    log_probability: float


def kept_predictions(
    samples: Sequence[GeneratedText], n_predictions: int = N_PREDICTIONS
) -> list[GeneratedText]:
    """Return up to ``n_predictions`` distinct samples, best score first (Algorithm 1, lines 1-4).

    Texts are compared, and returned, without the whitespace around them; of equal texts the one
    of the highest score stays; equal scores keep the order of the samples. A blank text takes a
    place like any other.

    Raises:
        MethodError: a log-probability is NaN or above 0.
    """
    for index, sample in enumerate(samples):
        if not sample.log_probability <= LOG_PROBABILITY_ROUNDING:
            raise MethodError(
                f"generated text {index} has the log-probability {sample.log_probability}; "
                "a sequence score is the logarithm of a probability, hence a number not above 0: "
                "look at the model's logits for NaN or infinity"
            )
    best: dict[str, float] = {}
    for sample in sorted(samples, key=lambda sample: -sample.log_probability):
        best.setdefault(sample.text.strip(), sample.log_probability)
    return [GeneratedText(text, score) for text, score in list(best.items())[:n_predictions]]


def linearly_scaled(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``scores`` moved and stretched to run from 0 to 1 (Algorithm 1, line 8).

    Scores that are all equal say nothing about any item: they become zeros.
    """
    lowest, highest = scores.min(), scores.max()
    if highest == lowest:
        return np.zeros_like(scores)
    scaled: NDArray[np.float64] = (scores - lowest) / (highest - lowest)
    return scaled


class Retriever:
    """Algorithm 1 over one catalogue, for many users.

    A text's scaled vector is computed once and kept while the cache has room for it: after
    fine-tuning, users are given the same texts again and again. What is kept changes the time
    taken, never a score.

    Args:
        items: the text of every item, by item index, or an index already built over them.
        n_predictions: how many distinct texts a user keeps (N_preds; the paper: 10).
        epsilon: how strongly the sequence score modulates (the paper: 1/5000).
        pooling: "max" (the paper), "mean" or "min" over the kept texts.
        modulation: False leaves the factor out (an ablation of the paper).
        cache_bytes: bound of the cache.

    Raises:
        MethodError: a parameter out of its range, or a catalogue that BM25 cannot index.
    """

    def __init__(
        self,
        items: Sequence[str] | BM25,
        *,
        n_predictions: int = N_PREDICTIONS,
        epsilon: float = EPSILON,
        pooling: str = "max",
        modulation: bool = True,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if n_predictions < 1:
            raise MethodError(f"n_predictions must be at least 1, found {n_predictions}")
        if not (epsilon >= 0 and math.isfinite(epsilon)):
            raise MethodError(f"epsilon must be a finite number from 0 on, found {epsilon}")
        if pooling not in POOLINGS:
            raise MethodError(f"pooling must be one of {', '.join(POOLINGS)}, found {pooling!r}")
        self._bm25 = items if isinstance(items, BM25) else BM25(items)
        self._n_predictions, self._pooling = n_predictions, pooling
        self._epsilon = epsilon if modulation else 0.0
        self._cache = VectorCache(cache_bytes)

    @classmethod
    def of(cls, items: Sequence[str], settings: Settings) -> Retriever:
        """Return the retrieval that CALRec's settings ask for."""
        return cls(
            items,
            n_predictions=settings.n_predictions,
            epsilon=settings.epsilon,
            pooling=settings.pooling,
            modulation=settings.modulation,
        )

    @property
    def n_items(self) -> int:
        """The size of the catalogue."""
        return self._bm25.n_documents

    def scores(self, samples: Sequence[GeneratedText]) -> NDArray[np.float64]:
        """Return float64 [n_items], from 0 to 1, for the samples of one user.

        No sample, or none that shares a word with the catalogue: all zeros, all items tied.
        Items of equal texts get equal bits.

        Raises:
            MethodError: a log-probability is NaN or above 0; the message names the text.
        """
        pooled = np.zeros(self.n_items)
        self._pool(kept_predictions(samples, self._n_predictions), pooled)
        return pooled

    def _pool(self, kept: Sequence[GeneratedText], pooled: NDArray[np.float64]) -> None:
        """Pool the modulated vectors of ``kept`` into ``pooled``, one at a time (lines 6 to 11)."""
        combine = {"max": np.maximum, "mean": np.add, "min": np.minimum}[self._pooling]
        epsilon = self._epsilon
        for place, prediction in enumerate(kept):
            # without modulation 1, also for a text of probability 0
            factor = math.exp(epsilon * prediction.log_probability) if epsilon else 1.0
            modulated = factor * self._cache.vector(prediction.text, self._scaled_scores)
            if place == 0:
                pooled[:] = modulated
            else:
                combine(pooled, modulated, out=pooled)
        if kept and self._pooling == "mean":
            pooled /= len(kept)

    def _scaled_scores(self, text: str) -> NDArray[np.float64]:
        return linearly_scaled(self._bm25.scores(text))
