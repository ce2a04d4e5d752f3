"""Finds methods: the files and folders of ``methods/`` and the entry points of installed packages.

A package adds methods with an entry point in the group ``harness.methods``, its name the method's
name and its value ``package.module``; the module ends with ``METHOD = TheClass``.
"""

from __future__ import annotations

import ast
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
from pathlib import Path

from harness.errors import HarnessError, UsageError, did_you_mean
from harness.files import sha256_text
from harness.method import Method, MethodCard

ENTRY_POINT_GROUP = "harness.methods"

EVALUATION = (
    "harness.histories", "harness.splits", "harness.seeding", "harness.method", "harness.cells",
    "harness.ranking",
)  # fmt: skip
"""The parts of the harness that decide a rank."""


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
    that decide a rank.
    """
    top = entry.module.partition(".")[0]
    parts: dict[str, list[str]] = {}
    waiting = [entry.module]
    while waiting:
        module = waiting.pop()
        if module in parts:
            continue
        trees = [(_package_of(module, path), _stripped(path)) for path in _files_of(module)]
        parts[module] = [ast.unparse(tree) for _, tree in trees]
        imported = (name for package, tree in trees for name in _imports(tree, package))
        waiting += [name for name in imported if name.startswith(f"{top}.")]
    for module in EVALUATION:
        parts[module] = [ast.unparse(_stripped(path)) for path in _files_of(module)]
    return sha256_text(repr(sorted((name, code) for name, code in parts.items() if code)))


def _files_of(module: str) -> list[Path]:
    """Return a module's file, or all files of a package; none for a name that is no module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # `from module import name`: the name is no module
        return []
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


def _package_of(module: str, path: Path) -> str:
    """Return the package from which relative imports in one of a module's files start."""
    origin = Path(str(importlib.util.find_spec(module).origin))  # type: ignore[union-attr]
    if origin.name != "__init__.py":
        return module.rpartition(".")[0]
    return ".".join([module, *path.relative_to(origin.parent).parts[:-1]])


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Yield the absolute names that a tree imports, at any depth; some are names in a module."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                module = importlib.util.resolve_name("." * node.level + module, package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
