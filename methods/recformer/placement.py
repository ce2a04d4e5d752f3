"""Weights put into the model by key and shape, all of them or none."""

from __future__ import annotations

from typing import Any

from harness.errors import DataError, UsageError
from methods._pretrained import State, enumerated
from methods.recformer.model import Recformer
from methods.recformer.settings import Settings
from methods.recformer.tokens import N_TYPES

TYPES = "embeddings.token_type_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
SPECIAL_IDS = ("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id")
SIZES = (
    "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
    "hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob", "initializer_range",
    "layer_norm_eps",
)  # fmt: skip


def recformer_config(source: Any, settings: Settings, positions: int) -> Any:
    """Return the Longformer configuration that Recformer needs.

    Args:
        source: configuration of a BERT- or RoBERTa-like encoder or of a Longformer, whose sizes,
            activation, dropouts and special tokens are taken over.
        settings: of the method; the attention window.
        positions: rows of the position table.
    """
    from transformers import LongformerConfig

    ids = {name: getattr(source, name, None) for name in SPECIAL_IDS}
    return LongformerConfig(
        **{name: getattr(source, name) for name in SIZES},
        **ids,
        max_position_embeddings=positions,
        type_vocab_size=N_TYPES,
        attention_window=settings.attention_window,
    )


def built(config: Any, settings: Settings) -> Recformer:
    """Return a model of that configuration with random weights, as the settings want it."""
    return Recformer(config, settings.max_items, settings.pooling, settings.attention)


def place(model: Recformer, state: State, said: str, advice: str) -> list[str]:
    """Copy weights into the Longformer inside ``model``; return the keys that were not used.

    Args:
        model: is changed.
        state: tensors by the Longformer's keys.
        said: how messages begin.
        advice: how they end.

    Raises:
        DataError: a key is missing, or a tensor has another shape; then nothing was copied.
    """
    expected = model.longformer.state_dict()
    check_shapes(
        {key: tuple(tensor.shape) for key, tensor in expected.items()}, state, said, advice
    )
    model.longformer.load_state_dict({key: state[key].float() for key in expected})
    return sorted(set(state) - set(expected))


def check_shapes(
    expected: dict[str, tuple[int, ...]], state: State, said: str, advice: str
) -> None:
    """Raise DataError where a key is missing or a shape is another one."""
    if missing := [key for key in expected if key not in state]:
        raise DataError(
            f"{said}: {len(missing)} of {len(expected)} expected keys are missing: "
            f"{enumerated(missing)}; found {enumerated(sorted(state)) or 'none'}; {advice}"
        )
    wrong = [
        f"{key}: expected {list(shape)}, found {list(state[key].shape)}"
        for key, shape in expected.items()
        if tuple(state[key].shape) != shape
    ]
    if wrong:
        raise DataError(f"{said}: tables of another shape: {enumerated(wrong)}; {advice}")


def check_positions(rows: int, pad_token_id: int, settings: Settings, said: str) -> None:
    """Raise UsageError where the position table has too few rows for the longest sequence."""
    most = rows - pad_token_id - 1
    if settings.max_tokens > most:
        raise UsageError(
            f"{said} has positions for {most} tokens, but recformer.max_tokens = "
            f"{settings.max_tokens}; set recformer.max_tokens to {most} or less"
        )
