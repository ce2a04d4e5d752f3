"""What a board says, computed from ranks; by hand on small records."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import stats

from harness.board.computing import board_table
from harness.board.definition import Definition, RowChoice, default_definition
from harness.board.table import Family
from harness.errors import DataError
from harness.metrics import Metric
from harness.protocol import GATE
from tests.boards import made_record, stored

TINY = default_definition("tiny")


@pytest.fixture
def table(tmp_path):
    def make(*records, definition=TINY, damaged="refused"):
        return board_table(definition, stored(tmp_path / "records", records), damaged)

    return make


def _rows(found):
    return {row.label: row for row in found.sections[0].rows}


def _random_ranks(seed, n=60, scale=40):
    return np.random.default_rng(seed).integers(1, scale, n).tolist()


def test_values_by_hand(table):
    rows = _rows(
        table(
            made_record("popularity", optimistic=[1, 30, 50]),
            made_record("lir", optimistic=[1, 1, 12], pessimistic=[40, 50, 60]),
            made_record("toy", optimistic=[1, 2, 4], cost={"parameters": 1234567}),
            made_record("weak", optimistic=[11, 12, 13]),
        )
    )
    assert list(rows) == ["toy", "popularity", "lir", "weak"]
    toy = rows["toy"].values["NDCG@10"]
    # (1 + 1 / log2 3 + 1 / log2 5) / 3
    assert toy.optimistic == toy.pessimistic == pytest.approx(0.687202, abs=1e-6)
    assert toy.best == ("optimistic", "pessimistic")
    values = np.array([1, 1 / math.log2(3), 1 / math.log2(5)])
    half = stats.t.ppf(0.975, 2) * values.std(ddof=1) / math.sqrt(3)
    assert (toy.low, toy.high) == pytest.approx((values.mean() - half, values.mean() + half))
    lir = rows["lir"].values
    assert lir["Recall@1"].best == ("optimistic",)  # equal best values are all marked
    assert rows["popularity"].values["Recall@1"].best == ("pessimistic",)
    assert rows["lir"].tie_rate == 1.0
    assert rows["toy"].cost["parameters"] == 1234567
    assert rows["toy"].recall["pessimistic"][:4] == pytest.approx((1 / 3, 2 / 3, 2 / 3, 1.0))
    assert {label: row.not_learnt for label, row in rows.items()} == {
        "toy": False, "popularity": None, "lir": None, "weak": True,
    }  # fmt: skip


def test_ties_that_move_a_metric_further_than_its_interval_are_marked(table):
    users = 200
    wide = made_record("wide", optimistic=[1, 3] * 100, pessimistic=[20, 30] * 100)
    narrow = made_record("narrow", optimistic=[1, 3] * 100, pessimistic=[1, 3] * 99 + [2, 3])
    rows = _rows(table(wide, narrow))
    assert (rows["wide"].gap_exceeds, rows["narrow"].gap_exceeds) == (True, False)
    assert rows["narrow"].tie_rate == 1 / users


def test_ties_of_a_constant_scorer_are_marked_though_it_has_no_interval(table):
    rows = _rows(
        table(
            made_record("constant", optimistic=[1] * 9, pessimistic=[100] * 9),
            made_record("untied", optimistic=[100] * 9),
        )
    )
    assert (rows["constant"].gap_exceeds, rows["untied"].gap_exceeds) == (True, False)
    assert rows["constant"].values["NDCG@10"].high is None


def test_a_best_value_of_zero_is_not_praised(table):
    values = _rows(table(made_record("toy", optimistic=[50, 60])))["toy"].values
    assert values["NDCG@10"].best == ()
    assert values["NDCG@10"].reason == "all 2 users have the value 0, so there is no variance"
    assert (values["NDCG@10"].low, values["NDCG@10"].high) == (None, None)


def test_every_row_is_tested_against_the_best_with_holms_correction(table):
    ranks = {label: _random_ranks(number, scale=10 * number + 5) for number, label in
             enumerate(["a", "b", "c", "d"])}  # fmt: skip
    found = table(*(made_record(label, optimistic=part) for label, part in ranks.items()))
    rows = _rows(found)
    metric = Metric("MRR")
    values = {label: metric.values(np.array(part)) for label, part in ranks.items()}
    best = max(values, key=lambda label: values[label].mean())
    p = {
        label: stats.ttest_rel(value, values[best]).pvalue
        for label, value in values.items()
        if label != best
    }
    assert "MRR" not in rows[best].comparisons
    order = sorted(p, key=p.get)
    holm, largest = {}, 0.0
    for place, label in enumerate(order):
        largest = max(largest, min(1.0, p[label] * (len(order) - place)))
        holm[label] = largest
    for label in order:
        test = rows[label].comparisons["MRR"]
        assert test.against == best
        assert test.p_value == pytest.approx(p[label])
        assert test.adjusted == pytest.approx(holm[label])
        difference = values[label] - values[best]
        assert test.difference == pytest.approx(difference.mean())
        assert test.effect_size == pytest.approx(difference.mean() / difference.std(ddof=1))


def test_a_family_against_a_named_row_with_another_correction(table):
    definition = dataclasses.replace(TINY, family=Family("b", "bonferroni", "optimistic"))
    made = [made_record(label, optimistic=_random_ranks(number)) for number, label in
            enumerate(["a", "b", "c"])]  # fmt: skip
    rows = _rows(table(*made, definition=definition))
    assert rows["b"].comparisons == {}
    for label in ("a", "c"):
        test = rows[label].comparisons["NDCG@10"]
        assert test.against == "b"
        assert test.adjusted == pytest.approx(min(1.0, 2 * test.p_value))


def test_a_family_against_a_row_without_numbers_says_so(table):
    definition = dataclasses.replace(TINY, family=Family("gone"))
    rows = _rows(table(made_record("a"), made_record("b"), definition=definition))
    test = rows["a"].comparisons["MRR"]
    assert (test.p_value, test.reason) == (None, "gone has no numbers here")


def test_letters_say_which_rows_cannot_be_told_apart(table):
    good, bad = [1] * 150 + [2] * 50, [40] * 150 + [30] * 50
    nearly = [1] * 149 + [2] * 51
    rows = _rows(
        table(
            made_record("good", optimistic=good), made_record("nearly", optimistic=nearly),
            made_record("bad", optimistic=bad),
        )
    )  # fmt: skip
    letters = {label: row.values["NDCG@10"].group for label, row in rows.items()}
    assert letters == {"good": "a", "nearly": "a", "bad": "b"}


def test_a_row_between_two_shares_a_letter_with_each(table):
    generator = np.random.default_rng(3)
    hits = {"a": 76, "b": 56, "c": 40}  # of 200 users each, at random
    ranks = {
        label: generator.permutation([1] * n + [50] * (200 - n)).tolist()
        for label, n in hits.items()
    }
    found = table(*(made_record(label, optimistic=part) for label, part in ranks.items()))
    letters = {label: row.values["Recall@10"].group for label, row in _rows(found).items()}
    assert letters == {"a": "a", "b": "ab", "c": "b"}


def test_several_seeds_both_variances_are_in_interval_and_test(table):
    shift = {0: 0, 1: 12, 2: 25}
    first = [
        made_record("a", seed=seed, optimistic=(np.array(_random_ranks(1)) + more).tolist())
        for seed, more in shift.items()
    ]
    second = [made_record("b", seed=seed, optimistic=_random_ranks(2)) for seed in shift]
    rows = _rows(table(*first, *second))
    test = rows["a"].comparisons.get("MRR") or rows["b"].comparisons["MRR"]
    assert test.seeds == (0, 1, 2)
    metric = Metric("MRR")
    a = np.stack([metric.values(np.array(_random_ranks(1)) + more) for more in shift.values()])
    b = np.stack([metric.values(np.array(_random_ranks(2)))] * 3)
    over_users = stats.ttest_rel(a.mean(axis=0), b.mean(axis=0)).pvalue
    assert test.p_value > over_users  # seeds that differ so much make it less sure


def test_rows_without_a_common_seed_are_not_tested(table):
    rows = _rows(
        table(
            made_record("a", seed=0, optimistic=_random_ranks(1)),
            made_record("b", seed=1, optimistic=_random_ranks(2)),
        )
    )
    (test,) = [t for row in rows.values() for t in [row.comparisons.get("MRR")] if t]
    assert (test.p_value, test.adjusted, test.reason) == (None, None, "no seed in common")
    assert {row.values["MRR"].group for row in rows.values()} == {"a"}


def test_equal_rows_are_told_that_nothing_varies(table):
    rows = _rows(table(made_record("a"), made_record("b")))
    test = rows["b"].comparisons["MRR"]
    assert test.p_value is None
    assert test.reason == "all 3 users have the value 0, so there is no variance"
    assert test.difference == 0.0


def test_one_user_gives_no_interval_and_says_why(table):
    value = _rows(table(made_record("a", optimistic=[1])))["a"].values["MRR"]
    assert (value.low, value.reason) == (None, "one user only, nothing can vary")


def test_improvement_over_the_best_other(table):
    found = table(
        made_record("a", optimistic=[1, 1], pessimistic=[2, 2]),
        made_record("b", optimistic=[2, 4]),
        made_record("c", optimistic=[4, 4]),
    ).sections[0].improvements["MRR"]  # fmt: skip
    assert (found.of, found.over) == ("a", {"optimistic": "b", "pessimistic": "b"})
    assert found.percent == pytest.approx({"optimistic": 100 * 0.625 / 0.375,
                                           "pessimistic": 100 * 0.125 / 0.375})  # fmt: skip
    definition = dataclasses.replace(TINY, improvement_of="c")
    other = table(made_record("a", optimistic=[1, 1]), made_record("c", optimistic=[50, 50]),
                  definition=definition).sections[0].improvements  # fmt: skip
    assert other["NDCG@10"].percent == {"optimistic": -100.0, "pessimistic": -100.0}
    lonely = table(made_record("a"), definition=definition).sections[0]
    assert lonely.improvements == {}


def test_improvement_over_nothing_is_no_number(table):
    found = table(made_record("a", optimistic=[1, 1]), made_record("b", optimistic=[50, 50]))
    assert found.sections[0].improvements["NDCG@10"].percent["optimistic"] is None


def test_a_board_that_names_rows_and_seeds(table):
    definition = dataclasses.replace(
        TINY, rows=(RowChoice("toy", (0, 1)), RowChoice("lir", (5,)), RowChoice("popularity"))
    )
    rows = _rows(
        table(
            made_record("toy", seed=0), made_record("toy", seed=2), made_record("other"),
            made_record("lir", seed=0), definition=definition,
        )
    )  # fmt: skip
    assert {label: (row.status, row.seeds) for label, row in rows.items()} == {
        "toy": ("ok", (0,)), "lir": ("missing", ()), "popularity": ("missing", ()),
    }  # fmt: skip
    assert rows["toy"].reason == "seeds 1 are missing"
    assert rows["lir"].reason == "no record of it is there"


def test_a_board_that_names_what_does_not_exist(table):
    with pytest.raises(DataError, match=r"'sasrek'.*did you mean 'sasrec'"):
        table(made_record(), definition=dataclasses.replace(TINY, rows=(RowChoice("sasrek"),)))
    with pytest.raises(DataError, match=r"data set 'scientifik'.*did you mean 'scientific'"):
        table(made_record(), definition=default_definition("scientifik"))


def test_a_board_that_names_a_preset_that_its_method_has_not(table):
    rows = (RowChoice("calrec:nonsense (epochs=3)"),)
    with pytest.raises(DataError, match=r"calrec has no preset 'nonsense': its presets are \w+"):
        table(made_record(), definition=dataclasses.replace(TINY, rows=rows))


def test_a_data_set_without_records_shows_missing_rows(table):
    definition = Definition("two", "Two", ("tiny", "ml-100k"), (RowChoice("toy"), RowChoice("lir")))
    found = table(made_record(), definition=definition)
    empty = found.sections[1]
    assert [(row.label, row.status) for row in empty.rows] == [
        ("toy", "missing"),
        ("lir", "missing"),
    ]
    assert empty.not_judged == "not judged: popularity is missing, lir is missing"


def test_failed_rows_stand_last_with_their_reason_and_leave_the_tests_alone(table):
    found = table(
        made_record("a", optimistic=_random_ranks(1)),
        made_record("b", optimistic=_random_ranks(2)),
        made_record("0", status="failed", optimistic=[1] * 60),
        made_record("1", status="skipped", optimistic=[1] * 60),
    )  # fmt: skip
    rows = found.sections[0].rows
    assert [(row.label, row.status, row.reason) for row in rows[2:]] == [
        ("0", "failed", "(seed 0): no luck"), ("1", "skipped", "(seed 0): no luck"),
    ]  # fmt: skip
    (test,) = [row.comparisons["MRR"] for row in rows[:2] if row.comparisons]
    assert test.adjusted == test.p_value  # the only test of its family


def test_edited_ranks_are_refused_or_marked(tmp_path, table):
    found = stored(tmp_path / "edited", [made_record("a"), made_record("b")])
    path = found[0][0] / found[0][1].ranks_file
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["pessimistic"][0] += 1
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="the ranks were changed after the run"):
        board_table(TINY, found)
    rows = {row.label: row for row in board_table(TINY, found, "marked").sections[0].rows}
    assert (rows["a"].status, rows["b"].status) == ("failed", "ok")
    assert "the ranks were changed after the run" in rows["a"].reason


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"metrics": {**made_record()[0].metrics, "NDCG@10": {
            "optimistic": 0.9, "pessimistic": 0.9, "expected": 0.9}}}, "the NDCG@10 optimistic is"),
        ({"tie_rate": 0.0}, "the tie rate is stated as 0.0, the ranks give 1.0"),
    ],
)  # fmt: skip
def test_what_a_record_states_must_be_what_its_ranks_give(tmp_path, change, told):
    made = [made_record(label, optimistic=[50, 60], pessimistic=[70, 80]) for label in GATE]
    made.append(made_record("good", optimistic=[1, 2]))
    record, arrays = made_record("edited", optimistic=[50, 60], pessimistic=[70, 80])
    found = stored(tmp_path, [*made, (dataclasses.replace(record, **change), arrays)])
    with pytest.raises(DataError, match=told):
        board_table(TINY, found)
    rows = {row.label: row for row in board_table(TINY, found, "marked").sections[0].rows}
    assert next(iter(rows)) == "good"
    assert (rows["edited"].status, rows["good"].status) == ("failed", "ok")
    assert told in rows["edited"].reason


def test_a_gate_that_was_edited_judges_nobody(tmp_path):
    gate, arrays = made_record("lir")
    found = stored(tmp_path, [(dataclasses.replace(gate, tie_rate=0.5), arrays),
                              made_record("popularity"), made_record("toy")])  # fmt: skip
    (section,) = board_table(TINY, found, "marked").sections
    assert section.not_judged == "not judged: lir has failed"
    assert section.row("toy").not_learnt is None


def test_rows_of_different_users_never_share_a_board(tmp_path):
    record, arrays = made_record("b")
    arrays["user"] = arrays["user"] + 1
    from harness.records import ranks_digest

    moved = dataclasses.replace(record, ranks_sha256=ranks_digest(arrays))
    found = stored(tmp_path, [made_record("a"), (moved, arrays)])
    with pytest.raises(DataError, match="'a' and 'b' were measured on different users"):
        board_table(TINY, found)


def test_over_data_sets_the_units_are_data_sets(tmp_path):
    names = ("tiny", "other", "third")
    made, means = [], {"a": [], "b": []}
    for number, name in enumerate(names):
        for label in ("a", "b"):
            ranks = _random_ranks(10 * number + len(means[label]) + (label == "b"), scale=30)
            means[label].append(Metric("MRR").values(np.array(ranks)).mean())
            made.append(made_record(label, optimistic=ranks, dataset=name))
    definition = Definition("all", "All", names, metrics=(Metric("MRR"),))
    (found,) = board_table(definition, stored(tmp_path, made)).across
    one, two = np.array(means[found.label]), np.array(means[found.against])
    assert two.mean() > one.mean()  # the best is what others are held against
    assert found.p_two_sided == pytest.approx(stats.ttest_rel(one, two).pvalue)
    assert found.p_greater == pytest.approx(stats.ttest_rel(one, two, alternative="greater").pvalue)
    assert found.datasets == names


def test_over_one_data_set_there_is_no_such_test(table):
    assert table(made_record("a"), made_record("b")).across == ()


def test_a_row_that_one_data_set_lacks_is_compared_where_it_is(tmp_path):
    made = [
        made_record("a", dataset="tiny"), made_record("b", dataset="tiny", optimistic=[1, 1, 1]),
        made_record("b", dataset="other"),
    ]  # fmt: skip
    definition = Definition("two", "Two", ("tiny", "other"), metrics=(Metric("MRR"),))
    (found,) = board_table(definition, stored(tmp_path, made)).across
    assert (found.label, found.datasets, found.p_two_sided) == ("a", ("tiny",), None)
    assert found.reason == "a t-test over data sets needs two of them, found 1"
