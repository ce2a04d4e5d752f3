"""The checker against the writer: they agree on any ranks, and the sums are right by hand."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.check import _digest, _means, boards_in, check_board, check_record
from harness.metrics import summary, tie_rate
from harness.portable import portable
from harness.publish import check, write_page
from harness.records import ranks_digest, write_record
from tests.boards import made_record

rank_pairs = st.lists(
    st.one_of(
        st.just((0, 0)),
        st.tuples(st.integers(1, 100), st.integers(0, 40)).map(
            lambda pair: (pair[0], min(100, sum(pair)))
        ),
    ),
    min_size=1, max_size=12,
)  # fmt: skip


@given(rank_pairs)
def test_checker_and_writer_agree_on_any_ranks(pairs):
    low, high = (list(side) for side in zip(*pairs, strict=True))
    means = _means(low, high)
    for metric, bounds in summary(np.array(low), np.array(high)).items():
        for bound in ("optimistic", "pessimistic", "expected"):
            assert math.isclose(means[metric, bound], bounds[bound], rel_tol=0, abs_tol=1e-13)
    assert means["tied", ""] == tie_rate(np.array(low), np.array(high))


def test_sums_by_hand():
    means = _means([1, 3, 0], [2, 11, 0])
    assert means["NDCG@10", "optimistic"] == pytest.approx((1 + 1 / 2) / 3)
    assert means["NDCG@10", "pessimistic"] == pytest.approx(1 / math.log2(3) / 3)
    assert means["Recall@1", "optimistic"] == pytest.approx(1 / 3)
    assert means["Recall@10", "pessimistic"] == pytest.approx(1 / 3)
    assert means["MRR", "pessimistic"] == pytest.approx((1 / 2 + 1 / 11) / 3)
    assert means["tied", ""] == pytest.approx(2 / 3)
    assert means["Recall@1", "expected"] == pytest.approx(1 / 2 / 3)
    assert means["Recall@10", "expected"] == pytest.approx((1 + 8 / 9) / 3)
    ninths = sum(1 / rank for rank in range(3, 12)) / 9
    assert means["MRR", "expected"] == pytest.approx((3 / 4 + ninths) / 3)


@given(st.lists(st.integers(-5, 5), max_size=6), st.sampled_from(["i4", "i8", "f4"]))
def test_digests_of_checker_and_writer_agree(values, kind):
    arrays = {"user": np.array(values, kind), "top": np.array([values, values], kind)}
    assert _digest(arrays) == ranks_digest(arrays)


rows_of_boards = st.dictionaries(
    st.sampled_from(["popularity", "lir", "random", "toy", "toy (layers=3)", "sasrec:big"]),
    st.lists(st.integers(0, 3).flatmap(lambda _: st.integers(0, 10**6)), min_size=1, max_size=3),
    min_size=1,
)  # fmt: skip


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows_of_boards)
def test_any_board_that_is_written_passes_its_check(tmp_path_factory, quick_disk, rows):
    root = tmp_path_factory.mktemp("boards")
    judged = {"popularity", "lir"} <= set(rows)
    for label, seeds in rows.items():
        for seed in set(seeds):
            generator = np.random.default_rng(seed)
            low = generator.integers(0, 30, 9)
            high = np.where(low == 0, 0, low + generator.integers(0, 2, 9))
            cost = {"fit_s": float(generator.random()), "parameters": seed if seed % 3 else None}
            record, arrays = made_record(label, seed, low.tolist(), high.tolist(), cost=cost)
            folder = label.replace(" ", "-").replace(":", "-")
            target = root / "records" / "tiny" / f"{folder}-{seed}"
            write_record(target, portable(target, record)[0], arrays)
    write_page(root, "tiny")
    faults = check(root, "tiny")
    assert faults == [] if judged else all("so no row can be judged" in fault for fault in faults)
    assert judged or faults
    assert boards_in(root) == ["tiny"]


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


def test_the_checker_shares_no_code_with_the_writer():
    from harness import check as module

    source = Path(module.__file__).read_text(encoding="utf-8")
    assert "from harness" not in source
    assert "import harness" not in source


def test_two_faults_are_both_told(tmp_path):
    for name in ("a", "b"):
        record, arrays = made_record(name)
        folder = tmp_path / "records" / "tiny" / name
        write_record(folder, portable(folder, record)[0], arrays)
        next((tmp_path / "records" / "tiny" / name).glob("*.npz")).unlink()
    faults = check_board(tmp_path / "tiny.md", tmp_path / "records" / "tiny")
    assert len(faults) == 3  # and the page is missing
