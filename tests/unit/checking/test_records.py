"""Records that cannot be, or that do not belong where they lie."""

from __future__ import annotations

import dataclasses
import json
import shutil

import numpy as np
import pytest

from harness.checking import check_board, check_record
from harness.checking.records import arrays_digest, json_digest
from harness.records import write_record
from tests.boards import made_record
from tests.unit.checking.published import publish, write_pages


@pytest.mark.parametrize("pair", [(2, 1), (0, 4), (101, 101), (-1, 5)])
def test_ranks_that_cannot_be_are_faults(tmp_path, pair):
    record, arrays = made_record(optimistic=[7])
    arrays["optimistic"][0], arrays["pessimistic"][0] = pair
    write_record(tmp_path, record, arrays)
    faults = check_record(tmp_path, json.loads((tmp_path / "record.json").read_text()))
    assert any("not within 1 to 100" in fault for fault in faults)


def test_a_user_twice_is_a_fault(tmp_path):
    record, arrays = made_record(optimistic=[1, 2])
    arrays["user"][:] = 0
    write_record(tmp_path, record, arrays)
    faults = check_record(tmp_path, json.loads((tmp_path / "record.json").read_text()))
    assert any("do not cover 2 users once each" in fault for fault in faults)


def test_a_record_as_the_run_leaves_it_passes_and_any_damage_is_told(tmp_path):
    record, arrays = made_record()
    write_record(tmp_path, record, arrays)
    whole = json.loads((tmp_path / "record.json").read_text())
    assert check_record(tmp_path, whole) == []
    assert check_record(tmp_path, {}) == ["cannot be checked: KeyError: 'status'"]
    for part in set(whole) & {"metrics", "dataset", "ranks_sha256", "run_id", "tie_rate"}:
        assert check_record(tmp_path, {**whole, part: None}), part
    assert "status is 'failed'" in check_record(tmp_path, {**whole, "status": "failed"})[0]


# ---- published records ---------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path, quick_disk):
    publish(tmp_path, [made_record("popularity"), made_record("lir", optimistic=[1, 1, 2]),
                       made_record("toy", 0), made_record("toy", 1, [1, 2, 31])])  # fmt: skip
    assert check_board(tmp_path, "tiny") == []
    return tmp_path


def _reseal(folder, **changes):
    """Change a record and cover it up by a new digest."""
    path = folder / "record.json"
    record = json.loads(path.read_text())
    for key, value in changes.items():
        record[key] = {**record[key], **value} if isinstance(value, dict) else value
    del record["record_sha256"]
    path.write_text(json.dumps(record | {"record_sha256": json_digest(record)}))


def _edit_ranks(folder, depth):
    """Improve one user's rank, and adapt what states it as far as ``depth`` says."""
    (path,) = folder.glob("ranks-*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["optimistic"][2] = arrays["pessimistic"][2] = 1
    np.savez_compressed(path, **arrays)
    record = json.loads((folder / "record.json").read_text())
    if depth >= 1:
        record["ranks_sha256"] = arrays_digest(arrays)
        path.rename(folder / f"ranks-{record['ranks_sha256'][:12]}.npz")
    (folder / "record.json").write_text(json.dumps(record))
    if depth >= 2:
        right = made_record(optimistic=arrays["optimistic"].tolist())[0]
        _reseal(folder, metrics=right.metrics, tie_rate=right.tie_rate)


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(0, "ranks do not have the sha256"), (1, "the ranks give"), (2, "the records give")],
)
def test_an_edited_rank_is_found_however_far_it_is_covered_up(root, depth, expected):
    _edit_ranks(root / "records/tiny/toy-seed1", depth)
    assert any(expected in fault for fault in check_board(root, "tiny"))


