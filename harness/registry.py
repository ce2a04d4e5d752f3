"""Finds methods: the files and folders of ``methods/`` and the entry points of installed packages.

A package adds methods with an entry point in the group ``harness.methods``, its name the method's
name and its value ``package.module``; the module ends with ``METHOD = TheClass``.
"""

from __future__ import annotations

import dataclasses
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

from harness import source
from harness.errors import HarnessError, UsageError, did_you_mean
from harness.method import Method, MethodCard

ENTRY_POINT_GROUP = "harness.methods"

EVALUATION = (
    "harness.histories", "harness.splits", "harness.seeding", "harness.method", "harness.cells",
    "harness.ranking", "harness.metrics", "harness.compiled",
)  # fmt: skip
"""The parts of the harness that decide a rank, or which epoch is kept."""
PRETRAINING = ("harness.data.mixture", "harness.data.mixture_card")
"""For methods that may pre-train on a mixture: the parts that decide which events these see."""


@dataclass(frozen=True)
class MethodEntry:
    """A method that can be named on the command line.

    Attributes:
        name: what the user types.
        module: the module that holds ``METHOD``.
        method: the class.
    """

    name: str
    module: str
    method: type[Method]


@cache
def method_modules() -> dict[str, str]:
    """Return method name -> module, without importing any method.

    Raises:
        HarnessError: two providers claim the same name.
    """
    modules = dict(_built_in())
    for entry_point in importlib.metadata.entry_points(group=ENTRY_POINT_GROUP):
        if entry_point.name in modules:
            raise HarnessError(
                f"the method name {entry_point.name!r} is taken twice, by "
                f"{modules[entry_point.name]} and {entry_point.value}; rename one entry point"
            )
        modules[entry_point.name] = entry_point.module
    return dict(sorted(modules.items()))


def _built_in() -> Iterator[tuple[str, str]]:
    import methods

    for module in pkgutil.iter_modules(methods.__path__):
        if not module.name.startswith("_"):
            yield module.name, f"methods.{module.name}"


def load_method(name: str) -> MethodEntry:
    """Import one method.

    Raises:
        UsageError: no such method, with a suggestion.
        HarnessError: its module cannot be imported or does not define ``METHOD``.
    """
    modules = method_modules()
    if name not in modules:
        raise UsageError(f"unknown method {name!r}: {did_you_mean(name, modules)}")
    try:
        module = importlib.import_module(modules[name])
    except Exception as error:
        raise HarnessError(
            f"method {name!r} cannot be imported from {modules[name]}: "
            f"{type(error).__name__}: {error}"
        ) from error
    method = getattr(module, "METHOD", None)
    if not (inspect.isclass(method) and issubclass(method, Method)):
        raise HarnessError(
            f"{modules[name]} does not name its class: end the module with METHOD = TheClass, "
            "a subclass of harness.method.Method"
        )
    card, settings = getattr(method, "card", None), getattr(method, "Settings", None)
    if not isinstance(card, MethodCard) or not dataclasses.is_dataclass(settings):
        raise HarnessError(
            f"{modules[name]}: the class {method.__name__} needs `card`, a MethodCard, and "
            "`Settings`, a frozen dataclass"
        )
    return MethodEntry(name, modules[name], method)


def check_preset(entry: MethodEntry, preset: str) -> None:
    """Raise UsageError, with a suggestion, for a preset that the method does not have."""
    presets = entry.method.card.presets
    if preset and preset not in presets:
        raise UsageError(
            f"method {entry.name!r} has no preset {preset!r}: {did_you_mean(preset, presets)}"
        )


def all_methods() -> list[MethodEntry]:
    """Return every method that can be imported; a broken one is left out with a warning."""
    entries = []
    for name in method_modules():
        try:
            entries.append(load_method(name))
        except HarnessError as error:
            warnings.warn(str(error), stacklevel=2)
    return entries


def source_hash(entry: MethodEntry) -> str:
    """Return a digest of the method's code, blind to comments, docstrings and layout.

    It covers the method's module or package and, transitively, what these import from the same
    top-level package (``methods/_*.py``, or the rest of a plug-in), and the parts of the harness
    that decide a rank, with those that make mixtures where the method may name one.
    """
    top = entry.module.partition(".")[0]
    names_one = any("mixture" in vars(kind) for kind in entry.method.__mro__ if kind is not Method)
    deciding = (*EVALUATION, *PRETRAINING) if names_one else EVALUATION
    return source.digest([*source.followed(entry.module, within=top), *deciding])
