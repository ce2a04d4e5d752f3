"""Records: what a cell leaves behind. JSON, written last and atomically, beside the ranks.

The ranks are the stored fact: two integers per user and the items ranked first. Metrics in the
record are a convenience; `leaderboard --check` recomputes them from the ranks.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.files import atomic_write, write_json
from harness.metrics import BOUNDS, METRICS
from harness.rank_arrays import fault_of_arrays, fault_of_numbers
from harness.ranking import TargetRanks

FORMAT = 1
RECORD_FILE = "record.json"
FIT_LOG_FILE = "fit.jsonl"
EXTERNAL = "external"
"""The method's name, and the source of the code, of ranks that other code made."""

LONGEST_NOTE = 600
"""Characters of a method's note, which is printed beside its row and no place for items' texts."""

Status = Literal["ok", "failed", "skipped"]


@dataclass(frozen=True)
class Record:
    """One cell: a method with its settings, on a data set, with a seed, and what came of it.

    Attributes:
        run_id: digest of all that determines the result (see `harness.protocol.run_id`).
        row_id: the same without the seed; the seeds of one row of a board share it.
        status: "ok", "failed" or "skipped".
        reason: why a cell failed or was skipped.
        method: name, preset, label, title, paper, inputs, settings, origins, external
            inputs; name, hashes and parts of the mixture where it pre-trains on one.
        dataset: name, title, hashes, sizes, redistributable.
        protocol: split, dedup, filter, candidates, masking, selection metric.
        seed: the cell's seed.
        metrics: metric -> bound -> mean over users.
        tie_rate: share of users whose target is tied.
        ranks_sha256: digest of the ranks' arrays (see `ranks_digest`).
        cost: fit_s, score_s, peak memory, parameters, device, threads.
        report: what the method says of itself.
        code: version, commit, dirty, source hash, package versions.
        machine: processor, cores, system.
        finished_at: UTC, ISO 8601.
        fit_log_sha256: digest of the fit log's bytes, None where there is none.
        origin: in a published record, tells apart local models whose paths end alike.
        record_sha256: in a published record, the digest of all its other parts.
    """

    run_id: str
    row_id: str
    status: Status
    method: Mapping[str, Any]
    dataset: Mapping[str, Any]
    protocol: Mapping[str, Any]
    seed: int
    code: Mapping[str, Any]
    machine: Mapping[str, Any]
    finished_at: str
    reason: str | None = None
    metrics: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    tie_rate: float | None = None
    ranks_sha256: str | None = None
    cost: Mapping[str, Any] = field(default_factory=dict)
    report: Mapping[str, Any] = field(default_factory=dict)
    fit_log_sha256: str | None = None
    origin: str | None = None
    record_sha256: str | None = None
    format: int = FORMAT

    @property
    def ranks_file(self) -> str:
        """The ranks file's name carries the digest, so a record never meets other ranks."""
        return f"ranks-{str(self.ranks_sha256)[:12]}.npz"

    @property
    def label(self) -> str:
        """The row this record belongs to: method, preset and settings given by hand."""
        return str(self.method["label"])

    @property
    def is_dirty(self) -> bool:
        """Whether the harness's code is not known to be that of a commit, so nobody can have it.

        Ranks that other code made are told by their file's digest, and by no commit of ours.
        """
        if self.code["source"] == EXTERNAL:
            return False
        return self.code["dirty"] is not False or not self.code["commit"]


def ranks_digest(arrays: Mapping[str, NDArray[np.generic]]) -> str:
    """Return the SHA-256 of named arrays (names, types, shapes, bytes), whatever the container."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def rank_arrays(users: NDArray[np.int64], ranks: TargetRanks) -> dict[str, NDArray[np.generic]]:
    """Return the arrays of a ranks file: user index, both ranks, items ranked first."""
    return {
        "user": users.astype(np.int32),
        "optimistic": ranks.optimistic,
        "pessimistic": ranks.pessimistic,
        "top": ranks.top,
    }


def write_record(
    folder: Path, record: Record, arrays: Mapping[str, NDArray[np.generic]] | None
) -> None:
    """Write the ranks, then the record, each atomically, then drop the ranks of a former record.

    Interrupted anywhere, the folder holds the former record with its ranks or the new one with its.
    """
    if arrays is not None:
        with atomic_write(folder / record.ranks_file) as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
    write_json(folder / RECORD_FILE, asdict(record))
    for path in folder.glob("ranks-*.npz"):
        if arrays is None or path.name != record.ranks_file:
            path.unlink()


def read_record(path: Path) -> Record:
    """Read a record file.

    Raises:
        DataError: it is missing, damaged or of another format.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: no such record") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path}: not a whole record ({error}); delete it and run again") from error
    if not isinstance(value, dict) or value.get("format") != FORMAT:
        raise DataError(f"{path}: not a record of format {FORMAT}; delete it and run again")
    try:
        record = Record(**value)
        _check_complete(record)
    except (TypeError, KeyError) as error:
        raise DataError(
            f"{path}: a part is missing or not what it should be ({error}); delete it and run again"
        ) from error
    return record


