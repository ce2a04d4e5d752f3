"""Letters of rows that cannot be told apart: their defining property, not how they are found."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from harness.checking.leaves import ends
from harness.checking.numbers import Student, corrected

Verdicts = Mapping[frozenset[str], bool | None]
"""Two labels -> whether no test tells the rows apart; None where that hangs on rounding."""


def verdicts(tests: Mapping[frozenset[str], Student], method: str, level: float) -> Verdicts:
    """Return what the tests of all pairs say, corrected together; no test tells nothing apart."""
    adjusted = corrected([test.p for test in tests.values()], method)
    found: dict[frozenset[str], bool | None] = {}
    for pair, p in zip(tests, adjusted, strict=True):
        low, high = ends(p)
        if p is None or low >= level * (1 + 1e-9):
            found[pair] = True
        else:
            found[pair] = False if high < level * (1 - 1e-9) else None
    return found


def letter_faults(stated: Mapping[str, object], alike: Verdicts) -> Iterator[str]:
    """Yield how letters (label -> text) break their rule.

    Two rows share a letter exactly where they are alike, and a letter belongs to all rows that are
    alike to each other and is not within another's.
    """
    if len(stated) < 2:
        yield from (f"row {label!r} has the letters {text!r} though there is no other row"
                    for label, text in stated.items() if text != "")  # fmt: skip
        return
    holders: dict[str, set[str]] = {}
    for label, text in stated.items():
        signs = re.findall(r"[A-Za-z]|\(\d+\)", str(text))
        if not signs or "".join(signs) != text or len(set(signs)) != len(signs):
            yield f"the letters of row {label!r} are {text!r}"
        for sign in signs:
            holders.setdefault(sign, set()).add(label)
    yield from _sharing(list(stated), list(holders.values()), alike)
    yield from _redundant(list(stated), holders, alike)


def _sharing(labels: Sequence[str], groups: Sequence[set[str]], alike: Verdicts) -> Iterator[str]:
    for a, b in combinations(labels, 2):
        shared, verdict = any({a, b} <= group for group in groups), alike[frozenset((a, b))]
        if verdict is True and not shared:
            yield f"rows {a!r} and {b!r} share no letter, though no test tells them apart"
        if verdict is False and shared:
            yield f"rows {a!r} and {b!r} share a letter, though a test tells them apart"


def _redundant(
    labels: Sequence[str], holders: Mapping[str, set[str]], alike: Verdicts
) -> Iterator[str]:  # fmt: skip
    for a, b in combinations(holders, 2):
        if holders[a] <= holders[b] or holders[b] <= holders[a]:
            yield f"one of the letters {a!r} and {b!r} says nothing that the other does not"
    for sign, group in holders.items():
        for label in labels:
            if label not in group and all(alike[frozenset((label, o))] is True for o in group):
                yield f"the letter {sign!r} leaves out row {label!r}, alike to all that have it"
