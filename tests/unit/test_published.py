"""The paper's tables as data, and how a measured value stands to a printed one."""

from __future__ import annotations

import csv
from collections import Counter

import pytest

from harness.errors import DataError
from harness.metrics import METRICS
from harness.published import (
    AVERAGE,
    DATASETS,
    METHODS,
    PAPER,
    TABLE2,
    Published,
    load_table2,
    paper_method,
    protocol_difference,
    state,
)

PAPER_DATASETS = ("Scientific", "Instruments", "Arts", "Office", "Games", "Pet")


def _rows(name):
    with (PAPER / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


# ---- the facts -----------------------------------------------------------------------------------


def test_table_2_has_seven_blocks_of_four_metrics_and_nine_methods():
    table = load_table2()
    assert len(table) == 252
    assert Counter(dataset for dataset, _, _ in table) == dict.fromkeys(
        (*PAPER_DATASETS, AVERAGE), 36
    )
    assert list(dict.fromkeys(method for _, _, method in table)) == list(METHODS.values())


@pytest.mark.parametrize(
    ("name", "rows"),
    [("table1", 6), ("table2", 252), ("table2_improv", 28), ("table3", 60), ("table4", 8),
     ("table5", 24), ("table6", 8), ("table7", 24), ("table8", 24)],
)  # fmt: skip
def test_every_table_has_its_rows_and_a_line_in_the_readme(name, rows):
    found = _rows(f"{name}.csv")
    assert len(found) == rows
    assert all(None not in row and None not in row.values() for row in found)
    assert f"`{name}.csv`" in (PAPER / "README.md").read_text()


def test_the_citation_stands_beside_the_facts():
    assert "10.1145/3640457.3688121" in (PAPER / "README.md").read_text()


@pytest.mark.parametrize(
    ("key", "optimistic", "pessimistic"),
    [
        (("Scientific", "NDCG@10", "SASRec"), 0.0555, 0.0555),
        (("Scientific", "NDCG@10", "CALRec"), 0.0788, 0.0740),
        (("Scientific", "NDCG@10", "UniSRec-Text"), 0.0620, 0.0580),
        (("Games", "Recall@10", "CALRec"), 0.0986, 0.0984),
        (("Games", "Recall@10", "SASRec"), 0.0989, 0.0989),
        (("Average", "MRR", "CALRec"), 0.0757, 0.0729),
    ],
)
def test_values_are_those_that_the_paper_prints(key, optimistic, pessimistic):
    assert load_table2()[key] == Published(optimistic, pessimistic)


def test_averages_weigh_the_data_sets_alike_but_for_the_one_known_slip():
    table = load_table2()
    off = []
    for metric in METRICS:
        for method in METHODS.values():
            for bound in ("optimistic", "pessimistic"):
                values = [table[name, metric.name, method].value(bound) for name in PAPER_DATASETS]
                printed = table[AVERAGE, metric.name, method].value(bound)
                if abs(sum(values) / 6 - printed) > 0.0001 + 1e-9:  # both are rounded
                    off.append((metric.name, method, bound, printed))
    assert off == [("Recall@1", "LIR", "pessimistic", 0.0036)]


def test_the_repeater_with_dedup_is_the_same_in_tables_2_and_7():
    table = load_table2()
    for row in _rows("table7.csv"):
        printed = table[row["dataset"], row["metric"], "LIR"].optimistic
        assert float(row["lir_opt_with_dedup"]) == printed


# ---- names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("label", "method"),
    [
        ("sasrec", "SASRec"),
        ("sasrec (batch_size=512)", "SASRec"),
        ("s3rec", "S3-Rec"),
        ("unisrec:id-text", "UniSRec-ID+Text"),
        ("unisrec:text (lr=0.001)", "UniSRec-Text"),
        ("unisrec", None),
        ("calrec", "CALRec"),
        ("calrec:untrained", None),
        ("popularity", None),
        ("sasrecs", None),
    ],
)
def test_a_row_counts_as_the_papers_method_whatever_its_settings(label, method):
    assert paper_method(label) == method


def test_every_data_set_of_the_paper_has_a_name_of_ours():
    assert set(DATASETS.values()) == set(PAPER_DATASETS)


def test_each_data_set_says_what_sets_it_apart():
    assert "8,442 of the paper's 9,461 users" in protocol_difference("scientific")
    assert "titles only" in protocol_difference("games")
    assert protocol_difference("amazon-arts") == "the paper's own protocol"
    assert protocol_difference("amazon-pet") == "another sample of users"


# ---- states --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("published", "low", "high", "expected"),
    [
        (0.0555, 0.0500, 0.0600, "agrees"),
        (0.0555, 0.05555, 0.0600, "agrees"),  # 0.05555 may be what was rounded to 0.0555
        (0.0555, 0.0500, 0.05545, "agrees"),
        (0.0555, 0.0556, 0.0600, "near"),
        (0.0500, 0.0540, 0.0560, "near"),  # 0.0550 is 10 % above, to the dot
        (0.0500, 0.0440, 0.0460, "near"),
        (0.0500, 0.0541, 0.0561, "differs"),
        (0.0500, 0.0439, 0.0459, "differs"),
        (0.0036, 0.0, 0.0, "differs"),
        (0.0, 0.0, 0.0, "agrees"),
        (0.0, 0.001, 0.003, "differs"),
    ],
)
def test_a_state_follows_from_the_published_value_and_the_interval(published, low, high, expected):
    assert state(published, low, high) == expected


# ---- what is not a table -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("dataset,metric,", "metric,dataset,", "line 1: the columns must be"),
        ("0.0411,0.0411", "0.0411", "line 2: 5 fields are due, found 4"),
        ("0.0411,0.0411", "0.0411,nan", "line 2: pes must be a value such as 0.0555, found 'nan'"),
        ("0.0411,0.0411", "0.411,0.0411", "line 2: opt must be a value"),
        ("0.0411,0.0411", "0.0411,0.0412", "line 2: pes is 0.0412, above opt"),
        ("BERT4Rec,0.0411", "Bert,0.0411", "line 2: unknown method 'Bert'"),
        ("Scientific,NDCG@10,SASRec", "Science,NDCG@10,SASRec", "line 3: unknown data set"),
        ("Scientific,NDCG@10,SASRec", "Scientific,NDCG,SASRec", "line 3: unknown metric"),
        ("NDCG@10,SASRec,0.0555", "NDCG@10,BERT4Rec,0.0555", "line 3: Scientific, NDCG@10, BERT"),
        ("Scientific,NDCG@10,SASRec", '"Scientific"x,NDCG@10,SASRec', "line 3: not valid CSV"),
        ("Scientific,NDCG@10,SASRec,0.0555,0.0555\n", "", "no line for Scientific, NDCG@10, SASR"),
    ],
)
def test_a_faulty_file_is_refused_by_file_and_line(tmp_path, old, new, reason):
    text = (PAPER / TABLE2).read_text()
    assert old in text
    (tmp_path / TABLE2).write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as refusal:
        load_table2(tmp_path)
    assert reason in str(refusal.value)
    assert str(tmp_path / TABLE2) in str(refusal.value)


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / TABLE2).write_bytes(b"dataset,metric,method,opt,pes\n\xff\n")
    with pytest.raises(DataError, match="not UTF-8"):
        load_table2(tmp_path)


def test_an_installed_package_says_that_the_tables_come_with_a_checkout(tmp_path):
    with pytest.raises(DataError, match="come with a checkout"):
        load_table2(tmp_path / "leaderboards" / "paper")
