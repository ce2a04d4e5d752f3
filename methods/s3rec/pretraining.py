"""The first stage: resumable, and shared by all fine-tunings that start from the same weights."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import RunContext
from methods import _spans
from methods.s3rec import files
from methods.s3rec.examples import examples
from methods.s3rec.files import Facts
from methods.s3rec.settings import EACH_PREFIX, Settings

HELD_OUT_DRAW, FIXED_MASKS, EPOCH_DRAW = 1, 2, 3
"""Purposes of draws, behind the seed."""


def pretrained(
    network: Any, histories: Histories, n_items: int, catalogue: str, settings: Settings,
    context: RunContext,
) -> Facts:  # fmt: skip
    """Pre-train the network, go on with it, or take the weights that an earlier run left.

    The global random numbers are left as they were.

    Args:
        network: changed in place.
        histories: the training part of every user.
        n_items: of the catalogue.
        catalogue: a digest of attributes and text vectors.
        settings: of the method.
        context: seed, folders, log, progress.

    Raises:
        MethodError: the loss is no finite number, or files are damaged.
    """
    import torch

    key = files.key_of(settings, histories, n_items, catalogue, context.seed)
    with context.shared(key) as folder, torch.random.fork_rng():
        found = files.finished(folder)
        if found is None:
            training = _Stage(network, histories, n_items, settings, context, folder)
            state, facts = training.run()
            files.finish(folder, state, facts)
        else:
            state, facts = found[0], replace(found[1], reused=True)
        network.load_state_dict(state)
    return facts


class _Stage:
    """One pre-training: where it stands, and what is best so far."""

    def __init__(
        self, network: Any, histories: Histories, n_items: int, settings: Settings,
        context: RunContext, folder: Any,
    ) -> None:  # fmt: skip
        import torch

        self.network, self.settings, self.context, self.folder = network, settings, context, folder
        self.n_items = n_items
        self.optimiser = torch.optim.Adam(
            network.parameters(), lr=settings.pretraining_learning_rate
        )
        held_out = self._held_out(histories)
        self.trained = self._spans(histories.select(np.flatnonzero(~held_out)))
        self.judging = self._spans(histories.select(np.flatnonzero(held_out)))
        self.epoch = self.best_epoch = self.failures = 0
        self.loss = self.best_loss = math.inf
        self.held_out_loss: float | None = None
        self.seconds = 0.0
        self.best: dict[str, Any] = {}

    def _held_out(self, histories: Histories) -> Any:
        """Return bool [n_users], drawn from those who have a sequence to train on.

        At least one is held out where any is to be and two of them are there, and one is left.
        """
        chosen = np.zeros(len(histories), dtype=bool)
        events = 2 if self.settings.pretraining_examples == EACH_PREFIX else 1
        users = np.flatnonzero(histories.lengths >= events)
        share = self.settings.pretraining_held_out
        count = 0 if len(users) < 2 or not share else max(1, round(share * len(users)))
        generator = np.random.default_rng([self.context.seed, HELD_OUT_DRAW])
        chosen[generator.choice(users, size=count, replace=False)] = True
        return chosen

    def _spans(self, histories: Histories) -> _spans.Spans:
        longest = self.settings.max_history
        if self.settings.pretraining_examples == EACH_PREFIX:
            return _spans.every_prefix(histories, longest)
        spans = _spans.latest(histories, longest)
        filled = spans.lengths > 0
        return replace(spans, starts=spans.starts[filled], lengths=spans.lengths[filled])

    def run(self) -> tuple[dict[str, Any], Facts]:
        """Train to the end; return the kept epoch's weights and how it went."""
        self._go_on()
        patience = self.settings.pretraining_patience
        while self.epoch < self.settings.pretraining_epochs and self.failures <= patience:
            self.epoch += 1
            started = time.perf_counter()
            self._train()
            self._judge()
            seconds = time.perf_counter() - started
            self.seconds += seconds
            self.context.log(
                stage="pre-training", epoch=self.epoch, loss=self.loss,
                held_out_loss=self.held_out_loss, seconds=seconds,
            )  # fmt: skip
            if self.epoch % self.settings.pretraining_save_every == 0:
                self._save()
        judged = len(self.judging) > 0
        if not judged:
            self._check_end()
        return self.best, Facts(
            self.epoch, self.best_epoch, self.loss, self.best_loss if judged else None, self.seconds
        )

    def _train(self) -> None:
        """One pass over all sequences; random numbers depend on (seed, epoch) alone."""
        import torch

        self.network.train()
        torch.manual_seed(int(self._generator(EPOCH_DRAW, self.epoch).integers(2**62)))
        total = 0.0
        title = f"s3rec: pre-training, epoch {self.epoch}"
        with self.context.progress.bar(title, len(self.trained), "sequences") as bar:
            for batch, n_rows in self._batches(self.trained, EPOCH_DRAW, self.epoch):
                loss = self.network.pretraining_loss(batch)
                value = self._finite(loss.item())
                self.optimiser.zero_grad(set_to_none=True)
                loss.backward()
                self.optimiser.step()
                total += value
                bar.advance(n_rows)
        self.loss = total / max(1, len(self.trained))

    def _judge(self) -> None:
        """Keep the epoch if it is the best by held-out loss; without held-out users, keep it."""
        import torch

        if not len(self.judging):
            self.best, self.best_epoch = copy.deepcopy(self.network.state_dict()), self.epoch
            return
        self.network.eval()
        total = 0.0
        with torch.no_grad():
            for batch, _ in self._batches(self.judging, FIXED_MASKS, 0):
                total += self._finite(self.network.pretraining_loss(batch).item())
        value = self.held_out_loss = total / len(self.judging)
        if value < self.best_loss:
            self.best_loss, self.best_epoch, self.failures = value, self.epoch, 0
            self.best = copy.deepcopy(self.network.state_dict())
        else:
            self.failures += 1

    def _check_end(self) -> None:
        """Refuse weights that the last step has ruined, where no held-out loss has shown it."""
        import torch

        self.network.eval()
        with torch.no_grad():
            for batch, _ in self._batches(self.trained, FIXED_MASKS, 0):
                self._finite(self.network.pretraining_loss(batch).item())
                return  # one batch tells

    def _finite(self, value: float) -> float:
        if not math.isfinite(value):
            raise MethodError(
                f"s3rec's pre-training loss became {value} in epoch {self.epoch}; try a lower "
                "pretraining_learning_rate"
            )
        return value

    def _generator(self, purpose: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.context.seed, purpose, epoch])

    def _batches(
        self, spans: _spans.Spans, purpose: int, epoch: int
    ) -> Iterator[tuple[dict[str, Any], int]]:
        """Yield what `S3Network.pretraining_loss` reads, and its number of sequences."""
        import torch

        settings, device = self.settings, self.context.device
        generator = self._generator(purpose, epoch)
        ones = np.ones_like(spans.lengths)
        for rows in _spans.batches_by_length(
            spans.lengths, ones, settings.pretraining_batch_size, generator
        ):
            drawn = examples(
                spans.padded(rows), spans.lengths[rows], settings.mask_ratio, self.n_items,
                generator,
            )  # fmt: skip
            if not settings.align_padding:
                drawn = drawn.padded_left(settings.max_history)
            tensors = {
                field.name: torch.from_numpy(getattr(drawn, field.name)).to(device)
                for field in fields(drawn)
            }
            yield tensors, len(rows)

    # ---- to go on from ---------------------------------------------------------------------------

    def _save(self) -> None:
        standing = [self.epoch, self.best_epoch, self.failures]
        files.save_state(self.folder, {
            "standing": standing, "losses": [self.loss, self.best_loss, self.seconds],
            "network": self.network.state_dict(), "optimiser": self.optimiser.state_dict(),
            "best": self.best,
        })  # fmt: skip

    def _go_on(self) -> None:
        found = files.load_state(self.folder)
        if found is None:
            self.best = copy.deepcopy(self.network.state_dict())
            return
        try:
            self.epoch, self.best_epoch, self.failures = found["standing"]
            self.loss, self.best_loss, self.seconds = found["losses"]
            self.network.load_state_dict(found["network"])
            self.optimiser.load_state_dict(found["optimiser"])
            self.best = found["best"]
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise files.damaged_state(self.folder, error) from error
