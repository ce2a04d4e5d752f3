"""What the networks over item sequences share: settings, fitting, early stopping, scoring.

A method of this kind builds a network (`SequentialMethod.build`); the rest is here. By default
every prefix of a training history is one example with a loss on its last position, as RecBole
trains; batches are cut to their longest history, which changes the work and not the losses.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from harness.errors import MethodError
from harness.histories import FloatArray, Histories, IntArray
from harness.method import Method, RunContext, TrainingData
from harness.settings import setting
from methods import _recbole, _spans
from methods._training import Batch, Outcome, Schedule, train

EVERY_PREFIX = "every-prefix"
ALL_POSITIONS = "all-positions"

REQUIRES = ("torch", "recbole", "tensorboard")
"""What RecBole's model classes import; tensorboard comes in with its loggers."""

FULL_SOFTMAX = "cross-entropy over the whole catalogue"

# Rows scored at once; bounds the memory of attention, not the result.
SCORING_ROWS = 512


@dataclass(frozen=True)
class SequentialSettings:
    """RecBole's defaults for its Transformers and for their training."""

    hidden_size: int = setting(64, "width of embeddings and states", minimum=1)
    inner_size: int = setting(256, "width of the feed-forward layers", minimum=1)
    n_layers: int = setting(2, "transformer layers", minimum=1)
    n_heads: int = setting(2, "attention heads; must divide hidden_size", minimum=1)
    hidden_dropout: float = setting(0.5, "dropout of states", minimum=0, maximum=1)
    attention_dropout: float = setting(0.5, "dropout of attention weights", minimum=0, maximum=1)
    max_history: int = setting(50, "events read, the latest ones", minimum=1)
    learning_rate: float = setting(1e-3, "Adam's learning rate, constant", minimum=0)
    batch_size: int = setting(2048, "targets per optimiser step", minimum=1)
    max_epochs: int = setting(300, "epochs at most", minimum=1)
    patience: int = setting(
        10,
        "validations in a row without reaching the best that are borne; one more stops",
        minimum=0,
    )
    validate_every: int = setting(1, "epochs between validations", minimum=1)
    objective: str = setting(
        EVERY_PREFIX,
        "every-prefix: each prefix is an example, loss on its last position; all-positions: long "
        "histories are cut into windows, loss at all positions of a window (another regime, "
        "many times faster)",
        choices=(EVERY_PREFIX, ALL_POSITIONS),
    )
    layer_norm_eps: float = setting(1e-12, "epsilon of layer normalisation", minimum=0)
    initializer_range: float = setting(0.02, "standard deviation of initial weights", minimum=0)

    def __post_init__(self) -> None:
        if self.hidden_size % self.n_heads:
            raise ValueError(
                f"hidden_size ({self.hidden_size}) must be a multiple of n_heads ({self.n_heads})"
            )


QUICK: Mapping[str, Any] = {
    "hidden_size": 32,
    "inner_size": 64,
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "learning_rate": 0.01,
    "batch_size": 128,
    "max_epochs": 15,
    "patience": 3,
}
"""Settings for contract tests, seconds on one core."""


