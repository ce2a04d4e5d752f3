"""Recomputes every number of a published leaderboard from the stored ranks.

Written apart from the code that writes the tables, on purpose: it shares no formula, no reader and
no formatting with ``metrics``, ``records`` or ``leaderboard``, so that a mistake there shows here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np

GATES = ("popularity", "lir")
BOUNDS = ("optimistic", "pessimistic", "expected")
METRIC_COLUMNS = ("NDCG@10", "Recall@1", "Recall@10", "MRR")


def check_board(page: Path, records_folder: Path) -> list[str]:
    """Compare a markdown page with the records and ranks below a folder.

    Args:
        page: ``leaderboards/NAME.md``.
        records_folder: ``leaderboards/records/NAME``.

    Returns:
        One line for each difference; empty where everything agrees.
    """
    faults: list[str] = []
    rows: dict[str, list[dict[str, Any]]] = {}
    for path in sorted(records_folder.glob("*/record.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found = [*check_record(path.parent, record), *_check_published(path.parent, record)]
            faults += [f"{path}: {fault}" for fault in found]
            rows.setdefault(record["method"]["label"], []).append(record)
        except Exception as error:  # damage surfaces as almost any error of json, zipfile and zlib
            faults.append(f"{path}: cannot be checked: {type(error).__name__}: {error}")
    for folder in sorted(path for path in records_folder.glob("*") if path.is_dir()):
        if not (folder / "record.json").is_file():
            faults.append(f"{folder}: the record is missing")
    if not page.is_file():
        faults.append(f"{page}: the page is missing though records of it are published")
    elif not rows:
        faults.append(f"{page}: none of its records is there")
    if faults:
        return faults
    try:
        return [f"{page}: {fault}" for fault in _check_page(page, rows)]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return [f"{page}: cannot be checked: {type(error).__name__}: {error}"]


# ---- one record ----------------------------------------------------------------------------------


def check_record(folder: Path, record: dict[str, Any]) -> list[str]:
    """Return what is wrong with one record (as read from its JSON) and the files beside it.

    Adds the recomputed means to ``record``. Raises whatever damage makes Python raise.
    """
    if record["status"] != "ok":
        return [f"status is {record['status']!r}; only finished cells are published"]
    stored = sorted(folder.glob("ranks-*.npz"))
    if len(stored) != 1:
        return [f"{len(stored)} rank files beside the record instead of one"]
    with np.load(stored[0], allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    faults = _check_fit_log(folder, record)
    if _hash({"row": record["row_id"], "seed": record["seed"]}) != record["run_id"]:
        faults.append("row id and seed do not give the run id that the record states")
    if _digest(arrays) != record["ranks_sha256"]:
        faults.append("the ranks do not have the sha256 that the record states")
    low, high = arrays["optimistic"].tolist(), arrays["pessimistic"].tolist()
    users, items = record["dataset"]["n_users"], record["dataset"]["n_items"]
    if not (len(low) == len(high) == len(set(arrays["user"].tolist())) == users):
        faults.append(f"the ranks do not cover {users} users once each")
    if any(not (1 <= a <= b <= items or a == b == 0) for a, b in zip(low, high, strict=False)):
        faults.append(f"a rank is not within 1 to {items}, or the bounds are crossed")
    if faults:
        return faults
    record["recomputed"] = recomputed = _means(low, high)
    for metric in METRIC_COLUMNS:
        for bound in BOUNDS:
            stated = record["metrics"][metric][bound]
            if not math.isclose(stated, recomputed[metric, bound], rel_tol=0, abs_tol=1e-12):
                faults.append(
                    f"{metric} {bound} is stated as {stated}, the ranks give "
                    f"{recomputed[metric, bound]}"
                )
    if not math.isclose(record["tie_rate"], recomputed["tied", ""], abs_tol=1e-12):
        faults.append(
            f"the tie rate is stated as {record['tie_rate']}, the ranks give "
            f"{recomputed['tied', '']}"
        )
    return faults


def _check_published(folder: Path, record: dict[str, Any]) -> list[str]:
    """Return what is wrong with the parts that only published records have."""
    parts = {
        key: value for key, value in record.items() if key not in ("record_sha256", "recomputed")
    }
    if _hash(parts) != record["record_sha256"]:
        return ["a part of the record was changed: it does not have the sha256 that it states"]
    if not record["origin"]:
        return ["the record does not say which settings its row comes from"]
    strange = {path.name for path in folder.iterdir()} - {"record.json", "fit.jsonl"}
    strange = {name for name in strange if not name.startswith("ranks-")}
    return [f"a file that is no part of the record: {name}" for name in sorted(strange)]


def _check_fit_log(folder: Path, record: dict[str, Any]) -> list[str]:
    path, stated = folder / "fit.jsonl", record["fit_log_sha256"]
    if not path.is_file():
        return [] if stated is None else ["the fit log is missing"]
    if hashlib.sha256(path.read_bytes()).hexdigest() != stated:
        return ["the fit log does not have the sha256 that the record states"]
    return []


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _digest(arrays: dict[str, Any]) -> str:
    text = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        text.update(name.encode() + b" " + array.dtype.str.encode())
        text.update(b" " + str(tuple(array.shape)).encode() + b"\n")
        text.update(array.tobytes(order="C"))
    return text.hexdigest()


def _means(low: list[int], high: list[int]) -> dict[tuple[str, str], float]:
    """Return (metric, bound) -> mean, user by user in plain Python."""
    result: dict[tuple[str, str], float] = {}
    for bound, ranks in (("optimistic", low), ("pessimistic", high)):
        found = [rank for rank in ranks if rank > 0]
        n = len(ranks)
        ten = [rank for rank in found if rank <= 10]
        result["NDCG@10", bound] = math.fsum(math.log(2) / math.log(rank + 1) for rank in ten) / n
        result["Recall@1", bound] = found.count(1) / n
        result["Recall@10", bound] = len(ten) / n
        result["MRR", bound] = math.fsum(1 / rank for rank in found) / n
    result |= _expected_means(low, high)
    result["tied", ""] = sum(a != b for a, b in zip(low, high, strict=True)) / len(low)
    return result


def _expected_means(low: list[int], high: list[int]) -> dict[tuple[str, str], float]:
    """Return the means where a tied target is as likely to stand at each rank of its tie."""
    ndcg, first, ten, reciprocal = [], [], [], []
    harmonic = [0.0, *itertools.accumulate(1 / rank for rank in range(1, max(high) + 1))]
    for a, b in zip(low, high, strict=True):
        if a == 0:
            continue
        size, within = b - a + 1, range(a, min(b, 10) + 1)
        ndcg.append(math.fsum(math.log(2) / math.log(rank + 1) for rank in within) / size)
        first.append((1 in within) / size)
        ten.append(len(within) / size)
        reciprocal.append((harmonic[b] - harmonic[a - 1]) / size)
    columns = (ndcg, first, ten, reciprocal)
    return {
        (metric, "expected"): math.fsum(values) / len(low)
        for metric, values in zip(METRIC_COLUMNS, columns, strict=True)
    }


# ---- the page ------------------------------------------------------------------------------------


def _check_page(page: Path, rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    text = page.read_text(encoding="utf-8")
    lines = _table_lines(text)
    printed = _parse_table(lines)
    if len(printed) != max(0, len(lines) - 2):
        return ["two rows of the table have the same name"]
    for group in rows.values():
        group.sort(key=lambda record: int(record["seed"]))
    faults = [
        f"the baseline {gate} is missing, so no row can be judged"
        for gate in GATES
        if gate not in rows
    ]
    faults += [f"row {label!r} has no record" for label in printed if label not in rows]
    faults += [f"row {label!r} is missing" for label in rows if label not in printed]
    if faults:
        return faults
    faults = _check_rows(text, rows)
    expected = _expected_rows(rows)
    for label, cells in printed.items():
        for column, value in expected[label].items():
            if cells.get(column) != value:
                faults.append(
                    f"row {label!r}, column {column!r}: printed {cells.get(column)!r}, "
                    f"the records give {value!r}"
                )
    order = sorted(rows, key=lambda label: (-_mean(rows[label], "NDCG@10", "pessimistic"), label))
    if list(printed) != order:
        faults.append(f"the rows stand in the order {list(printed)}, not {order}")
    hashes = {record["dataset"]["split_hash"] for group in rows.values() for record in group}
    if len(hashes) != 1:
        faults.append(f"records of different splits share the page: {sorted(hashes)}")
    elif f"`{next(iter(hashes))}`" not in text:
        faults.append("the split hash on the page is not that of its records")
    return faults


def _check_rows(text: str, rows: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Check what seeds of a row must share, and the note of rows that nobody can make again."""
    faults = []
    for label, group in rows.items():
        if len({record["row_id"] for record in group}) != 1:
            faults.append(f"row {label!r} mixes seeds of different code, settings or device")
        if len({record["seed"] for record in group}) != len(group):
            faults.append(f"row {label!r} has a seed twice")
        dirty = any(
            record["code"]["dirty"] is not False or not record["code"]["commit"] for record in group
        )
        notes = [line for line in text.splitlines() if line.startswith(f"- `{label}`: ")]
        if len(notes) != 1:
            faults.append(f"row {label!r} has {len(notes)} notes instead of one")
        elif dirty != ("Made with uncommitted code." in notes[0]):
            faults.append(f"the note of row {label!r} is wrong about uncommitted code")
    return faults


