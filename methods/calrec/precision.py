"""Arithmetic by device: float32 on a CPU, bfloat16 products on a GPU (weights stay float32)."""

from __future__ import annotations

import contextlib
from typing import Any


def autocast(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which the model is run on ``device``."""
    import torch

    if device == "cpu":
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)
