"""S3-Rec as a method of the harness: pre-training, then fine-tuning, in one fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np

from harness.files import sha256_text
from harness.method import Input, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from methods import _recbole, _text
from methods._attributes import attribute_tokens
from methods._sequential import (
    EVERY_PREFIX,
    QUICK,
    REQUIRES,
    SequentialMethod,
    network_config,
)
from methods.s3rec.files import Facts
from methods.s3rec.settings import AS_SHIPPED, ATTRIBUTES, TEXT, Settings

FIELD = "attribute"


class S3Rec(SequentialMethod):
    """RecBole's S3-Rec. Texts or attributes are read in pre-training alone; ids are scored."""

    name = "s3rec"
    card = MethodCard(
        title="S3-Rec",
        paper="Zhou et al., S3-Rec: Self-Supervised Learning for Sequential Recommendation with "
        "Mutual Information Maximization, CIKM 2020 (the class of RecBole 1.2.1, text as in "
        "UniSRec's repository)",
        inputs=frozenset({Input.ITEM_IDS, Input.ITEM_TEXT, Input.ITEM_ATTRIBUTES}),
        presets={
            "unisrec-repository": {"hidden_size": 300},
            "as-shipped": AS_SHIPPED,
            "attributes": {"features": ATTRIBUTES},
        },
        requires=(*REQUIRES, "transformers", "sklearn"),
        quick_settings={**QUICK, "encoder": _text.TF_IDF, "pretraining_epochs": 2},
    )
    Settings = Settings

    @classmethod
    def external_inputs(cls, settings: Settings) -> Mapping[str, str]:
        """Return the encoder's digest or revision, where texts are read.

        Raises:
            UsageError: there is no such encoder.
        """
        reads_text = settings.features == TEXT and settings.pretraining_epochs
        return _text.external_inputs(settings, cls.name) if reads_text else {}

    def build(self, data: TrainingData, context: RunContext) -> Any:
        """Return the pre-trained network.

        Raises:
            UsageError, DataError: the encoder or an attribute is missing.
            MethodError: no item has a text or an attribute, the loss is no finite number, or files
                of an earlier pre-training are damaged.
        """
        from methods.s3rec.pretraining import pretrained

        settings: Settings = self.settings
        tokens, vectors, self._source, self._n_without = self._features(data, context)
        network = build_model(settings, data.n_items, tokens, vectors, context.device, context.seed)
        self._facts: Facts | None = None
        if settings.pretraining_epochs:
            tables = [table for table in (tokens, vectors) if table is not None]
            read = b"".join(str(table.shape).encode() + table.tobytes() for table in tables)
            catalogue = sha256_text(read.hex())
            self._facts = pretrained(
                network, data.histories, data.n_items, catalogue, settings, context
            )
        seed_everything(context.seed)  # fine-tuning draws the same, pre-trained now or before
        return network

    def _features(self, data: TrainingData, context: RunContext) -> tuple[Any, Any, str, int]:
        """Return attributes by item, their text vectors or None, their source, items without any.

        Attributes are int64 [n_items + 1, most], from 1, padding item first, 0 fills up. With
        texts, each distinct one is an attribute; as UniSRec's repository has it, each item is,
        and the padding item too.
        """
        settings: Settings = self.settings
        if not settings.pretraining_epochs:  # nobody will ask
            return np.zeros((data.n_items + 1, 1), dtype=np.int64), None, "", 0
        if settings.features == ATTRIBUTES:
            found = attribute_tokens(data, settings.attributes, settings.word_attributes, self.name)
            return found.merged()[0], None, f"attributes {', '.join(found.names)}", found.n_without
        text = _text.item_vectors(data, settings, context, owner=self.name)
        if not settings.align_targets:
            padded = np.concatenate([np.zeros((1, text.width), np.float32), text.table()])
            tokens = np.arange(1, data.n_items + 2, dtype=np.int64)[:, None]
            return tokens, padded, text.source, text.n_without_text
        tokens = np.zeros((data.n_items + 1, 1), dtype=np.int64)
        without = ~text.vectors.any(axis=1)[text.group]
        tokens[1:, 0] = np.where(without, 0, text.group + 1)
        return tokens, text.vectors, text.source, text.n_without_text

    def states(self, items: Any, lengths: Any) -> Any:
        """Return causal states at the last events."""
        return self._model.last_states(items, lengths)

    def describe(self) -> Mapping[str, Any]:
        """Return what `SequentialMethod.describe` does, and how pre-training went."""
        described = dict(super().describe())
        if not described:
            return {}
        if self._facts is not None:
            described[f"items_without_{self.settings.features}"] = self._n_without
            described |= {
                f"pretraining_{name}": value
                for name, value in asdict(self._facts).items()
                if value is not None
            }
        return described

    def notes(self) -> list[str]:
        """Say what pre-training read, for how long, and which faults were kept."""
        settings: Settings = self.settings
        if self._facts is None:
            return ["no pre-training", *super().notes()]
        faults = []
        if settings.text_overwritten:
            read = "of texts only who shares one is" if settings.align_targets else "no text is"
            faults.append(f"text vectors overwritten by noise, {read} read")
        if not settings.align_padding:
            faults.append("pre-trained with padding at the left")
        if not settings.align_targets:
            faults.append("attributes asked for out of place")
        facts = self._facts
        parts = [self._source, f"epoch {facts.best_epoch} of {facts.epochs} of pre-training"]
        if faults:
            parts.append(f"as shipped: {', '.join(faults)}")
        return [*parts, *super().notes()]


def build_model(
    settings: Settings, n_items: int, tokens: Any, vectors: Any, device: str, seed: int
) -> Any:
    """Return an untrained network.

    Args:
        settings: of the method.
        n_items: without padding.
        tokens: int64 [n_items + 1, most], the items' attributes.
        vectors: float32 [n_attributes, width] of texts, or None.
        device: where the network is to lie.
        seed: of its initial weights.
    """
    _recbole.model_class("s3rec", "S3Rec")  # says what is missing, where something is
    import torch

    from methods.s3rec.model import AllPositionsS3Network, S3Network

    chosen = S3Network if settings.objective == EVERY_PREFIX else AllPositionsS3Network
    n_attributes = int(tokens.max(initial=1)) if vectors is None else 1  # texts need no embedding
    catalogue = _recbole.FeatureCatalogue(n_items, {FIELD: tokens}, {FIELD: n_attributes + 1})
    config = network_config(
        settings,
        device,
        item_attribute=FIELD,
        train_stage="pretrain",  # the other stage reads a file; losses of both are our own
        mask_ratio=settings.mask_ratio,
        aap_weight=settings.aap_weight,
        mip_weight=settings.mip_weight,
        map_weight=settings.map_weight,
        sp_weight=settings.sp_weight,
        align_padding=settings.align_padding,
        align_targets=settings.align_targets,
    )
    seed_everything(seed)
    rows = None
    if vectors is not None:
        rows = torch.from_numpy(vectors.copy())
        if settings.text_overwritten:
            rows.normal_(std=settings.initializer_range)
    return chosen(config, catalogue, torch.from_numpy(tokens), rows).to(device)
