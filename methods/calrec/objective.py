"""The next-item generation loss (paper, section 3.4, equation 1) and plain language modelling.

Each function returns sums with their counts, not means: a step's gradient is then the same in
however many passes its batch is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from methods.calrec.backbone import Backbone
from methods.calrec.masks import left_padded
from methods.calrec.sequences import TrainingPair

IGNORED = -100


def next_item_loss(backbone: Backbone, pairs: Sequence[TrainingPair]) -> Any:
    """Return -sum of log P(t_j | t_<j) over the target tokens of ``pairs``, a scalar tensor.

    Equation 1 is printed without the minus; it is minimised, so it stands here. Prompt tokens
    bear no loss. The end-of-sequence token is part of the target.
    """
    import torch

    ids, present = left_padded([[*pair.prompt, *pair.target] for pair in pairs], backbone.eos_id)
    # targets end in the last column, so only the last columns need logits; a token's label stands
    # one column before it, where it is predicted
    width = max(len(pair.target) for pair in pairs) + 1
    labels = np.full((len(pairs), width), IGNORED, dtype=np.int64)
    for row, pair in enumerate(pairs):
        labels[row, -1 - len(pair.target) : -1] = pair.target
    mask = torch.from_numpy(present).long().to(backbone.device)
    logits = backbone.model(
        input_ids=torch.from_numpy(ids).to(backbone.device),
        attention_mask=mask,
        position_ids=(mask.cumsum(1) - 1).clamp(min=0),
        use_cache=False,
        logits_to_keep=width,
    ).logits
    return _summed(logits, torch.from_numpy(labels).to(backbone.device))


def language_model_loss(backbone: Backbone, windows: Sequence[Sequence[int]]) -> Any:
    """Return the summed negative log-likelihood of all tokens but the first of each window."""
    import torch

    width = max(map(len, windows))
    ids = np.full((len(windows), width), backbone.eos_id, dtype=np.int64)
    labels = np.full((len(windows), width), IGNORED, dtype=np.int64)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        labels[row, : len(window) - 1] = window[1:]
    # padded on the right: causal attention never looks there, so no mask is needed
    logits = backbone.model(
        input_ids=torch.from_numpy(ids).to(backbone.device), use_cache=False
    ).logits
    return _summed(logits, torch.from_numpy(labels).to(backbone.device))


def _summed(logits: Any, labels: Any) -> Any:
    import torch

    return torch.nn.functional.cross_entropy(
        logits.flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED, reduction="sum"
    )
