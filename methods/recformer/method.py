"""Recformer as a method of the harness: start weights, pre-training, two-stage fine-tuning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import PurePath
from typing import Any

import numpy as np

from harness.errors import MethodError
from harness.histories import FloatArray, Histories, IntArray
from harness.method import Input, Method, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from methods.recformer.settings import MEAN, Settings

QUICK = {
    "random_vocabulary": 400,
    "random_width": 32,
    "random_layers": 1,
    "max_items": 3,
    "max_tokens": 128,
    "stage1_epochs": 9,
    "stage2_epochs": 30,
    "stage2_patience": 10,
    "validate_every": 3,
    "targets_per_user": 3,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "warmup_steps": 10,
    "shared_schedule": False,
}


SENTENCE_ENCODER = {
    "pooling": MEAN,
    "max_items": 2,
    "attention_dropout": 0.0,
    "tokens_at_once": 4096,
    "stage1_epochs": 4,
    "stage2_epochs": 2,
    "batch_size": 32,
    "learning_rate": 2e-5,
    "warmup_steps": 50,
    "shared_schedule": False,
    "validate_every": 1,
    "validation_users": 2000,
}
"""For converted sentence encoders on two cores, in under an hour. Chosen by validation NDCG@10 on
`scientific` with MiniLM: an epoch with 50 items came to .043 at best, below the .051 that 2 items
give without any training; from there a rate of 2e-5 rose."""


class Recformer(Method):
    """Encodes histories and items by one Longformer; scores are cosines of their vectors.

    An item that no training history holds is scored by its attributes like any other. An empty
    history is the first token alone.
    """

    card = MethodCard(
        title="Recformer",
        paper="Li et al., Text Is All You Need: Learning Language Representations for Sequential "
        "Recommendation, KDD 2023",
        inputs=frozenset({Input.ITEM_ATTRIBUTES}),
        presets={
            "sentence-encoder": SENTENCE_ENCODER,
            "zero-shot": {"stage1_epochs": 0, "stage2_epochs": 0},
        },
        requires=("torch", "transformers", "tokenizers"),
        ties_identical_texts=True,
        quick_settings=QUICK,
    )
    Settings = Settings

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._encoder: Any = None

    @classmethod
    def external_inputs(cls, settings: Settings) -> Mapping[str, str]:
        """Return the digest or revision of the start weights, where they are not random.

        Raises:
            UsageError: there is no such file or folder.
        """
        from methods.recformer.weights import identity

        return identity(settings)

    @classmethod
    def mixture(cls, settings: Settings) -> str | None:
        """Return the mixture to pre-train on, where the settings name one."""
        return settings.pretraining or None

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Load the start weights, pre-train, fine-tune in two stages, keep the best epoch.

        Raises:
            UsageError, DataError: the weights cannot be found, loaded or used.
            MethodError: there is nothing to train on, or the loss is no finite number.
        """
        from methods.recformer.encoding import Encoder
        from methods.recformer.finetuning import FineTuning
        from methods.recformer.precision import chosen_precision
        from methods.recformer.tokens import ItemTokens

        settings: Settings = self.settings
        start = self._started(data, context)
        for line in start.report:
            context.progress.say(f"recformer's weights: {line}")
        self._items = ItemTokens(data.item_attributes, start.vocabulary, settings)
        if settings.attention_dropout is not None:
            start.model.set_attention_dropout(settings.attention_dropout)
        self._encoder = Encoder(
            start.model, start.vocabulary, settings.tokens_at_once, context.device
        )
        self._start, self._outcome = start, None
        self._pretrain(data, context)
        self._precision = chosen_precision(settings.precision, context.device)
        seed_everything(context.seed)  # dropout draws from torch's generator
        if not settings.stage1_epochs:
            sequences = self._items.items()
            self._vectors = self._encoder.vectors(sequences, self._precision)
            return
        training = FineTuning(
            self._encoder,
            self._items,
            data.histories,
            settings=settings,
            context=context,
            validate=lambda vectors: self._validated(vectors, context),
        )
        self._outcome, self._vectors = training.run()

    def _started(self, data: TrainingData, context: RunContext) -> Any:
        """Return the start; what is pre-trained has the sources' tokeniser, so it fits any target.

        Raises:
            UsageError, DataError: the weights cannot be found, loaded or used.
            MethodError: a data set has no attribute.
        """
        from methods.recformer.sources import catalogue_of
        from methods.recformer.weights import load_start

        if not data.sources:
            return load_start(self.settings, data.item_attributes, context.device, context.seed)
        attributes, settings = catalogue_of(data.sources, self.settings)
        return load_start(settings, attributes, context.device, context.seed)

    def _pretrain(self, data: TrainingData, context: RunContext) -> None:
        self._pretraining: Any = None
        if data.sources:
            from methods.recformer.sharing import pretrained

            self._pretraining = pretrained(self._encoder, data.sources, self.settings, context)

    def _validated(self, vectors: Any, context: RunContext) -> float:
        self._vectors = vectors
        return context.validate(self, self.settings.validation_users)

    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Return float32 [B, C]: the cosine of a history's vector with each candidate's.

        Each distinct item is scored once, so items with equal tokens tie exactly.

        Raises:
            MethodError: `fit` has not been called.
        """
        import torch

        if self._encoder is None:
            raise MethodError("recformer was asked to score before it was fitted: call fit first")
        users = self._encoder.vectors(self._items.histories(histories))
        with torch.inference_mode():
            scores = (users @ self._vectors.T).cpu().numpy()
        return scores[:, self._items.group[np.asarray(candidates, dtype=np.int64)]]

    def describe(self) -> Mapping[str, Any]:
        """Return parameters, where the weights came from, and how training went."""
        if self._encoder is None:
            return {}
        described: dict[str, Any] = {
            "parameters": sum(weights.numel() for weights in self._encoder.model.parameters()),
            "attributes": ", ".join(self._items.names),
            "precision": self._precision,
            "distinct_items": self._items.n_groups,
            "attributes_cut": self._items.n_cut,
            "items_without_attributes": self._items.n_empty,
            "note": self._note(),
        }
        if self._start.report:
            described["weights_report"] = "; ".join(self._start.report)
        described |= self._pretraining_cost()
        if self._outcome is not None:
            described |= {
                "best_stage": self._outcome.best_stage,
                "best_epoch": self._outcome.best_epoch,
                "best_validation_ndcg10": self._outcome.best_ndcg10,
                "stage1_epochs": self._outcome.epochs[0],
                "stage2_epochs": self._outcome.epochs[1],
                "training_tokens": self._outcome.tokens,
                "tokens_per_second": self._outcome.tokens / max(1e-9, self._outcome.seconds),
            }
        return described

    def _pretraining_cost(self) -> dict[str, Any]:
        """Return what pre-training took, also where an earlier run paid it."""
        if self._pretraining is None:
            return {}
        cost, reused = self._pretraining
        facts = {f"pretraining_{name}": value for name, value in asdict(cost).items()}
        facts["pretraining_tokens_per_second"] = cost.tokens_per_second
        facts["pretraining_reused"] = reused
        return {name: value for name, value in facts.items() if value is not None}

    def _note(self) -> str:
        settings: Settings = self.settings
        parts = [self._start.source, "no pre-training on purchases"]
        if self._pretraining is not None:
            # of a file its name alone: the folder is nobody's business
            name = PurePath(settings.pretraining).name.removesuffix(".toml")
            parts[1] = f"pre-trained on {name}"
        if self._outcome is not None and not self._outcome.best_stage:
            parts.append("no epoch of fine-tuning was better than the start, which is kept")
        if settings.pooling == MEAN:
            parts.append("mean of states in place of the first token's")
        return "; ".join(parts)
