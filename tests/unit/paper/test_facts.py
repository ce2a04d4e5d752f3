"""The paper's tables as facts: what they hold, and how a faulty file is refused."""

from __future__ import annotations

import csv
import shutil
from collections import Counter

import pytest

from harness.errors import DataError
from harness.metrics import METRICS
from harness.paper.facts import PAPER, load_facts
from harness.paper.layouts import (
    AVERAGE,
    FULL,
    IMPROVEMENT,
    LAYOUTS,
    PAPER_DATASETS,
    PAPER_METHODS,
    TITLES,
)

BOUNDS = ("optimistic", "pessimistic")


@pytest.fixture(scope="module")
def facts():
    return {fact.key: fact for fact in load_facts()}


def _value(facts, *key):
    return facts[key].value


# ---- the facts -----------------------------------------------------------------------------------


def test_every_table_has_its_cells(facts):
    assert Counter(fact.table for fact in facts.values()) == {
        1: 6 * 11, 2: 252 * 2 + 28, 3: 60 * 2, 4: 8 * 4, 5: 24 * 2, 6: 8 * 2, 7: 24 * 3,
        8: 24 * 3 + 6 * 3,
    }  # fmt: skip
    assert len(facts) == len(load_facts()) == 976
    assert set(TITLES) == set(range(1, 9))


