"""Records made up for tests of boards: any ranks, every other fact in its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from harness.files import sha256_text
from harness.leaderboard import Stored
from harness.metrics import summary, tie_rate
from harness.protocol import protocol_of, run_id
from harness.ranking import TargetRanks
from harness.records import Record, rank_arrays, ranks_digest, write_record

RULES = {"split": "leave-one-out", "dedup": "none", "min_user_events": 3, "user_sample": None}


def made_record(
    label: str = "toy", seed: int = 0, optimistic: Sequence[int] = (1, 2, 30),
    pessimistic: Sequence[int] | None = None, *, finished_at: str = "2026-01-01T00:00:00",
    status: str = "ok", n_items: int = 100, split_hash: str = "5" * 64, source: str = "code",
    cost: dict[str, Any] | None = None, settings: dict[str, Any] | None = None,
    row: str | None = None, dataset: str = "tiny", **more: Any,
) -> tuple[Record, dict[str, Any]]:  # fmt: skip
    """Return a record with these ranks, and the arrays of its ranks file."""
    low = np.array(optimistic, np.int32)
    high = low.copy() if pessimistic is None else np.array(pessimistic, np.int32)
    users = np.arange(len(low), dtype=np.int64)
    arrays = rank_arrays(users, TargetRanks(low, high, np.zeros((len(low), 10), np.int32)))
    ok = status == "ok"
    device = (cost or {}).get("device")
    row = row or sha256_text(repr((label, source, settings, device, split_hash, dataset)))
    record = Record(
        run_id=run_id(row, seed),
        row_id=row,
        status=status,  # type: ignore[arg-type]
        reason=None if ok else "no luck",
        method={
            "name": label.split(" ", maxsplit=1)[0], "preset": None, "label": label,
            "title": label.split(" ", maxsplit=1)[0].title(), "paper": "made up",
            "inputs": ["item ids"],
            "settings": settings or {}, "origins": dict.fromkeys(settings or {}, "--set"),
        },
        dataset={
            "name": dataset, "title": dataset.title(), "licence": "free", "citation": "Nobody.",
            "split_hash": split_hash, "n_users": len(low), "n_items": n_items, "n_events": 1234,
        },
        protocol=protocol_of(RULES),
        seed=seed,
        code={"source": source, "commit": "c0ffee", "dirty": False},
        machine={},
        finished_at=finished_at,
        metrics=summary(low, high) if ok else {},
        tie_rate=tie_rate(low, high) if ok else None,
        ranks_sha256=ranks_digest(arrays) if ok else None,
        cost={"fit_s": 1.25, "score_s": 0.5, "parameters": 1000, **(cost or {})} if ok else {},
        **more,
    )  # fmt: skip
    return record, arrays


def stored(folder: Path, made: Iterable[tuple[Record, dict[str, Any]]]) -> list[Stored]:
    """Write records with their ranks into a folder each; return them with these folders."""
    found = []
    for number, (record, arrays) in enumerate(made):
        place = folder / f"record-{number:03d}"
        write_record(place, record, arrays if record.status == "ok" else None)
        found.append((place, record))
    return found
