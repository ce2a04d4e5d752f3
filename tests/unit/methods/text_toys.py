"""Catalogues, contexts and small encoders for the tests of text features."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from harness.histories import Histories
from harness.method import Input, RunContext, SourceDomain, TrainingData
from harness.progress import Progress
from harness.shared_folders import SharedFolders
from tests.unit.methods.recformer.start_files import saved, sizes, wordpiece

CLS, SEP = 2, 3


class Told(Progress):
    """Remembers what is said."""

    def __init__(self) -> None:
        super().__init__(shown=False)
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def context(folder: Path, method: str = "toy", identity: str = "code 1") -> RunContext:
    shared = SharedFolders(folder / "pretrained", method, identity)
    return RunContext(0, "cpu", folder, Told(), max, max, shared)


def catalogue(
    attributes: dict[str, list[str]], texts: list[str] | None = None, inputs: Any = tuple(Input)
) -> TrainingData:
    n_items = len(texts or next(iter(attributes.values())))
    return TrainingData(
        "toys", n_items, Histories.from_lists([[0, 0]]), "bought", frozenset(inputs),
        None if texts is None else tuple(texts),
        {name: tuple(values) for name, values in attributes.items()},
    )  # fmt: skip


def domain(attributes: dict[str, list[str]]) -> SourceDomain:
    data = catalogue(attributes)
    return SourceDomain(
        "other toys", data.n_items, data.histories, None, 1.0, "bought", data.inputs, None,
        data.item_attributes,
    )  # fmt: skip


def bracketed() -> Any:
    """A tokeniser like BERT's that puts [CLS] before a text and [SEP] behind it."""
    from tokenizers import processors

    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
    )
    return tokenizer


def bert(folder: Path, seed: int = 7, pooler: bool = True, **more: Any) -> Path:
    """Save a small random BERT."""
    import torch
    from transformers import BertConfig, BertModel

    tokenizer = bracketed()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = BertConfig(**sizes(tokenizer, **more))
        return saved(folder, BertModel(config, add_pooling_layer=pooler), tokenizer)


def ids_of(folder: Path, text: str, most: int = 10**6) -> list[int]:
    """Tokenise without the library's ways of cutting, filling up and finding special tokens."""
    from tokenizers import Tokenizer

    pipeline = Tokenizer.from_file(str(folder / "tokenizer.json"))
    pipeline.no_padding()
    pipeline.no_truncation()
    pipeline.encode_special_tokens = True
    return [CLS, *pipeline.encode(text, add_special_tokens=False).ids[: most - 2], SEP]


def states_of(model: Any, ids: list[int]) -> np.ndarray:
    """One sequence by itself, without padding."""
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([ids])).last_hidden_state[0].numpy()
