"""The mixture-of-experts adaptor: text vectors, whitened by experts that a gate weighs.

Imports torch at its top, so import this module inside functions only.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

NOISE_FLOOR = 0.01
"""The least standard deviation of the gate's noise."""

SMALL_STD = 0.02
"""Of the experts' initial weights."""

ROWS_AT_ONCE = 4096
"""Vectors adapted at once where nothing is trained; bounds memory, not the result."""

KEPT_ROWS = 16_384
"""Vectors up to which all is kept for the gradient; of more, parts are computed again."""


class Whitening(torch.nn.Module):
    """One expert, ``W (x - b)``: its parameters alone; the adaptor multiplies all at once.

    Args:
        width: of text vectors.
        hidden: of the result.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(width))
        self.lin = torch.nn.Linear(width, hidden, bias=False)
        self.lin.weight.data.normal_(std=SMALL_STD)


class Adaptor(torch.nn.Module):
    """Gated sum of parametric whitenings, ``sum_e g_e(x) W_e (dropout(x) - b_e)`` (METHODS 5.2).

    The gate is a softmax over all experts; in training its logits get Gaussian noise of a learned
    size. Gate and noise weights start at 0. Names of parameters are those of the released
    checkpoints.

    Args:
        width: of text vectors.
        hidden: of the result.
        n_experts: how many.
        dropout: of the vector, drawn for each expert.
    """

    def __init__(self, width: int, hidden: int, n_experts: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.experts = torch.nn.ModuleList(Whitening(width, hidden) for _ in range(n_experts))
        self.w_gate = torch.nn.Parameter(torch.zeros(width, n_experts))
        self.w_noise = torch.nn.Parameter(torch.zeros(width, n_experts))

    def forward(self, vectors: Any) -> Any:
        """Return float32 [..., hidden] for float32 [..., width].

        The gates weigh the experts' inputs, so that one product with all weights side by side
        gives the sum: the same sum in another order. It is quicker than an expert at a time and
        keeps half as much again for the gradient; large batches keep their parts' results alone.
        """
        flat = vectors.reshape(-1, vectors.shape[-1])
        trained = torch.is_grad_enabled()
        if len(flat) <= (KEPT_ROWS if trained else ROWS_AT_ONCE):
            adapted = self._adapted(flat)
        else:
            parts = flat.split(ROWS_AT_ONCE)
            adapted = torch.cat(
                [checkpoint(self._adapted, part, use_reentrant=False) for part in parts]
                if trained
                else [self._adapted(part) for part in parts]
            )
        return adapted.reshape(*vectors.shape[:-1], -1)

    def _adapted(self, vectors: Any) -> Any:
        gates = functional.softmax(self._gate_logits(vectors), dim=-1)
        each = vectors.unsqueeze(1).expand(-1, len(self.experts), -1)
        each = functional.dropout(each, self.dropout, self.training)
        biases = torch.stack([expert.bias for expert in self.experts])
        weights = torch.cat([expert.lin.weight for expert in self.experts], dim=1)
        return ((each - biases) * gates.unsqueeze(-1)).flatten(1) @ weights.T

    def _gate_logits(self, vectors: Any) -> Any:
        logits = vectors @ self.w_gate
        if not self.training:
            return logits
        size = functional.softplus(vectors @ self.w_noise) + NOISE_FLOOR
        return logits + torch.randn_like(logits) * size
