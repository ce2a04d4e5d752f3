"""Small made-up data sets whose right answer is known."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from harness.cells import CellInput, Validation, training_data
from harness.histories import Histories
from harness.method import Method, RunContext
from harness.progress import Progress
from harness.registry import load_method
from harness.seeding import seed_everything
from harness.settings import Layer, resolve
from harness.splits import Split, leave_one_out

_SCRATCH = tempfile.TemporaryDirectory(prefix="contract-")  # removed when the process ends

COLOURS = ("amber", "blue", "coral", "denim", "ebony", "fawn", "green", "hazel")
THINGS = ("anvil", "bowl", "cable", "drill", "easel", "filter", "gauge", "hinge", "iron", "jack")


def text_of(number: int) -> str:
    """A text of the template's shape, different for every number below 80."""
    colour, thing = COLOURS[number % len(COLOURS)], THINGS[number % len(THINGS)]
    return f"Title: {colour} {thing}. Category: shop {number % 3}. Brand: maker {number % 5}."


@dataclass(frozen=True)
class World:
    """Item texts and full sequences; the split is the harness's own."""

    name: str
    texts: tuple[str, ...]
    sequences: Histories

    @cached_property
    def split(self) -> Split:
        return leave_one_out(self.sequences)

    @property
    def attributes(self) -> dict[str, tuple[str, ...]]:
        """The parts of the texts by their labels, as a data set without its own would have them."""
        parts = [dict(part.split(": ") for part in text[:-1].split(". ")) for text in self.texts]
        return {label.lower(): tuple(part[label] for part in parts) for label in parts[0]}

    @property
    def candidates(self) -> np.ndarray:
        return np.arange(len(self.texts), dtype=np.int32)


def cyclic(n_items: int = 12, n_users: int = 96, length: int = 9) -> World:
    """After item i always comes item i + 1."""
    starts = np.random.default_rng(5).integers(0, n_items, n_users)
    lists = [(start + np.arange(length)) % n_items for start in starts]
    texts = tuple(text_of(number) for number in range(n_items))
    return World("cyclic", texts, Histories.from_lists(lists))


def noise(n_items: int = 40, n_users: int = 200, length: int = 8) -> World:
    """Every event is drawn uniformly: nothing can be learnt, so nothing may be."""
    draws = np.random.default_rng(6).integers(0, n_items, (n_users, length))
    return World("noise", tuple(map(text_of, range(n_items))), Histories.from_lists(list(draws)))


def twins(n_items: int = 24, n_users: int = 40, length: int = 7) -> World:
    """Items 2k and 2k + 1 have the same text."""
    draws = np.random.default_rng(7).integers(0, n_items, (n_users, length))
    texts = tuple(text_of(number // 2) for number in range(n_items))
    return World("twins", texts, Histories.from_lists(list(draws)))


def single_item() -> World:
    """A catalogue of one item."""
    return World("single", (text_of(0),), Histories.from_lists([[0] * 5] * 4))


def method_of(name: str) -> type[Method]:
    """The method of ``NAME``, or of ``NAME:PRESET`` for a preset of its card's ``ties_under``.

    The latter is a subclass with the preset among its quick settings; it lies in this module, where
    a pickle finds it.
    """
    base, _, preset = name.partition(":")
    method = load_method(base).method
    if not preset:
        return method
    card = replace(
        method.card,
        quick_settings={**method.card.quick_settings, **method.card.presets[preset]},
        ties_identical_texts=preset in method.card.ties_under,
    )
    kind = f"{method.__name__}_{preset.replace('-', '_')}"
    if kind not in globals():
        globals()[kind] = type(kind, (method,), {"card": card, "__module__": __name__})
    return globals()[kind]


def quick(method: type[Method]) -> Method:
    """A method with the small settings of its card."""
    layers = [Layer("quick settings", method.card.quick_settings)]
    return method(resolve(method.Settings, method.__name__, layers)[0])


def fitted(method: type[Method], world: World, seed: int = 0) -> Method:
    """Fit a method on a world's training part, through the harness's own hands."""
    made = quick(method)
    cell = CellInput(
        made, world.name, world.texts, "bought", world.split, seed, "cpu", world.attributes
    )
    folder = Path(tempfile.mkdtemp(dir=_SCRATCH.name))
    context = RunContext(
        seed, "cpu", folder, Progress(shown=False), Validation(cell), lambda values: None
    )
    seed_everything(seed)
    made.fit(training_data(cell), context)
    return made
