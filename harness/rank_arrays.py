"""What the arrays of a ranks file may be, and what they give: told before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.metrics import summary, tie_rate
from harness.ranking import UNRANKED

DIMENSIONS = {"user": 1, "optimistic": 1, "pessimistic": 1, "top": 2}
"""Array -> its dimensions, the first of which is users."""

TOLERANCE = 1e-12
"""How far a stated number may be from that of the ranks: sums are rounded once."""

Arrays = Mapping[str, NDArray[Any]]


def fault_of_arrays(arrays: Arrays, n_items: int) -> str | None:
    """Return how arrays are not those of a ranks file, or None.

    Args:
        arrays: by name.
        n_items: of the catalogue, the highest rank there is.
    """
    if arrays.keys() != DIMENSIONS.keys():
        found = ", ".join(sorted(arrays)) or "nothing"
        return f"the arrays are {found}, not {', '.join(sorted(DIMENSIONS))}"
    for name, n_dimensions in DIMENSIONS.items():
        array = arrays[name]
        if array.dtype.kind != "i" or array.ndim != n_dimensions:
            return (
                f"{name} is {array.dtype} with {array.ndim} dimensions, not whole numbers with "
                f"{n_dimensions}"
            )
        if len(array) != len(arrays["user"]):
            return f"{name} is of {len(array)} users, the index of {len(arrays['user'])}"
    if len(np.unique(arrays["user"])) != len(arrays["user"]):
        return "a user is there twice"
    return _out_of_range(arrays, n_items)


def _out_of_range(arrays: Arrays, n_items: int) -> str | None:
    first, last, top = arrays["optimistic"], arrays["pessimistic"], arrays["top"]
    ranked = (first >= 1) & (first <= last) & (last <= n_items)
    bad = ~(ranked | ((first == UNRANKED) & (last == UNRANKED)))
    if bad.any():
        place = int(np.argmax(bad))
        return (
            f"the ranks of user {arrays['user'][place]} are {first[place]} and {last[place]}, not "
            f"within 1 to {n_items}, the optimistic one first (both 0 where not recommended)"
        )
    if top.size and (top.min() < -1 or top.max() >= n_items):
        return f"an item ranked first is not within 0 to {n_items - 1} (-1 where there is none)"
    return None


def fault_of_numbers(
    arrays: Arrays, n_users: int, metrics: Mapping[str, Mapping[str, float]], tied: float
) -> str | None:
    """Return which stated number is not that of the ranks, or None.

    Args:
        arrays: of a ranks file, without fault.
        n_users: how many users are stated.
        metrics: metric -> bound -> the mean stated.
        tied: the tie rate stated.
    """
    first, last = arrays["optimistic"], arrays["pessimistic"]
    if len(first) != n_users or n_users == 0:
        return f"n_users is stated as {n_users}, the ranks are of {len(first)}"
    pairs = {
        f"{metric} {bound}": (metrics[metric][bound], value)
        for metric, bounds in summary(first, last).items()
        for bound, value in bounds.items()
    }
    pairs["tie rate"] = tied, tie_rate(first, last)
    for name, (stated, value) in pairs.items():
        if not math.isclose(stated, value, rel_tol=0.0, abs_tol=TOLERANCE):
            return f"the {name} is stated as {stated}, the ranks give {value}"
    return None
