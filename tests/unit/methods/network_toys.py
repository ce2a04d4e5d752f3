"""What tests of the sequence networks play with: histories, catalogues with texts, contexts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.histories import Histories
from harness.method import Input, Method, TrainingData
from harness.registry import load_method
from harness.settings import Layer, resolve
from tests.unit.methods.text_toys import context as silent_context

N_ITEMS = 30
COLOURS = ("amber", "blue", "coral", "denim", "ebony")
THINGS = ("anvil", "bowl", "cable", "drill", "easel", "filter")
ATTRIBUTES = {
    "title": [f"{COLOURS[i % 5]} {THINGS[i % 6]} number {i}" for i in range(N_ITEMS)],
    "category": [f"shop {i % 4}" for i in range(N_ITEMS)],
    "brand": [f"maker {i % 7}" if i % 5 else "" for i in range(N_ITEMS)],
    "genres": [f"Old {THINGS[i % 3]}" if i % 2 else "New" for i in range(N_ITEMS)],
}


def random_histories(seed: int = 0, n_users: int = 40, longest: int = 20) -> Histories:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, longest + 1, size=n_users)
    return Histories.from_lists([generator.integers(0, N_ITEMS, size=n) for n in lengths])


def catalogue(
    histories: Histories, attributes: Mapping[str, list[str]] = ATTRIBUTES
) -> TrainingData:
    texts = tuple(" ".join(values) for values in zip(*attributes.values(), strict=True))
    return TrainingData(
        "planted", len(texts), histories, "bought", frozenset(Input), texts,
        {name: tuple(values) for name, values in attributes.items()},
    )  # fmt: skip


def run_context(folder: Path, seed: int = 0, validations: Any = None, log: Any = None):
    """Return a context whose validations are given, or rise for ever; it remembers what is said."""
    given = iter(validations if validations is not None else (step / 1e4 for step in range(9999)))
    return replace(
        silent_context(folder), seed=seed, validate_fn=lambda method, users: next(given),
        log_fn=(lambda values: None) if log is None else lambda values: log.append(dict(values)),
    )  # fmt: skip


def method_of(name: str, **values: Any) -> Method:
    """Return the method of NAME or NAME:PRESET with its quick settings and some of the test's."""
    base, _, preset = name.partition(":")
    method = load_method(base).method
    layers = [
        Layer("quick", method.card.quick_settings),
        Layer("preset", method.card.presets[preset] if preset else {}),
        Layer("test", {"max_epochs": 2, "hidden_size": 16, "inner_size": 16, **values}),
    ]
    return method(resolve(method.Settings, base, layers)[0])


def fitted(
    name: str, folder: Path, data: TrainingData, context: Mapping[str, Any] | None = None,
    **values: Any,
) -> Method:  # fmt: skip
    method = method_of(name, **values)
    method.fit(data, run_context(folder, **(context or {})))
    return method
