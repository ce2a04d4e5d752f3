"""UniSRec as a method of the harness."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from harness.histories import Histories, IntArray
from harness.method import Input, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from methods import _recbole, _text
from methods._sequential import (
    EVERY_PREFIX,
    QUICK,
    REQUIRES,
    SequentialMethod,
    network_config,
)
from methods._training import Batch
from methods.unisrec.settings import ID_TEXT, TEXT_ONLY, Settings


class UniSRec(SequentialMethod):
    """Cosines between a history's state and items made of texts, and of ids where wanted."""

    name = "unisrec"
    card = MethodCard(
        title="UniSRec",
        paper="Hou et al., Towards Universal Sequence Representation Learning for Recommender "
        "Systems, KDD 2022",
        inputs=frozenset({Input.ITEM_IDS, Input.ITEM_TEXT, Input.ITEM_ATTRIBUTES}),
        presets={
            "id-text": {"items_as": ID_TEXT},
            "text": {"items_as": TEXT_ONLY},
        },
        requires=(*REQUIRES, "transformers", "sklearn"),
        ties_under=frozenset({"text"}),
        quick_settings={**QUICK, "encoder": _text.TF_IDF, "n_experts": 3, "temperature": 0.2},
    )
    Settings = Settings

    @classmethod
    def external_inputs(cls, settings: Settings) -> Mapping[str, str]:
        """Return the digests or revisions of encoder and checkpoint.

        Raises:
            UsageError: there is no such file or folder.
        """
        found = dict(_text.external_inputs(settings, cls.name))
        if settings.checkpoint:
            from methods.unisrec.released import identity

            found["checkpoint"] = identity(Path(settings.checkpoint))
        return found

    @classmethod
    def mixture(cls, settings: Settings) -> str | None:
        """Return the mixture to pre-train on, where the settings name one."""
        return settings.pretraining or None

    def build(self, data: TrainingData, context: RunContext) -> Any:
        """Return the network: untrained, pre-trained, or from a checkpoint.

        Raises:
            UsageError, DataError: encoder or checkpoint are missing, damaged, or do not fit.
            MethodError: no item has a text.
        """
        settings: Settings = self.settings
        self._report: list[str] = []
        self._pretraining: Any = None
        self._vectors: Any = None
        self._text = _text.item_vectors(data, settings, context, owner=self.name)
        network = build_model(
            settings, data.n_items, self._text.table(), context.device, context.seed
        )
        if settings.checkpoint:
            from methods.unisrec.released import load_released

            self._report = load_released(Path(settings.checkpoint), network, self.name)
            for line in self._report:
                context.progress.say(f"unisrec's checkpoint: {line}")
        elif data.sources:
            from methods.unisrec.pretraining import pretrained

            self._pretraining = pretrained(network, data.sources, settings, context, self.name)
        if settings.fix_encoder and (settings.checkpoint or data.sources):
            for part in (network.position_embedding, network.trm_encoder):
                part.requires_grad_(False)
        vectors = self._text.vectors
        self._distinct = vectors if settings.items_as == TEXT_ONLY else None
        seed_everything(context.seed)  # fine-tuning draws the same whatever came before
        return network

    def columns_of(self, candidates: IntArray) -> IntArray:
        """Return the index of each candidate's text, or its shifted item index."""
        if self._distinct is None:
            return super().columns_of(candidates)
        return self._text.group[np.asarray(candidates, dtype=np.int64)]

    def column_vectors(self, columns: Any) -> tuple[Any, Any]:
        """Return vectors of length 1, of distinct texts or of items.

        All are made in one piece, so that none depends on the others asked for, and kept until
        the network is trained further: blocks of users share them.
        """
        import torch

        if self._vectors is None:
            self._vectors = self._all_vectors().cpu().numpy()
        return torch.from_numpy(self._vectors).to(self._device)[columns], 0.0

    def _all_vectors(self) -> Any:
        import torch
        from torch.nn import functional

        if self._distinct is None:
            return self._model.candidates()
        texts = torch.from_numpy(self._distinct).to(self._device)
        return functional.normalize(self._model.moe_adaptor(texts), dim=1)

    def batches(self, histories: Histories, seed: int, epoch: int) -> Iterator[Batch]:
        """Yield an epoch's batches; vectors from before it are forgotten."""
        self._vectors = None
        yield from super().batches(histories, seed, epoch)

    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Train as `SequentialMethod.fit`; vectors of the last epoch are not those of the best."""
        super().fit(data, context)
        self._vectors = None

    def states(self, items: Any, lengths: Any) -> Any:
        """Return states of length 1, so that scores are cosines."""
        from torch.nn import functional

        return functional.normalize(self._model.forward(items, lengths), dim=1)

    def loss_name(self) -> str:
        """Name the loss of fine-tuning."""
        return "cross-entropy of cosines over a temperature, over the whole catalogue"

    def notes(self) -> list[str]:
        """Say what items are made of, and what the network started from."""
        settings: Settings = self.settings
        if settings.checkpoint:
            start = f"from {PurePath(settings.checkpoint).name}"
        elif settings.pretraining:
            # of a file its name alone: the folder is nobody's business
            start = f"pre-trained on {PurePath(settings.pretraining).name.removesuffix('.toml')}"
        else:
            start = "no pre-training"
        if settings.fix_encoder and start != "no pre-training":
            start += ", Transformer kept fixed"
        return [self._text.source, start, *super().notes()]

    def describe(self) -> Mapping[str, Any]:
        """Return what `SequentialMethod.describe` does, and how pre-training went."""
        described = dict(super().describe())
        if not described:
            return {}
        described["items_without_text"] = self._text.n_without_text
        if self._report:
            described["checkpoint_report"] = "; ".join(self._report)
        if self._pretraining is not None:
            facts = asdict(self._pretraining)
            described |= {f"pretraining_{name}": value for name, value in facts.items()}
        return described


def build_model(settings: Settings, n_items: int, vectors: Any, device: str, seed: int) -> Any:
    """Return an untrained network.

    Args:
        settings: of the method.
        n_items: without padding.
        vectors: float32 [n_items, width], of the items' texts.
        device: where the network is to lie.
        seed: of its initial weights.
    """
    _recbole.model_class("sasrec", "SASRec")  # says what is missing, where something is
    from methods._frozen_text import frozen_rows
    from methods.unisrec.model import AllPositionsUniSRec
    from methods.unisrec.model import UniSRec as Network

    chosen = Network if settings.objective == EVERY_PREFIX else AllPositionsUniSRec
    config = network_config(
        settings,
        device,
        n_experts=settings.n_experts,
        adaptor_dropout=settings.adaptor_dropout,
        temperature=settings.temperature,
        with_ids=settings.items_as == ID_TEXT,
    )
    seed_everything(seed)
    rows = frozen_rows(vectors, None)
    return chosen(config, _recbole.Catalogue(n_items), rows, vectors.shape[1]).to(device)
