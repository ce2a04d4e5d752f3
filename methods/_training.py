"""The training loop of the neural ID models: epochs, early stopping, the best state restored."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from harness.errors import MethodError
from harness.method import Method, RunContext
from harness.progress import Bar

# One optimiser step: what the model's calculate_loss reads, and how many targets are in it.
Batch = tuple[dict[str, Any], int]


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how fast.

    Attributes:
        learning_rate: Adam's, constant.
        max_epochs: the last epoch.
        patience: validations in a row that may fail to reach the best one.
        validate_every: epochs between two validations.
    """

    learning_rate: float
    max_epochs: int
    patience: int
    validate_every: int = 1


@dataclass(frozen=True)
class Outcome:
    """How a training ended: epochs count from 1, NDCG@10 is the validation items'."""

    best_epoch: int
    best_ndcg10: float
    epochs: int


class EarlyStopping:
    """RecBole's rule: an equal value counts as reached; more than ``patience`` failures end it."""

    def __init__(self, patience: int) -> None:
        self.patience = patience
        self.best = -math.inf
        self.best_epoch = 0
        self.failures = 0

    def reached(self, value: float, epoch: int) -> bool:
        """Take in one validation; return whether it is the best so far (ties included)."""
        if value < self.best:
            self.failures += 1
            return False
        self.best, self.best_epoch, self.failures = value, epoch, 0
        return True

    @property
    def exhausted(self) -> bool:
        """Whether training should stop now."""
        return self.failures > self.patience


def train(
    method: Method,
    model: Any,
    epoch_batches: Callable[[int], Iterable[Batch]],
    n_targets: int,
    *,
    schedule: Schedule,
    context: RunContext,
) -> Outcome:
    """Train ``model`` with Adam until validation stops improving; leave it in its best state.

    Args:
        method: owns the model and is asked to score at each validation.
        model: a torch module with ``calculate_loss(interaction)``.
        epoch_batches: epoch number, from 1 -> that epoch's batches.
        n_targets: targets in an epoch, for the progress bar.
        schedule: when to validate and to stop.
        context: the run's context; each epoch adds one line to its log.

    Raises:
        MethodError: the loss is no finite number, or no epoch had a target.
    """
    import torch

    trained = [weights for weights in model.parameters() if weights.requires_grad]
    optimizer = torch.optim.Adam(trained, lr=schedule.learning_rate)
    stopping = EarlyStopping(schedule.patience)
    best_state = _snapshot(model)
    epoch, learnt = 0, False
    while epoch < schedule.max_epochs and not stopping.exhausted:
        epoch += 1
        started = time.perf_counter()
        with context.progress.bar(f"epoch {epoch}", total=n_targets, unit="target") as bar:
            loss = _run_epoch(model, optimizer, epoch_batches(epoch), epoch, bar)
        learnt |= math.isfinite(loss)
        ndcg10 = None
        if epoch % schedule.validate_every == 0 or epoch == schedule.max_epochs:
            ndcg10 = context.validate(method)
            if stopping.reached(ndcg10, epoch):
                best_state = _snapshot(model)
        seconds = time.perf_counter() - started
        context.log(epoch=epoch, loss=loss, validation_ndcg10=ndcg10, seconds=seconds)
    if not learnt:
        raise MethodError(f"no epoch of {epoch} held a target: there was nothing to learn from")
    model.load_state_dict(best_state)
    return Outcome(stopping.best_epoch, stopping.best, epoch)


def _run_epoch(model: Any, optimizer: Any, batches: Iterable[Batch], epoch: int, bar: Bar) -> float:
    """Take one optimiser step per batch; return the mean loss per target, NaN without any."""
    model.train()
    total, seen = 0.0, 0
    for interaction, n_targets in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = model.calculate_loss(interaction)
        value = loss.item()
        if not math.isfinite(value):
            raise MethodError(
                f"the training loss became {value} in epoch {epoch}; try a lower learning_rate"
            )
        loss.backward()
        optimizer.step()
        total += value * n_targets
        seen += n_targets
        bar.advance(n_targets)
        bar.note(f"loss {total / seen:.4f}")
    return total / seen if seen else math.nan


def _snapshot(model: Any) -> dict[str, Any]:
    return copy.deepcopy(model.state_dict())
