"""A small catalogue, its tokeniser and backbones, shared by CALRec's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.histories import Histories
from harness.method import RunContext, TrainingData
from harness.progress import Progress
from harness.settings import Layer, resolve

ADJECTIVES = ("Red", "Blue", "Green", "Old")
NOUNS = ("Lamp", "Chair", "Kettle")
CATALOGUE = tuple(
    f"Title: {adjective} {noun}. Brand: Unknown." for adjective in ADJECTIVES for noun in NOUNS
)


@pytest.fixture
def make_settings() -> Callable[..., Any]:
    """Settings small enough for tests, with overrides."""
    from methods.calrec import METHOD

    def make(**values: Any) -> Any:
        layers = [Layer("quick", METHOD.card.quick_settings), Layer("test", values)]
        return resolve(METHOD.Settings, "calrec", layers)[0]

    return make


@pytest.fixture
def make_backbone(make_settings: Callable[..., Any]) -> Callable[..., Any]:
    """An untrained tiny backbone over `CATALOGUE`; ``scale`` sharpens its random logits."""
    from methods.calrec.loading import load_backbone
    from methods.calrec.prompts import Template

    def make(scale: float = 1.0, seed: int = 3, **values: Any) -> Any:
        settings = make_settings(**values)
        backbone = load_backbone(settings, CATALOGUE, [Template("bought")], "cpu", seed)
        backbone.model.get_input_embeddings().weight.data.mul_(scale)
        return backbone

    return make


@pytest.fixture
def saved(make_backbone: Callable[..., Any], tmp_path: Path) -> Path:
    """A folder as save_pretrained leaves it; the tokeniser has the same id for end and padding."""
    backbone = make_backbone()
    backbone.tokenizer.pad_token = backbone.tokenizer.eos_token
    folder = tmp_path / "saved"
    backbone.model.save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def make_context(tmp_path: Path) -> Callable[..., RunContext]:
    """A run's context with a silent progress and a log that is kept in ``context.logged``."""

    def make(seed: int = 0, validation: float = 0.5) -> RunContext:
        folder = tmp_path / "cell"
        folder.mkdir(exist_ok=True)
        return RunContext(
            seed=seed,
            device="cpu",
            work_dir=folder,
            progress=Progress(shown=False),
            validate_fn=lambda method, users: validation,
            log_fn=lambda values: None,
        )

    return make


@pytest.fixture
def catalogue() -> tuple[str, ...]:
    """The item texts."""
    return CATALOGUE


@pytest.fixture
def make_data() -> Callable[..., TrainingData]:
    """Training histories, wrapped as the harness does."""
    from methods.calrec import METHOD

    def make(lists: list[list[int]], texts: tuple[str, ...] = CATALOGUE) -> TrainingData:
        return TrainingData(
            dataset="made up",
            n_items=len(texts),
            histories=Histories.from_lists(lists),
            verb="bought",
            inputs=METHOD.card.inputs,
            _item_texts=texts,
        )

    return make
