"""Where the language model comes from: the embedded ``tiny``, a folder, a GGUF file or the hub.

All four are used in the same way afterwards. Only safetensors and GGUF files are read, which
cannot carry code, and code from a model's repository is never run.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from methods.calrec import tiny
from methods.calrec.prompts import Template
from methods.calrec.settings import TINY, Settings

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
MOST_POSITIONS = 4096  # rotary positions cost nothing
ATTENTION_KINDS = {"full_attention", "sliding_attention"}


@dataclass
class Backbone:
    """A causal language model with what is to be known of its tokeniser.

    Attributes:
        model: a Hugging Face causal language model, float32.
        tokenizer: its tokeniser.
        opening_ids: the beginning-of-sequence token, where the tokeniser adds one by itself.
        eos_id: the token that ends a sequence.
        stop_ids: the tokens that end an item's text when they are generated: the end of sequence
            and all that hold a line break, for an item's text is one line and the next thing in a
            prompt is a blank one. Without them a model that was never taught to end after an
            item would write on to the length limit.
        source: where it came from, for the record.
        device: "cpu" or "cuda".
    """

    model: Any
    tokenizer: Any
    opening_ids: list[int]
    eos_id: int
    stop_ids: list[int]
    source: str
    device: str

    def tokenise(self, text: str) -> list[int]:
        """Return the ids of ``text`` without special tokens."""
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, up to the first line break, without outer spaces."""
        decoded: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return decoded.split("\n", 1)[0].strip()

    def check_room(self, max_input_tokens: int, max_new_tokens: int) -> None:
        """Raise UsageError where prompt and text together may exceed the model's positions."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions is not None and max_input_tokens + max_new_tokens > positions:
            raise UsageError(
                f"calrec.backbone = {self.source!r} reads {positions} tokens at most, but "
                f"calrec.max_input_tokens = {max_input_tokens} and {max_new_tokens} tokens of a "
                f"generated text need more; set calrec.max_input_tokens to "
                f"{positions - max_new_tokens} or less"
            )

    @property
    def n_parameters(self) -> int:
        """The number of weights (tied ones once)."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def load_backbone(
    settings: Settings, item_texts: Sequence[str], template: Template, device: str, seed: int
) -> Backbone:
    """Build or load the backbone that ``settings.backbone`` names.

    Raises:
        UsageError: nothing is found under the name, or tiny's sizes do not fit together.
        DataError: what is found cannot be loaded.
    """
    if settings.backbone == TINY:
        model, tokenizer = _tiny(settings, item_texts, template, seed)
    else:
        model, tokenizer = load_pretrained(settings.backbone)
    return describe_backbone(model, tokenizer, settings.backbone, device)


def _tiny(
    settings: Settings, item_texts: Sequence[str], template: Template, seed: int
) -> tuple[Any, Any]:
    tokenizer = tiny.train_tokenizer(item_texts, template, settings.tiny_vocabulary)
    model = tiny.build_model(
        vocabulary=len(tokenizer),
        width=settings.tiny_width,
        layers=settings.tiny_layers,
        heads=settings.tiny_heads,
        positions=max(MOST_POSITIONS, 2 * settings.max_input_tokens),
        seed=seed,
    )
    return model, tokenizer


def load_pretrained(name: str) -> tuple[Any, Any]:
    """Load model (float32) and tokeniser from a GGUF file, a local folder or the hub.

    Raises:
        UsageError: a path that does not exist, or a name that is neither path nor hub id.
        DataError: the files are missing, damaged, or not safetensors or GGUF.
    """
    where, gguf_file = _located(name)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    options: dict[str, Any] = {"gguf_file": gguf_file} if gguf_file else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(where, trust_remote_code=False, **options)
        if not gguf_file:
            options["use_safetensors"] = True
        model = AutoModelForCausalLM.from_pretrained(
            where, trust_remote_code=False, dtype=torch.float32, **options
        )
    except Exception as error:  # the libraries raise many kinds, for files and network alike
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise DataError(
            f"calrec.backbone = {name!r} cannot be loaded ({_what_was_sought(name, gguf_file)}): "
            f"{reason}"
        ) from error
    return model, tokenizer