DATASET_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""Data sets' names, as cards have them too: each is a folder's name here, and no way out of it."""

_FACTS = {
    "method": ("name", "label", "title", "paper", "inputs", "settings", "origins"),
    "dataset": ("name", "title", "split_hash", "n_users", "n_items", "n_events"),
    "protocol": ("split", "dedup", "candidates", "history_masked", "selection"),
    "code": ("source", "commit", "dirty"),
    "cost": (),
    "report": (),
}


def _check_complete(record: Record) -> None:
    """Look up everything that a leaderboard reads, so that a damaged record shows at once.

    Raises:
        KeyError, TypeError: something is missing, or of another type.
    """
    for part, names in _FACTS.items():
        value = getattr(record, part)
        if not isinstance(value, dict):
            raise TypeError(f"{part} is {value!r}")
        for name in names:
            value[name]
    _check_identity(record)
    _check_printed(record)
    if record.status not in typing.get_args(Status):
        raise TypeError(f"status is {record.status!r}")
    if record.status == "ok":
        for metric in METRICS:
            for bound in BOUNDS:
                _check_number(f"{metric.name} {bound}", record.metrics[metric.name][bound])
        _check_number("tie_rate", record.tie_rate)


def _check_identity(record: Record) -> None:
    """Check what names a record and its place; records come from other machines too.

    Raises:
        TypeError: a part that is not what it should be.
    """
    texts = {name: getattr(record, name) for name in ("run_id", "row_id", "finished_at")}
    texts |= {f"method {name}": record.method[name] for name in ("name", "title", "paper")}
    texts |= {f"dataset {name}": record.dataset[name] for name in ("title", "split_hash")}
    for name, value in texts.items():
        if not (isinstance(value, str) and value and value.isprintable()):
            raise TypeError(f"{name} is {value!r}, not one line of text")
    if not isinstance(record.method["label"], str):  # what a setting holds is part of it
        raise TypeError(f"method label is {record.method['label']!r}")
    if not (
        isinstance(record.dataset["name"], str) and DATASET_NAME.fullmatch(record.dataset["name"])
    ):
        raise TypeError(f"the data set's name is {record.dataset['name']!r}")
    wholes = {"seed": record.seed}
    wholes |= {name: record.dataset[name] for name in ("n_users", "n_items", "n_events")}
    for name, value in wholes.items():
        if type(value) is not int or value < 0:
            raise TypeError(f"{name} is {value!r}, not a whole number")
    inputs = record.method["inputs"]
    if not (isinstance(inputs, list) and all(isinstance(entry, str) for entry in inputs)):
        raise TypeError(f"inputs are {inputs!r}")
    for name in ("settings", "origins"):
        if not isinstance(record.method[name], dict):
            raise TypeError(f"{name} are {record.method[name]!r}")


def _check_printed(record: Record) -> None:
    """Check what a leaderboard prints as it stands.

    Raises:
        TypeError: a cost that is no number, or a note that would break the page.
    """
    for name, value in record.cost.items():
        if name == "device":
            continue
        if value is not None:
            _check_number(f"cost {name}", value)
    note = record.report.get("note")
    if note is not None and not (isinstance(note, str) and note.isprintable() and "|" not in note):
        raise TypeError(f"note is {note!r}, not one line without |")
    if note is not None and len(note) > LONGEST_NOTE:
        raise TypeError(f"note has {len(note)} characters, more than {LONGEST_NOTE}")


def _check_number(name: str, value: Any) -> None:
    """Refuse what is no finite number.

    Raises:
        TypeError: says what it is.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{name} is {value!r}, not a finite number")


def read_ranks(path: Path) -> dict[str, NDArray[np.generic]]:
    """Read a ranks file into its arrays.

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except FileNotFoundError:
        raise DataError(f"{path}: the ranks are missing; run the cell again") from None
    except Exception as error:  # a flipped byte surfaces as almost any error of zipfile and zlib
        raise DataError(f"{path}: damaged ranks ({error}); run the cell again") from error


def verified_ranks(folder: Path, record: Record) -> dict[str, NDArray[np.generic]]:
    """Read the ranks beside a record, compare their digest with it and look whether they can be.

    Raises:
        DataError: missing, damaged, not the ranks that the record speaks of, or no ranks of its
            catalogue.
    """
    arrays = read_ranks(folder / record.ranks_file)
    found = ranks_digest(arrays)
    if found != record.ranks_sha256:
        raise DataError(
            f"{folder / record.ranks_file}: found sha256 {found}, the record states "
            f"{record.ranks_sha256}; "
            "the ranks were changed after the run"
        )
    if fault := fault_of_arrays(arrays, record.dataset["n_items"]):
        raise DataError(f"{folder / record.ranks_file}: no ranks: {fault}; run the cell again")
    return arrays


def check_stated(folder: Path, record: Record) -> None:
    """Compare what a finished record states (users, metrics, tie rate) with its ranks.

    Raises:
        DataError: as `verified_ranks`; or a number is not that of the ranks.
    """
    arrays = verified_ranks(folder, record)
    tied = float(record.tie_rate or 0.0)
    if fault := fault_of_numbers(arrays, record.dataset["n_users"], record.metrics, tied):
        raise DataError(
            f"{folder / RECORD_FILE}: {fault}; the record was changed after the run, run the cell "
            "again"
        )


def verified_fit_log(folder: Path, record: Record) -> str | None:
    """Read the fit log beside a record and compare its digest with it; None where there is none.

    Raises:
        DataError: missing, unreadable, or not the log that the record speaks of.
    """
    if record.fit_log_sha256 is None:
        return None
    path = folder / FIT_LOG_FILE
    try:
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == record.fit_log_sha256:
            return content.decode("utf-8")
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}; run the cell again") from error
    except ValueError as error:
        raise DataError(f"{path}: not UTF-8; run the cell again") from error
    raise DataError(f"{path}: the fit log was changed after the run; run the cell again")
