"""Tables of scores, lists and ranks: ranks worked out by hand, and every way to be refused."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.external.held_out import HeldOut, Names
from harness.external.reading import rank_submission
from harness.external.submission import Submission

SCORES = ("user item score", "a w 2", "a x 2", "a y 3", "a z 1", "b z 5", "c x 1", "c y 0.5")
LISTS = ("user item rank", "a y 1", "a x 2", "b z 1", "c x 1", "c y 2")
TREC = ("a Q0 y 1 3 t", "a Q0 w 2 2 t", "a Q0 x 3 2.0 t", "b Q0 z 1 5 t", "c Q0 x 1 1 t")


def _ranks(ranked):
    return ranked.ranks.optimistic.tolist(), ranked.ranks.pessimistic.tolist()


def _top(ranked):
    return [[item for item in row if item >= 0] for row in ranked.ranks.top.tolist()]


# ---- what is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["f.csv", "f.tsv", "f.CSV"])
def test_scores_rank_with_ties(text, name):
    lines = SCORES if name != "f.CSV" else tuple(line.replace(" ", ",") for line in SCORES)
    ranked = text(name, *lines)
    assert _ranks(ranked) == ([2, 1, 0], [3, 1, 0])  # x behind y, tied with w; w of c unlisted
    assert _top(ranked) == [[2, 0, 1, 3], [3], [1, 2]]
    assert (ranked.content, ranked.ties) == ("scores", "scores")
    assert ranked.targets_not_listed == 1
    assert ranked.mean_list_length == pytest.approx(7 / 3)


def test_a_rank_alone_is_an_order_without_ties(text):
    ranked = text("f.csv", *LISTS)
    assert _ranks(ranked) == ([2, 1, 0], [2, 1, 0])
    assert _top(ranked) == [[2, 1], [3], [1, 2]]
    assert (ranked.content, ranked.ties) == ("ranked lists", "none")


def test_lists_may_count_from_zero_and_stand_in_any_order(text):
    shifted = ("user item rank", "c y 1", "a x 1", "b z 0", "a y 0", "c x 0")
    assert _ranks(text("f.tsv", *shifted)) == ([2, 1, 0], [2, 1, 0])


@pytest.mark.parametrize("name", ["f.trec", "f.run"])
def test_scores_beside_a_trec_list_decide_ties(text, name):
    ranked = text(name, *TREC)
    assert _ranks(ranked) == ([2, 1, 0], [3, 1, 0])
    assert (ranked.content, ranked.ties) == ("ranked lists", "scores")


def test_a_trec_file_may_have_tabs(text):
    assert _ranks(text("f.run", *(line.replace(" ", "\t") for line in TREC)))[1] == [3, 1, 0]


def test_stated_ranks(text):
    ranked = text("f.csv", "user optimistic pessimistic", "c 0 0", "a 2 4", "b 1 1")
    assert _ranks(ranked) == ([2, 1, 0], [4, 1, 0])
    assert (ranked.ranks.top == -1).all()
    assert (ranked.content, ranked.ties, ranked.mean_list_length) == ("ranks", "stated", None)
    assert ranked.targets_not_listed == 1


def test_one_column_of_ranks_is_both_bounds(text):
    assert _ranks(text("f.csv", "user rank", "a 2", "b 1", "c 4")) == ([2, 1, 4], [2, 1, 4])


def test_indices_name_users_and_items(text):
    ranked = text("f.csv", "item_index user_index rank", "1 0 1", "3 1 1", "0 2 1")
    assert _ranks(ranked) == ([1, 1, 1], [1, 1, 1])


def test_ids_as_the_export_calls_them_and_other_columns_are_passed_over(text):
    lines = ("user_id time item_id score", "a 7 x 1", "b 8 z 1", "c 9 w 1")
    assert _ranks(text("f.csv", *lines))[0] == [1, 1, 1]


def test_minus_infinity_is_not_recommended_and_infinity_is_a_score(text):
    lines = ("user item score", "a x inf", "a y inf", "b z -inf", "b x 1", "c w -5")
    ranked = text("f.csv", *lines)
    assert _ranks(ranked) == ([1, 0, 1], [2, 0, 1])
    assert _top(ranked) == [[1, 2], [1], [0]]
    assert ranked.mean_list_length == pytest.approx(4 / 3)


def test_comments_and_a_byte_order_mark_come_before_the_names(tmp_path, read):
    path = tmp_path / "f.csv"
    content = "\ufeff# split_hash: 12\n# ours\nuser,item,score\na,x,1\nb,z,1\nc,w,1\n"
    path.write_text(content, encoding="utf-8")
    assert read(path).ranks.optimistic.tolist() == [1, 1, 1]


def test_quotation_marks_hold_ids_together(tmp_path):
    held_out = HeldOut(Names("user", ("NA",)), Names("item", ('0,"1', "01")), np.array([0]))
    path = tmp_path / "f.csv"
    path.write_text('user,item,score\nNA,"0,""1",1\nNA,01,2\n')
    ranked = rank_submission(Submission("gru", 0, path), held_out)
    assert _ranks(ranked) == ([2], [2])
    assert _top(ranked) == [[1, 0]]


def _parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet_of_texts_categories_and_small_numbers(tmp_path, read):
    path = _parquet(
        tmp_path / "f.parquet",
        user=pa.array(["a", "a", "b", "c"]).dictionary_encode(),
        item=pa.array(["x", "y", "z", "w"], pa.large_string()),
        score=pa.array([1.5, 1.5, 0.0, 3.0], pa.float32()),
    )
    assert _ranks(read(path)) == ([1, 1, 1], [2, 1, 1])


# ---- what is refused -----------------------------------------------------------------------------

REFUSED = {
    "missing users": (("user item score", "b z 1"), ("2 of 3 test users", "'a', 'c'")),
    "unknown users": (
        ("user item score", "q z 1", "r z 1", "q x 1"),
        ("2 users are not in the data set: 'q', 'r'", "data export"),
    ),
    "unknown items": (
        ("user item score", "a 1 1", "b 2 1", "c 3 1", "c 4 1"),
        ("4 items are not", "'1', '2', '3', …"),
    ),
    "an unknown index": (
        ("user_index item_index score", "0 4 1", "1 -1 1", "2 0 1"),
        ("2 items are not in the data set: '-1', '4'", "from 0 to 3"),
    ),
    "a pair twice": (
        (*SCORES, "a z 1"),
        ("the list of user 'a' has 5 items, the catalogue 4",),
    ),
    "a pair twice in a short list": (
        (*SCORES, "b z 1", "b z 7"),
        ("1 pairs", "user 'b', item 'z'", "once"),
    ),
    "NaN": (
        (*SCORES, "b x nan", "b y nan"),
        ("user 'b', item 'x' is NaN, and 1 more", "-inf"),
    ),
    "an empty score": ((*SCORES, "b x "), ("cannot be read as CSV", "invalid value")),
    "a score that is no number": ((*SCORES, "b x high"), ("cannot be read as CSV", "high")),
    "a rank that is not whole": ((*LISTS, "b x 1.5"), ("cannot be read as CSV", "1.5")),
    "a gap in the ranks": (
        (*LISTS, "b x 3"),
        ("ranks of user 'b' do not count up", "3 stands where 2 belongs"),
    ),
    "a rank twice": ((*LISTS, "b x 1"), ("user 'b'", "1 stands where 2 belongs")),
    "ranks against scores": (
        ("user item rank score", "a x 1 1", "a y 2 9", "b z 1 1", "c w 1 1"),
        ("contradict", "user 'a'", "rank 2 has the score 9, the rank before it 1"),
    ),
    "a user twice in ranks": (
        ("user rank", "a 1", "b 1", "c 1", "b 1"),
        ("1 users stand there more than once: 'b'",),
    ),
    "a rank beyond the catalogue": (
        ("user rank", "a 5", "b 1", "c 0"),
        ("user 'a' has the optimistic rank 5", "within 1 and 4", "0 more"),
    ),
    "a rank of one bound only": (
        ("user optimistic pessimistic", "a 0 2", "b 1 1", "c 1 1"),
        ("user 'a' has the optimistic rank 0 and the pessimistic rank 2",),
    ),
    "crossed bounds": (
        ("user optimistic pessimistic", "a 3 2", "b 1 1", "c 1 1"),
        ("optimistic rank 3 and the pessimistic rank 2", "never the larger"),
    ),
    "columns of no kind": (("user item", "a x"), ("'user', 'item'", "none of the kinds")),
    "columns of two kinds": (
        ("user item score optimistic pessimistic", "a x 1 1 1"),
        ("none of the kinds",),
    ),
    "a role twice": (
        ("user user_id item score", "a a x 1"),
        ("'user' and 'user_id' both say the user",),
    ),
    "a short row": ((*SCORES, "b x"), ("cannot be read as CSV", "Row #9: Expected 3 columns")),
    "a long row": ((*SCORES, "b x 1 1"), ("cannot be read as CSV", "Expected 3 columns")),
    "no rows": (("user item score",), ("no rows",)),
    "nothing": ((), ("no rows",)),
    "control characters": (
        ("user item score", "a\x1b[31m\x07 x 1"),
        (r"'a\x1b[31m\x07'",),
    ),
    "an endless line": (("x" * 5000,), ("4,096 bytes",)),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_text_file_is_refused(text, refused, what):
    lines, expected = REFUSED[what]
    refused(lambda: text("f.csv", *lines), *expected)


REFUSED_TREC = {
    "ranks against scores": (("a Q0 x 1 1 t", "a Q0 y 2 2 t", *TREC[3:], "c Q0 w 2 0 t"),
                             ("contradict", "user 'a'")),
    "five columns": (("a x 1 1 t",), ("has 5 columns", "user Q0 item rank score tag")),
    "two blanks": (("a  Q0 x 1 1 t",), ("has 7 columns", "one space or one tab")),
    "a short row later": ((*TREC, "c y 2 0 t"), ("cannot be read as TREC",)),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED_TREC)
def test_a_trec_file_is_refused(text, refused, what):
    lines, expected = REFUSED_TREC[what]
    refused(lambda: text("f.trec", *lines), *expected)


GOOD = {"user": ["a", "b", "c"], "item": ["x", "z", "w"], "score": [1.0, 1.0, 1.0]}
REFUSED_PARQUET = {
    "no user": ({"user": ["a", "b", None]}, "1 rows name no user"),
    "ids of another type": ({"item": [1.0, 2.0, 3.0]}, "'item' holds double"),
    "scores of another type": ({"score": ["1", "2", "3"]}, "'score' must hold numbers"),
    "an empty score": ({"score": [1.0, None, 1.0]}, "user 'b', item 'z' is NaN"),
    "a score too large": ({"score": [2**60 + 1, 1, 1]}, "too large to be exact"),
    "a rank that is not whole": ({"rank": [1.0, 1.0, 1.0]}, "whole numbers, found double"),
    "an empty rank": ({"rank": [1, None, 1]}, "whole numbers, found empty values"),
    "whole numbers that are no ids": ({"item": [0, 1, 2]}, "3 items are not in the data set"),
}


@pytest.mark.parametrize("what", REFUSED_PARQUET)
def test_a_parquet_file_is_refused(tmp_path, read, refused, what):
    changes, expected = REFUSED_PARQUET[what]
    path = _parquet(tmp_path / "f.parquet", **{**GOOD, **changes})
    refused(lambda: read(path), expected)


def test_whole_numbers_in_parquet_are_ids(tmp_path):
    held_out = HeldOut(Names("user", ("10", "9")), Names("item", ("1", "3")), np.array([1, 0]))
    path = _parquet(tmp_path / "f.parquet", user=[9, 10], item=[1, 3], score=[0.5, 0.5])
    ranked = rank_submission(Submission("gru", 0, path), held_out)
    assert _ranks(ranked) == ([1, 1], [1, 1])


def test_damaged_files_are_refused(tmp_path, read, refused):
    path = tmp_path / "f.parquet"
    path.write_bytes(b"PAR1 nothing else")
    refused(lambda: read(path), "cannot be read as Parquet")
    path = tmp_path / "f.csv"
    path.write_bytes(b"user,item,score\n\xff\xfe,x,1\n")
    refused(lambda: read(path), "cannot be read as CSV")
    path.write_bytes(b"\xff\xfe\n")
    refused(lambda: read(path), "not UTF-8")
