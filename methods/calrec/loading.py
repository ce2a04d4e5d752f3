"""Where the language model comes from: the embedded ``tiny``, a folder, a GGUF file or the hub.

All four are used in the same way afterwards. Only safetensors and GGUF files are read, which
cannot carry code, and code from a model's repository is never run.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.errors import DataError
from methods.calrec import tiny
from methods.calrec.backbone import Backbone, describe_backbone
from methods.calrec.location import Location, identity, locate
from methods.calrec.prompts import Template
from methods.calrec.settings import TINY, Settings

MOST_POSITIONS = 4096  # rotary positions cost nothing


def load_backbone(
    settings: Settings,
    item_texts: Sequence[str],
    templates: Sequence[Template],
    device: str,
    seed: int,
) -> Backbone:
    """Build or load the backbone that ``settings.backbone`` names.

    Texts and templates are what tiny's tokeniser is made of.

    Raises:
        UsageError: nothing is found under the name, or tiny's sizes do not fit together.
        DataError: what is found cannot be loaded.
    """
    if settings.backbone == TINY:
        model, tokenizer = _tiny(settings, item_texts, templates, seed)
    else:
        weights_seed = seed if settings.random_weights else None
        model, tokenizer = load_pretrained(settings.backbone, weights_seed)
    backbone = describe_backbone(model, tokenizer, settings.backbone, device)
    if settings.lora_rank:
        add_adapters(backbone, settings, seed)
    if settings.gradient_checkpointing:
        backbone.causal.gradient_checkpointing_enable({"use_reentrant": False})
    backbone.revision = identity(settings).get("backbone")  # by now a hub's files are in the cache
    return backbone


def add_adapters(backbone: Backbone, settings: Settings, seed: int) -> None:
    """Freeze the model and add low-rank adapters to all its linear layers but the head (peft)."""
    import torch
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=settings.lora_rank,
        lora_alpha=settings.lora_alpha,
        lora_dropout=settings.lora_dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone.model = get_peft_model(backbone.model, config)


def _tiny(
    settings: Settings, item_texts: Sequence[str], templates: Sequence[Template], seed: int
) -> tuple[Any, Any]:
    tokenizer = tiny.train_tokenizer(item_texts, templates, settings.tiny_vocabulary)
    model = tiny.build_model(
        vocabulary=len(tokenizer),
        width=settings.tiny_width,
        layers=settings.tiny_layers,
        heads=settings.tiny_heads,
        positions=max(MOST_POSITIONS, 2 * settings.max_input_tokens),
        seed=seed,
    )
    return model, tokenizer


def load_pretrained(name: str, weights_seed: int | None = None) -> tuple[Any, Any]:
    """Load model (float32) and tokeniser from a GGUF file, a local folder or the hub.

    Args:
        name: the value of ``calrec.backbone``.
        weights_seed: draws random weights for the architecture in place of the stored ones; None
            to load these.

    Raises:
        UsageError: a path that does not exist, or a name that is neither path nor hub id.
        DataError: the files are missing, damaged, or not safetensors or GGUF.
    """
    location = locate(name)
    from transformers import AutoTokenizer

    options: dict[str, Any] = {"trust_remote_code": False}
    if location.gguf_file:
        options["gguf_file"] = location.gguf_file
    if revision := location.revision():
        options["revision"] = revision
    try:
        tokenizer = AutoTokenizer.from_pretrained(location.where, **options)
        if weights_seed is None:
            model = _stored_model(location, options)
        else:
            model = _random_model(location, options, weights_seed)
    except Exception as error:  # the libraries raise many kinds, for files and network alike
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataError(
            f"calrec.backbone = {name!r} cannot be loaded ({location.sought()}): {reason}"
        ) from error
    return model, tokenizer


def _stored_model(location: Location, options: dict[str, Any]) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    if not location.gguf_file:
        options = options | {"use_safetensors": True}
    return AutoModelForCausalLM.from_pretrained(location.where, dtype=torch.float32, **options)


def _random_model(location: Location, options: dict[str, Any], seed: int) -> Any:
    """Return a model of the same architecture with seeded random weights."""
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(location.where, **options)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = AutoModelForCausalLM.from_config(
            config, dtype=torch.float32, trust_remote_code=False
        )
    return model.eval()
