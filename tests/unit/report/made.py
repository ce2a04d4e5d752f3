"""A board made up for tests of reports, with texts that would do harm if they were not escaped."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np

from harness.board.computing import board_table
from harness.board.definition import default_definition
from harness.files import sha256_text
from harness.leaderboard import Stored
from harness.slices import Slice
from harness.split_facts import SampledUser, SplitFacts
from tests.boards import made_record, stored

SCRIPT = "<script>document.title='owned'</script>"
BREAKING = '"><img src=x onerror="document.title=\'owned\'">'
TEXTS = [f"Title: {SCRIPT} number {n}" for n in range(100)]
N_USERS = 40
HASH = "5" * 64

LABELS = ("popularity", "lir", "toy", f"evil (x={SCRIPT})")


def records(folder: Path) -> list[Stored]:
    """Write records of four rows, two seeds each, one seed failed in a row of its own."""
    generator = np.random.default_rng(0)
    made = []
    for place, label in enumerate(LABELS):
        for seed in (0, 1):
            ranks = generator.integers(1, 10 + 20 * place, N_USERS)
            tied = ranks + (generator.random(N_USERS) < 0.3)
            record, arrays = made_record(
                label, seed, ranks.tolist(), tied.tolist(), split_hash=HASH,
                report={"note": BREAKING.replace("<", " ")},
            )  # fmt: skip
            facts = {**record.dataset, "title": f"A{SCRIPT}"}
            inputs = ["item ids", "item text"] if label == "toy" else ["item ids"]
            method = {**record.method, "inputs": inputs}
            made.append((dataclasses.replace(record, dataset=facts, method=method), arrays))
    failed, arrays = made_record("failed", optimistic=[1] * N_USERS, status="failed")
    found = stored(folder, [*made, (failed, arrays)])
    return [(place, _with_log(place, record)) for place, record in found]


def _with_log(folder: Path, record):
    if record.status != "ok":
        return record
    lines = [
        {"epoch": epoch, "loss": 1 / epoch, "validation_ndcg10": epoch / 9, "stage": BREAKING}
        for epoch in (1, 2, 3)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "fit.jsonl").write_text(text)
    logged = dataclasses.replace(record, fit_log_sha256=sha256_text(text))
    (folder / "record.json").write_text(json.dumps(dataclasses.asdict(logged)))
    return logged


def with_generated(found: list[Stored], label: str = "toy") -> None:
    """Leave texts that a row's method wrote in its folders."""
    for folder, record in found:
        if record.label != label:
            continue
        place = folder / "work" / "generated"
        place.mkdir(parents=True)
        lines = [
            {"user": user, "texts": [SCRIPT, "seldom", SCRIPT], "log_probabilities": [-1, -3, -2]}
            for user in range(N_USERS)
        ]
        (place / "0001.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def table(found: list[Stored]):
    """Return the board of these records."""
    return board_table(default_definition("tiny"), found)


def facts(texts: bool = False) -> SplitFacts:
    """Return the facts of a split that fits the records, with or without the items' texts."""
    users = (SampledUser(3, 12, tuple(range(10)), 11), SampledUser(7, 4, (5, 6, 7, 8), 9))
    members = np.arange(N_USERS) % 3 == 0
    nobody = np.zeros(N_USERS, np.bool_)
    slices = (
        Slice("all users", "Every test user.", np.ones(N_USERS, np.bool_)),
        Slice("third users", "Every third user.", members),
        Slice("nobody", "No one.", nobody),
    )
    return SplitFacts(HASH, N_USERS, 100, users, slices, tuple(TEXTS) if texts else None)
