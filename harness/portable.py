"""What of a record may travel: no path of the machine that made it, no text of an item."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.errors import DataError, HarnessError
from harness.files import canonical_json, sha256_text
from harness.records import FIT_LOG_FILE, Record, verified_fit_log
from harness.reporting import LONGEST_WORDING

_NOT_WITHIN = r"(?<![\w./:])"  # not the middle of a hub id, of a relative path or of an address


def portable(folder: Path, record: Record) -> tuple[Record, str | None]:
    """Return a record and its fit log as they are published; the record states their digests.

    Absolute paths, such as a local backbone's, are reduced to their last part wherever they stand.
    A setting that is a path is known whole, blanks included; in other texts a path ends at a blank.

    Raises:
        DataError: the fit log is missing, damaged or not the record's.
        HarnessError: the fit log holds long texts, which may be those of items.
    """
    paths = _paths(record)
    longest_first = sorted(paths.values(), key=len, reverse=True)  # one may begin another
    method, report = (_reduced(part, longest_first) for part in (record.method, record.report))
    log = verified_fit_log(folder, record)
    if log is not None:
        log = _portable_log(folder / FIT_LOG_FILE, log, longest_first)
    plain = dataclasses.replace(
        record,
        method=method,
        report=report,
        fit_log_sha256=None if log is None else sha256_text(log),
        origin=sha256_text(canonical_json({"label": record.label, "paths": paths})),
        record_sha256=None,
    )
    return dataclasses.replace(plain, record_sha256=record_digest(plain)), log


def record_digest(record: Record) -> str:
    """Return the digest of a record's parts, `Record.record_sha256` itself excepted."""
    parts = dataclasses.asdict(record)
    del parts["record_sha256"]
    return sha256_text(canonical_json(parts))


def check_sealed(folder: Path, record: Record) -> None:
    """Compare a published record with the digest that it states of itself.

    Raises:
        DataError: they differ, or there is none.
    """
    if record.record_sha256 != record_digest(record):
        raise DataError(
            f"{folder}: a part of the record was changed: it does not have the sha256 it states"
        )


def _paths(record: Record) -> dict[str, str]:
    """Return the settings that are absolute paths."""
    return {
        name: value
        for name, value in record.method["settings"].items()
        if isinstance(value, str) and PurePosixPath(value).is_absolute()
    }


def _reduced(value: Any, paths: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {_reduced(key, paths): _reduced(part, paths) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_reduced(part, paths) for part in value]
    if not isinstance(value, str):
        return value
    for path in paths:
        name = PurePosixPath(path).name.replace("\\", r"\\")  # `re.sub` reads escapes
        value = re.sub(_NOT_WITHIN + re.escape(path), name, value)
    return re.sub(_NOT_WITHIN + r"/(?:[^/\s,)]+/)*([^/\s,)]+)", r"\1", value)


# ---- the fit log ---------------------------------------------------------------------------------


def _portable_log(path: Path, text: str, paths: list[str]) -> str:
    lines = []
    for number, line in enumerate(text.splitlines(), start=1):
        where = f"{path}, line {number}"
        try:
            values = json.loads(line, parse_constant=lambda _: None)  # NaN is no JSON
        except ValueError as error:
            raise DataError(f"{where}: not JSON ({error}); run the cell again") from error
        _refuse_long_texts(values, where)
        lines.append(json.dumps(_reduced(values, paths)) + "\n")
    return "".join(lines)


def _refuse_long_texts(values: Any, where: str) -> None:
    for text in _texts(values):
        if len(text) > LONGEST_WORDING or "\n" in text:
            raise HarnessError(
                f"{where}: a text of {len(text)} characters, which may be an item's: published "
                f"fit logs keep single lines of up to {LONGEST_WORDING}; let the method log "
                "numbers and run it again"
            )


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield key
            yield from _texts(part)
