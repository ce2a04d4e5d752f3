"""Two-stage fine-tuning on a data set (METHODS of the original: one target per user and epoch).

Stage 1 encodes all items at the start of each epoch and trains the reading of histories against
these vectors, which take no gradient themselves. Stage 2 goes on from the best epoch with its
vectors, which then stand still. The loss is the cross-entropy of a target among all items.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import RunContext
from methods.recformer.encoding import Encoder
from methods.recformer.model import cosine_scores
from methods.recformer.precision import chosen_precision, products
from methods.recformer.settings import Settings
from methods.recformer.tokens import ItemTokens, Sequences

_FINE_TUNING = 2
"""Keeps the draws of this stage apart from those of pre-training."""


@dataclass(frozen=True)
class Outcome:
    """How fine-tuning went.

    Attributes:
        best_stage: 1 or 2; 0 where nothing was better than the start.
        best_epoch: of that stage, from 1.
        best_ndcg10: on the validation items.
        epochs: of either stage that were run.
        tokens: read in training, without padding.
        seconds: of training alone, without validation and encoding of items.
    """

    best_stage: int
    best_epoch: int
    best_ndcg10: float
    epochs: tuple[int, int]
    tokens: int
    seconds: float


class FineTuning:
    """Trains an encoder against the vectors of a catalogue.

    The start counts as an epoch of its own, number 0: where nothing is better it is what is kept,
    and patience counts against it. The original prints its value and forgets it.

    Args:
        encoder: the model, changed in place.
        items: the catalogue as tokens.
        histories: training histories.
        settings: of the method.
        context: seed, log, progress.
        validate: item vectors, float32 [n_groups, width] -> NDCG@10 on the validation items.
    """

    def __init__(
        self,
        encoder: Encoder,
        items: ItemTokens,
        histories: Histories,
        *,
        settings: Settings,
        context: RunContext,
        validate: Callable[[torch.Tensor], float],
    ) -> None:
        self._encoder, self._items, self._histories = encoder, items, histories
        self._settings, self._context, self._validate = settings, context, validate
        self._precision = chosen_precision(settings.precision, encoder.device)
        self._group = torch.from_numpy(items.group).to(encoder.device)
        self._users = np.flatnonzero(histories.lengths)
        if not len(self._users):
            raise MethodError(
                "recformer has nothing to learn from: every training history is empty"
            )
        self._tokens, self._seconds = 0, 0.0
        self._best: dict[str, Any] | None = None

    def run(self) -> tuple[Outcome, torch.Tensor]:
        """Run both stages; leave the model in its best state.

        Returns:
            What happened, and the item vectors of the best epoch.

        Raises:
            MethodError: the loss is no finite number.
        """
        settings = self._settings
        vectors = self.item_vectors()
        start = self._validate(vectors)
        self._context.log(stage=0, epoch=0, loss=None, validation_ndcg10=start)
        self._keep(0, 0, start, vectors)
        optimisation = self._optimisation(settings.stage1_epochs)
        ran = [self._stage(1, settings.stage1_epochs, settings.stage1_patience, optimisation), 0]
        if settings.stage2_epochs:
            self._restore()
            if not settings.shared_schedule:
                optimisation = self._optimisation(settings.stage2_epochs)
            ran[1] = self._stage(2, settings.stage2_epochs, settings.stage2_patience, optimisation)
        best = self._restore()
        outcome = Outcome(
            best["stage"], best["epoch"], best["ndcg10"], (ran[0], ran[1]), self._tokens,
            self._seconds,
        )  # fmt: skip
        return outcome, best["vectors"]

    def item_vectors(self) -> torch.Tensor:
        """Return every distinct item's vector by the model as it is, float32 [n_groups, width]."""
        sequences = self._items.items()
        with self._context.progress.bar("items", len(sequences), "items") as bar:
            return self._encoder.vectors(sequences, self._precision, bar)

    def _stage(self, stage: int, epochs: int, patience: int, optimisation: Optimisation) -> int:
        """Run a stage; return how many epochs it took."""
        failures = 0
        vectors = self._best["vectors"] if self._best else self.item_vectors()
        for epoch in range(1, epochs + 1):
            if stage == 1 and epoch > 1:
                vectors = self.item_vectors()
            loss, seconds = self._epoch(stage, epoch, vectors, optimisation)
            ndcg10 = None
            if epoch % self._settings.validate_every == 0 or epoch == epochs:
                ndcg10 = self._validate(vectors)
                failures = 0 if self._keep(stage, epoch, ndcg10, vectors) else failures + 1
            self._context.log(
                stage=stage, epoch=epoch, loss=loss, validation_ndcg10=ndcg10, seconds=seconds,
                learning_rate=optimisation.rate,
            )  # fmt: skip
            if failures >= patience:
                break
        return epoch if epochs else 0

    def _epoch(
        self, stage: int, epoch: int, vectors: torch.Tensor, optimisation: Optimisation
    ) -> tuple[float, float]:
        """Train on one draw of targets; return the mean loss and the seconds."""
        started = time.perf_counter()
        generator = np.random.default_rng([self._context.seed, _FINE_TUNING, stage, epoch])
        sequences, targets = self._examples(generator)
        items = vectors[self._group]
        order, size = generator.permutation(len(targets)), self._settings.batch_size
        total = 0.0
        self._encoder.model.train()
        label = f"stage {stage}, epoch {epoch}"
        with self._context.progress.bar(label, len(order), "users") as bar:
            for first in range(0, len(order), size):
                rows = order[first : first + size]
                total += self._step(sequences, targets, rows, items) * len(rows)
                optimisation.step()
                bar.advance(len(rows))
                bar.note(f"loss {total / (first + len(rows)):.3f}")
        seconds = time.perf_counter() - started
        self._tokens += int(sequences.lengths.sum())
        self._seconds += seconds
        return total / len(order), seconds

    def _examples(self, generator: np.random.Generator) -> tuple[Sequences, NDArray[np.int64]]:
        """Draw targets of every user; return what precedes each, and the targets as items."""
        users = np.tile(self._users, self._settings.targets_per_user)
        places = generator.integers(0, self._histories.lengths[users])
        targets = self._histories.items[self._histories.offsets[users] + places].astype(np.int64)
        rows = [self._histories[user][:place] for user, place in zip(users, places, strict=True)]
        return self._items.histories(Histories.from_lists(rows)), targets

    def _step(
        self, sequences: Sequences, targets: NDArray[np.int64], rows: NDArray[np.int64],
        items: torch.Tensor,
    ) -> float:  # fmt: skip
        """Accumulate the gradient of one step's mean loss; return the loss."""
        total = 0.0
        for part, batch in self._encoder.batches(sequences, rows):
            with products(self._precision, self._encoder.device):
                states = self._encoder.model(batch)
            scores = cosine_scores(states, items, self._settings.temperature)
            wanted = torch.from_numpy(targets[part]).to(scores.device)
            loss = torch.nn.functional.cross_entropy(scores, wanted, reduction="sum") / len(rows)
            total += loss.item()
            if not math.isfinite(total):  # before gradients are made of it
                raise MethodError(
                    f"recformer's loss became {total}: lower recformer.learning_rate, or set "
                    "recformer.gradient_clip"
                )
            loss.backward()  # type: ignore[no-untyped-call]
        return total

    def _optimisation(self, epochs: int) -> Optimisation:
        examples = len(self._users) * self._settings.targets_per_user
        return Optimisation(
            self._encoder.model,
            self._settings,
            epochs * math.ceil(examples / self._settings.batch_size),
        )

    def _keep(self, stage: int, epoch: int, ndcg10: float, vectors: torch.Tensor) -> bool:
        """Keep the model if it is the best so far; return whether it is."""
        if self._best is not None and ndcg10 <= self._best["ndcg10"]:
            return False
        weights = {
            name: tensor.detach().to("cpu", copy=True)
            for name, tensor in self._encoder.model.state_dict().items()
        }
        self._best = {
            "stage": stage, "epoch": epoch, "ndcg10": ndcg10, "vectors": vectors.clone(),
            "weights": weights,
        }  # fmt: skip
        return True

    def _restore(self) -> dict[str, Any]:
        if self._best is None:
            raise RuntimeError("nothing was kept")
        self._encoder.model.load_state_dict(self._best["weights"])
        return self._best


class Optimisation:
    """AdamW with a linear warm-up and, from there on, a linear decay to 0 at the last step.

    Args:
        model: whose parameters are trained.
        settings: of the method.
        n_steps: steps after which the rate has fallen to 0.
    """

    def __init__(self, model: torch.nn.Module, settings: Settings, n_steps: int) -> None:
        self._settings, self._n_steps, self._model = settings, n_steps, model
        self._n_done = 0
        self._optimiser = torch.optim.AdamW(
            model.parameters(), lr=settings.learning_rate, weight_decay=settings.weight_decay
        )

    @property
    def rate(self) -> float:
        """The learning rate of the step to come."""
        step, peak, warmup = self._n_done, self._settings.learning_rate, self._settings.warmup_steps
        if step < warmup:
            return peak * step / warmup
        return peak * max(0.0, 1 - step / self._n_steps) if self._settings.decay else peak

    def step(self) -> None:
        """Apply the accumulated gradients and clear them."""
        if self._settings.gradient_clip:
            torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._settings.gradient_clip)
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)
        self._n_done += 1
