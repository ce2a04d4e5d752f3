"""Board files: what they say, what they may not say, and the default for other data sets."""

from __future__ import annotations

import pytest

from harness.board.definition import (
    Definition,
    RowChoice,
    default_definition,
    definitions_in,
    metric_named,
    read_definition,
)
from harness.board.table import Family
from harness.errors import DataError
from harness.metrics import METRICS, Metric

WHOLE = """
title = "Two of them"
datasets = ["tiny", "other"]
methods = ["toy", "lir"]
seeds = [2, 0]
metrics = ["MRR", "Recall@20"]
sources = ["calrec"]

[[row]]
method = "late"
seeds = [7]

[family]
against = "lir"
correction = "bonferroni"
bound = "expected"
level = 0.01

[improvement]
of = "toy"
"""


def _read(tmp_path, text):
    path = tmp_path / "two.toml"
    path.write_text(text)
    return read_definition(path)


def test_everything_a_board_file_can_say(tmp_path):
    assert _read(tmp_path, WHOLE) == Definition(
        name="two",
        title="Two of them",
        datasets=("tiny", "other"),
        rows=(RowChoice("toy", (0, 2)), RowChoice("lir", (0, 2)), RowChoice("late", (7,))),
        metrics=(Metric("MRR"), Metric("Recall", 20)),
        family=Family("lir", "bonferroni", "expected", 0.01),
        improvement_of="toy",
        sources=("calrec",),
    )


def test_the_least_a_board_file_can_say(tmp_path):
    found = _read(tmp_path, 'datasets = ["tiny"]')
    assert found == Definition("two", None, ("tiny",))
    assert (found.rows, found.metrics, found.family) == (None, METRICS, Family())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("datasets = [", "not a board file"),
        ("title = 'x'", "'datasets' must name one data set"),
        ("datasets = ['a', 'a']", "names something twice: a, a"),
        ("datasets = ['a']\nmetric = ['MRR']", "unknown key 'metric': did you mean 'metrics'"),
        ("datasets = ['a']\nmetrics = ['NDCG']", "no metric 'NDCG'"),
        ("datasets = ['a']\nmetrics = ['Recall@0']", "no metric 'Recall@0'"),
        ("datasets = ['a']\nseeds = [0, 0]", "'seeds' must be a list of different whole numbers"),
        ("datasets = ['a']\nseeds = [true]", "'seeds' must be a list of different whole numbers"),
        ("datasets = ['a']\nseeds = 3", "'seeds' must be a list"),
        ("datasets = ['a']\nmethods = []", "'methods' must name one method or more"),
        ("datasets = ['a']\nsources = ['calrek']", "did you mean 'calrec'"),
        ("datasets = ['a']\n[family]\ncorrection = 'hom'", "did you mean 'holm'"),
        ("datasets = ['a']\n[family]\nlevel = 1.5", "must lie between 0 and 1"),
        ("datasets = ['a']\n[family]\nbound = 'best'", "'bound' cannot be 'best'"),
        ("datasets = ['a']\n[family]\nagainst = ''", "'against' must not be blank"),
        ("datasets = ['a']\nmethods = ['b']\n[family]\nagainst = 'c'", "is about 'c', which"),
        ("datasets = ['a']\nmethods = ['b']\n[improvement]\nof = 'c'", "is about 'c', which"),
        ("datasets = ['a']\nmethods = ['b']\n[[row]]\nmethod = 'b'", "names a method twice"),
        ("datasets = ['a']\n[[row]]\nseeds = [1]", "the key 'method' is missing"),
    ],
)
def test_what_a_board_file_may_not_say(tmp_path, text, message):
    with pytest.raises(DataError, match=r"two\.toml") as error:
        _read(tmp_path, text)
    assert message in str(error.value)


def test_a_board_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_definition(tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(DataError, match="not a board file"):
        read_definition(tmp_path / "bytes.toml")


def test_data_sets_that_no_file_shows_get_a_board_of_their_own(tmp_path):
    (tmp_path / "both.toml").write_text('datasets = ["tiny", "other"]')
    found = definitions_in(tmp_path, ["tiny", "third"])
    assert list(found) == ["both", "third"]
    assert found["third"] == default_definition("third")


def test_a_file_must_not_take_the_name_of_a_data_set_it_does_not_show(tmp_path):
    (tmp_path / "tiny.toml").write_text('datasets = ["other"]')
    with pytest.raises(DataError, match="does not show the data set tiny"):
        definitions_in(tmp_path, ["tiny", "other"])


def test_a_misspelt_data_set_is_told_before_what_follows_from_it(tmp_path):
    (tmp_path / "tiny.toml").write_text('datasets = ["tinny"]')
    with pytest.raises(DataError, match=r"names 'tinny', .*did you mean 'tiny'\?"):
        definitions_in(tmp_path, ["tiny"])


def test_metrics_by_name():
    for metric in (*METRICS, Metric("MRR", 10), Metric("NDCG", 1)):
        assert metric_named(metric.name) == metric
