"""Pre-trained weights, which runs share: they depend on the sources and never on the target."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import torch

from harness.files import canonical_json
from harness.method import RunContext, SourceDomain
from methods import _gathering as gathering
from methods.recformer import checkpoints
from methods.recformer.checkpoints import Cost
from methods.recformer.encoding import Encoder
from methods.recformer.precision import chosen_precision
from methods.recformer.pretraining import PreTraining
from methods.recformer.settings import Settings
from methods.recformer.sources import domains_of

_NOT_FOR_IT = frozenset({
    "pretraining", "pretraining_save_every", "stage1_epochs", "stage2_epochs", "targets_per_user",
    "batch_size", "learning_rate", "gradient_clip", "warmup_steps", "decay", "shared_schedule",
    "validate_every", "validation_users", "stage1_patience", "stage2_patience",
})  # fmt: skip
"""Settings that do not change the result; the mixture's content is known to the harness."""


def pretrained(
    encoder: Encoder, sources: Sequence[SourceDomain], settings: Settings, context: RunContext
) -> tuple[Cost, bool]:
    """Pre-train the encoder, go on with it, or take the weights that an earlier run left.

    The global random numbers are left as they were.

    Args:
        encoder: its model is changed in place.
        sources: at least one.
        settings: of the method.
        context: seed, folders, log, progress.

    Returns:
        What it took, and whether the weights were there already.

    Raises:
        UsageError: words are to be masked, and the tokeniser has no mask.
        MethodError: there is nothing to train on, the loss is no finite number, or files are
            damaged.
    """
    with _folder(settings, context) as folder:
        cost = gathering.agreed(checkpoints.finished(folder))
        reused = cost is not None
        if cost is None:
            with torch.random.fork_rng():
                domains = domains_of(sources, encoder.vocabulary, settings)
                cost = PreTraining(encoder, domains, settings, context, folder).run()
        checkpoints.load_weights(folder / checkpoints.WEIGHTS, encoder.model)
    return cost, reused


def key_of(settings: Settings, seed: int, device: str = "cpu") -> str:
    """Return what determines the result, besides what the harness knows of itself.

    The precision is the one that "auto" comes to, which processors may differ in.
    """
    values = {
        field.name: getattr(settings, field.name)
        for field in fields(settings)
        if field.name not in _NOT_FOR_IT
    }
    values["precision"] = chosen_precision(settings.precision, device)
    return canonical_json({"settings": values, "seed": seed})


def _folder(settings: Settings, context: RunContext) -> contextlib.AbstractContextManager[Path]:
    """Hold the result's folder; of several processes, the first one holds it for all."""
    return gathering.first_holds(context, key_of(settings, context.seed, context.device))
