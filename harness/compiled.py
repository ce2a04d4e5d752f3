"""Just-in-time compilation of the few inner loops, cached on disk where that is possible."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])

_CACHE_FAILURES = (
    RuntimeError,  # numba found no folder that it may write
    OSError,  # the disk is full, or the folder was taken away
    EOFError, pickle.UnpicklingError,  # a cache file is damaged
)  # fmt: skip


def compiled(function: Function) -> Function:
    """Compile ``function`` with numba at its first call, without fast-math.

    Additions and comparisons keep their order, so results are the ones numpy would give. The
    machine code is cached beside the source, or in the user's cache folder; where neither can be
    written the function is compiled anew in each process. Importing numba waits for the first
    call too, so that commands which compute nothing stay quick.
    """

    @functools.cache
    def machine_code(kept: bool) -> Callable[..., Any]:
        import numba

        return cast("Callable[..., Any]", numba.njit(cache=kept, nogil=True)(function))

    keeps = True

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal keeps
        if keeps:
            try:
                return machine_code(True)(*arguments)
            except _CACHE_FAILURES:
                # the cache is read and written before the first instruction of the function runs,
                # so nothing was computed yet and arrays given to be filled are as they were
                keeps = False
        return machine_code(False)(*arguments)

    return cast("Function", call)
