"""The gradient of a training step, in as many passes as memory asks for.

A contrastive loss needs the vectors of the whole batch at once, a model's memory allows a part of
them. So vectors are first computed without a graph; the loss gives the gradient of each vector; and
every part is read once more, with a graph, to take it further (GradCache: Gao et al., Scaling Deep
Contrastive Learning Batch Size under Memory Limited Setup, 2021). Each part seeds its dropout by
itself, so that both readings drop the same, whatever ran before. Where the batch fits into one pass
a tower, it is read once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from methods._gathering import add_up_gradients, added_up, gathered, own_process, own_rows
from methods.calrec.backbone import Backbone
from methods.calrec.objective import Weights, contrastive_losses, read_histories, read_targets
from methods.calrec.precision import training_precision
from methods.calrec.sequences import TrainingPair
from methods.calrec.settings import SEQUENCE_SUM, Settings

HISTORIES, TARGETS = 0, 1


@dataclass(frozen=True)
class Losses:
    """The losses of one batch.

    Attributes:
        nig_sum: the generation loss summed over all target tokens.
        n_tokens: target tokens.
        n_pairs: users.
        tt: L_TT; None where nothing contrastive counts.
        ut: L_UT; likewise.
    """

    nig_sum: float
    n_tokens: int
    n_pairs: int
    tt: float | None = None
    ut: float | None = None


@dataclass(frozen=True)
class _Part:
    """Some of a batch's own pairs for one tower, with the seed of its dropout."""

    tower: int
    places: NDArray[np.int64]
    pairs: list[TrainingPair]
    seed: int


class StepGradient:
    """Accumulates the gradients of steps.

    Args:
        backbone: whose model gets them.
        settings: reduction, temperature, pooling, tokens at once.
        seed: of the run and the stage, for dropout.
    """

    def __init__(self, backbone: Backbone, settings: Settings, seed: Sequence[int]) -> None:
        self._backbone, self._settings, self._seed = backbone, settings, tuple(seed)
        self.tokens_at_once = settings.tokens_at_once
        self.weights = Weights.of(settings.alpha, settings.beta)

    @property
    def parameters(self) -> list[Any]:
        """The weights that are trained."""
        return self._backbone.trained

    def accumulate(
        self, pairs: Sequence[TrainingPair], step: int, weights: Weights | None = None
    ) -> Losses:
        """Add the gradient of a batch's loss, this process's part of it; return the losses.

        Args:
            pairs: the whole batch, also where several processes share it.
            step: which step of all it is; with the seed it decides dropout.
            weights: of the losses; None for those of the settings.
        """
        weights = self.weights if weights is None else weights
        rows = own_rows(len(pairs))
        own = [pairs[row] for row in rows]
        scale = weights.nig / self._denominator(pairs)
        readings = _Readings(self._backbone, self._settings, scale)
        if weights.contrastive:
            nig, tt, ut = self._with_contrast(pairs, own, rows, step, weights, readings)
        else:
            for part in self._parts(own, step, (HISTORIES,)):
                readings.backward(part, None)
            nig, tt, ut = readings.nig, None, None
        device = self._backbone.device
        n_tokens = sum(len(pair.target) for pair in pairs)
        return Losses(added_up(nig, device), n_tokens, len(pairs), tt, ut)

    def _denominator(self, pairs: Sequence[TrainingPair]) -> int:
        if self._settings.nig_reduction == SEQUENCE_SUM:
            return len(pairs)
        return max(1, sum(len(pair.target) for pair in pairs))

    def _with_contrast(
        self, pairs: Sequence[TrainingPair], own: Sequence[TrainingPair],
        rows: NDArray[np.int64], step: int, weights: Weights, readings: _Readings,
    ) -> tuple[float, float, float]:  # fmt: skip
        import torch

        parts = self._parts(own, step, (HISTORIES, TARGETS))
        whole = len(parts) <= 2
        with torch.set_grad_enabled(whole):
            # what is read once only is read with its generation loss
            read = [readings.forward(part, generation=whole) for part in parts]
        width = self._backbone.width
        vectors = [torch.zeros(len(own), width, device=self._backbone.device) for _ in range(3)]
        for part, (_, found) in zip(parts, read, strict=True):
            for kind, values in found.items():
                vectors[kind][torch.from_numpy(part.places)] = values.detach()
        tt, ut, gradients = self._contrast(vectors, pairs, weights)
        for part, (loss, found) in zip(parts, read, strict=True):
            wanted = {kind: gradients[kind][torch.from_numpy(part.places)]
                      for kind in (_KINDS[part.tower])}  # fmt: skip
            if whole:
                readings.finish(loss, found, wanted)
            else:
                readings.backward(part, wanted)
        return readings.nig, tt, ut

    def _contrast(
        self, own: Sequence[Any], pairs: Sequence[TrainingPair], weights: Weights
    ) -> tuple[float, float, tuple[Any, ...]]:
        """Return L_TT, L_UT and the gradients of the own vectors, from everybody's vectors."""
        import torch

        leaves = [vectors.requires_grad_() for vectors in own]
        users, conditioned, targets = (gathered(vectors, len(pairs)) for vectors in leaves)
        equal = None
        if self._settings.mask_same_target:
            equal = torch.from_numpy(same_targets(pairs)).to(self._backbone.device)
        tt, ut = contrastive_losses(
            users, conditioned, targets, self._settings.contrastive_temperature, equal
        )
        loss = weights.tt * tt + weights.ut * ut
        return tt.item(), ut.item(), torch.autograd.grad(loss, leaves)

    def _parts(self, own: Sequence[TrainingPair], step: int, towers: Sequence[int]) -> list[_Part]:
        """Cut the own pairs into parts of similar lengths, for each tower by itself."""
        parts = []
        for tower in towers:
            lengths = [_length(pair, tower) for pair in own]
            for number, places in enumerate(cut_by_length(lengths, self.tokens_at_once)):
                key = [*self._seed, step, tower, number, own_process()]
                seed = int(np.random.SeedSequence(key).generate_state(1)[0])
                parts.append(_Part(tower, places, [own[place] for place in places], seed))
        return parts


