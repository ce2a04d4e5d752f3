"""Compiled loops: cached where possible, compiled anew where the cache fails, same results."""

from __future__ import annotations

import errno
import pickle

import numpy as np
import pytest

from harness.compiled import compiled


def _fill(values, out):
    for at in range(len(values)):
        out[at] += values[at] * 2
    return len(values)


def test_it_computes_and_keeps_its_name():
    double = compiled(_fill)
    out = np.zeros(3)
    assert double(np.arange(3.0), out) == 3
    assert out.tolist() == [0, 2, 4]
    assert double.__name__ == "_fill"


@pytest.mark.parametrize(
    "error",
    [OSError(errno.ENOSPC, "No space left on device"), PermissionError(errno.EACCES, "no"),
     EOFError("Ran out of input"), pickle.UnpicklingError("damaged")],
    ids=repr,
)  # fmt: skip
@pytest.mark.parametrize("stage", ["save_overload", "load_overload"])
def test_a_cache_that_cannot_be_used_is_done_without(monkeypatch, error, stage):
    from numba.core import caching

    calls = []

    def fails(self, *arguments):
        calls.append(stage)
        raise error

    monkeypatch.setattr(caching.FunctionCache, stage, fails)
    monkeypatch.setattr(
        caching.FunctionCache, "load_overload",
        fails if stage == "load_overload" else lambda self, *arguments: None,
    )  # fmt: skip
    double = compiled(_fill)
    out = np.zeros(3)
    assert double(np.arange(3.0), out) == 3
    assert out.tolist() == [0, 2, 4]  # filled once, not twice
    assert calls == [stage]
    double(np.arange(3.0), out)
    assert out.tolist() == [0, 4, 8]
    assert calls == [stage]  # and the cache is not asked again


def test_no_folder_for_a_cache(monkeypatch):
    import numba

    real = numba.njit

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert compiled(_fill)(np.arange(3.0), np.zeros(3)) == 3


def test_the_functions_own_errors_pass_through():
    def wrong(values):
        return values.no_such_attribute

    with pytest.raises(Exception, match="no_such_attribute"):
        compiled(wrong)(np.arange(3.0))
