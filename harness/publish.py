"""Promotes records of a run folder into ``leaderboards/``; nothing else ever writes there."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.check import check_board, check_record
from harness.errors import DataError, HarnessError
from harness.files import sha256_text, write_text
from harness.leaderboard import Stored, board, finished_rows, markdown, newest, read_records
from harness.portable import portable
from harness.records import FIT_LOG_FILE, Record, verified_ranks, write_record

RECORDS = "records"


@dataclass(frozen=True)
class Promotion:
    """A record on its way: where it comes from, how it is published, with which fit log."""

    folder: Path
    record: Record
    fit_log: str | None


def publish(
    run_folder: Path, datasets: list[str] | None, root: Path, allow_dirty: bool
) -> list[Path]:
    """Copy verified records (record, ranks, fit log) and rewrite the pages they belong to.

    Published is what the arranged board shows: of a row, the seeds that share code and settings.
    Rows that are published already and not part of the run folder stay; of a row that is replaced
    nothing stays. All boards are verified and arranged before the first file is written.

    Args:
        run_folder: where ``run`` put its records.
        datasets: which data sets, None for all that the folder holds.
        root: usually ``leaderboards/``.
        allow_dirty: accept records made with uncommitted code.

    Returns:
        The pages written, all of which pass their check.

    Raises:
        HarnessError: nothing to publish, a record made with uncommitted code, a board without its
            baselines, a row that would replace a newer one or another model's.
        DataError: a record or its ranks do not verify, or do not fit the published ones.
    """
    plans = {
        name: _plan(name, found, root, allow_dirty)
        for name, found in _found(run_folder, datasets).items()
    }
    for name, (promotions, kept) in plans.items():
        _write(promotions, kept, root / RECORDS / name)
    pages = [write_page(root, name) for name in plans]
    for name in plans:
        if faults := check(root, name):
            raise DataError(
                f"the board of {name} does not pass its check after publishing: {faults[0]}"
            )
    return pages


def _found(run_folder: Path, datasets: list[str] | None) -> dict[str, list[Stored]]:
    """Return data set -> its finished records; one that cannot be read is no reason to go on."""
    folders = [run_folder] if datasets is None else [run_folder / name for name in datasets]
    found: dict[str, list[Stored]] = {}
    for stored in (one for folder in folders for one in read_records(folder, damaged="refused")):
        if stored[1].status == "ok":
            found.setdefault(stored[1].dataset["name"], []).append(stored)
    missing = [name for name in datasets or [] if name not in found]
    if not found or missing:
        wanted = f" of {', '.join(missing)}" if missing else ""
        raise HarnessError(f"{run_folder} holds no finished cell{wanted}; run one first")
    return dict(sorted(found.items()))


def _plan(
    name: str, found: list[Stored], root: Path, allow_dirty: bool
) -> tuple[list[Promotion], set[Path]]:
    """Return what to copy for one board, and which published folders stay."""
    promotions = []
    for folder, record in (cell for row in finished_rows(name, found).values() for cell in row):
        _check_publishable(folder, record, allow_dirty)
        promotions.append(Promotion(folder, *portable(folder, record)))
    _check_distinct(promotions)
    published = read_records(root / RECORDS / name, damaged="refused")
    _check_replaced(promotions, [record for _, record in published])
    offered = [(one.folder, one.record) for one in promotions]
    arranged = board(name, newest(record for _, record in [*published, *offered]))
    if arranged.not_judged:
        raise HarnessError(
            f"the board of {name} cannot be published, {arranged.not_judged}; run it with the "
            "baselines as they are, which join every run by themselves"
        )
    shown = {id(record) for row in arranged.rows for record in row.records}
    kept = {folder for folder, record in published if id(record) in shown}
    return [one for one in promotions if id(one.record) in shown], kept


def _check_publishable(folder: Path, record: Record, allow_dirty: bool) -> None:
    verified_ranks(folder, record)
    faults = check_record(folder, dataclasses.asdict(record))
    if faults:
        raise DataError(f"{folder}: {faults[0]}; the record was changed after the run")
    if record.is_dirty and not allow_dirty:
        made = "uncommitted code" if record.code["commit"] else "code of no known commit"
        raise HarnessError(
            f"{folder} was made with {made}, so nobody else can make it again; commit and run it "
            "with --fresh, or pass --allow-dirty to publish it with that mark"
        )


def _check_distinct(promotions: Iterable[Promotion]) -> None:
    """Refuse two local models whose paths end alike: published, they would share one row."""
    seen: dict[str, Promotion] = {}
    for one in promotions:
        other = seen.setdefault(one.record.label, one)
        if other.record.origin != one.record.origin:
            raise HarnessError(
                f"{one.folder} and {other.folder} would both be published as "
                f"{one.record.label!r}, as only the last part of a path is; rename one of the "
                "models' folders, so that --set gives its row another label, and run it again"
            )


def _check_replaced(promotions: Iterable[Promotion], published: Iterable[Record]) -> None:
    """Refuse to replace a published row by an older one, or by another model of the same name."""
    last = {
        record.label: record
        for record in sorted(published, key=lambda record: record.finished_at)
    }  # fmt: skip
    newest_of: dict[str, str] = {}
    promotions = list(promotions)
    for one in promotions:
        label, time = one.record.label, one.record.finished_at
        newest_of[label] = max(time, newest_of.get(label, time))
    for one in promotions:
        label, old = one.record.label, last.get(one.record.label)
        if old is None:
            continue
        if old.origin != one.record.origin:
            raise HarnessError(
                f"{one.folder}: another model is published as {label!r}, its path ending like "
                "this one's; rename this one's folder, so that --set gives its row a label of its "
                f"own, and run it again, or remove the published records of {label!r} first"
            )
        if old.row_id != one.record.row_id and old.finished_at > newest_of[label]:
            raise HarnessError(
                f"{one.folder}: {label!r} was finished {newest_of[label]} here, and the published "
                f"row, made by other code or settings, {old.finished_at}; run it with --fresh to "
                "replace the newer one"
            )


# ---- files ---------------------------------------------------------------------------------------


def _write(promotions: Iterable[Promotion], kept: set[Path], folder: Path) -> None:
    """Copy what is promoted, then remove what no board shows any more."""
    current = set(kept)
    for one in promotions:
        target = folder / f"{_slug(one.record.label)}-seed{one.record.seed}"
        _copy(one, target)
        current.add(target)
    for path in folder.iterdir():
        if path.is_dir() and path not in current:
            shutil.rmtree(path)


def _copy(one: Promotion, target: Path) -> None:
    if one.fit_log is None:
        (target / FIT_LOG_FILE).unlink(missing_ok=True)
    else:
        write_text(target / FIT_LOG_FILE, one.fit_log)
    write_record(target, one.record, verified_ranks(one.folder, one.record))


def _slug(label: str) -> str:
    """Return a folder name for a row, different for every row."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-")[:80]
    return plain if plain == label else f"{plain}-{sha256_text(label)[:8]}"


def write_page(root: Path, name: str) -> Path:
    """Write one board's markdown page from its published records.

    Raises:
        DataError: a published record cannot be read.
    """
    page = root / f"{name}.md"
    write_text(page, _page(root, name))
    return page


def _page(root: Path, name: str) -> str:
    published = read_records(root / RECORDS / name, damaged="refused")
    return markdown(board(name, newest(record for _, record in published)))


def check(root: Path, name: str) -> list[str]:
    """Return what is wrong with a published board, one line each.

    Every number is recomputed from the ranks by `harness.check`; then the whole page, text
    included, must be what its records give.
    """
    page = root / f"{name}.md"
    faults = check_board(page, root / RECORDS / name)
    if faults:
        return faults
    try:
        expected = _page(root, name)
    except DataError as error:
        return [str(error)]
    found = page.read_text(encoding="utf-8")
    if found == expected:
        return []
    for number, (line, wanted) in enumerate(
        zip(found.splitlines(), expected.splitlines(), strict=False), start=1
    ):
        if line != wanted:
            return [f"{page}, line {number}: {line!r} is not what the records give: {wanted!r}"]
    return [f"{page}: lines are missing from the end, or were added"]
