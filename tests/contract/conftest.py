"""``--method NAME`` runs the contract for one method only, which is how a contributor starts."""

from __future__ import annotations

import pytest

from harness.registry import load_method, method_modules
from tests.contract import checks


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
    pairs = [
        pytest.param(name, clause, id=f"{name}-{clause.__name__}")
        for name in chosen
        for clause in checks.applicable(load_method(name).method)
    ]
    metafunc.parametrize(("method_name", "clause"), pairs)
