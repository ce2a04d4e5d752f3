"""A small mixture and a small model that the tests of pre-training play with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from harness.histories import Histories
from harness.method import Input, RunContext, SourceDomain
from harness.progress import Progress
from methods._gathering import add_up_gradients, added_up
from methods.recformer.contrast import Contrast, Guessing
from methods.recformer.encoding import Encoder
from methods.recformer.masking import Head, hidden
from methods.recformer.settings import Settings
from methods.recformer.sharing import pretrained
from methods.recformer.sources import Domain, Pairs, domains_of, equal_others, sides_of
from methods.recformer.weights import load_start

TITLES = [f"{color} {thing}" for color in ("red", "blue", "old") for thing in ("lamp", "chair")]
QUICK: dict[str, Any] = {
    "random_width": 16, "random_layers": 1, "max_tokens": 24, "attention_window": 8,
    "pretraining": "mix", "pretraining_epochs": 2, "pretraining_batch_size": 8,
    "pretraining_learning_rate": 1e-3, "tokens_at_once": 100, "precision": "float32",
}  # fmt: skip


def settings_of(**values: Any) -> Settings:
    return Settings(**(QUICK | values))


def source(
    name: str, lists: Sequence[Sequence[int]], probability: float = 1.0,
    targets: Sequence[int] | None = None, attributes: dict[str, list[str]] | None = None,
) -> SourceDomain:  # fmt: skip
    """Return a domain whose items are ``TITLES`` with its name, unless attributes are given."""
    attributes = attributes or {"title": [f"{title} {name}" for title in TITLES]}
    n_items = len(next(iter(attributes.values())))
    return SourceDomain(
        name=name, n_items=n_items, histories=Histories.from_lists(lists),
        selection_targets=None if targets is None else np.array(targets, np.int32),
        probability=probability, verb="bought", inputs=frozenset({Input.ITEM_ATTRIBUTES}),
        _item_attributes={key: tuple(values) for key, values in attributes.items()},
    )  # fmt: skip


def cyclic(n_users: int, length: int = 5) -> list[list[int]]:
    """Histories in which each item is followed by the next one."""
    return [
        [(user + place) % len(TITLES) for place in range(length + user % 2)]
        for user in range(n_users)
    ]


def sources(selecting: bool = False) -> list[SourceDomain]:
    """Two domains, the second of which may select."""
    lists = cyclic(12)
    targets = [(row[-1] + 1) % len(TITLES) for row in lists] if selecting else None
    return [source("films", cyclic(20), 0.75), source("games", lists, 0.25, targets)]


@dataclass
class Logged:
    """A context, and the lines that were logged through it."""

    folder: Path
    seed: int = 3
    lines: list[dict[str, Any]] = field(default_factory=list)

    @property
    def context(self) -> RunContext:
        return RunContext(
            self.seed, "cpu", self.folder, Progress(shown=False), lambda *_: 0.0,
            lambda values: self.lines.append(dict(values)),
        )  # fmt: skip


def encoder_of(settings: Settings, dropout: float = 0.1, seed: int = 0) -> Encoder:
    """Return a random encoder with dropout."""
    attributes = {"title": [f"{title} {name}" for title in TITLES for name in ("films", "games")]}
    reading = replace(settings, attributes=None)
    start = load_start(reading, attributes, "cpu", seed)
    for module in start.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = dropout
    return Encoder(start.model, start.vocabulary, settings.tokens_at_once, "cpu")


def batch_of(encoder: Encoder, settings: Settings, n_pairs: int = 7) -> Any:
    """Return both sides of a batch of different items, and which are equal."""
    domains: list[Domain] = domains_of(sources(), encoder.vocabulary, settings)
    places = np.arange(n_pairs)
    pairs = Pairs(places % 2, places, 1 + places % 3)
    sides = sides_of(domains, pairs)
    return sides, equal_others(sides[1])


def gradients(model: Any) -> dict[str, torch.Tensor]:
    """Return the gradients of a model, by name."""
    return {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }


def shared_work(rank: int, folder: str, n_processes: int, sizes: Sequence[int]) -> None:
    """Take steps on batches of some sizes and pre-train, as one of several processes; save all."""
    if n_processes > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=n_processes
        )
    results: dict[str, Any] = {str(n_pairs): one_step(n_pairs) for n_pairs in sizes}
    settings = settings_of()
    encoder = encoder_of(settings, dropout=0.0)
    logged = Logged(Path(folder) / f"of-{n_processes}")
    for name in ("first", "again"):
        cost, reused = pretrained(encoder, sources(selecting=True), settings, logged.context)
        results[name] = {"reused": reused, "best_epoch": cost.best_epoch, "tokens": cost.tokens}
        results[name]["losses"] = [cost.contrastive_loss, cost.guessing_loss]
    torch.save(results | {"weights": encoder.model.state_dict()}, f"{folder}/{n_processes}-{rank}")
    if n_processes > 1:
        torch.distributed.destroy_process_group()


def one_step(n_pairs: int) -> dict[str, Any]:
    """Return a step's losses and gradients, of encoder and head."""
    settings = settings_of()
    encoder = encoder_of(settings, dropout=0.0)
    encoder.model.train()
    sides, equal = batch_of(encoder, settings, n_pairs)
    loss = Contrast(encoder, 0.05, "float32", 0).accumulate(sides, equal, step=0)
    torch.manual_seed(0)
    head = Head(encoder.model.config)
    found = hidden(sides[0], encoder.vocabulary, 0.3, np.random.default_rng(0))
    guessing = Guessing(encoder, head, "float32", 0).accumulate(found, 0.1, 0, 0)
    add_up_gradients([*encoder.model.parameters(), *head.parameters()])
    losses = [loss, added_up(guessing, "cpu")]
    return {"losses": losses, "model": gradients(encoder.model), "head": gradients(head)}
