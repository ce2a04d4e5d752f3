"""Longformers, and BERT- or RoBERTa-like encoders converted as Longformer was made from RoBERTa.

A converted encoder computes what the original does, as long as its window covers the sequence and
the tokens lie within the original's positions: item positions start at zero, and all kinds of
tokens at the original's first one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from harness.errors import DataError, UsageError
from methods._location import Location
from methods._pretrained import State, configuration_of, encoder_of, tokenizer_of
from methods.recformer.model import Recformer
from methods.recformer.placement import (
    POSITIONS,
    TYPES,
    built,
    check_positions,
    place,
    recformer_config,
)
from methods.recformer.settings import Settings
from methods.recformer.tokens import N_TYPES

LONGFORMER = "longformer"
# kinds whose layers are BERT's, with the number of rows before the first token's position:
# RoBERTa and those made from it count on from the padding token's id
FROM_ZERO, FROM_PADDING = "bert", "roberta"
LAYOUTS = {
    "bert": FROM_ZERO,
    "electra": FROM_ZERO,
    "roberta": FROM_PADDING,
    "xlm-roberta": FROM_PADDING,
    "camembert": FROM_PADDING,
}
PROJECTIONS = ("query", "key", "value")
NEEDED = (
    "needed is a Longformer or an encoder with BERT's layers and absolute positions "
    f"({', '.join(LAYOUTS)})"
)


def encoder_start(
    location: Location, settings: Settings, seed: int
) -> tuple[Recformer, Any, str, list[str]]:
    """Return model, tokeniser, source and report of a Longformer or a converted encoder.

    Raises:
        UsageError: a model of another kind, or one with too few positions.
        DataError: files are missing or damaged.
    """
    config = configuration_of(location)
    _check_kind(config, location)
    start = _longformer if config.model_type == LONGFORMER else _converted
    model, report = start(location, config, settings, seed)
    # a path of this machine says nothing to the reader of a record
    name = location.name if location.is_hub_id else Path(location.where).resolve().name
    done = "" if config.model_type == LONGFORMER else " converted"
    return model, tokenizer_of(location), f"{name}, a {config.model_type}{done}", report


def _check_kind(config: Any, location: Location) -> None:
    """Raise an error where the encoder's parts are not those that are copied."""
    kind = config.model_type
    if kind != LONGFORMER and kind not in LAYOUTS:
        what = "an encoder-decoder" if config.is_encoder_decoder else "a model"
        raise UsageError(f"{location.said} is {what} of kind {kind!r}; {NEEDED}")
    if getattr(config, "is_decoder", False) or getattr(config, "add_cross_attention", False):
        raise UsageError(f"{location.said} is a {kind} set up as a decoder; {NEEDED}")
    positions = getattr(config, "position_embedding_type", None) or "absolute"
    if positions != "absolute":
        raise UsageError(f"{location.said} has positions of kind {positions!r}; {NEEDED}")
    width = getattr(config, "embedding_size", config.hidden_size)
    if kind == "electra" and width != config.hidden_size:
        raise UsageError(
            f"{location.said} has embeddings of {width} columns and layers of "
            f"{config.hidden_size}, with a projection between that BERT lacks; {NEEDED}"
        )
    if config.pad_token_id is None:
        raise DataError(
            f"{location.said}: its configuration names no padding token; set pad_token_id in "
            "config.json"
        )


# ---- Longformer ----------------------------------------------------------------------------------


def _longformer(
    location: Location, config: Any, settings: Settings, seed: int
) -> tuple[Recformer, list[str]]:
    """Copy a Longformer by name; its one kind of tokens becomes all, item positions are drawn."""
    from transformers import LongformerModel

    rows = config.max_position_embeddings
    check_positions(rows, config.pad_token_id, settings, location.said)
    state, report = encoder_of(location, LongformerModel, add_pooling_layer=False)
    if len(state[TYPES]) != N_TYPES:
        state[TYPES] = _first_row_for_all(state[TYPES])
        report.append(f"token types: row 0 repeated {N_TYPES} times")
    model = built(recformer_config(config, settings, rows), settings)
    place(model, state, location.said, NEEDED)
    # numbers of its own, so that they do not depend on what else was drawn
    generator = torch.Generator().manual_seed(seed)
    torch.nn.init.normal_(
        model.item_positions.weight, std=config.initializer_range, generator=generator
    )
    report.append(f"item positions: drawn, {model.item_positions.num_embeddings} rows")
    return model, report


# ---- BERT and RoBERTa ----------------------------------------------------------------------------


def _converted(
    location: Location, config: Any, settings: Settings, seed: int
) -> tuple[Recformer, list[str]]:
    """Convert an encoder with BERT's layers; nothing is drawn, whatever the seed."""
    from transformers import AutoModel

    pooling = {} if config.model_type == "electra" else {"add_pooling_layer": False}
    state, report = encoder_of(location, AutoModel, **pooling)
    first_row = config.pad_token_id + 1 if LAYOUTS[config.model_type] == FROM_PADDING else 0
    n_positions = len(state[POSITIONS]) - first_row
    state = longformer_state(state, first_row, config.pad_token_id, settings.max_tokens)
    model = built(recformer_config(config, settings, len(state[POSITIONS])), settings)
    place(model, state, location.said, NEEDED)
    torch.nn.init.zeros_(model.item_positions.weight)
    if settings.max_tokens > n_positions:
        report.append(f"positions: {n_positions} repeated up to {settings.max_tokens}")
    report.append("global attention: a copy of the local projections")
    report.append(f"token types: row 0 repeated {N_TYPES} times; item positions: zero")
    return model, report


def longformer_state(state: State, first_row: int, pad_token_id: int, n_tokens: int) -> State:
    """Return an encoder's weights as a Longformer's with `N_TYPES` kinds of tokens.

    Args:
        state: by BERT's keys.
        first_row: of the position table that belongs to a first token.
        pad_token_id: what Longformer counts positions from; the first token has the next one.
        n_tokens: positions at least; the table is repeated to reach them and never cut.
    """
    converted = dict(state)
    for key, tensor in state.items():
        for part in PROJECTIONS:
            if f".attention.self.{part}." in key:
                converted[key.replace(f".{part}.", f".{part}_global.")] = tensor.clone()
    converted[TYPES] = _first_row_for_all(state[TYPES])
    converted[POSITIONS] = _positions(state[POSITIONS], first_row, pad_token_id, n_tokens)
    return converted


def _positions(
    table: torch.Tensor, first_row: int, pad_token_id: int, n_tokens: int
) -> torch.Tensor:
    """Return the position table as a Longformer reads it, float [pad_token_id + 1 + n, width].

    The rows before the first token's are read for padding alone, which nothing attends to.
    """
    used = table[first_row:]
    repeats = -(-n_tokens // len(used))
    used = used.repeat(repeats, 1)[: max(n_tokens, len(used))]
    return torch.cat([used.new_zeros(pad_token_id + 1, used.shape[1]), used])


def _first_row_for_all(table: torch.Tensor) -> torch.Tensor:
    return table[:1].repeat(N_TYPES, 1)