def _flip(folder):
    (path,) = folder.glob("ranks-*.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))


DAMAGE = {
    "ranks file missing": lambda folder: next(folder.glob("*.npz")).unlink(),
    "ranks file damaged": _flip,
    "ranks file no archive": lambda folder: next(folder.glob("*.npz")).write_bytes(b"x"),
    "two ranks files": lambda folder: (folder / "ranks-0.npz").write_bytes(b""),
    "record missing": lambda folder: (folder / "record.json").unlink(),
    "record cut off": lambda folder: (folder / "record.json").write_text('{"status": "ok"'),
    "record not UTF-8": lambda folder: (folder / "record.json").write_bytes(b"\xff"),
    "record a list": lambda folder: (folder / "record.json").write_text("[]"),
    "record empty": lambda folder: (folder / "record.json").write_text('{"status": "ok"}'),
    "record edited": lambda folder: (folder / "record.json").write_text(
        (folder / "record.json").read_text().replace("c0ffee", "decade")
    ),
    "a file too many": lambda folder: (folder / "notes.txt").write_text("x"),
    "a fit log of its own": lambda folder: (folder / "fit.jsonl").write_text("{}\n"),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_one_line_that_names_the_record(root, name):
    folder = root / "records" / "tiny" / "toy-seed1"
    DAMAGE[name](folder)
    (fault,) = check_board(root, "tiny")
    assert fault.startswith(str(folder))
    assert "\n" not in fault


def test_two_faults_are_both_told(root):
    for name in ("popularity-seed0", "toy-seed1"):
        next((root / "records" / "tiny" / name).glob("*.npz")).unlink()
    (root / "tiny.csv").unlink()
    assert len(check_board(root, "tiny")) == 3


COVERED_UP = {
    "tie rate": ({"tie_rate": 0.5}, "the tie rate is stated as 0.5, the ranks give 0.0"),
    "metric": ({"metrics": {"MRR": {"optimistic": 0.5, "pessimistic": 0.5, "expected": 0.5}}},
               "MRR expected is stated as"),
    "seed": ({"seed": 7}, "do not give the run id"),
    "row": ({"row_id": "0" * 64, "run_id": json_digest({"row": "0" * 64, "seed": 1})},
            "'toy' mixes seeds of different code"),
    "fit log": ({"fit_log_sha256": "0" * 64}, "the fit log is missing"),
    "origin": ({"origin": None}, "does not say which settings"),
    "status": ({"status": "failed"}, "status is 'failed'"),
    "data set": ({"dataset": {"name": "other"}}, "is of 'other', not of 'tiny'"),
    "split": ({"dataset": {"split_hash": "0" * 64}}, "records of different split_hash"),
    "catalogue": ({"dataset": {"n_items": 99}}, "records of different n_items"),
    "users": ({"dataset": {"n_users": 4}}, "do not cover 4 users"),
    "protocol": ({"protocol": {"history_masked": True}}, "records of different protocols"),
    "cost": ({"cost": {"fit_s": 99.0}}, "fit_s: states 1.25, the records give 50.125"),
    "title": ({"method": {"title": "x"}, "seed": 1}, None),
    "dirty": ({"code": {"dirty": True}}, "note: states"),
    "commit": ({"code": {"commit": None}}, "note: states"),
    "label": ({"method": {"label": "other"}}, "the records give ["),
}  # fmt: skip


@pytest.mark.parametrize("name", COVERED_UP)
def test_an_edit_that_is_covered_up_by_a_new_digest_is_found(root, name):
    changes, expected = COVERED_UP[name]
    _reseal(root / "records" / "tiny" / "toy-seed1", **changes)
    faults = check_board(root, "tiny")
    if expected is None:  # facts of a row are those of its first seed
        assert faults == []
    else:
        assert any(expected in fault for fault in faults), faults


NONSENSE = {"cost": {"fit_s": "long"}, "report": 3, "method": {"inputs": 3}, "cost ": {"fit_s": []}}


@pytest.mark.parametrize("part", NONSENSE)
def test_nonsense_in_a_sealed_record_is_one_line(root, part):
    _reseal(root / "records" / "tiny" / "toy-seed0", **{part.strip(): NONSENSE[part]})
    faults = check_board(root, "tiny")
    assert faults
    assert all(fault.startswith(str(root)) and "\n" not in fault for fault in faults)


def test_a_seed_twice_is_a_fault(root):
    shutil.copytree(root / "records/tiny/toy-seed1", root / "records/tiny/toy-seed2")
    assert any("row 'toy' has a seed twice" in fault for fault in check_board(root, "tiny"))


def test_other_users_are_a_fault(tmp_path, quick_disk):
    made = [made_record("popularity"), made_record("lir"), made_record("toy")]
    publish(tmp_path, made)
    record, arrays = made[2]
    arrays["user"] = arrays["user"] + 1
    folder = tmp_path / "records" / "tiny" / "toy-seed0"
    shutil.rmtree(folder)
    write_record(folder, dataclasses.replace(record, ranks_sha256=arrays_digest(arrays)), arrays)
    _reseal(folder, origin="x")
    assert any("records of different users" in fault for fault in check_board(tmp_path, "tiny"))


@pytest.mark.parametrize("gate", ["lir", "popularity"])
def test_a_board_without_a_baseline_is_a_fault(root, gate):
    shutil.rmtree(root / "records" / "tiny" / f"{gate}-seed0")
    write_pages(root, "tiny")
    (fault,) = check_board(root, "tiny")
    assert f"the baseline {gate} is missing" in fault


def test_what_lies_beside_the_records(root):
    (root / "records" / "tiny" / "split.json").write_text("{}")
    assert check_board(root, "tiny") == []
    (root / "records" / "tiny" / "notes.txt").write_text("x")
    assert "no part of the records" in check_board(root, "tiny")[0]


def test_a_folder_that_was_renamed_is_found(root):
    (root / "records/tiny/toy-seed1").rename(root / "records/tiny/toy-seed-1")
    faults = check_board(root, "tiny")
    assert any("'toy', records, 1, folder" in fault for fault in faults), faults
