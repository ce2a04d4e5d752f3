"""Padding on either side, and attention masks of positions that are no plain continuation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray


def left_padded(
    sequences: Sequence[Sequence[int]], padding: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return int64 ids [n, longest] that end in the last column, and where a real token stands."""
    width = max(map(len, sequences))
    ids = np.full((len(sequences), width), padding, dtype=np.int64)
    present = np.zeros(ids.shape, dtype=bool)
    for row, sequence in enumerate(sequences):
        ids[row, width - len(sequence) :] = sequence
        present[row, width - len(sequence) :] = True
    return ids, present


def right_padded(
    sequences: Sequence[Sequence[int]], padding: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return int64 ids [n, longest] that begin in the first column, and where a token stands.

    A causal model needs no mask for them: no token looks at what stands behind it.
    """
    ids = np.full((len(sequences), max(map(len, sequences))), padding, dtype=np.int64)
    present = np.zeros(ids.shape, dtype=bool)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
        present[row, : len(sequence)] = True
    return ids, present


def sliding_window(config: Any) -> int | None:
    """Return how many positions the sliding layers of a model see; None where it has none."""
    window = getattr(config, "sliding_window", None)
    kinds = getattr(config, "layer_types", None)
    if window is None or (kinds is not None and "sliding_attention" not in kinds):
        return None
    return int(window)


def attention_mask(model: Any, visible: Any, distances: Any) -> Any:
    """Return what queries may attend to, in the form that the model takes.

    Args:
        model: a Hugging Face causal language model.
        visible: bool [B, Q, K], the keys of the past that belong to a query.
        distances: int64 [B, Q, K], how many positions a key stands before the query.

    Returns:
        A floating mask [B, 1, Q, K]. Layers with a sliding window see only keys that are less
        than its width away: a model that names the kinds of its layers is given a mapping with a
        mask for each kind, another one with a window the narrow mask for all its layers.
    """
    window = sliding_window(model.config)
    full = additive(visible, model.dtype)
    if window is None:
        return full
    sliding = additive(visible & (distances < window), model.dtype)
    if getattr(model.config, "layer_types", None) is None:
        return sliding
    return {"full_attention": full, "sliding_attention": sliding}


def additive(visible: Any, dtype: Any) -> Any:
    """Return a bool mask [B, Q, K] as [B, 1, Q, K], 0 where visible, else the lowest number."""
    import torch

    hidden = torch.zeros(visible.shape, dtype=dtype, device=visible.device)
    return hidden.masked_fill_(~visible, torch.finfo(dtype).min)[:, None]
