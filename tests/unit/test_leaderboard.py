"""The board: order, marks, best values, what stands beside a row; by hand on small records."""

from __future__ import annotations

import dataclasses

import pytest

from harness.errors import DataError
from harness.leaderboard import NOT_LEARNT, board, markdown, newest, terminal
from tests.boards import made_record


def _board(*records):
    return board("tiny", [record for record, _ in records])


def _rows(text):
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_a_board_by_hand():
    text = markdown(
        _board(
            made_record("popularity", optimistic=[1, 30, 50]),
            made_record("lir", optimistic=[1, 1, 12], pessimistic=[40, 50, 60]),
            made_record("toy", optimistic=[1, 2, 4], cost={"parameters": 1234567}),
            made_record("weak", optimistic=[11, 12, 13]),
        )
    )
    rows = _rows(text)
    assert [row[0] for row in rows] == [
        "toy", "popularity", "lir", f"weak {NOT_LEARNT}",
    ]  # fmt: skip
    # (1 + 1 / log2 3 + 1 / log2 5) / 3 = 0.6872
    assert rows[0][3:7] == [
        "**0.6872**/<u>0.6872</u>", "0.3333/<u>0.3333</u>", "**1.0000**/<u>1.0000</u>",
        "0.5833/<u>0.5833</u>",
    ]  # fmt: skip
    assert rows[1][4] == "0.3333/<u>0.3333</u>"  # equal best values are all marked
    assert rows[2][3:8] == [
        "0.6667/0.0000", "**0.6667**/0.0000", "0.6667/0.0000", "**0.6944**/0.0206", "100.0 %",
    ]  # fmt: skip
    assert rows[0][7:] == ["0.0 %", "1.2", "0.5", "1,234,567"]
    assert "3 users, 100 items, 1,234 events" in text
    assert f"{NOT_LEARNT} not above both popularity and lir" in text


def test_a_best_value_of_zero_is_not_praised():
    rows = _rows(markdown(_board(made_record("toy", optimistic=[50, 60]))))
    assert rows[0][3:6] == ["0.0000/0.0000"] * 3


def test_equal_to_a_baseline_is_not_above_it():
    same = [1, 30, 50]
    shown = _board(
        made_record("popularity", optimistic=same), made_record("toy", optimistic=same),
        made_record("lir", optimistic=[90, 90, 90]),
    )  # fmt: skip
    assert [shown.not_shown_to_learn(row) for row in shown.rows] == [False, True, False]


def test_without_a_baseline_nobody_is_judged_and_the_board_says_so():
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
        assert reason in terminal(shown)
        assert f"- {reason}\n" in markdown(shown)
    assert "not judged" not in markdown(_board(made_record("popularity"), made_record("lir"), weak))


@pytest.mark.parametrize("code", [{"dirty": True}, {"dirty": None}, {"commit": None}], ids=str)
def test_a_row_made_with_uncommitted_code_says_so(code):
    record, _ = made_record("toy", seed=1)
    dirty = dataclasses.replace(record, code={**record.code, **code})
    text = markdown(board("tiny", [made_record("toy")[0], dirty]))
    assert "- `toy`: Toy. made up. Made with uncommitted code." in text
    assert "uncommitted" not in markdown(_board(made_record("toy")))


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


def test_seeds_are_one_row_of_means():
    shown = _board(
        made_record("toy", seed=0, optimistic=[1, 1], cost={"fit_s": 1.0}),
        made_record("toy", seed=10, optimistic=[2, 2], pessimistic=[2, 3], cost={"fit_s": 2.0}),
        made_record("toy", seed=2, optimistic=[4, 4], cost={"fit_s": 6.0}),
    )
    (row,) = _rows(markdown(shown))
    assert row[2] == "0,2,10"
    assert row[6].startswith(f"**{(1 + 0.5 + 0.25) / 3:.4f}**")
    assert row[7] == "16.7 %"  # one of two users tied, in one of three seeds
    assert row[8] == "3.0"


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_failed_row_says_so_in_every_metric_with_the_reason_below(status):
    shown = _board(made_record("toy", status=status), made_record("lir"))
    text = markdown(shown)
    row = _rows(text)[1]
    assert row[3:7] == [status] * 4
    assert row[7:] == [""] * 4
    assert f"- toy: {status} (seed 0): no luck" in text
    assert f"toy: {status} (seed 0): no luck" in terminal(shown)
    assert "0.0000" not in " ".join(row)


def test_one_failed_seed_makes_the_row_failed():
    shown = _board(made_record("toy", seed=0), made_record("toy", seed=1, status="failed"))
    assert shown.rows[0].failure == "failed (seed 1): no luck"
    assert shown.best("MRR", "optimistic") is None


def test_unmeasured_costs_stay_empty():
    (row,) = _rows(markdown(_board(made_record("toy", cost={"parameters": None}))))
    assert row[-1] == ""


def test_notes_hold_settings_that_are_not_default_and_the_methods_own():
    text = markdown(
        _board(made_record("toy", settings={"alpha": 0.2}, report={"note": "half trained."}))
    )
    assert "- `toy`: Toy. made up. half trained. Settings: alpha=0.2 (--set)." in text


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
    with pytest.raises(DataError, match="differ in n_items"):
        _board(made_record("a"), made_record("b", n_items=7))
    record, arrays = made_record("b")
    record.protocol["history_masked"] = True
    with pytest.raises(DataError, match="different protocols"):
        _board(made_record("a"), (record, arrays))


def test_records_of_other_data_sets_are_left_to_their_boards():
    assert board("other", [made_record()[0]]).rows == ()


def test_an_empty_board_has_a_title_only():
    assert markdown(board("tiny", [])) == "# Empty board\n"
    assert "Empty board" in terminal(board("tiny", []))