class SequentialMethod(Method):
    """A network with a state for a history and a vector for an item; scores are their products.

    An item that no training history holds is scored by its vector as training left it. The
    history is not masked. An empty history has no state: all its candidates score 0, one great
    tie (RecBole would read a state from a padding position).
    """

    name: ClassVar[str]
    """The method's name on the command line, for messages."""

    def __init__(self, settings: Any) -> None:
        super().__init__(settings)
        self._model: Any = None
        self._device = "cpu"
        self._outcome: Outcome | None = None
        self._n_cut = 0

    # ---- what a subclass gives -------------------------------------------------------------------

    @abstractmethod
    def build(self, data: TrainingData, context: RunContext) -> Any:
        """Return the untrained network, on the context's device.

        It needs ``calculate_loss(interaction)`` for the batches of `batches`. Everything that is
        imported is to be imported before the seed is set, because an import may draw random
        numbers itself.
        """

    def batches(self, histories: Histories, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch; they depend on (seed, epoch) alone."""
        settings: SequentialSettings = self.settings
        generator = np.random.default_rng([seed, epoch])
        if settings.objective == EVERY_PREFIX:
            spans = _spans.every_prefix(histories, settings.max_history)
            targets = np.ones_like(spans.lengths)
        else:
            spans = _spans.windows(histories, settings.max_history, generator)
            targets = spans.lengths
        for rows in _spans.batches_by_length(
            spans.lengths, targets, settings.batch_size, generator
        ):
            yield training_batch(spans, rows, settings.objective, self._device)

    def states(self, items: Any, lengths: Any) -> Any:
        """Return float32 [n_rows, width]: the state that each history is scored by.

        Args:
            items: int64 [n_rows, longest], shifted items (0 is padding), right-padded.
            lengths: int64 [n_rows], at least 1.
        """
        return self._model.forward(items, lengths)

    def columns_of(self, candidates: IntArray) -> IntArray:
        """Return int64 [C], what each candidate is scored as; equal ones tie bit for bit.

        By default its shifted item index; where only texts are scored, the index of its text.
        """
        return np.asarray(candidates, dtype=np.int64) + 1

    def column_vectors(self, columns: Any) -> tuple[Any, Any]:
        """Return float32 [n_columns, width] and a bias [n_columns] (or 0), for `columns_of`."""
        return self._model.item_embedding(columns), 0.0

    def spans_to_score(self, histories: Histories) -> _spans.Spans:
        """Return what is read of each history; by default its latest events."""
        return _spans.latest(histories, self.settings.max_history)

    def longest_read(self) -> int:
        """Return how many events of a history are read at most."""
        return int(self.settings.max_history)

    def loss_name(self) -> str:
        """Name the loss that training minimises, for the record."""
        return FULL_SOFTMAX

    def notes(self) -> list[str]:
        """Return what is to be printed beside the row."""
        if self.settings.objective == EVERY_PREFIX:
            return []
        return ["objective all-positions, not RecBole's one example per prefix"]

    # ---- what is shared --------------------------------------------------------------------------

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Train until validation NDCG@10 stops improving; keep the best epoch's weights.

        Raises:
            MethodError: no training history has two events, or the loss is no finite number.
        """
        n_targets = self._n_targets(data)
        self._device = context.device
        self._tell_cut(data.histories, context)
        self._model = self.build(data, context)
        settings: SequentialSettings = self.settings
        self._outcome = train(
            self,
            self._model,
            lambda epoch: self.batches(data.histories, context.seed, epoch),
            n_targets,
            schedule=Schedule(
                learning_rate=settings.learning_rate,
                max_epochs=settings.max_epochs,
                patience=settings.patience,
                validate_every=settings.validate_every,
            ),
            context=context,
        )

    def _n_targets(self, data: TrainingData) -> int:
        """Return the number of targets in an epoch.

        Raises:
            MethodError: there is none.
        """
        n_targets = int(np.maximum(data.histories.lengths - 1, 0).sum())
        if not n_targets:
            raise MethodError(
                f"{self.name} has nothing to learn from {data.dataset}: it needs a training "
                "history of two events, and the longest has "
                f"{int(data.histories.lengths.max(initial=0))}"
            )
        return n_targets

    def _tell_cut(self, histories: Histories, context: RunContext) -> None:
        """Say once how many histories are longer than what is read of them."""
        longest = self.longest_read()
        self._n_cut = int((histories.lengths > longest).sum())
        if self._n_cut:
            context.progress.say(
                f"{self.name}: {self._n_cut} of {len(histories)} training histories have more "
                f"than {longest} events (max_history = {self.settings.max_history}); of a longer "
                "one the newest are read, when scoring too"
            )

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return float32 [B, C]: the products of states and vectors, candidates in any order.

        Raises:
            MethodError: `fit` has not been called.
        """
        import torch

        if self._model is None:
            raise MethodError(
                f"{self.name} was asked to score before it was fitted: call fit first"
            )
        # distinct columns in a fixed order, so that scores do not depend on the candidates' order
        columns, place = np.unique(self.columns_of(candidates), return_inverse=True)
        scores = np.zeros((len(histories), len(columns)), dtype=np.float32)
        spans = self.spans_to_score(histories)
        filled = np.flatnonzero(histories.lengths)
        order = filled[np.argsort(spans.lengths[filled], kind="stable")]
        self._model.eval()
        with torch.inference_mode():
            vectors, biases = self.column_vectors(torch.from_numpy(columns).to(self._device))
            for first in range(0, len(order), SCORING_ROWS):
                rows = order[first : first + SCORING_ROWS]
                items = torch.from_numpy(spans.padded(rows)).to(self._device)
                lengths = torch.from_numpy(spans.lengths[rows]).to(self._device)
                product = self.states(items, lengths) @ vectors.T + biases
                scores[rows] = product.cpu().numpy()
        return scores[:, place]

    def describe(self) -> Mapping[str, Any]:
        """Return parameters, loss, objective, the best epoch and how many were run."""
        if self._model is None or self._outcome is None:
            return {}
        described: dict[str, Any] = {
            "parameters": sum(weights.numel() for weights in self._model.parameters()),
            "loss": self.loss_name(),
            "objective": self.settings.objective,
            "best_epoch": self._outcome.best_epoch,
            "best_validation_ndcg10": self._outcome.best_ndcg10,
            "epochs": self._outcome.epochs,
            "histories_cut": self._n_cut,
        }
        if notes := self.notes():
            described["note"] = "; ".join(notes)
        return described


def network_config(settings: SequentialSettings, device: str, **others: Any) -> Any:
    """Return the configuration of one of RecBole's Transformers; ``others`` are its own keys."""
    return _recbole.model_config(
        settings.max_history,
        device,
        {
            "hidden_size": settings.hidden_size,
            "inner_size": settings.inner_size,
            "n_layers": settings.n_layers,
            "n_heads": settings.n_heads,
            "hidden_dropout_prob": settings.hidden_dropout,
            "attn_dropout_prob": settings.attention_dropout,
            "hidden_act": "gelu",
            "layer_norm_eps": settings.layer_norm_eps,
            "initializer_range": settings.initializer_range,
            **others,
        },
    )


def training_batch(
    spans: _spans.Spans,
    rows: IntArray,
    objective: str,
    device: str,
    width: int | None = None,
) -> Batch:
    """Return what the model's loss reads for the given spans, and its number of targets.

    Args:
        spans: from `_spans.every_prefix` or `_spans.windows`, as ``objective`` wants.
        rows: int64, the spans of this batch.
        objective: "every-prefix" or "all-positions".
        device: where the tensors are to lie.
        width: columns; cut to the longest span by default, which changes no loss.
    """
    items, lengths = spans.padded(rows, width=width), spans.lengths[rows]
    if objective == EVERY_PREFIX:
        targets, n_targets = spans.next_items(rows), len(rows)
    else:
        targets, n_targets = spans.padded(rows, shift=1, width=width), int(lengths.sum())
    return _recbole.interaction(items, lengths, targets, device), n_targets