def _table_lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip().startswith("|")]


def _parse_table(lines: list[str]) -> dict[str, dict[str, str]]:
    """Return row label -> column -> cell text of the page's only table."""
    if len(lines) < 3:
        return {}
    header, *body = (
        [cell.strip() for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])
    )
    table = {}
    for cells in body:
        row = dict(zip(header, cells, strict=False))
        label = row["method"].removesuffix("†").strip()
        table[label] = {**row, "mark": "†" if row["method"].endswith("†") else ""}
    return table


def _mean(group: list[dict[str, Any]], metric: str, bound: str) -> float:
    return float(sum(record["recomputed"][metric, bound] for record in group)) / len(group)


def _expected_rows(rows: dict[str, list[dict[str, Any]]]) -> dict[str, dict[str, str]]:
    """Return row label -> column -> the text that must be printed."""
    expected: dict[str, dict[str, str]] = {label: {} for label in rows}
    for metric in METRIC_COLUMNS:
        printed = {
            label: [f"{_mean(group, metric, bound):.4f}" for bound in ("optimistic", "pessimistic")]
            for label, group in rows.items()
        }
        best = [max(float(pair[side]) for pair in printed.values()) for side in (0, 1)]
        for label, (upper, lower) in printed.items():
            if float(upper) == best[0] > 0:
                upper = f"**{upper}**"  # noqa: PLW2901
            if float(lower) == best[1] > 0:
                lower = f"<u>{lower}</u>"  # noqa: PLW2901
            expected[label][metric] = f"{upper}/{lower}"
    gates = [_mean(rows[gate], "NDCG@10", "pessimistic") for gate in GATES if gate in rows]
    for label, group in rows.items():
        own = _mean(group, "NDCG@10", "pessimistic")
        marked = label not in GATES and any(own <= gate for gate in gates)
        tied = sum(record["recomputed"]["tied", ""] for record in group) / len(group)
        expected[label] |= {
            "mark": "†" if marked else "",
            "seeds": ",".join(str(record["seed"]) for record in group),
            "inputs": " + ".join(group[0]["method"]["inputs"]) or "none",
            "tied": f"{100 * tied:.1f} %",
            "fit s": _cost(group, "fit_s", "{:.1f}"),
            "score s": _cost(group, "score_s", "{:.1f}"),
            "parameters": _cost(group, "parameters", "{:,.0f}"),
        }
    return expected


def _cost(group: list[dict[str, Any]], name: str, form: str) -> str:
    known = [record["cost"][name] for record in group if record["cost"].get(name) is not None]
    return form.format(sum(known) / len(known)) if known else ""


def boards_in(root: Path) -> list[str]:
    """Return the names of all boards that have a page or records below ``root``."""
    pages = {
        path.stem
        for path in root.glob("*.md")
        if re.search(r"^\| method", path.read_text(encoding="utf-8", errors="replace"), re.M)
    }
    records = {path.name for path in (root / "records").glob("*") if path.is_dir()}
    return sorted(pages | records)
