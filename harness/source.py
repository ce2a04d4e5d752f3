"""Digests of source code, blind to comments, docstrings and layout.

They tell results made by this code from results of another version of it.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from harness.files import sha256_text


def digest(modules: Iterable[str]) -> str:
    """Return a digest of the code of modules and packages (all files below a package)."""
    parts = {module: [code(path) for path in files_of(module)] for module in set(modules)}
    return sha256_text(repr(sorted((name, found) for name, found in parts.items() if found)))


def followed(module: str, within: str) -> list[str]:
    """Return a module and, transitively, what it imports from the top-level package ``within``."""
    seen: list[str] = []
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.append(name)
        for path in files_of(name):
            imported = _imports(ast.parse(path.read_text(encoding="utf-8")), _package(name, path))
            waiting += [other for other in imported if other.startswith(f"{within}.")]
    return seen


def files_of(module: str) -> list[Path]:
    """Return a module's file, or all files of a package; none for a name that is no module."""
    try:
        spec = importlib.util.find_spec(module)
    except ModuleNotFoundError:  # `from module import name`: the name is no module
        return []
    if spec is None or spec.origin is None:
        return []
    origin = Path(spec.origin)
    return sorted(origin.parent.rglob("*.py")) if origin.name == "__init__.py" else [origin]


def code(path: Path) -> str:
    """Return a file's code as Python would write it, without comments and docstrings."""
    return _code(path.read_text(encoding="utf-8"))


@cache
def _code(text: str) -> str:
    tree = ast.parse(text)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and _is_docstring(body[0]):
            node.body = body[1:] or [ast.Pass()]  # type: ignore[attr-defined]
    return ast.unparse(tree)


def _is_docstring(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _package(module: str, path: Path) -> str:
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
