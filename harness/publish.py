"""Promotes records of a run folder into ``leaderboards/``; nothing else ever writes there."""

from __future__ import annotations

import dataclasses
import re
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.board.computing import board_table
from harness.board.definition import definitions_in
from harness.checking import check_board, check_record
from harness.errors import DataError, HarnessError
from harness.files import sha256_text, write_text
from harness.leaderboard import Row, Stored, board, finished_rows, newest, read_records
from harness.portable import check_sealed, portable
from harness.records import (
    FIT_LOG_FILE,
    RECORD_FILE,
    Record,
    read_record,
    verified_fit_log,
    verified_ranks,
    write_record,
)
from harness.site import (
    RECORDS,
    boards,
    check_pages,
    pages,
    published_records,
    write_pages,
)
from harness.split_facts import SPLIT_FILE
from harness.split_keeping import publish_split_facts


@dataclass(frozen=True)
class Promotion:
    """A record on its way: where it comes from, how it is published, with which fit log."""

    folder: Path
    record: Record
    fit_log: str | None


def publish(
    run_folder: Path, datasets: list[str] | None, root: Path, allow_dirty: bool, cache: Path
) -> list[Path]:
    """Copy verified records (record, ranks, fit log) and rewrite the pages they belong to.

    Published is what the arranged board shows: of a row, the seeds that share code and settings;
    and of rows those that a board file names, where one shows the data set.
    Rows that are published already and not part of the run folder stay; of a row that is replaced
    nothing stays. All boards are verified and computed before the first file is written.

    Args:
        run_folder: where ``run`` put its records.
        datasets: which data sets, None for all that the folder holds.
        root: usually ``leaderboards/``.
        allow_dirty: accept records made with uncommitted code.
        cache: where prepared data sets are kept: slices and the sample of users come from them.

    Returns:
        The pages written, all of which pass their check.

    Raises:
        HarnessError: nothing to publish, a record made with uncommitted code, a board without its
            baselines, a row that would replace a newer one or another model's.
        DataError: a record or its ranks do not verify, or do not fit the published ones.
    """
    found = _found(run_folder, datasets)
    shown = {
        name: [one for one in stored if not _boards_without(root, name, *one)]
        for name, stored in found.items()
    }
    for name, stored in found.items():
        if not shown[name]:
            raise HarnessError(_boards_without(root, name, *stored[0]))
    return _promote(shown, root, allow_dirty, cache)


def add(places: Iterable[Path], root: Path, allow_dirty: bool, cache: Path) -> list[Path]:
    """Publish single records, made anywhere, such as on another machine.

    Verified are ranks, fit log and metrics, and that each belongs on the board: split, catalogue,
    protocol, users. All else that a record says (settings, costs, title, note, commit) is taken on
    trust, and so is that training went as it says.

    Args:
        places: folders of records, or their ``record.json``; from a run folder or published.
        root: see `publish`.
        allow_dirty: see `publish`.
        cache: see `publish`.

    Raises:
        HarnessError, DataError: see `publish`; or one is no finished record, or its row is on no
            board.
    """
    found: dict[str, list[Stored]] = {}
    for place in places:
        folder = place.parent if place.name == RECORD_FILE else place
        record = read_record(folder / RECORD_FILE)
        if record.status != "ok":
            raise HarnessError(f"{folder}: the record is {record.status}: {record.reason}")
        if nowhere := _boards_without(root, str(record.dataset["name"]), folder, record):
            raise HarnessError(f"{folder}: {nowhere}")
        found.setdefault(str(record.dataset["name"]), []).append((folder, record))
    return _promote(found, root, allow_dirty, cache)


def render(root: Path, cache: Path) -> list[Path]:
    """Write all pages again from what is published, such as after an edit of a board file.

    All boards are computed before the first file is touched.

    Args:
        root: see `publish`.
        cache: see `publish`.

    Raises:
        DataError: see `harness.site.boards`.
    """
    for name, split in _splits(root).items():
        publish_split_facts(root / RECORDS / name, name, split, (), cache)
    return write_pages(root, boards(root))


