"""FDSA as a method of the harness."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness.method import Input, MethodCard, RunContext, TrainingData
from harness.seeding import seed_everything
from harness.settings import setting
from methods import _recbole, _text
from methods._attributes import AttributeTokens, attribute_tokens
from methods._sequential import (
    EVERY_PREFIX,
    QUICK,
    REQUIRES,
    SequentialMethod,
    SequentialSettings,
    network_config,
)

TEXT, ATTRIBUTES, BOTH = "text", "attributes", "both"


@dataclass(frozen=True)
class Settings(SequentialSettings, _text.TextSettings):
    """RecBole's defaults for FDSA; the text's layer is that of UniSRec's repository."""

    features: str = setting(
        TEXT,
        "what the second stream reads: text: the item's text vector, as in UniSRec's repository; "
        "attributes: embeddings of attribute tokens, as in RecBole; both: one field more",
        choices=(TEXT, ATTRIBUTES, BOTH),
    )
    attributes: str | None = setting(
        None,
        "names of the attributes, with commas; none: those of brand, category and genres that the "
        "data set has",
    )
    word_attributes: str = setting(
        "genres", "attributes whose values are several words, each of them a token"
    )
    pooling_mode: str = setting(
        "mean", "how an attribute's tokens become one vector", choices=("mean", "max", "sum")
    )
    text_overwritten: bool = setting(
        False,
        "replace text vectors by noise, as the initialisation in UniSRec's repository does: no "
        "text reaches the network",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.text_overwritten and self.features == ATTRIBUTES:
            raise ValueError("text_overwritten=true needs features that hold the text: text, both")


class FDSA(SequentialMethod):
    """RecBole's FDSA: two causal Transformers, over items and over features, joined at the end.

    Texts and attributes reach the side of the history alone; items are scored by their embeddings.
    """

    name = "fdsa"
    card = MethodCard(
        title="FDSA",
        paper="Zhang et al., Feature-level Deeper Self-Attention Network for Sequential "
        "Recommendation, IJCAI 2019 (the class of RecBole 1.2.1, text as in UniSRec's repository)",
        inputs=frozenset({Input.ITEM_IDS, Input.ITEM_TEXT, Input.ITEM_ATTRIBUTES}),
        presets={
            "unisrec-repository": {"hidden_size": 300},
            "as-shipped": {"hidden_size": 300, "text_overwritten": True},
            "attributes": {"features": ATTRIBUTES},
        },
        requires=(*REQUIRES, "transformers", "sklearn"),
        quick_settings={**QUICK, "encoder": _text.TF_IDF},
    )
    Settings = Settings

    @classmethod
    def external_inputs(cls, settings: Settings) -> Mapping[str, str]:
        """Return the encoder's digest or revision, where texts are read.

        Raises:
            UsageError: there is no such encoder.
        """
        return _text.external_inputs(settings, cls.name) if settings.features != ATTRIBUTES else {}

    def build(self, data: TrainingData, context: RunContext) -> Any:
        """Return the network; what it reads of items is found first, before the seed is set.

        Raises:
            UsageError, DataError: the encoder or an attribute is missing.
            MethodError: no item has a text, or an attribute.
        """
        settings: Settings = self.settings
        self._tokens: AttributeTokens | None = None
        self._text: _text.ItemVectors | None = None
        if settings.features != TEXT:
            self._tokens = attribute_tokens(
                data, settings.attributes, settings.word_attributes, self.name
            )
        if settings.features != ATTRIBUTES:
            self._text = _text.item_vectors(data, settings, context, owner=self.name)
        vectors = None if self._text is None else self._text.table()
        return build_model(
            settings, data.n_items, self._tokens, vectors, context.device, context.seed
        )

    def describe(self) -> Mapping[str, Any]:
        """Return what `SequentialMethod.describe` does, and what features there are."""
        described = dict(super().describe())
        if described and self._tokens is not None:
            described["attributes"] = ", ".join(self._tokens.names)
            described["items_without_attributes"] = self._tokens.n_without
        if described and self._text is not None:
            described["items_without_text"] = self._text.n_without_text
        return described

    def notes(self) -> list[str]:
        """Say what is read of items, and that nothing is where the text is overwritten."""
        settings: Settings = self.settings
        parts = []
        if self._text is not None:
            parts.append(self._text.source)
        if settings.text_overwritten and self._text is not None:
            parts = ["as shipped: text vectors overwritten by noise, no text is read"]
        if self._tokens is not None:
            parts.append(f"attributes {', '.join(self._tokens.names)}")
        return [*parts, *super().notes()]


def build_model(
    settings: Settings,
    n_items: int,
    tokens: AttributeTokens | None,
    vectors: Any,
    device: str,
    seed: int,
) -> Any:
    """Return an untrained network.

    Args:
        settings: of the method.
        n_items: without padding.
        tokens: the attributes, or None.
        vectors: float32 [n_items, width] of texts, or None.
        device: where the network is to lie.
        seed: of its initial weights.
    """
    _recbole.model_class("fdsa", "FDSA")  # says what is missing, where something is
    from methods._frozen_text import frozen_rows
    from methods.fdsa.model import AllPositionsFDSA, TextFDSA

    chosen = TextFDSA if settings.objective == EVERY_PREFIX else AllPositionsFDSA
    names = [] if tokens is None else list(tokens.names)
    catalogue = _recbole.FeatureCatalogue(
        n_items, {} if tokens is None else tokens.fields, {} if tokens is None else tokens.sizes
    )
    config = network_config(
        settings, device, selected_features=names, pooling_mode=settings.pooling_mode
    )
    seed_everything(seed)
    overwritten = settings.initializer_range if settings.text_overwritten else None
    rows = None if vectors is None else frozen_rows(vectors, overwritten)
    return chosen(config, catalogue, rows).to(device)


METHOD = FDSA