def _located(name: str) -> tuple[str, str | None]:
    """Return what ``from_pretrained`` is given, and the GGUF file's name where it is one."""
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix != ".gguf":
            raise UsageError(
                f"calrec.backbone = {name!r} is a file, but not a .gguf one: name a GGUF file, "
                "a folder with config.json and safetensors, or a hub id"
            )
        return str(path.parent), path.name
    if path.is_dir():
        return _located_in_folder(name, path)
    if name.endswith(".gguf") or not HUB_ID.fullmatch(name):
        raise UsageError(
            f"calrec.backbone = {name!r}: no such file or folder, and no hub id either (those "
            "look like OWNER/NAME); `tiny` is the embedded one"
        )
    return name, None


def _located_in_folder(name: str, folder: Path) -> tuple[str, str | None]:
    if (folder / "config.json").is_file():
        return str(folder), None
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return str(folder), files[0].name
    raise UsageError(
        f"calrec.backbone = {name!r}: the folder holds no config.json and {len(files)} GGUF "
        "files; name a folder saved by save_pretrained, or one GGUF file"
    )


def _what_was_sought(name: str, gguf_file: str | None) -> str:
    if gguf_file:
        return "read as a GGUF file"
    if Path(name).expanduser().is_dir():
        return "read as a local folder, safetensors weights only"
    return (
        "sought in the local Hugging Face cache and on the hub, safetensors weights only; "
        "without network name a local folder or a GGUF file"
    )


def describe_backbone(model: Any, tokenizer: Any, source: str, device: str) -> Backbone:
    """Find out a tokeniser's habits and put the model on its device.

    Raises:
        DataError: no token ends a sequence, the tokeniser knows more tokens than the model has
            embeddings, or the architecture has no plain attention cache.
    """
    rows = model.get_input_embeddings().num_embeddings
    if len(tokenizer) > rows:
        raise DataError(
            f"calrec.backbone = {source!r}: the tokeniser has {len(tokenizer)} tokens, the model "
            f"{rows} embeddings; the two do not belong together"
        )
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds - ATTENTION_KINDS:
        raise DataError(
            f"calrec.backbone = {source!r} has layers of kind {', '.join(sorted(kinds))}: "
            "generation needs a causal language model made of attention layers alone"
        )
    eos_id = _eos_id(model, tokenizer, source)
    return Backbone(
        model=model.to(device),
        tokenizer=tokenizer,
        opening_ids=_opening_ids(tokenizer),
        eos_id=eos_id,
        stop_ids=sorted({eos_id, *_line_break_ids(tokenizer)}),
        source=source,
        device=device,
    )


def _eos_id(model: Any, tokenizer: Any, source: str) -> int:
    if tokenizer.eos_token_id is not None:
        return int(tokenizer.eos_token_id)
    configured = getattr(model.config, "eos_token_id", None)
    if isinstance(configured, list):
        configured = configured[0] if configured else None
    if configured is None:
        raise DataError(
            f"calrec.backbone = {source!r}: neither the tokeniser nor the model's configuration "
            "names an end-of-sequence token; set eos_token in the tokeniser's files"
        )
    return int(configured)


def _opening_ids(tokenizer: Any) -> list[int]:
    ids = tokenizer("a")["input_ids"]
    starts = tokenizer.bos_token_id is not None and ids and ids[0] == tokenizer.bos_token_id
    return [int(ids[0])] if starts else []


def _line_break_ids(tokenizer: Any) -> list[int]:
    texts = tokenizer.batch_decode(
        [[index] for index in range(len(tokenizer))], clean_up_tokenization_spaces=False
    )
    return [index for index, text in enumerate(texts) if "\n" in text]
