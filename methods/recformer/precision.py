"""Arithmetic of matrix products; weights, losses and scores of users are float32 everywhere.

Users are encoded in float32: rounded to bfloat16, a state depends on the batch that it is computed
in, and a user would be given other scores alone than in company.
"""

from __future__ import annotations

import contextlib
from typing import Any

from methods.recformer.settings import AUTO, BFLOAT16, FLOAT32


def chosen_precision(precision: str, device: str) -> str:
    """Return "float32" or "bfloat16" for a value of the setting.

    "auto" takes bfloat16 on a GPU, and on a CPU that has instructions of its own for it; where it
    has none, bfloat16 is the slower one.
    """
    if precision != AUTO:
        return precision
    return BFLOAT16 if device == "cuda" or _cpu_has_bfloat16() else FLOAT32


def products(precision: str, device: str) -> contextlib.AbstractContextManager[Any]:
    """Return the context in which products are taken in a precision of `chosen_precision`."""
    import torch

    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == BFLOAT16)


def _cpu_has_bfloat16() -> bool:
    import torch

    capabilities = getattr(torch.cpu, "get_capabilities", dict)  # an older torch has none
    found: dict[str, Any] = capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16") or found.get("bf16"))
