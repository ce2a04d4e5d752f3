"""Foreign text in messages: quoted, cut, control characters escaped."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST = 80
LONGEST_REASON = 300
FEW = 3


def quoted(text: object, longest: int = LONGEST) -> str:
    """Return text between quotation marks, cut to so many characters, on one printable line."""
    whole = str(text)
    return repr(whole[:longest]) + ("…" if len(whole) > longest else "")


def first_few(names: Iterable[object]) -> str:
    """Return the first `FEW` names, quoted, and a mark where there are more."""
    told: list[str] = []
    for number, name in enumerate(names):
        if number == FEW:
            return ", ".join(told) + ", …"
        told.append(quoted(name))
    return ", ".join(told)


def reason_of(error: BaseException) -> str:
    """Return what a library says of a file, which may quote the file's own text."""
    return quoted(" ".join(str(error).split()) or type(error).__name__, LONGEST_REASON)
