"""Pre-training on a mixture: histories against the items that follow, and masked words.

METHODS 6.3. The loss of a step is the contrastive one of a batch of pairs and, in passes of their
own, masked language modelling of either side.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from harness.errors import MethodError
from harness.method import RunContext
from methods import _gathering as gathering
from methods.recformer import checkpoints
from methods.recformer.checkpoints import Cost, Standing
from methods.recformer.contrast import Contrast, Guessing
from methods.recformer.encoding import Encoder
from methods.recformer.masking import Head, check_mask, hidden
from methods.recformer.precision import chosen_precision
from methods.recformer.selection import Selection, selecting
from methods.recformer.settings import Settings
from methods.recformer.sources import (
    PRETRAINING,
    STEP,
    Domain,
    drawn_pairs,
    equal_others,
    sides_of,
)
from methods.recformer.tokens import Sequences


class PreTraining:
    """Trains an encoder on pairs, resumably.

    Args:
        encoder: its model is changed in place.
        domains: what to draw pairs from.
        settings: of the method.
        context: seed, log, progress.
        folder: for states and the result.

    Raises:
        UsageError: words are to be masked, and the tokeniser has no mask.
    """

    def __init__(
        self, encoder: Encoder, domains: Sequence[Domain], settings: Settings,
        context: RunContext, folder: Path,
    ) -> None:  # fmt: skip
        if settings.mlm_weight:
            check_mask(encoder.vocabulary)
        self._encoder, self._domains, self._settings = encoder, domains, settings
        self._context, self._folder, self._seed = context, folder, context.seed
        precision = chosen_precision(settings.precision, encoder.device)
        torch.manual_seed(self._seed)
        self._head = Head(encoder.model.config).to(encoder.device)
        self._contrast = Contrast(encoder, settings.temperature, precision, self._seed)
        self._guessing = Guessing(encoder, self._head, precision, self._seed)
        self._selection: Selection | None = selecting(
            encoder, domains, settings, precision, self._seed
        )
        self._standing = Standing()

    def run(self) -> Cost:
        """Train all epochs, from the last state on, and write the result.

        Raises:
            MethodError: the loss is no finite number, or the state is damaged.
        """
        words = self._encoder.model.longformer.embeddings.word_embeddings.weight
        words.requires_grad_(self._settings.train_word_embeddings)
        try:
            self._begin()
            while self._standing.epoch < self._settings.pretraining_epochs:
                self._epoch()
        finally:
            words.requires_grad_(True)
        return self._finish()

    # ---- states ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Build the optimiser; take up the last state, if there is one."""
        modules = (self._encoder.model, self._head)
        self._parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        self._optimiser = torch.optim.AdamW(
            self._parameters, lr=0.0, weight_decay=self._settings.weight_decay
        )
        found = None if gathering.own_process() else checkpoints.load_state(self._folder)
        found = gathering.agreed(found)
        if found is None:
            return
        self._standing, parts = found
        self._encoder.model.load_state_dict(parts["model"])
        self._head.load_state_dict(parts["head"])
        self._optimiser.load_state_dict(parts["optimiser"])

    def _save(self) -> None:
        """Write the state; the first process does so for all, which are alike."""
        if gathering.own_process():
            return
        parts = {
            "model": self._encoder.model.state_dict(),
            "head": self._head.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }
        checkpoints.save_state(self._folder, self._standing, parts)

    def _finish(self) -> Cost:
        """Write the weights of the best epoch, or of the last where nothing selects."""
        standing = self._standing
        cost = Cost(
            pairs=standing.pairs, tokens=standing.tokens, seconds=standing.seconds,
            epochs=standing.epoch, best_epoch=standing.best_epoch,
            best_accuracy=standing.best_accuracy, contrastive_loss=standing.last_contrastive,
            guessing_loss=standing.last_guessing,
        )  # fmt: skip
        if not gathering.own_process():
            if self._selection is not None:
                best = checkpoints.best_path(self._folder, standing.best_epoch)
                checkpoints.load_weights(best, self._encoder.model)
            checkpoints.finish(self._folder, self._encoder.model.state_dict(), cost)
        gathering.agreed(None)  # all wait for the files
        return cost

    # ---- epochs ----------------------------------------------------------------------------------

    def _epoch(self) -> None:
        """Train the rest of an epoch, select, and save."""
        standing, settings = self._standing, self._settings
        pairs = drawn_pairs(self._domains, self._seed, standing.epoch)
        size = settings.pretraining_batch_size
        n_steps = math.ceil(len(pairs) / size)
        self._encoder.model.train()
        label = f"pre-training, epoch {standing.epoch + 1}"
        with self._context.progress.bar(label, len(pairs), "pairs") as bar:
            bar.advance(standing.epoch_pairs)
            while standing.step < n_steps:
                sides = sides_of(self._domains, pairs.part(standing.step * size, size))
                self._step(sides, n_steps)
                bar.advance(len(sides[0]))
                bar.note(f"loss {standing.contrastive / standing.epoch_pairs:.3f}")
                if standing.step % settings.pretraining_save_every == 0 < n_steps - standing.step:
                    self._save()
        self._end_epoch()

    def _step(self, sides: tuple[Sequences, Sequences], n_steps: int) -> None:
        """Train on one batch."""
        started = time.perf_counter()
        standing, n_pairs = self._standing, len(sides[0])
        step = standing.epoch * n_steps + standing.step
        contrastive = self._contrast.accumulate(sides, equal_others(sides[1]), step)
        guessing = self._guess(sides, step)
        self._check("loss", contrastive + self._settings.mlm_weight * guessing)
        self._update(1 - step / (self._settings.pretraining_epochs * n_steps))
        readings = 2 if self._settings.mlm_weight else 1
        standing.tokens += readings * sum(int(side.lengths.sum()) for side in sides)
        standing.pairs += n_pairs
        standing.epoch_pairs += n_pairs
        standing.contrastive += contrastive * n_pairs
        standing.guessing += guessing * n_pairs
        standing.step += 1
        standing.seconds += time.perf_counter() - started

    def _guess(self, sides: tuple[Sequences, Sequences], step: int) -> float:
        """Accumulate the gradient of masked language modelling of both sides; return the sum."""
        weight, total = self._settings.mlm_weight, 0.0
        if not weight:
            return total
        for side, sequences in enumerate(sides):
            generator = np.random.default_rng([self._seed, PRETRAINING, STEP, step, side])
            found = hidden(
                sequences, self._encoder.vocabulary, self._settings.mlm_probability, generator
            )
            total += self._guessing.accumulate(found, weight, step, side)
        return gathering.added_up(total, self._encoder.device)

    def _check(self, name: str, number: float) -> None:
        """Raise MethodError where a number is none, before it gets into weights or states."""
        if math.isfinite(number):
            return
        settings, standing = self._settings, self._standing
        clip = settings.pretraining_gradient_clip
        raise MethodError(
            f"recformer's pre-training: the {name} became {number} in epoch {standing.epoch + 1}, "
            f"step {standing.step + 1}: lower recformer.pretraining_learning_rate (now "
            f"{settings.pretraining_learning_rate}), or "
            + (f"recformer.pretraining_gradient_clip (now {clip})" if clip else
               "set recformer.pretraining_gradient_clip, now 0, which leaves gradients as they are")
        )  # fmt: skip

    def _update(self, share: float) -> None:
        """Apply the gradients at a share of the learning rate, and clear them."""
        gathering.add_up_gradients(self._parameters)
        most = self._settings.pretraining_gradient_clip or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, most)
        self._check("gradient's norm", norm.item())
        for group in self._optimiser.param_groups:
            group["lr"] = share * self._settings.pretraining_learning_rate
        self._optimiser.step()
        self._optimiser.zero_grad(set_to_none=True)

    def _end_epoch(self) -> None:
        """Select, log, and begin to count anew."""
        standing = self._standing
        n_pairs = max(1, standing.epoch_pairs)
        standing.last_contrastive = standing.contrastive / n_pairs
        standing.last_guessing = standing.guessing / n_pairs
        standing.epoch, standing.step, standing.epoch_pairs = standing.epoch + 1, 0, 0
        standing.contrastive = standing.guessing = 0.0
        accuracy = self._select()
        # by names that the plots of a training's course know
        self._context.log(
            stage="pre-training", epoch=standing.epoch, loss=standing.last_contrastive,
            mlm_loss=standing.last_guessing, validation_accuracy=accuracy,
            tokens=standing.tokens, seconds=standing.seconds,
        )  # fmt: skip
        self._save()

    def _select(self) -> float | None:
        """Keep the weights if they are the best so far; return the accuracy."""
        standing = self._standing
        if self._selection is None:
            standing.best_epoch = standing.epoch
            return None
        accuracy = self._selection.accuracy()
        if standing.best_accuracy is None or accuracy > standing.best_accuracy:
            standing.best_epoch, standing.best_accuracy = standing.epoch, accuracy
            if not gathering.own_process():
                path = checkpoints.best_path(self._folder, standing.epoch)
                checkpoints.save_weights(path, self._encoder.model.state_dict())
        return accuracy
