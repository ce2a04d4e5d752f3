"""From submissions to planned cells: which data set each is for, and whether its record stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from harness import environment, source
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError
from harness.external.reading import split_of
from harness.external.submission import Submission
from harness.external.wording import quoted
from harness.files import sha256_file
from harness.planning import finished_record
from harness.protocol import protocol_of, row_id, run_id
from harness.records import EXTERNAL, RECORD_FILE, Record
from harness.splits import split_hash

READING = ("harness.external", "harness.ranking", "harness.splits", "harness.metrics")
"""The code that makes ranks of a file."""


@dataclass(frozen=True)
class ExternalCell:
    """A submission for a data set; where a board asks, it is like a `harness.planning.Cell`.

    Attributes:
        submission: name, seed and file.
        data: the prepared data set whose split the file names.
        sha256: the digest of the file as it was planned.
        files: the files of all seeds of the row: "seed N" -> form and digest.
        code: version, commit and dirtiness of the code that reads the file.
        row_id: see `harness.protocol.row_id`; the files of all seeds are part of it.
        run_id: see `harness.protocol.run_id`.
        folder: where its record goes.
        finished: the record of these very files, or None.
        fresh: read the file even so.
        plan: one line: what will happen and why.
    """

    submission: Submission
    data: PreparedData
    sha256: str
    files: Mapping[str, str]
    code: Mapping[str, Any]
    row_id: str
    run_id: str
    folder: Path
    finished: Record | None
    fresh: bool
    plan: str

    @property
    def label(self) -> str:
        """The leaderboard row."""
        return self.submission.name

    @property
    def seed(self) -> int:
        """The seed under which the file was submitted."""
        return self.submission.seed

    @property
    def kept(self) -> bool:
        """Whether the finished record stands, so that nothing is read."""
        return self.finished is not None and not self.fresh

    @property
    def name(self) -> str:
        """The cell in messages: data set, row, seed."""
        return f"{self.data.card.name} / {self.label} / seed {self.seed}"


def plan_submissions(
    submissions: Sequence[Submission], given_split: str | None,
    prepared: Sequence[PreparedData], out: Path, fresh: bool,
) -> list[ExternalCell]:  # fmt: skip
    """Find the data set of every submission and plan its cell.

    Files of one name and one data set are the seeds of one row.

    Args:
        submissions: what ``--external`` says.
        given_split: what ``--external-split`` says.
        prepared: the data sets of this run.
        out: the run folder.
        fresh: read files again whose records stand.

    Raises:
        DataError: a file names no split, or none of a prepared data set.
        UsageError: two files for one cell.
    """
    rows: dict[tuple[str, str], list[Submission]] = {}
    by_name = {data.card.name: data for data in prepared}
    for submission in submissions:
        for data in _homes(submission, split_of(submission, given_split), prepared):
            row = rows.setdefault((data.card.name, submission.name), [])
            _check_seed(submission, row, data)
            row.append(submission)
    code = {**environment.code_state(), "source": _reading_code()}
    return [
        cell
        for (name, _), row in rows.items()
        for cell in _plan_row(row, by_name[name], code, out, fresh)
    ]


def _homes(
    submission: Submission, split: str, prepared: Sequence[PreparedData]
) -> list[PreparedData]:  # fmt: skip
    homes = [data for data in prepared if split_hash(data.content_hash) == split]
    if not homes:
        known = ", ".join(f"{d.card.name} {split_hash(d.content_hash)}" for d in prepared)
        raise DataError(
            f"--external {submission.name}: {str(submission.path)!r} is for the split "
            f"{quoted(split)}; this run has {known}. Rank the identical split (`data export` "
            "writes it), or name its data set in --datasets"
        )
    return homes


def _check_seed(submission: Submission, row: Sequence[Submission], data: PreparedData) -> None:
    for other in row:
        if other.seed == submission.seed:
            raise UsageError(
                f"--external {submission.name}: {str(other.path)!r} and {str(submission.path)!r} "
                f"are both seed {other.seed} on {data.card.name}; tell them apart by "
                f"{submission.name}@SEED=FILE"
            )


def _plan_row(
    row: Sequence[Submission], data: PreparedData, code: Mapping[str, Any], out: Path, fresh: bool
) -> list[ExternalCell]:
    """Plan the seeds of one row; its identity holds all their files."""
    row = sorted(row, key=lambda submission: submission.seed)
    digests = [sha256_file(submission.path) for submission in row]
    files = {
        f"seed {submission.seed}": f"{submission.form}, sha256 {digest}"
        for submission, digest in zip(row, digests, strict=True)
    }
    identity = row_id(
        method=EXTERNAL,
        settings={},
        inputs=[],
        split_hash=split_hash(data.content_hash),
        protocol=protocol_of(data.card.protocol.facts()),
        verb="",
        device="",
        threads=0,
        source=str(code["source"]),
        external={"name": row[0].name, **files},
    )
    return [
        _plan_cell(submission, digest, data, files, code, identity, out, fresh)
        for submission, digest in zip(row, digests, strict=True)
    ]


def _plan_cell(
    submission: Submission, digest: str, data: PreparedData, files: Mapping[str, str],
    code: Mapping[str, Any], row: str, out: Path, fresh: bool,
) -> ExternalCell:  # fmt: skip
    run = run_id(row, submission.seed)
    folder = out / data.card.name / submission.name / f"seed{submission.seed}-{run[:12]}"
    finished = finished_record(folder, run)
    return ExternalCell(
        submission, data, digest, files, code, row, run, folder, finished, fresh,
        _plan(folder, finished, fresh),
    )  # fmt: skip


def _plan(folder: Path, finished: Record | None, fresh: bool) -> str:
    if finished and not fresh:
        return f"skip: finished {finished.finished_at}"
    if finished:
        return f"read again: --fresh (finished {finished.finished_at})"
    if (folder / RECORD_FILE).exists():
        return "read: it was refused before, or its record is damaged"
    return "read: no record of this file yet"


@cache
def _reading_code() -> str:
    return source.digest(READING)
