"""Promotes records of a run folder into ``leaderboards/``; nothing else ever writes there."""

from __future__ import annotations

import dataclasses
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.check import check_board
from harness.errors import DataError, HarnessError
from harness.files import write_text
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
    if not finished:
        wanted = "" if datasets is None else f" of {', '.join(datasets)}"
        raise HarnessError(f"{run_folder} holds no finished cell{wanted}; run one first")
    for folder, record in finished:
        _check_publishable(folder, record, allow_dirty)
    names = sorted({record.dataset["name"] for _, record in finished})
    for name in names:  # all boards are arranged once before the first file is written
        board(name, newest([*_published(root, name), *(record for _, record in finished)]))
    for folder, record in finished:
        _copy(folder, record, root)
    return [write_page(root, name) for name in names]


def _check_publishable(folder: Path, record: Record, allow_dirty: bool) -> None:
    verified_ranks(folder, record)
    if record.code["dirty"] and not allow_dirty:
        raise HarnessError(
            f"{folder} was made with uncommitted code, so nobody else can make it again; commit "
            "and run it anew, or pass --allow-dirty to publish it with that mark"
        )


def _published(root: Path, name: str) -> list[Record]:
    return [record for _, record in read_records(root / RECORDS / name)]


def _copy(folder: Path, record: Record, root: Path) -> None:
    portable = dataclasses.replace(record, method=_portable(record.method))
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", portable.label).strip("-")
    target = root / RECORDS / record.dataset["name"] / f"{slug}-seed{record.seed}"
    write_record(target, portable, verified_ranks(folder, record))
    if (folder / FIT_LOG_FILE).is_file():
        shutil.copyfile(folder / FIT_LOG_FILE, target / FIT_LOG_FILE)


def _portable(value: Any) -> Any:
    """Reduce absolute paths, such as a local backbone's, to their last part."""
    if isinstance(value, Mapping):
        return {key: _portable(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_portable(part) for part in value]
    if isinstance(value, str):
        return re.sub(r"(?<![\w./])/(?:[^/\s,)]+/)*([^/\s,)]+)", r"\1", value)
    return value


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
