"""BERT4Rec as a method of the harness."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.histories import Histories, IntArray
from harness.method import Input, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from harness.settings import setting
from methods import _recbole, _spans
from methods._sequential import (
    EVERY_PREFIX,
    QUICK,
    REQUIRES,
    SequentialMethod,
    SequentialSettings,
    network_config,
)
from methods._training import Batch
from methods.bert4rec.masking import as_recbole_counts, masked_at_random, masked_last

WITH_TARGET, RECBOLE = "with-target", "recbole"


@dataclass(frozen=True)
class Settings(SequentialSettings):
    """Defaults of RecBole 1.2.1 for BERT4Rec, but for `masking`."""

    hidden_dropout: float = setting(0.2, "dropout of states", minimum=0, maximum=1)
    attention_dropout: float = setting(0.2, "dropout of attention weights", minimum=0, maximum=1)
    mask_ratio: float = setting(0.2, "chance of each item to be masked", minimum=0, maximum=1)
    last_item_share: float = setting(
        0.5,
        "share of batches in which the last item of each row is masked and no other, as when "
        "scoring (RecBole's ft_ratio)",
        minimum=0,
        maximum=1,
    )
    masking: str = setting(
        WITH_TARGET,
        "with-target: the target is the last item of the sequence that is masked, every mask is "
        "asked for, and scoring reads as many items as fit; recbole: the sequence ends before the "
        "target, a mask at the first place and all but the last mask_ratio * max_history masks of "
        "a row are never asked for, and scoring loses the oldest item of any history",
        choices=(WITH_TARGET, RECBOLE),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_history < 2:
            raise ValueError("max_history must be at least 2: an item and the mask behind it")
        if self.masking == RECBOLE and self.objective != EVERY_PREFIX:
            raise ValueError(f"masking={RECBOLE} goes with objective={EVERY_PREFIX} only")
        if self.masking == RECBOLE and int(self.mask_ratio * self.max_history) < 1:
            raise ValueError(
                f"masking={RECBOLE} asks for the last mask_ratio * max_history masks of a row, "
                f"which comes to none ({self.mask_ratio} * {self.max_history}); raise one of them"
            )
        if not self.mask_ratio and not self.last_item_share:
            raise ValueError("mask_ratio and last_item_share are both 0: nothing would be masked")


class BERT4Rec(SequentialMethod):
    """RecBole's BERT4Rec with a softmax over the catalogue; a mask behind the history is scored.

    The objective all-positions masks each training history once an epoch, in windows, in place of
    all its prefixes.
    """

    name = "bert4rec"
    card = MethodCard(
        title="BERT4Rec",
        paper="Sun et al., BERT4Rec: Sequential Recommendation with Bidirectional Encoder "
        "Representations from Transformer, CIKM 2019 (the class of RecBole 1.2.1)",
        inputs=frozenset({Input.ITEM_IDS}),
        presets={
            "unisrec-repository": {"hidden_size": 300, "masking": RECBOLE},
            "recbole": {"masking": RECBOLE},
        },
        requires=REQUIRES,
        # the mask stands behind the history, at a place that training has to have seen
        quick_settings={
            **QUICK,
            "max_history": 6,
            "max_epochs": 30,
            "patience": 10,
            "learning_rate": 0.005,
        },
    )
    Settings = Settings

    def build(self, data: TrainingData, context: RunContext) -> Any:
        """Return RecBole's network with our loss."""
        return build_model(self.settings, data.n_items, context.device, context.seed)

    def batches(self, histories: Histories, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield masked sequences; a batch in which nothing is asked for is left out."""
        generator = np.random.default_rng([seed, epoch])
        spans = self._sequences(histories, generator)
        ones = np.ones_like(spans.lengths)
        for rows in _spans.batches_by_length(
            spans.lengths, ones, self.settings.batch_size, generator
        ):
            batch, asked = masked_batch(
                self.settings, spans, rows, len(self._model.output_bias), generator, self._device
            )
            if asked:
                yield batch, len(rows)

    def _sequences(self, histories: Histories, generator: np.random.Generator) -> _spans.Spans:
        """Return the sequences of an epoch, target included where the settings want it."""
        settings: Settings = self.settings
        if settings.masking == RECBOLE:
            return _spans.every_prefix(histories, settings.max_history)
        before = settings.max_history - 1
        if settings.objective == EVERY_PREFIX:
            spans = _spans.every_prefix(histories, before)
        else:
            spans = _spans.windows(histories, before, generator)
        return replace(spans, lengths=spans.lengths + 1)

    def spans_to_score(self, histories: Histories) -> _spans.Spans:
        """Return what is read before the mask; RecBole cuts the oldest item off, whatever fits."""
        if self.settings.masking == WITH_TARGET:
            return _spans.latest(histories, self.settings.max_history - 1)
        spans = _spans.latest(histories, self.settings.max_history)
        lost = np.minimum(spans.lengths, 1)
        return replace(spans, starts=spans.starts + lost, lengths=spans.lengths - lost)

    def longest_read(self) -> int:
        """Return how many events are read: the mask takes a place."""
        return int(self.settings.max_history) - 1

    def states(self, items: Any, lengths: Any) -> Any:
        """Return the state of a mask behind each history."""
        return self._model.states_at_mask(items, lengths)

    def column_vectors(self, columns: Any) -> tuple[Any, Any]:
        """Return the items' embeddings and biases."""
        return self._model.item_embedding(columns), self._model.output_bias[columns]

    def loss_name(self) -> str:
        """Name the loss."""
        return "cross-entropy over the whole catalogue, of masked items"

    def notes(self) -> list[str]:
        """Say what differs from RecBole's objective."""
        settings: Settings = self.settings
        if settings.objective != EVERY_PREFIX:
            return ["histories masked whole, not RecBole's one example per prefix"]
        if settings.masking == RECBOLE:
            return ["masks as RecBole's: the last training item is never asked for"]
        return []


def build_model(settings: Settings, n_items: int, device: str, seed: int) -> Any:
    """Return an untrained network; imports come before the seed is set."""
    _recbole.model_class("bert4rec", "BERT4Rec")  # says what is missing, where something is
    from methods.bert4rec.model import MaskedBERT4Rec

    config = network_config(settings, device, mask_ratio=settings.mask_ratio)
    seed_everything(seed)
    return MaskedBERT4Rec(config, _recbole.Catalogue(n_items)).to(device)


def masked_batch(
    settings: Settings,
    spans: _spans.Spans,
    rows: IntArray,
    mask: int,
    generator: np.random.Generator,
    device: str,
    width: int | None = None,
) -> tuple[dict[str, Any], int]:
    """Return what `MaskedBERT4Rec.calculate_loss` reads, and how many items are asked for.

    Args:
        settings: of the method.
        spans: the sequences.
        rows: int64, those of this batch.
        mask: the index that stands for a masked item: the number of items, padding included.
        generator: decides what is masked.
        device: where the tensors are to lie.
        width: columns; cut to the longest sequence by default, which changes no loss.
    """
    items, lengths = spans.padded(rows, width=width), spans.lengths[rows]
    if generator.random() < settings.last_item_share:
        read, targets = masked_last(items, lengths, mask)
    else:
        read, targets = masked_at_random(items, lengths, settings.mask_ratio, mask, generator)
    if settings.masking == RECBOLE:
        targets = as_recbole_counts(targets, int(settings.mask_ratio * settings.max_history))
    return _recbole.interaction(read, lengths, targets, device), int((targets > 0).sum())
