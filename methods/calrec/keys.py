"""What determines a by-product, so that runs share it exactly where they may.

The harness knows code, backbone files, mixture, device and threads; the rest is said here. Each
setting belongs to one group; one that is in none decides all trainings.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from harness.files import canonical_json
from methods.calrec.settings import Settings

NO_RESULT = {"save_minutes", "price_per_hour", "term_norms"}
"""Do not change anything that is kept."""

AFTER_TRAINING = {
    "decoding", "matching", "rerank", "rerank_top_k", "n_generated",
}  # fmt: skip
"""Decide scores alone: validation uses free decoding, BM25 and a number of texts of its own."""

OF_VALIDATION = {
    "validation_users", "validation_samples", "temperature", "max_new_tokens",
    "generation_precision", "generator", "n_predictions", "epsilon", "pooling", "modulation",
}  # fmt: skip
"""Decide which weights are kept, where anything validates."""

OF_STAGE_TWO = {"epochs", "fine_tuning_steps", "patience"}

OF_STAGE_ONE = {"stage1", "stage1_steps", "stage1_check_every"}

OF_GENERATION = {
    "n_generated", "temperature", "max_new_tokens", "generation_precision", "decoding", "generator",
}  # fmt: skip
"""Decide texts, besides the trained weights."""

OF_STAND_IN = {
    "backbone", "random_weights", "lora_rank", "lora_alpha", "lora_dropout", "template",
    "item_text", "warmup_steps", "weight_decay", "gradient_clip", "training_precision",
    "gradient_checkpointing", "max_input_tokens", "max_history_items",
}  # fmt: skip
"""Decide tiny's stand-in for pre-training, with those named ``tiny_``."""


def stand_in_key(settings: Settings, seed: int, data: list[str]) -> str:
    """Return the key of tiny's stand-in; ``data`` are digests of what it reads."""
    values = asdict(settings)
    values = {name: values[name] for name in values
              if name in OF_STAND_IN or name.startswith("tiny_")}  # fmt: skip
    return _key("stand-in", values, seed, data)


def stage_one_key(settings: Settings, seed: int, data: list[str], validated: bool) -> str:
    """Return the key of stage I, which no target decides: one run serves all."""
    left_out = NO_RESULT | AFTER_TRAINING | OF_STAGE_TWO
    return _key("stage I", _without(settings, left_out, validated), seed, data)


def stage_two_key(settings: Settings, seed: int, data: list[str], held_out: str = "") -> str:
    """Return the key of stage II.

    Args:
        settings: of the method.
        seed: of the run.
        data: digests of the mixture's parts and the target.
        held_out: digest of the validation items, which choose the epoch where anything validates.
    """
    left_out = NO_RESULT | AFTER_TRAINING
    if settings.stage1 is None:
        left_out = left_out | OF_STAGE_ONE
    if not settings.epochs:
        left_out = left_out | OF_STAGE_TWO
    validated = bool(settings.validation_users and (settings.epochs or settings.stage1))
    chosen_by = [held_out] if settings.validation_users and settings.epochs else []
    return _key("stage II", _without(settings, left_out, validated), seed, [*data, *chosen_by])


def validation_key(key: str, number: int) -> str:
    """Return the key of the texts that validate a round of a stage, whose key is given."""
    return canonical_json(["validation", key, number])


def reranking_key(settings: Settings, weights_key: str, proposer: dict[str, str]) -> str:
    """Return the key of reranked scores; ``proposer`` is what decides the other method."""
    values = asdict(settings)
    names = ("rerank", "rerank_top_k", "generation_precision")
    return canonical_json(["rerank", {n: values[n] for n in names}, weights_key, proposer])


def texts_key(settings: Settings, weights_key: str) -> str:
    """Return the key of generated texts."""
    values = asdict(settings)
    return canonical_json(["texts", {name: values[name] for name in OF_GENERATION}, weights_key])


def _without(settings: Settings, names: set[str], validated: bool) -> dict[str, Any]:
    if not validated:
        # the cap on new tokens and the like: they decide texts, and are part of their key
        names = names | OF_VALIDATION
    return {name: value for name, value in asdict(settings).items() if name not in names}


def _key(what: str, values: dict[str, Any], seed: int, data: list[str]) -> str:
    return canonical_json([what, values, seed, data])
