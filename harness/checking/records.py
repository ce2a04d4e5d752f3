"""One record and the files beside it: digests, ranks that can be, and the means it states."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.checking.numbers import Ranks, gains, mean

BOUNDS = ("optimistic", "pessimistic", "expected")
STATED_METRICS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")

FACTS = {
    "method": ("name", "label", "title", "paper", "inputs", "settings", "origins"),
    "dataset": ("name", "title", "split_hash", "n_users", "n_items", "n_events"),
    "protocol": ("split", "dedup", "candidates", "history_masked", "selection"),
    "code": ("source", "commit", "dirty"),
}
"""What boards print of a record."""


_ELSEWHERE = (
    "Ranks made elsewhere; the harness verified coverage, split and ties, not how they were made.",
    "Ranks made elsewhere; the harness verified coverage and split, not how they were made. The "
    "order was given without scores, so ties do not show.",
    "Ranks made elsewhere; the harness verified coverage and split, not how they or their ties "
    "were made.",
)
NOTES_ELSEWHERE = {
    note + end
    for note in _ELSEWHERE
    for end in ("", " A target outside a user's list counts as missed.")
}
"""All that a row made elsewhere may say of itself."""


@dataclass(frozen=True)
class Cell:
    """A record whose checks passed, with its ranks in the order of the users' index."""

    folder: Path
    record: dict[str, Any]
    users: Ranks
    low: Ranks
    high: Ranks


def check_record(folder: Path, record: dict[str, Any]) -> list[str]:
    """Return what is wrong with one record (as read from its JSON) and the files beside it."""
    try:
        return _faults(folder, record, _arrays(folder, record))
    except Exception as error:  # damage surfaces as almost any error of json, zipfile and zlib
        return [_uncheckable(error)]


def read_cell(folder: Path, dataset: str) -> tuple[Cell | None, list[str]]:
    """Read and check one published record; no cell where anything is wrong with it."""
    try:
        record = json.loads((folder / "record.json").read_text(encoding="utf-8"))
        arrays = _arrays(folder, record)
        faults = _faults(folder, record, arrays) + _published_faults(folder, record, dataset)
        if faults:
            return None, faults
        order = np.argsort(arrays["user"], kind="stable")
        users, low, high = (
            arrays[name][order].astype(np.int64) for name in ("user", "optimistic", "pessimistic")
        )
        return Cell(folder, record, users, low, high), []
    except Exception as error:  # see above
        return None, [_uncheckable(error)]


def _uncheckable(error: Exception) -> str:
    return f"cannot be checked: {type(error).__name__}: {' '.join(str(error).split())}"