_USERS, _CONDITIONED, _TARGETS = 0, 1, 2
_KINDS = {HISTORIES: (_USERS, _CONDITIONED), TARGETS: (_TARGETS,)}
"""Which vectors a tower gives."""


class _Readings:
    """Reads the parts of one batch and takes their gradients."""

    def __init__(self, backbone: Backbone, settings: Settings, scale: float) -> None:
        self._backbone, self._settings, self._scale = backbone, settings, scale
        self.nig = 0.0

    def forward(self, part: _Part, generation: bool = True) -> tuple[Any, dict[int, Any]]:
        """Return the part's generation loss (None for targets) and its vectors, by kind."""
        import torch

        torch.manual_seed(part.seed)
        special, precision = self._settings.pool_special_tokens, self._settings.training_precision
        with training_precision(self._backbone.device, precision):
            if part.tower == TARGETS:
                return None, {_TARGETS: read_targets(self._backbone, part.pairs, special)}
            loss, users, conditioned = read_histories(
                self._backbone, part.pairs, special, generation
            )
        return loss, {_USERS: users, _CONDITIONED: conditioned}

    def backward(self, part: _Part, wanted: dict[int, Any] | None) -> None:
        """Read a part and take its gradients: of generation, and of its vectors if given."""
        loss, vectors = self.forward(part)
        self.finish(loss, vectors, wanted)

    def finish(self, loss: Any, vectors: dict[int, Any], wanted: dict[int, Any] | None) -> None:
        """Take the gradients of what `forward` returned."""
        import torch

        heads, gradients = [], []
        if loss is not None:
            self.nig += loss.item()
            if self._scale:
                heads.append(loss)
                gradients.append(torch.full_like(loss, self._scale))
        for kind, gradient in (wanted or {}).items():
            heads.append(vectors[kind])
            gradients.append(gradient)
        if heads:
            torch.autograd.backward(heads, gradients)


def _length(pair: TrainingPair, tower: int) -> int:
    return len(pair.target) + (len(pair.prompt) if tower == HISTORIES else 0)


def cut_by_length(lengths: Sequence[int], tokens_at_once: int) -> list[NDArray[np.int64]]:
    """Cut rows into parts of similar lengths that hold up to ``tokens_at_once`` padded tokens.

    A row that is longer by itself makes a part of its own.
    """
    parts: list[list[int]] = []
    part: list[int] = []
    for row in np.argsort(np.array(lengths, dtype=np.int64), kind="stable").tolist():
        if part and (len(part) + 1) * lengths[row] > tokens_at_once:  # the longest so far
            parts.append(part)
            part = []
        part.append(row)
    if part:
        parts.append(part)
    return [np.array(rows, dtype=np.int64) for rows in parts]


def same_targets(pairs: Sequence[TrainingPair]) -> NDArray[np.bool_]:
    """Return bool [n, n], where two different pairs have targets of equal tokens."""
    index: dict[tuple[int, ...], int] = {}
    group = np.array([index.setdefault(tuple(pair.target), len(index)) for pair in pairs])
    equal: NDArray[np.bool_] = group[:, None] == group[None, :]
    np.fill_diagonal(equal, False)
    return equal


def term_norms(
    gradient: StepGradient, pairs: Sequence[TrainingPair], step: int, zero: Callable[[], None]
) -> dict[str, float]:
    """Return the norm of each loss's own gradient for a batch, at weight 1; gradients are cleared.

    Args:
        gradient: of the method.
        pairs: the batch.
        step: as `StepGradient.accumulate` will be given it, so that dropout is the same.
        zero: clears gradients and returns nothing.
    """
    from methods.calrec.optimisation import gradient_norm

    terms = {"nig": Weights(1, 0, 0)}
    if gradient.weights.contrastive:
        terms |= {"tt": Weights(0, 1, 0), "ut": Weights(0, 0, 1)}
    norms = {}
    for name, weights in terms.items():
        gradient.accumulate(pairs, step, weights)
        add_up_gradients(gradient.parameters)
        norms[f"{name}_gradient_norm"] = gradient_norm(gradient.parameters)
        zero()
    return norms
