"""SASRec: self-attention over item indices (the paper's ID baseline, sections 4 and 5).

The model is RecBole's class, unchanged; the training loop is ours. By default every prefix of a
training history is one example with a loss on its last position, as RecBole trains; batches are
cut to their longest history, which changes the work and not the losses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.errors import MethodError
from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from harness.settings import setting
from methods import _recbole, _spans
from methods._training import Batch, Outcome, Schedule, train

EVERY_PREFIX = "every-prefix"
ALL_POSITIONS = "all-positions"

# Rows scored at once; bounds the memory of attention, not the result.
SCORING_ROWS = 512


@dataclass(frozen=True)
class Settings:
    """RecBole's defaults for SASRec and for its training."""

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


class SASRec(Method):
    """RecBole's SASRec with full-softmax cross-entropy; early stopping on validation NDCG@10."""

    card = MethodCard(
        title="SASRec",
        paper="Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018 "
        "(the class of RecBole 1.2.1)",
        inputs=frozenset({Input.ITEM_IDS}),
        presets={"unisrec-repository": {"hidden_size": 300}},
        requires=("torch", "recbole", "tensorboard"),  # RecBole's models import the last
        quick_settings={
            "hidden_size": 32,
            "inner_size": 64,
            "hidden_dropout": 0.1,
            "attention_dropout": 0.1,
            "learning_rate": 0.01,
            "batch_size": 128,
            "max_epochs": 15,
            "patience": 3,
        },
    )
    Settings = Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._model: Any = None
        self._device = "cpu"
        self._outcome: Outcome | None = None

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Train until validation NDCG@10 stops improving; keep the best epoch's weights.

        Raises:
            MethodError: no training history has two events, or the loss is no finite number.
        """
        n_targets = int(np.maximum(data.histories.lengths - 1, 0).sum())
        if not n_targets:
            raise MethodError(
                f"sasrec has nothing to learn from {data.dataset}: it needs a training history "
                "of two events, and the longest has "
                f"{int(data.histories.lengths.max(initial=0))}"
            )
        self._device = context.device
        self._model = build_model(self.settings, data.n_items, context.device, context.seed)
        self._outcome = train(
            self,
            self._model,
            lambda epoch: self._batches(data.histories, context.seed, epoch),
            n_targets,
            schedule=Schedule(
                learning_rate=self.settings.learning_rate,
                max_epochs=self.settings.max_epochs,
                patience=self.settings.patience,
                validate_every=self.settings.validate_every,
            ),
            context=context,
        )

    def _batches(self, histories: Histories, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield the batches of one epoch; they depend on (seed, epoch) alone."""
        generator = np.random.default_rng([seed, epoch])
        max_history, batch_size = self.settings.max_history, self.settings.batch_size
        if self.settings.objective == EVERY_PREFIX:
            spans = _spans.every_prefix(histories, max_history)
            targets = np.ones_like(spans.lengths)
        else:
            spans = _spans.windows(histories, max_history, generator)
            targets = spans.lengths
        for rows in _spans.batches_by_length(spans.lengths, targets, batch_size, generator):
            yield training_batch(spans, rows, self.settings.objective, self._device)

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return float32 [B, C]: the last state's product with each candidate's embedding.

        The history is not masked. An item that no training history holds is scored by its
        embedding as it was initialised. An empty history has no state, and RecBole would read one
        from a padding position: all its candidates score 0 here, one great tie.

        Raises:
            MethodError: `fit` has not been called.
        """
        import torch

        if self._model is None:
            raise MethodError("sasrec was asked to score before it was fitted: call fit first")
        scores = np.zeros((len(histories), len(candidates)), dtype=np.float32)
        spans = _spans.latest(histories, self.settings.max_history)
        filled = np.flatnonzero(spans.lengths)
        order = filled[np.argsort(spans.lengths[filled], kind="stable")]
        self._model.eval()
        with torch.inference_mode():
            shifted = torch.from_numpy(np.asarray(candidates, dtype=np.int64) + 1)
            embeddings = self._model.item_embedding(shifted.to(self._device))
            for first in range(0, len(order), SCORING_ROWS):
                rows = order[first : first + SCORING_ROWS]
                items = torch.from_numpy(spans.padded(rows)).to(self._device)
                lengths = torch.from_numpy(spans.lengths[rows]).to(self._device)
                states = self._model.forward(items, lengths)
                scores[rows] = (states @ embeddings.T).cpu().numpy()
        return scores

    def describe(self) -> Mapping[str, Any]:
        """Return parameters, objective, the best epoch and how many were run."""
        if self._model is None or self._outcome is None:
            return {}
        described: dict[str, Any] = {
            "parameters": sum(weights.numel() for weights in self._model.parameters()),
            "objective": self.settings.objective,
            "best_epoch": self._outcome.best_epoch,
            "best_validation_ndcg10": self._outcome.best_ndcg10,
            "epochs": self._outcome.epochs,
        }
        if self.settings.objective != EVERY_PREFIX:
            described["note"] = "objective all-positions, not RecBole's one example per prefix"
        return described


def build_model(settings: Settings, n_items: int, device: str, seed: int) -> Any:
    """Return an untrained model: RecBole's class, or its subclass for all-positions.

    Everything that is imported is imported before the seed is set, because an import may draw
    random numbers itself.
    """
    if settings.objective == EVERY_PREFIX:
        chosen = _recbole.model_class("sasrec", "SASRec")
    else:
        _recbole.model_class("sasrec", "SASRec")  # says what is missing, where something is
        from methods._all_positions import AllPositionsSASRec as chosen  # noqa: N813
    config = _recbole.model_config(
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
        },
    )
    seed_everything(seed)
    return chosen(config, _recbole.Catalogue(n_items)).to(device)


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


METHOD = SASRec
