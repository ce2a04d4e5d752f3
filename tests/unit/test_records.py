"""Records: whole or absent, digests of ranks, and every damage noticed."""

from __future__ import annotations

import dataclasses
import json
import math
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError
from harness.metrics import BOUNDS
from harness.ranking import TargetRanks
from harness.records import (
    RECORD_FILE,
    check_stated,
    rank_arrays,
    ranks_digest,
    read_ranks,
    read_record,
    verified_ranks,
    write_record,
)
from tests.boards import made_record


def _arrays(shift=0):
    ranks = np.arange(1, 6, dtype=np.int32) + shift
    top = np.zeros((5, 10), np.int32)
    return rank_arrays(np.arange(5), TargetRanks(ranks, ranks + 1, top))


def _written(folder, shift=0, **changes):
    record, arrays = made_record(optimistic=_arrays(shift)["optimistic"].tolist(),
                                 pessimistic=_arrays(shift)["pessimistic"].tolist())  # fmt: skip
    record = dataclasses.replace(record, **changes)
    write_record(folder, record, arrays)
    return record


def test_a_record_is_read_back_as_written(tmp_path):
    record = _written(tmp_path)
    assert read_record(tmp_path / RECORD_FILE) == record
    arrays = verified_ranks(tmp_path, record)
    assert arrays["optimistic"].tolist() == [1, 2, 3, 4, 5]
    assert {array.dtype for array in arrays.values()} == {np.dtype(np.int32)}


def test_writing_again_drops_the_former_ranks(tmp_path):
    old = _written(tmp_path)
    new = _written(tmp_path, shift=3)
    assert old.ranks_file != new.ranks_file
    assert [path.name for path in tmp_path.glob("ranks-*")] == [new.ranks_file]
    write_record(tmp_path, dataclasses.replace(new, status="failed"), None)
    assert not list(tmp_path.glob("ranks-*"))


@pytest.mark.parametrize("call", [1, 2])
@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_stopped_anywhere_the_former_record_stands_with_its_ranks(
    tmp_path, monkeypatch, call, error
):
    old = _written(tmp_path)
    calls = iter(range(1, 9))
    real = os.fsync

    def stops(descriptor):
        if next(calls) == call * 2 - 1:  # each file is synced, then its folder
            raise error
        real(descriptor)

    monkeypatch.setattr("harness.files.os.fsync", stops)
    with pytest.raises(error):
        _written(tmp_path, shift=3)
    monkeypatch.undo()
    assert read_record(tmp_path / RECORD_FILE) == old
    verified_ranks(tmp_path, old)
    assert not list(tmp_path.glob(".*.tmp"))


def test_missing_files(tmp_path):
    with pytest.raises(DataError, match="no such record"):
        read_record(tmp_path / RECORD_FILE)
    with pytest.raises(DataError, match="ranks are missing"):
        read_ranks(tmp_path / "ranks-1.npz")
    (tmp_path / RECORD_FILE).mkdir()
    with pytest.raises(DataError, match="cannot be read"):
        read_record(tmp_path / RECORD_FILE)


@pytest.mark.parametrize(
    "change",
    [{"format": 2}, {"unknown": 1}, {"method": None}, {"method": {"label": "x"}}, {"dataset": []},
     {"metrics": {"MRR": {}}}, {"tie_rate": None}, {"status": "fine"}, {"code": {}}, {"cost": 3},
     {"metrics": {"NDCG@10": 1}}, {"cost": {"fit_s": "1"}}, {"cost": {"parameters": [1]}},
     {"cost": {"fit_s": True}}, {"report": {"note": 3}}, {"report": {"note": "a | b"}},
     {"report": {"note": "a\nb"}}, {"tie_rate": math.nan}, {"tie_rate": "0.5"},
     {"metrics": made_record()[0].metrics | {"MRR": dict.fromkeys(BOUNDS, math.nan)}},
     {"metrics": made_record()[0].metrics | {"MRR": dict.fromkeys(BOUNDS, math.inf)}}],
    ids=str,
)  # fmt: skip
def test_a_record_with_a_wrong_part_is_refused(tmp_path, change):
    _written(tmp_path)
    path = tmp_path / RECORD_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match="run again"):
        read_record(path)


@pytest.mark.parametrize("part", ["run_id", "row_id", "method", "seed", "finished_at"])
def test_a_record_without_a_part_is_refused(tmp_path, part):
    _written(tmp_path)
    path = tmp_path / RECORD_FILE
    value = json.loads(path.read_text())
    del value[part]
    path.write_text(json.dumps(value))
    with pytest.raises(DataError, match=part):
        read_record(path)