def _splits(root: Path) -> dict[str, str]:
    """Compute every board; return data set -> the split that its verified records share."""
    found = published_records(root)
    stored = [one for part in found.values() for one in part]
    tables = [board_table(chosen, stored) for chosen in definitions_in(root, found).values()]
    return {
        str(section.dataset["name"]): str(section.dataset["split_hash"])
        for table in tables
        for section in table.sections
        if section.protocol
    }


def _promote(
    found: Mapping[str, list[Stored]], root: Path, allow_dirty: bool, cache: Path
) -> list[Path]:
    plans = {name: _plan(name, stored, root, allow_dirty) for name, stored in found.items()}
    _rehearse(plans, root)
    for name, (promotions, kept) in plans.items():
        _write(promotions, kept, root / RECORDS / name)
        beside = dict.fromkeys(_split_file(one.folder, name) for one in promotions)
        split = _split_hash(promotions, kept)
        publish_split_facts(root / RECORDS / name, name, split, beside, cache)
    changed = {name: board for name, board in boards(root).items() if set(board.found) & set(plans)}
    written = write_pages(root, changed)
    for name in changed:
        if faults := check(root, name):
            raise DataError(
                f"the board {name} does not pass its check after publishing: {faults[0]}"
            )
    return written


def _boards_without(root: Path, dataset: str, folder: Path, record: Record) -> str:
    """Return why no board would show a record as it will be published; empty where one does."""
    label = _promotion(folder, record).record.label
    boards = [
        definition
        for definition in definitions_in(root, [dataset]).values()
        if dataset in definition.datasets
    ]
    if any(definition.shows(label, record.seed) for definition in boards):
        return ""
    files = ", ".join(str(root / f"{definition.name}.toml") for definition in boards)
    return (
        f"no board shows {label!r} with seed {record.seed}; add it to methods and seeds in {files}"
    )


def _rehearse(plans: Mapping[str, tuple[list[Promotion], set[Path]]], root: Path) -> None:
    """Compute every page as it will be, in a copy, so that what is wrong shows beforehand."""
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for path in root.glob("*.toml"):
            shutil.copy(path, copy)
        if (root / RECORDS).is_dir():
            shutil.copytree(root / RECORDS, copy / RECORDS)
        for name, (promotions, kept) in plans.items():
            folder = copy / RECORDS / name
            _write(promotions, {folder / path.name for path in kept}, folder)
        for board in boards(copy).values():
            if set(board.found) & set(plans):
                pages(board)


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
        promotions.append(_promotion(folder, record))
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
    _check_runs(arranged.rows)
    shown = {id(record) for row in arranged.rows for record in row.records}
    kept = {folder for folder, record in published if id(record) in shown}
    return [one for one in promotions if id(one.record) in shown], kept


def _promotion(folder: Path, record: Record) -> Promotion:
    """Return a record as it will be published; one that was published elsewhere stays as it is."""
    if record.record_sha256 is None:
        return Promotion(folder, *portable(folder, record))
    check_sealed(folder, record)
    return Promotion(folder, record, verified_fit_log(folder, record))


def _split_file(folder: Path, dataset: str) -> Path:
    """Return where ``run``, or a publication elsewhere, has left the facts of a record's split."""
    part = next((parent for parent in folder.parents if parent.name == dataset), folder)
    return part / SPLIT_FILE


def _split_hash(promotions: Iterable[Promotion], kept: Iterable[Path]) -> str:
    """Return the split that all records of a planned board share."""
    records = [one.record for one in promotions] + [read_record(f / RECORD_FILE) for f in kept]
    return str(records[0].dataset["split_hash"])


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


def _check_runs(rows: Iterable[Row]) -> None:
    """Refuse two rows that state one run: a run is of one row."""
    owners: dict[str, str] = {}
    for row in rows:
        for record in row.records:
            owner = owners.setdefault(record.run_id, record.label)
            if owner != record.label:
                raise DataError(
                    f"the run {record.run_id[:16]} of {record.label!r} is the run of {owner!r} "
                    "too: one of the records was made up"
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
        if (path / RECORD_FILE).is_file() and path not in current:
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


def check(root: Path, name: str) -> list[str]:
    """Return what is wrong with a published board, one line each.

    Every number is recomputed from the ranks by `harness.checking`; then each of its files, text
    included, must be what its records give.
    """
    return check_board(root, name) or check_pages(root, name)
