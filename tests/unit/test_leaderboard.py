"""Arranging records: rows, order, seeds that belong together, the gate; on small records."""

from __future__ import annotations

import pytest

from harness.errors import DataError
from harness.leaderboard import board, newest
from tests.boards import made_record


def _board(*records):
    return board("tiny", [record for record, _ in records])


def test_equal_to_a_baseline_is_not_above_it():
    same = [1, 30, 50]
    shown = _board(
        made_record("popularity", optimistic=same), made_record("toy", optimistic=same),
        made_record("lir", optimistic=[90, 90, 90]),
    )  # fmt: skip
    assert [shown.not_shown_to_learn(row) for row in shown.rows] == [False, True, False]


def test_without_a_baseline_nobody_is_judged_and_the_board_says_why():
    weak = made_record("toy", optimistic=[90, 90, 90])
    absent = _board(made_record("popularity"), weak)
    failed = _board(made_record("popularity"), made_record("lir", status="failed"), weak)
    neither = _board(weak)
    for shown, reason in (
        (absent, "not judged: lir is missing"),
        (failed, "not judged: lir has failed"),
        (neither, "not judged: popularity is missing, lir is missing"),
    ):
        assert not any(shown.not_shown_to_learn(row) for row in shown.rows)
        assert shown.not_judged == reason
    assert _board(made_record("popularity"), made_record("lir"), weak).not_judged is None


def test_both_baselines_must_be_beaten():
    shown = _board(
        made_record("popularity", optimistic=[9, 9]), made_record("lir", optimistic=[1, 1]),
        made_record("toy", optimistic=[2, 2]),
    )  # fmt: skip
    assert {row.label: shown.not_shown_to_learn(row) for row in shown.rows}["toy"]


def test_the_pessimistic_value_decides_the_order_and_names_break_ties():
    shown = _board(
        made_record("b", optimistic=[1, 1], pessimistic=[9, 9]),
        made_record("c", optimistic=[2, 2]), made_record("a", optimistic=[2, 2]),
        made_record("0", status="failed", optimistic=[1, 1]),
    )  # fmt: skip
    assert [row.label for row in shown.rows] == ["a", "c", "b", "0"]


def test_one_failed_seed_makes_the_row_failed():
    shown = _board(made_record("toy", seed=0), made_record("toy", seed=1, status="failed"))
    assert shown.rows[0].failure == "failed (seed 1): no luck"


def test_a_seed_of_another_row_id_does_not_share_the_row_though_nothing_shown_differs():
    shown = _board(
        made_record(seed=0, finished_at="2026-01-01", row="two threads"),
        made_record(seed=1, finished_at="2026-01-02", row="four threads"),
        made_record(seed=2, finished_at="2026-01-03", row="two threads"),
    )
    assert [record.seed for record in shown.rows[0].records] == [0, 2]


def test_newest_keeps_the_last_of_every_row_and_seed():
    old, new = (made_record(finished_at=f"2026-01-0{day}")[0] for day in (1, 2))
    other_seed, other_row = made_record(seed=1)[0], made_record("lir")[0]
    kept = newest([new, other_seed, old, other_row])
    assert set(map(id, kept)) == {id(new), id(other_seed), id(other_row)}


@pytest.mark.parametrize(
    "changes",
    [{"source": "other"}, {"settings": {"alpha": 1}}, {"cost": {"device": "cuda"}}],
    ids=str,
)
def test_seeds_of_other_code_settings_or_device_do_not_share_a_row(changes):
    shown = _board(
        made_record(seed=0, finished_at="2026-01-01"),
        made_record(seed=1, finished_at="2026-01-03", **changes),
        made_record(seed=2, finished_at="2026-01-02"),
    )
    assert [record.seed for record in shown.rows[0].records] == [1]


def test_records_of_different_splits_or_rules_never_share_a_board():
    with pytest.raises(DataError, match="differ in split_hash"):
        _board(made_record("a"), made_record("b", split_hash="6" * 64))
    with pytest.raises(
        DataError, match=r"differ in n_items: 100, 7 \(of 'a' with seed 0, and of 'b' with"
    ):
        _board(made_record("a"), made_record("b", n_items=7))
    record, arrays = made_record("b")
    record.protocol["history_masked"] = True
    with pytest.raises(DataError, match="different protocols: history_masked: False, True"):
        _board(made_record("a"), (record, arrays))


def test_records_of_other_data_sets_are_left_to_their_boards():
    assert board("other", [made_record()[0]]).rows == ()