@pytest.mark.parametrize(
    ("name", "rows"),
    [("table1", 6), ("table2", 252), ("table2_improv", 28), ("table3", 60), ("table4", 8),
     ("table5", 24), ("table6", 8), ("table7", 24), ("table8", 24)],
)  # fmt: skip
def test_every_file_has_its_rows_and_a_line_in_the_readme(name, rows):
    with (PAPER / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        found = list(csv.DictReader(stream, strict=True))
    assert len(found) == rows
    readme = (PAPER / "README.md").read_text(encoding="utf-8")
    (line,) = [line for line in readme.splitlines() if line.startswith(f"| `{name}.csv`")]
    assert line.split("|")[-2].strip() == str(rows)


def test_the_citation_stands_beside_the_facts():
    assert "10.1145/3640457.3688121" in (PAPER / "README.md").read_text(encoding="utf-8")


def test_table_2_has_seven_blocks_of_four_metrics_and_nine_methods(facts):
    printed = [fact for fact in facts.values() if fact.table == 2 and fact.variant != IMPROVEMENT]
    assert Counter(fact.dataset for fact in printed) == dict.fromkeys(
        (*PAPER_DATASETS, AVERAGE), 72
    )
    assert list(dict.fromkeys(fact.variant for fact in printed)) == list(PAPER_METHODS)


@pytest.mark.parametrize(
    ("key", "printed", "digits", "unit"),
    [
        ((1, "Arts", "density", "", None), "0.00038", 5, ""),
        ((1, "Pet", "users sampled", "", None), "20", 0, "%"),
        ((1, "Games", "duplicates", "", None), "4.7", 1, "%"),
        ((2, "Scientific", "NDCG@10", "UniSRec-Text", "pessimistic"), "0.0580", 4, ""),
        ((2, "Games", "Recall@10", "SASRec", "optimistic"), "0.0989", 4, ""),
        ((2, "Average", "MRR", "CALRec", "pessimistic"), "0.0729", 4, ""),
        ((2, "Office", "Recall@10", IMPROVEMENT, "optimistic"), "-0.6", 1, "%"),
        ((3, "Scientific", "Recall@1", "no_stage1", "optimistic"), "0.04408", 5, ""),
        ((3, "Games", "MRR", "pretrained_only", "pessimistic"), "0.0127", 4, ""),
        ((4, AVERAGE, "Recall@10", "p-value", "pessimistic"), "0.019", 4, ""),
        ((4, AVERAGE, "MRR", "with contrastive", "optimistic"), "0.0757", 4, ""),
        ((5, "Instruments", "MRR", "S", "optimistic"), "0.0188", 4, ""),
        ((6, "Scientific", "Recall@1", "GPT4Rec", "pessimistic"), "0.0030", 4, ""),
        ((7, "Games", "NDCG@10", "without dedup", "optimistic"), "0.05", 4, ""),
        ((7, "Games", "NDCG@10", "change by dedup", "optimistic"), "-58", 0, "%"),
        ((8, "Pet", "MRR", "hierarchical", "pessimistic"), "0.0620", 4, ""),
        ((8, "Pet", "MRR", "change by hierarchy", None), "-2.8", 1, "%"),
        ((8, "Instruments", "format errors", "hierarchical", None), "0.001", 3, "%"),
    ],
)
def test_values_are_those_that_the_paper_prints(facts, key, printed, digits, unit):
    fact = facts[key]
    assert (fact.printed, fact.digits, fact.unit) == (printed, digits, unit)
    assert fact.value == float(printed)


# ---- what holds between them ---------------------------------------------------------------------


def test_averages_weigh_the_data_sets_alike_but_for_the_one_known_slip(facts):
    off = []
    for metric in METRICS:
        for method in PAPER_METHODS:
            for bound in BOUNDS:
                values = [
                    _value(facts, 2, name, metric.name, method, bound) for name in PAPER_DATASETS
                ]
                printed = _value(facts, 2, AVERAGE, metric.name, method, bound)
                if abs(sum(values) / 6 - printed) > 0.0001 + 1e-9:  # both are rounded
                    off.append((metric.name, method, bound, printed))
    assert off == [("Recall@1", "LIR", "pessimistic", 0.0036)]


def test_improvements_are_over_the_best_of_all_eight_others(facts):
    for dataset in (*PAPER_DATASETS, AVERAGE):
        for metric in METRICS:
            values = {m: _value(facts, 2, dataset, metric.name, m, "optimistic")
                      for m in PAPER_METHODS}  # fmt: skip
            own = values.pop(FULL)
            found = 100 * (own / max(values.values()) - 1)
            printed = _value(facts, 2, dataset, metric.name, IMPROVEMENT, "optimistic")
            assert found == pytest.approx(printed, abs=0.06)


def test_the_repeater_with_dedup_is_the_same_in_tables_2_and_7(facts):
    for dataset in PAPER_DATASETS:
        for metric in METRICS:
            two = _value(facts, 2, dataset, metric.name, "LIR", "optimistic")
            assert _value(facts, 7, dataset, metric.name, "with dedup", "optimistic") == two


def test_the_full_and_the_untuned_model_of_table_3_are_those_of_tables_2_and_5(facts):
    shared = [fact for fact in facts.values() if fact.table == 3]
    for fact in shared:
        rest = (fact.dataset, fact.metric)
        if fact.variant == "full":
            assert fact.value == _value(facts, 2, *rest, FULL, fact.bound)
        if fact.variant == "pretrained_only" and fact.dataset != "Games":
            assert fact.value == _value(facts, 5, *rest, "XXS", fact.bound)


# ---- what is not a table -------------------------------------------------------------------------


def _damaged(tmp_path, name, old, new):
    folder = tmp_path / "paper"
    shutil.copytree(PAPER, folder)
    text = (folder / name).read_text(encoding="utf-8")
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("table1.csv", "9461,100", "9,461,100", "line 2: 12 fields are due, found 13"),
        ("table1.csv", "9461,100", "0,100", "line 2: n_users_after_dedup must be a value such as"),
        ("table1.csv", "Arts", "Crafts", "line 4: unknown dataset 'Crafts'; the table has Scient"),
        ("table2.csv", "dataset,metric,", "metric,dataset,", "line 1: the columns must be"),
        ("table2.csv", "0.0411,0.0411", "0.0411", "line 2: 5 fields are due, found 4"),
        ("table2.csv", "0.0411,0.0411", "0.0411,nan", "line 2: pes must be a value such as 0.0555"),
        ("table2.csv", "0.0411,0.0411", "0.411,0.0411", "line 2: opt must be a value"),
        ("table2.csv", "0.0411,0.0411", "0.0411,0.0412", "line 2: pes is 0.0412, above opt"),
        ("table2.csv", "BERT4Rec,0.0411", "Bert,0.0411", "line 2: unknown method 'Bert'"),
        ("table2.csv", "NDCG@10,SASRec", "NDCG,SASRec", "line 3: unknown metric 'NDCG'"),
        ("table2.csv", "NDCG@10,SASRec", "NDCG@10,BERT4Rec",
         "line 3: Scientific, NDCG@10, BERT4Rec stands there twice, first in 2"),
        ("table2.csv", "Scientific,NDCG@10,SASRec", '"Scientific"x,NDCG@10,SASRec',
         "line 3: not valid CSV"),
        ("table2.csv", "Scientific,NDCG@10,SASRec,0.0555,0.0555\n", "",
         "no line for Scientific, NDCG@10, SASR"),
        ("table2_improv.csv", "22.4", "22.4 %", "line 2: improv_opt_pct_reported must be a value"),
        ("table3.csv", "no_stage1,A", "no_stage3,A", "line 14: unknown variant 'no_stage3'"),
        ("table3.csv", "0.0788,0.0740", "0.0788,0.0789", "line 2: pes is 0.0789, above opt"),
        ("table4.csv", "NDCG@10,pes", "NDCG@10,exp", "line 3: unknown bound 'exp'"),
        ("table4.csv", "0.0076", "<0.01", "line 2: p_value_reported must be a value"),
        ("table5.csv", "XXXS", "XXL", "line 2: unknown palm2_size 'XXL'"),
        ("table6.csv", "GPT4Rec", "GPT", "line 2: unknown template 'GPT'"),
        ("table7.csv", "-36", "-36%", "line 2: change_pct_reported must be a value such as -4.8"),
        ("table8.csv", "Scientific,0.0,82.3,96.7,Recall@1,", "Scientific,0.0,82.4,96.7,Recall@1,",
         "line 3: match_all_four_pct is 82.4, and 82.3 in an earlier line of Scientific"),
        ("table8.csv", "0.0771,0.0725", "0.0771,0.0772",
         "line 2: hier_pes is 0.0772, above hier_opt, which is 0.0771"),
    ],
)  # fmt: skip
def test_a_faulty_file_is_refused_by_file_and_line(tmp_path, name, old, new, reason):
    folder = _damaged(tmp_path, name, old, new)
    with pytest.raises(DataError) as refusal:
        load_facts(folder)
    assert reason in str(refusal.value)
    assert str(folder / name) in str(refusal.value)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.file)
def test_bytes_that_are_no_text_are_refused(tmp_path, layout):
    folder = tmp_path / "paper"
    shutil.copytree(PAPER, folder)
    (folder / layout.file).write_bytes(f"{','.join(layout.columns)}\n\xff\n".encode("latin-1"))
    with pytest.raises(DataError, match=rf"{layout.file}, line 2: not UTF-8"):
        load_facts(folder)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.file)
def test_an_installed_package_says_that_the_tables_come_with_a_checkout(tmp_path, layout):
    folder = tmp_path / "paper"
    shutil.copytree(PAPER, folder)
    (folder / layout.file).unlink()
    with pytest.raises(DataError, match=rf"{layout.file} is not there.*come with a checkout"):
        load_facts(folder)
