"""The rules under which every method of a board is compared, and the digests of rows and runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.files import canonical_json, sha256_text
from harness.metrics import SELECTION_METRIC

BASELINES = ("popularity", "random", "lir")
"""Join every board: what a method that learnt nothing, or repeats the last item, reaches."""

GATE = ("popularity", "lir")
"""A method that does not beat both of these is marked as not having shown that it learnt."""

CANDIDATES = "all items"
HISTORY_MASKED = False


def protocol_of(data_protocol: Mapping[str, Any]) -> dict[str, Any]:
    """Return the rules of a board: the data set's own, and the harness's for all."""
    return {
        **data_protocol,
        "candidates": CANDIDATES,
        "history_masked": HISTORY_MASKED,
        "selection": f"pessimistic {SELECTION_METRIC.name} on the validation items",
    }


def row_id(
    *,
    method: str,
    settings: Mapping[str, Any],
    inputs: list[str],
    split_hash: str,
    protocol: Mapping[str, Any],
    verb: str,
    device: str,
    threads: int,
    source: str,
    external: Mapping[str, str],
) -> str:
    """Return the digest of all that determines a cell's ranks, its seed excepted.

    Seeds form one row of a board only where they share it.

    The number of threads is part of it, for sums round in another order with another number.
    Package versions are recorded but not part of it: an upgrade does not retrain a board by
    itself (``--fresh`` does).
    """
    return sha256_text(
        canonical_json(
            {
                "method": method,
                "settings": settings,
                "inputs": inputs,
                "split": split_hash,
                "protocol": protocol,
                "verb": verb,
                "device": device,
                "threads": threads,
                "source": source,
                "external": external,
            }
        )
    )


def run_id(row: str, seed: int) -> str:
    """Return the digest of all that determines a cell's ranks: its `row_id` and its seed."""
    return sha256_text(canonical_json({"row": row, "seed": seed}))
