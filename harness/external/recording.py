"""Planned submissions become records: file -> ranks -> record.json and ranks, like any cell's."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from harness.errors import DataError
from harness.external.cells import ExternalCell
from harness.external.held_out import HeldOut
from harness.external.ranking import Ranked
from harness.external.reading import rank_submission
from harness.files import exclusive_lock, sha256_file
from harness.metrics import summary, tie_rate
from harness.planning import LOCK_FILE
from harness.progress import Progress
from harness.protocol import protocol_of
from harness.records import EXTERNAL, Record, rank_arrays, ranks_digest, write_record
from harness.runner import Outcome, dataset_facts, explain

PAPER = "external submission"
NOTES = {
    "scores": "Ranks made elsewhere; the harness verified coverage, split and ties, not how they "
    "were made.",
    "none": "Ranks made elsewhere; the harness verified coverage and split, not how they were "
    "made. The order was given without scores, so ties do not show.",
    "stated": "Ranks made elsewhere; the harness verified coverage and split, not how they or "
    "their ties were made.",
}
"""How ties are known -> what the board says of the row."""
MISSED = " A target outside a user's list counts as missed."


def record_submissions(cells: Iterable[ExternalCell], progress: Progress) -> dict[str, Outcome]:
    """Read every file that needs it and write its record; return cell name -> outcome.

    A file that is refused leaves a failed record, and never stops the others.
    """
    outcomes = {}
    for cell in cells:
        progress.say(f"{cell.name}: {cell.plan}")
        outcomes[cell.name] = outcome = Outcome("kept") if cell.kept else _record_alone(cell)
        if not outcome.is_good:
            progress.warn(f"{cell.name}: {outcome.state}: {outcome.reason}")
    return outcomes


def _record_alone(cell: ExternalCell) -> Outcome:
    try:
        with exclusive_lock(cell.folder / LOCK_FILE) as mine:
            if not mine:
                return Outcome("failed", "another process is recording this submission")
            return _record_locked(cell)
    except OSError as error:
        return Outcome("failed", f"its record cannot be written: {explain(error)}")


def _record_locked(cell: ExternalCell) -> Outcome:
    try:
        ranked = _ranked(cell)
    except Exception as error:  # a file of somebody else's must not end the other cells
        reason = explain(error)
        if cell.finished is None:  # after a failed --fresh the former record still stands
            write_record(cell.folder, _record(cell, None, reason), None)
        return Outcome("failed", reason)
    arrays = _arrays(ranked)
    write_record(cell.folder, _record(cell, ranked, None), arrays)
    return Outcome("ok")


def _ranked(cell: ExternalCell) -> Ranked:
    """Rank, and make sure that the file read is the one planned."""
    ranked = rank_submission(cell.submission, HeldOut.of(cell.data))
    if sha256_file(cell.submission.path) != cell.sha256:
        raise DataError(
            f"--external {cell.label}: {str(cell.submission.path)!r} was changed while it was "
            "read; run the same command again"
        )
    return ranked


def _arrays(ranked: Ranked) -> dict[str, Any]:
    return rank_arrays(np.arange(len(ranked.ranks.optimistic), dtype=np.int64), ranked.ranks)


def _record(cell: ExternalCell, ranked: Ranked | None, reason: str | None) -> Record:
    """Return a finished record, or a failed one where there are no ranks.

    What the harness cannot know (costs, the machine, the code's commit) is left empty.
    """
    ranks = None if ranked is None else ranked.ranks
    return Record(
        run_id=cell.run_id,
        row_id=cell.row_id,
        status="failed" if ranked is None else "ok",
        reason=reason,
        method=_method_facts(cell),
        dataset=dataset_facts(cell.data),
        protocol=protocol_of(cell.data.card.protocol.facts()),
        seed=cell.seed,
        metrics={} if ranks is None else summary(ranks.optimistic, ranks.pessimistic),
        tie_rate=None if ranks is None else tie_rate(ranks.optimistic, ranks.pessimistic),
        ranks_sha256=None if ranked is None else ranks_digest(_arrays(ranked)),
        report={} if ranked is None else _report(cell, ranked),
        code={"source": EXTERNAL, "commit": None, "dirty": None, "read_by": dict(cell.code)},
        machine={},
        finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _method_facts(cell: ExternalCell) -> dict[str, Any]:
    return {
        "name": EXTERNAL,
        "preset": None,
        "label": cell.label,
        "title": cell.label,
        "paper": PAPER,
        "inputs": [],
        "settings": {},
        "origins": {},
        "external_inputs": dict(cell.files),
    }


def _report(cell: ExternalCell, ranked: Ranked) -> dict[str, Any]:
    missed = ranked.targets_not_listed
    return {
        "note": NOTES[ranked.ties] + (MISSED if missed else ""),
        "content": ranked.content,
        "form": cell.submission.form,
        "file_sha256": cell.sha256,
        "targets_not_listed": missed,
        "mean_list_length": ranked.mean_list_length,
    }
