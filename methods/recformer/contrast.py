"""The gradient of a pre-training step: histories against items, and hidden words.

A contrastive loss needs the vectors of the whole batch at once, a model's memory allows a part of
them. So vectors are first computed without a graph; the loss gives the gradient of each vector; and
every part is read once more, with a graph, to take it further (Gao et al., Scaling Deep Contrastive
Learning Batch Size under Memory Limited Setup, 2021). Each part seeds its dropout by itself, so
that both readings drop the same, whatever ran before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import cross_entropy

from methods._gathering import gathered, own_process, own_rows
from methods.recformer.encoding import Encoder
from methods.recformer.masking import Head, Hidden
from methods.recformer.model import cosine_scores, normalised
from methods.recformer.precision import products
from methods.recformer.sources import PRETRAINING, STEP
from methods.recformer.tokens import Padded, Sequences


@dataclass(frozen=True)
class Part:
    """Some sequences of one side of a batch.

    Attributes:
        side: 0 histories, 1 items.
        places: int64 [n], which of the own sequences of that side.
        batch: they themselves.
        seed: of their dropout.
    """

    side: int
    places: NDArray[np.int64]
    batch: Padded
    seed: int


def dropout_seed(seed: int, step: int, purpose: int, part: int) -> int:
    """Return what seeds the dropout of a part; processes draw apart from each other."""
    key = [seed, PRETRAINING, STEP, step, purpose, part, own_process()]
    return int(np.random.SeedSequence(key).generate_state(1)[0])


def contrastive_loss(
    histories: torch.Tensor, items: torch.Tensor, equal: torch.Tensor, temperature: float
) -> torch.Tensor:
    """Return the mean cross-entropy of each history's own item among the batch's (InfoNCE).

    Args:
        histories: float32 [n, width], of length 1.
        items: float32 [n, width], of length 1.
        equal: bool [n, n], items of other rows that are no negatives, being equal to the own. The
            original leaves them among the negatives, where they pull a history from its own item.
        temperature: divides cosines.
    """
    scores = cosine_scores(histories, items, temperature).masked_fill(equal, -torch.inf)
    return cross_entropy(scores, torch.arange(len(scores), device=scores.device))


class Contrast:
    """Accumulates gradients of steps.

    Args:
        encoder: whose model gets them.
        temperature: divides cosines.
        precision: "float32" or "bfloat16", of products.
        seed: of the run.
    """

    def __init__(self, encoder: Encoder, temperature: float, precision: str, seed: int) -> None:
        self._encoder, self._temperature = encoder, temperature
        self._precision, self._seed = precision, seed

    def accumulate(
        self, sides: tuple[Sequences, Sequences], equal: NDArray[np.bool_], step: int
    ) -> float:
        """Accumulate the own vectors' part of the gradient; return the loss of the whole batch.

        Args:
            sides: histories and items of the whole batch, n of either.
            equal: bool [n, n], see `contrastive_loss`.
            step: which step of all it is; with the seed it decides dropout.
        """
        rows = own_rows(len(equal))
        parts = self._parts(sides, rows, step)
        # what fits at once is read once
        whole = sum(part.batch.ids.size for part in parts) <= self._encoder.tokens_at_once
        with torch.set_grad_enabled(whole):
            vectors = [self._vectors(part) for part in parts]
        own = [self._in_order(parts, vectors, side) for side in (0, 1)]
        loss, gradients = self._loss([side.detach() for side in own], equal)
        if whole:
            reached = [side for side in (0, 1) if own[side].requires_grad]
            torch.autograd.backward([own[s] for s in reached], [gradients[s] for s in reached])
            return loss
        for part in parts:
            places = torch.from_numpy(part.places).to(self._encoder.device)
            torch.autograd.backward(self._vectors(part), gradients[part.side][places])
        return loss

    def _parts(
        self, sides: tuple[Sequences, Sequences], rows: NDArray[np.int64], step: int
    ) -> list[Part]:
        place = {int(row): index for index, row in enumerate(rows)}
        parts = []
        for side, sequences in enumerate(sides):
            for number, (found, batch) in enumerate(self._encoder.batches(sequences, rows)):
                places = np.array([place[int(row)] for row in found], dtype=np.int64)
                seed = dropout_seed(self._seed, step, side, number)
                parts.append(Part(side, places, batch, seed))
        return parts

    def _vectors(self, part: Part) -> torch.Tensor:
        torch.manual_seed(part.seed)
        with products(self._precision, self._encoder.device):
            vectors = self._encoder.model(part.batch)
        return normalised(vectors)

    def _in_order(self, parts: list[Part], vectors: list[torch.Tensor], side: int) -> torch.Tensor:
        """Return one side's own vectors in the order of the batch, float32 [n, width]."""
        places = [part.places for part in parts if part.side == side]
        if not places:  # more processes than rows
            return torch.zeros(0, self._encoder.model.width, device=self._encoder.device)
        order = torch.from_numpy(np.argsort(np.concatenate(places)))
        found = [rows for part, rows in zip(parts, vectors, strict=True) if part.side == side]
        return torch.cat(found)[order.to(self._encoder.device)]

    def _loss(
        self, own: list[torch.Tensor], equal: NDArray[np.bool_]
    ) -> tuple[float, tuple[torch.Tensor, ...]]:
        """Return the loss of the whole batch and its gradient for the own vectors."""
        leaves = [side.requires_grad_() for side in own]
        histories, items = (gathered(side, len(equal)) for side in leaves)
        masked = torch.from_numpy(equal).to(self._encoder.device)
        loss = contrastive_loss(histories, items, masked, self._temperature)
        return loss.item(), torch.autograd.grad(loss, leaves)