def _arrays(folder: Path, record: dict[str, Any]) -> dict[str, Any]:
    if record["status"] != "ok":
        raise ValueError(f"status is {record['status']!r}; only finished cells are published")
    stored = sorted(folder.glob("ranks-*.npz"))
    if len(stored) != 1:
        raise ValueError(f"{len(stored)} rank files beside the record instead of one")
    with np.load(stored[0], allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _faults(folder: Path, record: dict[str, Any], arrays: dict[str, Any]) -> list[str]:
    faults = _fit_log_faults(folder, record)
    if json_digest({"row": record["row_id"], "seed": record["seed"]}) != record["run_id"]:
        faults.append("row id and seed do not give the run id that the record states")
    if arrays_digest(arrays) != record["ranks_sha256"]:
        faults.append("the ranks do not have the sha256 that the record states")
    if unlike := _arrays_unlike_ranks(arrays, record["dataset"]["n_items"]):
        return [*faults, unlike]
    low, high, users = arrays["optimistic"], arrays["pessimistic"], arrays["user"]
    n_users, n_items = record["dataset"]["n_users"], record["dataset"]["n_items"]
    if not (len(low) == len(high) == len(users) == len(set(users.tolist())) == n_users):
        faults.append(f"the ranks do not cover {n_users} users once each")
    elif not all(
        1 <= a <= b <= n_items or a == b == 0
        for a, b in zip(low.tolist(), high.tolist(), strict=True)
    ):
        faults.append(f"a rank is not within 1 to {n_items}, or the bounds are crossed")
    return faults or _number_faults(record, rank_means(low, high))


def _arrays_unlike_ranks(arrays: dict[str, Any], n_items: int) -> str | None:
    """Return how the arrays are not those of a ranks file, or None."""
    if set(arrays) != {"user", "optimistic", "pessimistic", "top"}:
        return f"the rank file holds {', '.join(sorted(arrays)) or 'nothing'}"
    for name, array in arrays.items():
        if array.dtype.kind != "i" or array.ndim != (2 if name == "top" else 1):
            return f"{name} is {array.dtype} with {array.ndim} dimensions"
    top = arrays["top"]
    if len(top) != len(arrays["user"]):
        return f"items ranked first stand for {len(top)} users, not {len(arrays['user'])}"
    if top.size and not (top.min() >= -1 and top.max() < n_items):
        return f"an item ranked first is not within 0 to {n_items - 1}"
    return None


def _number_faults(record: dict[str, Any], found: dict[tuple[str, str], float]) -> list[str]:
    faults = []
    for (metric, bound), value in found.items():
        stated = record["metrics"][metric][bound] if bound else record["tie_rate"]
        if not math.isclose(stated, value, rel_tol=0, abs_tol=1e-12):
            name = f"{metric} {bound}" if bound else "the tie rate"
            faults.append(f"{name} is stated as {stated}, the ranks give {value}")
    return faults


def rank_means(low: Ranks, high: Ranks) -> dict[tuple[str, str], float]:
    """Return (metric, bound) -> mean, and the tie rate as ("tied", "")."""
    result = {
        (metric, bound): mean(gains(metric, low, high, bound))
        for metric in STATED_METRICS
        for bound in BOUNDS
    }
    return {**result, ("tied", ""): int((low != high).sum()) / len(low)}


# ---- what only published records have ------------------------------------------------------------


def _published_faults(folder: Path, record: dict[str, Any], dataset: str) -> list[str]:
    parts = {key: value for key, value in record.items() if key != "record_sha256"}
    if json_digest(parts) != record["record_sha256"]:
        return ["a part of the record was changed: it does not have the sha256 that it states"]
    missing = [
        f"{part}.{name}" for part in FACTS for name in FACTS[part] if name not in record[part]
    ]
    faults = [f"the record lacks {name}" for name in missing]
    if type(record["seed"]) is not int:
        faults.append(f"the seed is {record['seed']!r}, not a whole number")
    faults += _external_faults(record)
    if not record["origin"]:
        faults.append("the record does not say which settings its row comes from")
    if record["dataset"]["name"] != dataset:
        faults.append(f"the record is of {record['dataset']['name']!r}, not of {dataset!r}")
    ranks = f"ranks-{record['ranks_sha256'][:12]}.npz"
    strange = {path.name for path in folder.iterdir()} - {"record.json", "fit.jsonl", ranks}
    return faults + [f"a file that is no part of the record: {name}" for name in sorted(strange)]


def _external_faults(record: dict[str, Any]) -> list[str]:
    """Return what is wrong with a row made elsewhere, or with one that only says it was."""
    elsewhere = record["code"]["source"] == "external"
    if elsewhere != (record["method"]["name"] == "external"):
        return ["code and method do not agree about whether the ranks were made elsewhere"]
    if elsewhere and record["report"].get("note") not in NOTES_ELSEWHERE:
        return ["the note is none of those for ranks made elsewhere"]
    return []


def _fit_log_faults(folder: Path, record: dict[str, Any]) -> list[str]:
    path, stated = folder / "fit.jsonl", record["fit_log_sha256"]
    if not path.is_file():
        return [] if stated is None else ["the fit log is missing"]
    if hashlib.sha256(path.read_bytes()).hexdigest() != stated:
        return ["the fit log does not have the sha256 that the record states"]
    return []


# ---- digests -------------------------------------------------------------------------------------


def json_digest(value: Any) -> str:
    """Return the SHA-256 of a value as JSON without blanks, keys in order, ASCII alone."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def arrays_digest(arrays: dict[str, Any]) -> str:
    """Return the SHA-256 of named arrays: names, types, shapes and contents."""
    text = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        text.update(name.encode() + b" " + array.dtype.str.encode())
        text.update(b" " + str(tuple(array.shape)).encode() + b"\n")
        text.update(array.tobytes(order="C"))
    return text.hexdigest()
