"""Just-in-time compilation of the few inner loops, cached on disk where that is possible."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """Compile ``function`` with numba at its first call, without fast-math.

    Additions and comparisons keep their order, so results are the ones numpy would give. The
    machine code is cached beside the source, or in the user's cache folder; where neither can be
    written the function is compiled anew in each process. Importing numba waits for the first
    call too, so that commands which compute nothing stay quick.
    """

    @functools.cache
    def machine_code() -> Callable[..., Any]:
        import numba

        try:
            return cast("Callable[..., Any]", numba.njit(cache=True, nogil=True)(function))
        except RuntimeError:  # numba found no folder that it may write
            return cast("Callable[..., Any]", numba.njit(nogil=True)(function))

    @functools.wraps(function)
    def call(*arguments: Any) -> Any:
        return machine_code()(*arguments)

    return cast("Function", call)
