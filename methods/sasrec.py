"""SASRec: self-attention over item indices (the paper's ID baseline, sections 4 and 5).

The model is RecBole's class, unchanged; the training loop is ours (`methods._sequential`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from harness.method import Input, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from methods import _recbole
from methods._sequential import (
    EVERY_PREFIX,
    QUICK,
    REQUIRES,
    SequentialMethod,
    SequentialSettings,
    network_config,
    training_batch,
)

__all__ = ["EVERY_PREFIX", "METHOD", "SASRec", "Settings", "build_model", "training_batch"]


@dataclass(frozen=True)
class Settings(SequentialSettings):
    """RecBole's defaults for SASRec and for its training."""


class SASRec(SequentialMethod):
    """RecBole's SASRec with full-softmax cross-entropy; early stopping on validation NDCG@10."""

    name = "sasrec"
    card = MethodCard(
        title="SASRec",
        paper="Kang and McAuley, Self-Attentive Sequential Recommendation, ICDM 2018 "
        "(the class of RecBole 1.2.1)",
        inputs=frozenset({Input.ITEM_IDS}),
        presets={"unisrec-repository": {"hidden_size": 300}},
        requires=REQUIRES,
        quick_settings=QUICK,
    )
    Settings = Settings

    def build(self, data: TrainingData, context: RunContext) -> Any:
        """Return RecBole's class, or its subclass for all positions."""
        return build_model(self.settings, data.n_items, context.device, context.seed)


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
    seed_everything(seed)
    return chosen(network_config(settings, device), _recbole.Catalogue(n_items)).to(device)


METHOD = SASRec
