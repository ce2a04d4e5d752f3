"""``--method NAME`` runs the contract for one method only, which is how a contributor starts."""

from __future__ import annotations

import pytest

from harness.registry import load_method, method_modules
from tests.contract import checks, worlds


def pytest_addoption(parser):
    parser.addoption("--method", action="append", default=[], help="only this method")


def pytest_generate_tests(metafunc):
    if "method_name" not in metafunc.fixturenames:
        return
    chosen = metafunc.config.getoption("--method", default=[]) or list(method_modules())
    unknown = set(chosen) - set(method_modules())
    if unknown:
        raise pytest.UsageError(f"unknown method {sorted(unknown)}: {list(method_modules())}")
    if "clause" not in metafunc.fixturenames:
        metafunc.parametrize("method_name", chosen)
        return
    # a preset that makes another kind of method of it passes the contract too
    kinds = [
        kind
        for name in chosen
        for kind in (
            name,
            *(f"{name}:{p}" for p in sorted(load_method(name).method.card.ties_under)),
        )
    ]
    pairs = [
        pytest.param(kind, clause, id=f"{kind}-{clause.__name__}")
        for kind in kinds
        for clause in checks.applicable(worlds.method_of(kind))
    ]
    metafunc.parametrize(("method_name", "clause"), pairs)
