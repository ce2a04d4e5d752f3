"""A submission's file: which split it is for, and the ranks it comes to."""

from __future__ import annotations

from harness.errors import DataError
from harness.external.arrays import npz_split_hash, rank_npz
from harness.external.content import ScoredItems, check_coverage
from harness.external.held_out import HeldOut
from harness.external.ranking import Ranked, rank_scored, rank_stated
from harness.external.submission import Submission
from harness.external.tables import read_table, table_split_hash
from harness.external.wording import quoted


def split_of(submission: Submission, given: str | None) -> str:
    """Return the hash of the split that a submission is for.

    Args:
        submission: its file may name it.
        given: what ``--external-split`` says.

    Raises:
        DataError: neither names one, the two differ, or the file cannot be read.
    """
    path, form = submission.path, submission.form
    try:
        stated = npz_split_hash(path) if form == "npz" else table_split_hash(path, form)
    except DataError as error:
        raise _about(submission, error) from error
    if stated is not None and given is not None and stated != given:
        raise _about(
            submission,
            f"the file names the split {quoted(stated)}, --external-split {quoted(given)}; give "
            "the option only for files that name none",
        )
    chosen = stated if stated is not None else given
    if not chosen:
        raise _about(
            submission,
            "nothing says which split it is for; name the hash (in split.json of a `data export`, "
            "and on the board) in the file or by --external-split",
        )
    return chosen


def rank_submission(submission: Submission, held_out: HeldOut) -> Ranked:
    """Read and check a submission's file and rank every test user's target.

    Raises:
        DataError: what is wrong with the file, its name first.
    """
    try:
        if submission.form == "npz":
            return rank_npz(submission.path, held_out)
        found = read_table(submission.path, submission.form, held_out)
        if not isinstance(found, ScoredItems):
            return rank_stated(found, held_out)
        check_coverage(found.users, held_out)
        return rank_scored(found, held_out)
    except DataError as error:
        raise _about(submission, error) from error


def _about(submission: Submission, what: object) -> DataError:
    return DataError(f"--external {submission.name}: {str(submission.path)!r}: {what}")
