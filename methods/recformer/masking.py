"""Masked language modelling: whole words are hidden, and a head guesses their tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn.functional import gelu, linear

from harness.errors import UsageError
from methods.recformer.tokens import FIRST_TYPE, Sequences, Vocabulary

MASKED, REPLACED = 0.8, 0.1
"""Shares of the chosen tokens that become the mask, or any other token; the rest stay."""


@dataclass(frozen=True)
class Hidden:
    """Sequences in which some words are hidden.

    Attributes:
        sequences: what the model reads.
        chosen: bool, one array a sequence: the tokens that are to be guessed.
        wanted: int64, likewise: the tokens as they were.
        n_chosen: how many there are.
    """

    sequences: Sequences
    chosen: tuple[NDArray[np.bool_], ...]
    wanted: tuple[NDArray[np.int64], ...]
    n_chosen: int


def check_mask(vocabulary: Vocabulary) -> None:
    """Raise UsageError where the tokeniser cannot hide a token."""
    if vocabulary.mask_id is None:
        raise UsageError(
            "recformer.mlm_weight is above 0, but the tokeniser of recformer.weights has no mask "
            "token; set recformer.mlm_weight to 0, or start from an encoder that has one"
        )


def words_of(sequences: Sequences, vocabulary: Vocabulary) -> NDArray[np.int64]:
    """Return for each token of all sequences, one after another, which word it belongs to.

    Besides where the tokeniser says so, a word begins where the kind of the tokens or the item
    changes: keys and values are texts of their own, whose first token may lack the mark. (Two keys
    in a row, the first without a value, may so count as one word where the tokeniser marks
    beginnings alone.) The first token of a sequence belongs to no word: -1.
    """
    ids, types, items = (
        np.concatenate(part) for part in (sequences.ids, sequences.types, sequences.items)
    )
    begins = vocabulary.starts_word[ids]
    begins[1:] |= (types[1:] != types[:-1]) | (items[1:] != items[:-1])
    first = types == FIRST_TYPE
    begins[first] = False
    words = np.cumsum(begins) - 1
    return np.where(first, -1, words)


def hidden(
    sequences: Sequences, vocabulary: Vocabulary, probability: float, generator: Any
) -> Hidden:
    """Hide whole words, each with ``probability``, those of keys as well as of values.

    Every token of a chosen word is, by itself, replaced by the mask (80 %), by any token but
    the first one, the padding and the mask (10 %), or left as it is (10 %). The first token is
    never chosen.

    Args:
        sequences: at least one.
        vocabulary: with a mask.
        probability: from 0 to 1.
        generator: of numpy.

    Raises:
        ValueError: the tokeniser has no mask (see `check_mask`).
    """
    words = words_of(sequences, vocabulary)
    of_word = generator.random(words.max(initial=-1) + 1) < probability
    chosen = np.zeros(len(words), dtype=np.bool_)
    chosen[words >= 0] = of_word[words[words >= 0]]
    ids = _corrupted(np.concatenate(sequences.ids), chosen, vocabulary, generator)
    cuts = np.cumsum(sequences.lengths)[:-1]
    return Hidden(
        Sequences(tuple(np.split(ids, cuts)), sequences.types, sequences.items),
        tuple(np.split(chosen, cuts)),
        sequences.ids,
        int(chosen.sum()),
    )


def _corrupted(
    ids: NDArray[np.int64], chosen: NDArray[np.bool_], vocabulary: Vocabulary, generator: Any
) -> NDArray[np.int64]:
    """Return ids with the chosen ones replaced."""
    mask = vocabulary.mask_id
    if mask is None:
        raise ValueError("the tokeniser has no mask")
    special = np.array([vocabulary.first_id, vocabulary.pad_id, mask])
    others = np.setdiff1d(np.arange(vocabulary.size), special)
    fate, drawn = generator.random(len(ids)), generator.choice(others, len(ids))
    found = np.where(chosen & (fate < MASKED), mask, ids)
    replaced = chosen & (fate >= MASKED) & (fate < MASKED + REPLACED)
    return np.where(replaced, drawn, found).astype(np.int64)


class Head(nn.Module):
    """Guesses tokens from states, as RoBERTa's: dense, GELU, LayerNorm, and the word embeddings.

    It serves pre-training alone and always starts anew.

    Args:
        config: of the Longformer.
    """

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.dense = nn.Linear(config.hidden_size, config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps)
        self.bias = nn.Parameter(torch.zeros(config.vocab_size))
        nn.init.normal_(self.dense.weight, std=config.initializer_range)
        nn.init.zeros_(self.dense.bias)

    def forward(self, states: torch.Tensor, embeddings: torch.Tensor) -> torch.Tensor:
        """Return scores of all tokens, float [n, vocabulary].

        Args:
            states: float [n, width].
            embeddings: the model's word embeddings, float [vocabulary, width].
        """
        return linear(self.norm(gelu(self.dense(states))), embeddings, self.bias)
