"""Arithmetic: bfloat16 products in training where the device has them; weights stay float32.

Generation is float32 unless the user wants otherwise: rounded to bfloat16, a logit depends on the
batch it is computed in, and a user may be given other texts alone than in company.
"""

from __future__ import annotations

import contextlib
import copy
import dataclasses
from typing import TYPE_CHECKING, Any

from methods.calrec.settings import AUTO, BFLOAT16, FLOAT32

if TYPE_CHECKING:
    from methods.calrec.backbone import Backbone

BFLOAT16_DEVICES = frozenset({"cuda"})


def training_precision(
    device: str, precision: str = AUTO
) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which the model is trained on ``device``.

    "auto" takes bfloat16 on a GPU; on a CPU float32, whatever instructions it has: they differ
    between machines, and ranks shall not.
    """
    import torch

    if precision == FLOAT32 or (precision == AUTO and device not in BFLOAT16_DEVICES):
        return contextlib.nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16)


def generating(backbone: Backbone, precision: str) -> Backbone:
    """Return the backbone that generates: itself, or a copy whose weights are bfloat16.

    A copy, because casting float32 weights anew at every step takes longer than the step.
    """
    import torch

    if precision != BFLOAT16:
        return backbone
    model = copy.deepcopy(backbone.model).to(torch.bfloat16).requires_grad_(False)
    return dataclasses.replace(backbone, model=model)


def generation_precision(device: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which texts are sampled and scored on ``device``: plain float32."""
    import torch

    return torch.autocast(device, enabled=False)
