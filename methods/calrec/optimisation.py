"""Optimiser steps: nothing here knows what is learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import MethodError
from methods._gathering import add_up_gradients

# what the cosine leaves of the peak learning rate
FINAL_SHARE = 0.1


@dataclass
class Optimisation:
    """A fused AdamW optimiser with warm-up, an optional cosine, and clipping.

    Attributes:
        parameters: the weights that are trained.
        peak: the learning rate after the warm-up.
        warmup_steps: steps over which it rises from 0.
        cosine_steps: steps after which it has fallen to a tenth; None for a constant rate.
        clip: largest norm of the gradient, 0 for none.
    """

    parameters: Sequence[Any]
    peak: float
    weight_decay: float
    warmup_steps: int
    cosine_steps: int | None
    clip: float

    def __post_init__(self) -> None:
        import torch

        self.steps = 0
        self.optimiser = torch.optim.AdamW(
            self.parameters,
            lr=self.peak,
            weight_decay=self.weight_decay,
            betas=(0.9, 0.95),
            fused=True,
        )

    def rate(self) -> float:
        """Return the learning rate of the step to come."""
        rate = self.peak * min(1.0, (self.steps + 1) / (self.warmup_steps + 1))
        if self.cosine_steps is None:
            return rate
        share = min(1.0, self.steps / max(1, self.cosine_steps))
        fallen = FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * share))
        return rate * fallen

    def step(self, stage: str) -> float:
        """Apply the accumulated gradients and clear them; return their norm before clipping.

        Raises:
            MethodError: the norm is no finite number; the weights are as they were.
        """
        import torch

        add_up_gradients(self.parameters)
        norm = finite(gradient_norm(self.parameters), f"{stage} (the norm of its gradient)")
        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate()
        self.optimiser.step()
        self.zero()
        self.steps += 1
        return norm

    def zero(self) -> None:
        """Clear the gradients."""
        self.optimiser.zero_grad(set_to_none=True)


def gradient_norm(parameters: Sequence[Any]) -> float:
    """Return the Euclidean norm of all gradients together."""
    import torch

    found = [weights.grad for weights in parameters if weights.grad is not None]
    return float(torch.nn.utils.get_total_norm(found)) if found else 0.0


def finite(loss: float, stage: str) -> float:
    """Return ``loss``.

    Raises:
        MethodError: it is not a finite number.
    """
    if not math.isfinite(loss):
        raise MethodError(
            f"calrec's loss became {loss} during {stage}: lower the learning rate, or set "
            "calrec.gradient_clip; the last state that was saved is as it was"
        )
    return loss
