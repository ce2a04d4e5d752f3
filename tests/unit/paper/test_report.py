"""The report as text: what is listed, what is counted, and that it is the same every time."""

from __future__ import annotations

import re

import pytest

from harness.errors import DataError
from harness.paper import compare, reproduction_page
from harness.paper.report import page, terminal
from harness.paper.states import STATES
from tests.paper_records import CALREC, find, put_row


def _lines(text):
    """The lines of pipe tables, their fields stripped."""
    cut = [re.split(r"(?<!\\)\|", line)[1:-1] for line in text.splitlines() if line[:1] == "|"]
    return [[field.strip() for field in line] for line in cut]


def test_the_page_is_a_function_of_its_records(tmp_path):
    put_row(tmp_path, "scientific", "lir", [1, 2, 3])
    first = reproduction_page(tmp_path)
    assert reproduction_page(tmp_path) == first == page(compare(tmp_path))
    put_row(tmp_path, "scientific", "lir", [1, 2, 4])
    assert reproduction_page(tmp_path) != first


def test_the_page_has_all_tables_also_without_any_record(tmp_path):
    text = reproduction_page(tmp_path)
    assert re.findall(r"^## Table (\d)", text, flags=re.M) == list("12345678")
    assert "\n### " not in text
    assert "The others:" not in text
    assert "- Arts: 76 cells, none measured\n" in text
    assert [line[2:] for line in _lines(text)[2:]] == [
        [str(n), "0", "0", "0", "0", str(n)] for n in (66, 532, 120, 32, 48, 16, 72, 90)
    ]
    assert text.endswith("\n")
    assert not text.endswith("\n\n")


def test_a_measured_data_set_is_listed_whole_and_others_are_counted(tmp_path):
    put_row(tmp_path, "scientific", "lir", [[1, 2, 3], [2, 2, 3]])
    text = reproduction_page(tmp_path)
    table = text.partition("## Table 2")[2].partition("## Table 3")[0]
    lines = [line for line in _lines(table) if line[3:4] in (["optimistic"], ["pessimistic"])]
    assert len(lines) == 76
    assert ["S3-Rec", "", "NDCG@10", "optimistic", "0.0414", "", "", "", "", ""] in lines
    (mrr,) = [line for line in lines if line[:4] == ["LIR", "lir", "MRR", "pessimistic"]]
    assert mrr[4:6] == ["0.0385", "0.5278"]
    (cell,) = find(compare(tmp_path), table=2, dataset="scientific", variant="LIR", metric="MRR",
                   bound="pessimistic")  # fmt: skip
    low, high = cell.measured.estimate.interval
    assert mrr[6:] == [f"{low:.4f} to {high:.4f}", "+0.4893", "+1270.9 %", cell.state]
    assert "- LIR is lir: 3 users, each the mean over seeds 0, 1; protocol difference: 8" in table
    assert "\n\nThe others:\n\n- Instruments: 76 cells, none measured\n" in table
    assert "Scientific: 76" not in table


def test_the_summary_counts_what_the_tables_list(tmp_path):
    put_row(tmp_path, "scientific", "lir", [1, 2, 30])
    text = reproduction_page(tmp_path)
    head, *_ = text.partition("## Table 1")
    summary = {line[0]: [int(field) for field in line[2:]] for line in _lines(head)[2:]}
    for number in "12":
        table = text.partition(f"## Table {number}")[2].partition("\n## ")[0]
        states = [line[-1] for line in _lines(table)]
        counted = [states.count(name) for name in STATES]
        assert counted == summary[number][1:5]
        assert sum(counted) > 0
        assert sum(summary[number][1:]) == summary[number][0]


def test_table_1_has_no_columns_for_what_it_has_not(tmp_path):
    put_row(tmp_path, "games", "lir", [1, 2, 3])
    table = reproduction_page(tmp_path).partition("## Table 1")[2].partition("## Table 2")[0]
    assert _lines(table)[0] == ["metric", "published", "measured", "difference", "in %", "state"]


def test_what_a_setting_holds_cannot_break_the_page(tmp_path):
    put_row(tmp_path, "games", "sasrec (name=a|b <i>\nc)", [1, 2, 3])
    text = reproduction_page(tmp_path)
    (line,) = [line for line in _lines(text) if line[:4:2] == ["SASRec", "MRR"]][::2]
    assert line[1] == r"sasrec (name=a\|b &lt;i> c)"
    assert len(line) == 10


def test_what_rounds_to_nothing_has_no_sign(tmp_path):
    facts = {"n_users": 9461, "n_items": 5282, "n_events": 66640}
    put_row(tmp_path, "scientific", "lir", [1, 2], facts=facts)
    (line,) = [line for line in _lines(reproduction_page(tmp_path)) if line[0] == "items per user"]
    assert line[1:] == ["7.04", "7.04", "+0.00", "+0.1 %", "agrees"]


def test_the_terminal_shows_only_tables_with_something_measured(tmp_path):
    put_row(tmp_path, "games", "calrec", [1, 1, 1], settings=CALREC)
    text = terminal(compare(tmp_path))
    assert re.findall(r"^Table (\d): ", text, flags=re.M) == ["1", "2", "3"]
    assert "#" not in text
    assert "|" not in text
    last = text.splitlines()[-8:]
    assert [line.split()[0] for line in last] == list("12345678")
    assert last[2].split()[-6:] == ["120", "0", "0", "0", "16", "104"]


def test_a_damaged_published_record_is_refused(tmp_path):
    (folder,) = put_row(tmp_path, "games", "lir", [1, 2, 3])
    next(folder.glob("*.npz")).unlink()
    with pytest.raises(DataError, match="the ranks are missing"):
        reproduction_page(tmp_path)