class Guessing:
    """Accumulates gradients of masked language modelling.

    Args:
        encoder: whose model gets them.
        head: guesses tokens; gets them too.
        precision: "float32" or "bfloat16", of products.
        seed: of the run.
    """

    def __init__(self, encoder: Encoder, head: Head, precision: str, seed: int) -> None:
        self._encoder, self._head = encoder, head
        self._precision, self._seed = precision, seed

    def accumulate(self, hidden: Hidden, weight: float, step: int, side: int) -> float:
        """Accumulate the gradient of ``weight`` times the loss of the own rows.

        Args:
            hidden: the whole batch.
            weight: of this loss among others.
            step: which step of all it is.
            side: 0 histories, 1 items.

        Returns:
            The cross-entropy of the own rows' chosen tokens over the number of all chosen ones, so
            that it adds up, over processes, to a mean; 0 where none is chosen.
        """
        total = 0.0
        rows = own_rows(len(hidden.sequences)) if hidden.n_chosen else np.zeros(0, np.int64)
        for number, (found, batch) in enumerate(self._encoder.batches(hidden.sequences, rows)):
            torch.manual_seed(dropout_seed(self._seed, step, 2 + side, number))
            loss = self._loss(hidden, found, batch) / hidden.n_chosen
            torch.autograd.backward(weight * loss)
            total += loss.item()
        return total

    def _loss(self, hidden: Hidden, rows: NDArray[np.int64], batch: Padded) -> torch.Tensor:
        """Return the summed cross-entropy of the chosen tokens of some rows."""
        chosen = np.zeros(batch.ids.shape, dtype=np.bool_)
        for place, row in enumerate(rows):
            chosen[place, : batch.lengths[place]] = hidden.chosen[row]
        wanted = np.concatenate([hidden.wanted[row][hidden.chosen[row]] for row in rows])
        model, device = self._encoder.model, self._encoder.device
        with products(self._precision, device):
            states = model.states(batch)[torch.from_numpy(chosen).to(device)]
            scores = self._head(states, model.longformer.embeddings.word_embeddings.weight)
        return cross_entropy(scores.float(), torch.from_numpy(wanted).to(device), reduction="sum")
