"""Folders of made-up records that stand for the paper's: any ranks, on any of its data sets."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.records import write_record
from tests.boards import made_record

CALREC = {"backbone": "tiny", "epochs": 3}
"""Settings that tell what a row of CALRec is."""


def put_row(
    folder: Path, dataset: str, label: str, optimistic: Sequence[Sequence[int]] | Sequence[int],
    pessimistic: Sequence[Sequence[int]] | Sequence[int] | None = None, *,
    settings: Mapping[str, Any] | None = None, protocol: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> list[Path]:  # fmt: skip
    """Write one record for each seed; return their folders.

    Args:
        folder: of the records of all data sets.
        dataset: ours.
        label: the row.
        optimistic: ranks of the users, or of each seed's users.
        pessimistic: likewise; the optimistic ones where not given.
        settings: of the method.
        protocol: rules that differ from those of made-up records.
        facts: of the data set that differ from theirs.
    """
    of_seeds = optimistic if isinstance(optimistic[0], Sequence) else [optimistic]
    others = pessimistic if pessimistic and isinstance(pessimistic[0], Sequence) else [pessimistic]
    others = list(others) * (len(of_seeds) // len(others))
    paths = []
    for seed, (low, high) in enumerate(zip(of_seeds, others, strict=True)):
        record, arrays = made_record(label, seed, low, high, settings=dict(settings or {}))
        record = dataclasses.replace(
            record,
            dataset={**record.dataset, "name": dataset, **(facts or {})},
            protocol={**record.protocol, **(protocol or {})},
        )
        paths.append(folder / dataset / f"{re.sub('[^a-z0-9]+', '-', label)}-{seed}")
        write_record(paths[-1], record, arrays)
    return paths


def find(cells: Sequence[Any], **wanted: Any) -> list[Any]:
    """Return the cells whose fact, or own data set, is so."""
    return [
        cell
        for cell in cells
        if all(
            getattr(cell if name == "dataset" else cell.fact, name) == value
            for name, value in wanted.items()
        )
    ]
