"""Parts of the report one by one: what a row links to, brief texts, ranks over data sets."""

from __future__ import annotations

import dataclasses
import re

import pytest

from harness.board.computing import board_table
from harness.board.definition import Definition
from harness.errors import DataError
from harness.paper import PlainTable
from harness.report import report_page
from harness.report.page import BRIEF_TEXT
from tests.boards import made_record, stored
from tests.unit.report import made


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return made.records(tmp_path_factory.mktemp("parts"))


def _page(found, **more):
    return report_page(made.table(found), {"tiny": found}, {"tiny": made.facts()}, **more)


def _row(page, label):
    board = page.partition('id="d0-board"')[2].partition("</table>")[0]
    return next(row for row in board.split("<tr")[2:] if f'<td data-key="{label}">' in row)


def test_a_row_leads_to_every_seed_and_shows_interval_and_device(found):
    page, row = _page(found), made.table(found).sections[0].row("toy")
    shown = _row(page, "toy")
    anchors = re.findall(r'<a href="#(d0-c\d+)">(\d)</a>', shown)
    assert [seed for _, seed in anchors] == ["0", "1"]
    for anchor, seed in anchors:
        assert f'<details id="{anchor}"><summary>toy, seed {seed}</summary>' in page
    value = row.values["NDCG@10"]
    assert f'data-key="{value.low:.9g}">{value.low:.4f} to {value.high:.4f}<' in shown
    assert f">{row.device}</td>" in shown


def test_a_row_without_numbers_has_no_interval_and_no_device(found):
    cells = re.findall(r"<td[^>]*>(.*?)</td>", _row(_page(found), "failed"))
    assert cells[2] == "0"
    assert set(cells[3:]) == {"failed", ""}


def test_every_kind_of_input_can_be_chosen_alone(found):
    page = _page(found)
    options = re.findall(r"<option>(.*?)</option>", page)
    assert options == ["item ids", "item text"]
    assert 'data-inputs="item ids + item text"' in page


def test_a_row_whose_inputs_are_not_stated_can_be_chosen(tmp_path):
    shown = {"external": [], "nothing": [], "toy": ["item text", "item ids"]}
    made_records = []
    for label, inputs in shown.items():
        record, arrays = made_record(label)
        record = dataclasses.replace(record, method={**record.method, "inputs": inputs})
        made_records.append((record, arrays))
    found = stored(tmp_path, made_records)
    page = report_page(made.table(found), {"tiny": found}, {"tiny": None})
    options = re.findall(r"<option>(.*?)</option>", page)
    assert options == ["item ids", "item text", "none", "not stated"]
    kinds = {kind for one in re.findall(r'data-inputs="(.*?)"', page) for kind in one.split(" + ")}
    assert kinds == set(options)


def test_pages_of_cells_cut_texts_short(found):
    texts = [f"{n} " + "word " * 60 for n in range(100)]
    cells = _page(found, texts={"tiny": texts}, local=True).partition("<h3>Cells</h3>")[2]
    listed = re.findall(r'<td class="wrap">(.*?)</td>', cells)
    assert listed
    for text in (item for cell in listed for item in cell.split("; ")):
        assert len(text.partition(" · ")[2]) <= BRIEF_TEXT


def test_a_cell_says_where_each_setting_comes_from(tmp_path):
    found = stored(tmp_path, [made_record(settings={"layers": 3}), made_record("other")])
    page = report_page(made.table(found), {"tiny": found}, {"tiny": None})
    assert "<dd>layers=3 (--set)</dd>" in page


@pytest.mark.parametrize("content", [b"{", b"[]\n", b'{"user": 3}\n', b"\xff\n"])
def test_damaged_generated_texts_are_told(tmp_path, content):
    found = made.records(tmp_path)
    made.with_generated(found)
    (path, *_) = (found[4][0] / "work" / "generated").glob("*.jsonl")
    path.write_bytes(content)
    with pytest.raises(DataError, match="not the generated texts of a run"):
        _page(found, texts={"tiny": made.TEXTS}, local=True)
    assert "not the generated" not in _page(found, local=True)  # not read where not shown


def test_numbers_with_an_exponent_are_kept_whole_and_nothing_slips_through(tmp_path):
    ranks = {"best": [1] * 400, "worst": [50, 60] * 200, "first<b>1e-9": [2, 3] * 200}
    found = stored(tmp_path, [made_record(label, optimistic=ranks[label]) for label in ranks])
    page = report_page(made.table(found), {"tiny": found}, {"tiny": None})
    tests = page.partition("<h3>Tests</h3>")[2].partition("</table>")[0]
    told = re.findall(r'<td class="told">(.*?)</td>', tests)
    numbers = [part for text in told for part in re.findall(r"\d[\d.]*e-\d+", text)]
    assert numbers
    whole = re.findall(r'<span class="unbroken">(.*?)</span>', "".join(told))
    assert whole == numbers
    assert "first&lt;b&gt;1e-9" in page
    assert "first<b>" not in page


def test_columns_of_the_papers_tables_that_hold_nothing_are_left_out(found):
    heads = ("variant", "metric", "bound", "published")
    lines = (("", "users", "", "9,461"), ("", "<density>", "", "1.3e-3"))
    page = _page(found, paper={"tiny": [PlainTable("Table 1: x", heads, lines, ())]})
    shown = page.partition("<caption>Table 1: x</caption>")[2].partition("</table>")[0]
    assert re.findall(r"<th[^>]*>(.*?)</th>", shown) == ["metric", "published"]
    assert re.findall(r"<td[^>]*>(.*?)</td>", shown) == [
        "users", "9,461", "&lt;density&gt;", '<span class="unbroken">1.3e-3</span>',
    ]  # fmt: skip


# ---- over data sets ------------------------------------------------------------------------------

DATASETS = ("tiny", "ml-100k")
RANKS = {"first": [1, 1, 2, 1] * 9, "second": [9, 8, 9, 7] * 9, "third": [60, 70, 80, 75] * 9}


def _over(tmp_path, labels_of):
    found = {
        dataset: stored(
            tmp_path / dataset,
            [
                made_record(label, optimistic=RANKS[label], dataset=dataset)
                for label in labels_of[dataset]
            ],
        )
        for dataset in DATASETS
    }
    everything = [one for part in found.values() for one in part]
    table = board_table(Definition("both", None, DATASETS), everything)
    return report_page(table, found, dict.fromkeys(DATASETS))


def test_ranks_over_data_sets_are_those_of_rows_that_all_have(tmp_path):
    page = _over(tmp_path, {"tiny": ("third", "first", "second"), "ml-100k": ("first", "second")})
    plot = page.partition("<h4>Mean ranks over data sets</h4>")[2].partition("</figure>")[0]
    assert "first 1.0000" in plot
    assert "second 2.0000" in plot
    assert "third" not in plot


def test_one_row_in_common_is_no_ranking(tmp_path):
    page = _over(tmp_path, {"tiny": ("third", "first"), "ml-100k": ("first", "second")})
    assert "Mean ranks over data sets" not in page
