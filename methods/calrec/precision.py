"""Arithmetic: training takes bfloat16 products on a GPU (weights stay float32), else float32.

Generation is float32 everywhere: rounded to bfloat16, a logit depends on the batch it is computed
in, and a user would be given other texts alone than in company.
"""

from __future__ import annotations

import contextlib
from typing import Any

BFLOAT16_DEVICES = frozenset({"cuda"})


def training_precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which the model is trained on ``device``."""
    import torch

    if device not in BFLOAT16_DEVICES:
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)


def generation_precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which texts are sampled and scored on ``device``: plain float32."""
    import torch

    return torch.autocast(device, enabled=False)
