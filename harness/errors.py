"""Errors that a user can mend, and the exit codes they lead to.

Every message says what was wrong, what was found and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HarnessError(Exception):
    """A cell or a command failed for a reason that its message explains (exit code 1)."""


class UsageError(HarnessError):
    """What the user typed names something that does not exist or cannot be (exit code 2)."""


class DataError(HarnessError):
    """A source file is missing, damaged or not what its card says it is."""


class MethodError(HarnessError):
    """A method broke its contract: NaN scores, a wrong shape, an undeclared input."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a clause with the closest known name, or with all of them, for an error message."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known: {', '.join(names)}" if names else "none is known"
