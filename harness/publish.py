"""Promotes records of a run folder into ``leaderboards/``; nothing else ever writes there."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.check import check_board, check_record
from harness.errors import DataError, HarnessError
from harness.files import sha256_text, write_text
from harness.leaderboard import board, markdown, newest, read_records
from harness.records import FIT_LOG_FILE, Record, verified_ranks, write_record

RECORDS = "records"


def publish(
    run_folder: Path, datasets: list[str] | None, root: Path, allow_dirty: bool
) -> list[Path]:
    """Copy verified records (record, ranks, fit log) and rewrite the pages they belong to.

    Rows that are published already and not part of the run folder stay. A record is verified
    before anything is written: its ranks have the digest it states.

    Args:
        run_folder: where ``run`` put its records.
        datasets: which data sets, None for all that the folder holds.
        root: usually ``leaderboards/``.
        allow_dirty: accept records made with uncommitted code.

    Returns:
        The pages written.

    Raises:
        HarnessError: nothing to publish, or a record made with uncommitted code.
        DataError: a record or its ranks do not verify, or do not fit the published ones.
    """
    finished = [
        (path.parent, record)
        for path, record in read_records(run_folder)
        if record.status == "ok" and (datasets is None or record.dataset["name"] in datasets)
    ]
    kept = {id(record) for record in newest(record for _, record in finished)}
    finished = [(folder, record) for folder, record in finished if id(record) in kept]
    names = sorted({record.dataset["name"] for _, record in finished})
    missing = [name for name in datasets or [] if name not in names]
    if not finished or missing:
        wanted = f" of {', '.join(missing)}" if missing else ""
        raise HarnessError(f"{run_folder} holds no finished cell{wanted}; run one first")
    for folder, record in finished:
        _check_publishable(folder, record, allow_dirty)
    portable = [(folder, _portable_record(record)) for folder, record in finished]
    _check_distinct(portable)
    for name in names:  # all boards are arranged once before the first file is written
        board(name, newest([*_published(root, name), *(record for _, record in portable)]))
    for folder, record in portable:
        _copy(folder, record, root)
    return [write_page(root, name) for name in names]


def _check_publishable(folder: Path, record: Record, allow_dirty: bool) -> None:
    verified_ranks(folder, record)
    faults = check_record(folder, dataclasses.asdict(record))
    if faults:
        raise DataError(f"{folder}: {faults[0]}; the record was changed after the run")
    if record.code["dirty"] and not allow_dirty:
        raise HarnessError(
            f"{folder} was made with uncommitted code, so nobody else can make it again; commit "
            "and run it anew, or pass --allow-dirty to publish it with that mark"
        )


def _check_distinct(portable: list[tuple[Path, Record]]) -> None:
    """Refuse two local models whose paths end alike: published, they would share one row."""
    seen: dict[tuple[str, str, int], Path] = {}
    for folder, record in portable:
        other = seen.setdefault((record.dataset["name"], record.label, record.seed), folder)
        if other != folder:
            raise HarnessError(
                f"{folder} and {other} would both be published as {record.label!r}, as only the "
                "last part of a path is; rename one of the folders and run it again"
            )


def _published(root: Path, name: str) -> list[Record]:
    return [record for _, record in read_records(root / RECORDS / name)]


def _copy(folder: Path, record: Record, root: Path) -> None:
    target = root / RECORDS / record.dataset["name"] / f"{_slug(record.label)}-seed{record.seed}"
    write_record(target, record, verified_ranks(folder, record))
    log = folder / FIT_LOG_FILE
    if log.is_file():
        write_text(target / FIT_LOG_FILE, log.read_text(encoding="utf-8"))
    else:
        (target / FIT_LOG_FILE).unlink(missing_ok=True)


def _slug(label: str) -> str:
    """Return a folder name for a row, different for every row."""
    plain = re.sub(r"[^A-Za-z0-9._]+", "-", label).strip("-")[:80]
    return plain if plain == label else f"{plain}-{sha256_text(label)[:8]}"


# ---- paths of the machine that ran it ------------------------------------------------------------


def _portable_record(record: Record) -> Record:
    """Reduce absolute paths, such as a local backbone's, to their last part, wherever they stand.

    A setting that is a path is known whole, blanks included; in other texts a path ends at a blank.
    """
    paths = [value for value in record.method["settings"].values() if _is_absolute(value)]
    paths.sort(key=len, reverse=True)  # one may be the beginning of another
    method, report = (_portable(part, paths) for part in (record.method, record.report))
    return dataclasses.replace(record, method=method, report=report)


_NOT_WITHIN = r"(?<![\w./:])"  # not the middle of a hub id, of a relative path or of an address


def _is_absolute(value: Any) -> bool:
    return isinstance(value, str) and PurePosixPath(value).is_absolute()


def _portable(value: Any, paths: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {key: _portable(part, paths) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(part, paths) for part in value]
    if not isinstance(value, str):
        return value
    for path in paths:
        name = PurePosixPath(path).name.replace("\\", r"\\")  # `re.sub` reads escapes
        value = re.sub(_NOT_WITHIN + re.escape(path), name, value)
    return re.sub(_NOT_WITHIN + r"/(?:[^/\s,)]+/)*([^/\s,)]+)", r"\1", value)


def write_page(root: Path, name: str) -> Path:
    """Write one board's markdown page from its published records."""
    page = root / f"{name}.md"
    write_text(page, markdown(board(name, newest(_published(root, name)))))
    return page


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
        expected = markdown(board(name, newest(_published(root, name))))
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
