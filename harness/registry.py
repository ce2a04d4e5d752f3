"""Finds methods: the files and folders of ``methods/`` and the entry points of installed packages.

A package adds methods with an entry point in the group ``harness.methods``, its name the method's
name and its value ``package.module``; the module ends with ``METHOD = TheClass``.
"""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import HarnessError, UsageError, did_you_mean
from harness.files import sha256_text
from harness.method import Method

ENTRY_POINT_GROUP = "harness.methods"


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
    return MethodEntry(name, modules[name], method)


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

    It covers the method's module or package and, transitively, the modules shared between methods
    (``methods/_*.py``) that it names, and the parts of the harness that decide a rank.
    """
    evaluation = ["harness.histories", "harness.splits", "harness.ranking", "harness.cells"]
    parts = {}
    waiting = [entry.module, *evaluation]
    while waiting:
        module = waiting.pop()
        if module in parts:
            continue
        trees = [_stripped(path) for path in _files_of(module)]
        parts[module] = [ast.unparse(tree) for tree in trees]
        waiting.extend(name for tree in trees for name in _shared_imports(tree))
    return sha256_text(repr(sorted(parts.items())))


def _files_of(module: str) -> list[Path]:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def _stripped(path: Path) -> ast.Module:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return tree


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _shared_imports(tree: ast.Module) -> Iterator[str]:
    """Yield the modules ``methods._name`` that a tree imports, at any depth."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            if len(parts) >= 2 and parts[0] == "methods" and parts[1].startswith("_"):
                yield ".".join(parts[:2])