def test_every_single_flipped_byte_of_the_ranks_is_noticed_or_harmless(tmp_path):
    record = _written(tmp_path)
    whole = read_ranks(tmp_path / record.ranks_file)
    path = tmp_path / record.ranks_file
    content = path.read_bytes()
    noticed = 0
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 0xFF
        path.write_bytes(bytes(damaged))
        try:
            arrays = verified_ranks(tmp_path, record)
        except DataError:
            noticed += 1
            continue
        assert all(np.array_equal(arrays[name], whole[name]) for name in whole)
    assert noticed > len(content) / 6


@given(st.lists(st.integers(0, 9), min_size=1, max_size=5), st.integers(0, 3))
def test_the_digest_sees_names_types_shapes_and_values(values, kind):
    array = np.array(values, dtype=np.int32)
    first = ranks_digest({"a": array, "b": array})
    assert first == ranks_digest({"b": array.copy(), "a": array})
    other = [
        {"a": array, "c": array},
        {"a": array, "b": array.astype(np.int64)},
        {"a": array, "b": array[None]},
        {"a": array, "b": array + 1},
    ][kind]
    assert ranks_digest(other) != first


def test_ranks_of_another_record_are_refused(tmp_path):
    record = _written(tmp_path)
    np.savez_compressed(tmp_path / record.ranks_file, **_arrays(shift=1))
    with pytest.raises(DataError, match="changed after the run"):
        verified_ranks(tmp_path, record)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"optimistic": np.arange(1.0, 6.0)}, "optimistic is float64 with 1 dimensions"),
        ({"optimistic": np.ones((5, 1), np.int32)}, "optimistic is int32 with 2 dimensions"),
        ({"optimistic": np.array(1, np.int32)}, "optimistic is int32 with 0 dimensions"),
        ({"pessimistic": np.arange(2, 6)}, "pessimistic is of 4 users, the index of 5"),
        ({"pessimistic": np.array([2, 3, 4, 5, 101])}, "user 4 are 5 and 101, not within 1 to 100"),
        ({"pessimistic": np.array([2, 0, 4, 5, 6])}, "user 1 are 2 and 0"),
        ({"optimistic": np.array([-1, 2, 3, 4, 5])}, "user 0 are -1 and 2"),
        ({"user": np.array([0, 1, 1, 2, 3])}, "a user is there twice"),
        ({"top": np.full((5, 10), 100)}, "an item ranked first is not within 0 to 99"),
        ({"more": np.arange(5)}, "the arrays are more, optimistic"),
    ],
)
def test_sealed_arrays_that_are_no_ranks_are_refused(tmp_path, change, told):
    arrays = _arrays() | change
    record = dataclasses.replace(made_record()[0], ranks_sha256=ranks_digest(arrays))
    write_record(tmp_path, record, arrays)
    with pytest.raises(DataError, match=told):
        verified_ranks(tmp_path, record)


def test_a_target_that_was_not_recommended_is_a_rank(tmp_path):
    record, arrays = made_record(optimistic=[0, 100], pessimistic=[0, 100])
    write_record(tmp_path, record, arrays)
    assert verified_ranks(tmp_path, record)["optimistic"].tolist() == [0, 100]


def test_what_is_stated_is_compared_with_the_ranks(tmp_path):
    record = _written(tmp_path)
    check_stated(tmp_path, record)
    mrr = {bound: value + 2e-12 for bound, value in record.metrics["MRR"].items()}
    for changes, told in (
        ({"metrics": {**record.metrics, "MRR": mrr}}, "the MRR optimistic is stated as"),
        ({"tie_rate": 0.0}, "the tie rate is stated as 0.0, the ranks give 1.0"),
        ({"dataset": {**record.dataset, "n_users": 6}}, "stated as 6, the ranks are of 5"),
    ):
        with pytest.raises(DataError, match=told):
            check_stated(tmp_path, dataclasses.replace(record, **changes))


def test_infinite_costs_are_refused_as_strict_json_has_none(tmp_path):
    _written(tmp_path)
    path = tmp_path / RECORD_FILE
    path.write_text(path.read_text().replace('"fit_s": 1.25', '"fit_s": Infinity'))
    with pytest.raises(DataError, match="cost fit_s"):
        read_record(path)


def test_pickled_objects_are_never_read(tmp_path):
    np.savez(tmp_path / "ranks-0.npz", x=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="allow_pickle=False"):
        read_ranks(tmp_path / "ranks-0.npz")


def test_nan_never_enters_a_record(tmp_path):
    record, arrays = made_record()
    with pytest.raises(ValueError, match="JSON"):
        write_record(tmp_path, dataclasses.replace(record, tie_rate=float("nan")), arrays)
    assert not (tmp_path / RECORD_FILE).exists()
