"""Optimiser steps, and the weights of the best epoch: nothing here knows what is learnt."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from harness.errors import MethodError

# what the cosine leaves of the peak learning rate
FINAL_SHARE = 0.1


@dataclass
class Optimisation:
    """An AdamW optimiser with warm-up, an optional cosine, and clipping.

    Attributes:
        peak: the learning rate after the warm-up.
        warmup_steps: steps over which it rises from 0.
        cosine_steps: steps after which it has fallen to a tenth; None for a constant rate.
        clip: largest norm of the gradient, 0 for none.
    """

    model: Any
    peak: float
    weight_decay: float
    warmup_steps: int
    cosine_steps: int | None
    clip: float

    def __post_init__(self) -> None:
        import torch

        self.steps = 0
        self._optimiser = torch.optim.AdamW(
            self.model.parameters(),
            lr=self.peak,
            weight_decay=self.weight_decay,
            betas=(0.9, 0.95),
        )

    def rate(self) -> float:
        """Return the learning rate of the step to come."""
        rate = self.peak * min(1.0, (self.steps + 1) / (self.warmup_steps + 1))
        if self.cosine_steps is None:
            return rate
        share = min(1.0, self.steps / max(1, self.cosine_steps))
        fallen = FINAL_SHARE + (1 - FINAL_SHARE) * 0.5 * (1 + math.cos(math.pi * share))
        return rate * fallen

    def step(self) -> None:
        """Apply the accumulated gradients and clear them."""
        import torch

        if self.clip:
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.clip)
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate()
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.steps += 1


class BestEpoch:
    """Keeps the weights of the best validated epoch, in memory."""

    def __init__(self, model: Any, patience: int, validate: Callable[[int], float] | None) -> None:
        self._model, self._patience, self._validate = model, patience, validate
        self._best, self._best_epoch, self._last = -math.inf, 0, 0
        self._weights: dict[str, Any] | None = None

    def saw(self, epoch: int) -> float | None:
        """Validate ``epoch`` and keep its weights if it is the best; returns the metric."""
        self._last = epoch
        if self._validate is None:
            return None
        metric = self._validate(epoch)
        if metric > self._best:
            self._best, self._best_epoch = metric, epoch
            self._weights = {
                name: tensor.detach().to("cpu", copy=True)
                for name, tensor in self._model.state_dict().items()
            }
        return metric

    @property
    def exhausted(self) -> bool:
        """Whether more epochs than ``patience`` went by without a better one."""
        return self._validate is not None and self._last - self._best_epoch > self._patience

    def restore(self) -> int:
        """Put the best weights back; returns their epoch, the last one without validation."""
        if self._weights is None:
            return self._last
        self._model.load_state_dict(self._weights)
        return self._best_epoch


def finite(loss: float, stage: str) -> float:
    """Return ``loss``.

    Raises:
        MethodError: it is not a finite number.
    """
    if not math.isfinite(loss):
        raise MethodError(
            f"calrec's loss became {loss} during {stage}: lower the learning rate, or set "
            "calrec.gradient_clip"
        )
    return loss
