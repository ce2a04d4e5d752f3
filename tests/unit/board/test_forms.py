"""The forms of a board: markdown, terminal, CSV, LaTeX, JSON; the same numbers in all of them."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import pytest

from harness.board.computing import board_table
from harness.board.definition import Definition, RowChoice, default_definition
from harness.board.flat import COLUMNS, flat
from harness.board.json_form import json_text, rounded
from harness.board.latex import escaped, latex
from harness.board.markdown import markdown
from harness.board.terminal import terminal
from harness.board.words import GAP, NOT_LEARNT
from harness.metrics import Metric
from tests.boards import made_record, stored

TINY = default_definition("tiny")


@pytest.fixture
def table(tmp_path):
    def make(*records, definition=TINY):
        return board_table(definition, stored(tmp_path / "records", records))

    return make


def _tables(text):
    """Return every table of a markdown page as a list of lines of cells, its head first."""
    tables, current = [], []
    for line in [*text.splitlines(), ""]:
        if line.startswith("|"):
            current.append([cell.strip() for cell in line.strip("|").split(" | ")])
        elif current:
            tables.append([current[0], *current[2:]])
            current = []
    return tables


def _board(table):
    return table(
        made_record("popularity", optimistic=[1, 30, 50]),
        made_record("lir", optimistic=[1, 1, 12], pessimistic=[40, 50, 60]),
        made_record("toy", optimistic=[1, 2, 4], cost={"parameters": 1234567}),
        made_record("weak", optimistic=[11, 12, 13]),
    )


def test_the_page_by_hand(table):
    text = markdown(_board(table))
    metrics, rows, tests = _tables(text)
    assert metrics[0] == [
        "data set", "metric", "toy", "popularity", "lir", f"weak {NOT_LEARNT}", "improvement",
    ]  # fmt: skip
    # (1 + 1 / log2 3 + 1 / log2 5) / 3 = 0.6872; popularity 1 / 3, lir (1 + 1 + 0) / 3
    assert metrics[1] == [
        "tiny", "NDCG@10", "**0.6872**/<u>0.6872</u> <sup>a</sup>",
        "0.3333/0.3333 <sup>a</sup>", "0.6667/0.0000 <sup>a</sup>", "0.0000/0.0000 <sup>a</sup>",
        "toy: +3.1 % over lir/+106.2 % over popularity",
    ]  # fmt: skip
    # equal best values are all marked
    assert metrics[2][2:5] == [
        "0.3333/<u>0.3333</u> <sup>a</sup>", "0.3333/<u>0.3333</u> <sup>a</sup>",
        "**0.6667**/0.0000 <sup>a</sup>",
    ]  # fmt: skip
    assert rows[0][3] == "NDCG@10, 95 % interval"
    assert rows[1] == [
        "toy", "item ids", "0", "-0.0302 to 1.4046", "0.0 %", "1.2", "0.5", "", "not stated",
        "1,234,567",
    ]  # fmt: skip
    assert rows[3][:5] == [
        "lir", "item ids", "0", "none: all 3 users have the value 0, so there is no variance",
        f"100.0 % {GAP}",
    ]  # fmt: skip
    assert tests[0][:2] == ["method", "NDCG@10, minus toy"]
    assert tests[1][1] == "reference"
    assert tests[2][1].startswith("-0.3539 [")
    assert "3 users, 100 items, 1,234 events" in text
    assert f"{NOT_LEARNT} not above both popularity and lir" in text
    assert "- `toy`: Toy. made up." in text


def test_the_terminal_shows_a_line_a_row(table):
    text = terminal(_board(table))
    line = next(line for line in text.splitlines() if line.startswith("toy"))
    assert line.split()[:6] == ["toy", "item", "ids", "0", "0.6872/0.6872", "0.3333/0.3333"]
    assert "p: of NDCG@10 against toy, corrected." in text


def test_the_flat_form_has_a_line_for_each_metric_and_bound(table):
    lines = list(csv.DictReader(io.StringIO(flat(_board(table)))))
    assert len(lines) == 4 * 4 * 3
    assert tuple(lines[0]) == COLUMNS
    (one,) = [
        line for line in lines
        if (line["method"], line["metric"], line["bound"]) == ("toy", "MRR", "pessimistic")
    ]  # fmt: skip
    assert float(one["value"]) == pytest.approx((1 + 1 / 2 + 1 / 4) / 3, rel=1e-8)
    assert (one["best"], one["groups"], one["against"]) == ("true", "ab", "")
    (other,) = [
        line for line in lines
        if (line["method"], line["metric"], line["bound"]) == ("weak", "MRR", "pessimistic")
    ]  # fmt: skip
    assert other["against"] == "toy"
    assert float(other["difference"]) < 0
    assert other["not_learnt"] == "true"


def test_latex_marks_the_best_and_escapes_the_rest(table):
    text = latex(_board(table))
    assert r"\textbf{0.6872}/\underline{0.6872}\textsuperscript{a}" in text
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 1
    assert escaped(r"a_b 50% {x} \y ~ ^ & # $") == (
        r"a\_b 50\% \{x\} \textbackslash{}y \textasciitilde{} \textasciicircum{} \& \# \$"
    )


def test_json_holds_everything_with_nine_digits(table):
    found = json.loads(json_text(_board(table)))
    assert found["format"] == 1
    assert found["sections"][0]["rows"][0]["values"]["NDCG@10"]["optimistic"] == 0.687202104
    assert rounded({"a": [1 / 3, 1, None, True, "x"]}) == {"a": [0.333333333, 1, None, True, "x"]}


@pytest.mark.parametrize("form", [markdown, terminal, flat, latex, json_text])
def test_forms_do_not_depend_on_the_order_of_the_records(tmp_path, form):
    made = [made_record(label, seed=seed) for label in ("a", "b") for seed in (0, 1)]
    found = stored(tmp_path, made)
    assert form(board_table(TINY, found)) == form(board_table(TINY, found[::-1]))


@pytest.mark.parametrize("status", ["failed", "skipped"])
def test_a_failed_row_says_so_in_every_metric_with_the_reason_below(table, status):
    found = table(made_record("toy", status=status), made_record("lir"))
    metrics, rows = _tables(markdown(found))
    assert [line[3] for line in metrics[1:]] == [status] * 4
    assert rows[2][3:] == [status, *[""] * 6]
    for text in (markdown(found), terminal(found)):
        assert f"toy: {status} (seed 0): no luck" in text
    assert status in latex(found)
    lines = [line for line in csv.DictReader(io.StringIO(flat(found))) if line["method"] == "toy"]
    assert {(line["status"], line["value"]) for line in lines} == {(status, "")}


def test_missing_rows_and_seeds_are_told(table):
    definition = dataclasses.replace(TINY, rows=(RowChoice("toy", (0, 1)), RowChoice("lir")))
    text = markdown(table(made_record("toy"), definition=definition))
    assert [line[3] for line in _tables(text)[0][1:]] == ["missing"] * 4
    assert "- toy: seeds 1 are missing" in text
    assert "- lir: missing: no record of it is there" in text
    (line,) = [line for line in _tables(text)[1] if line[0] == "lir"]
    assert line[1:4] == ["", "", "missing"]


def test_seeds_are_one_row_of_means(table):
    found = table(
        made_record("toy", seed=0, optimistic=[1, 1], cost={"fit_s": 1.0}),
        made_record("toy", seed=10, optimistic=[2, 2], pessimistic=[2, 3], cost={"fit_s": 2.0}),
        made_record("toy", seed=2, optimistic=[4, 4], cost={"fit_s": 6.0}),
    )
    metrics, rows = _tables(markdown(found))
    assert metrics[4][2].startswith(f"**{(1 + 0.5 + 0.25) / 3:.4f}**")
    assert rows[1][2] == "0,2,10"
    assert rows[1][4] == f"16.7 % {GAP}" or rows[1][4] == "16.7 %"
    assert rows[1][5] == "3.0"


@pytest.mark.parametrize("code", [{"dirty": True}, {"dirty": None}, {"commit": None}], ids=str)
def test_a_row_made_with_uncommitted_code_says_so(table, code):
    record, arrays = made_record("toy", seed=1)
    dirty = dataclasses.replace(record, code={**record.code, **code})
    text = markdown(table(made_record("toy"), (dirty, arrays)))
    assert "- `toy`: Toy. made up. Made with uncommitted code." in text
    assert "uncommitted" not in markdown(table(made_record("lir")))


def test_notes_hold_settings_that_are_not_default_and_the_methods_own(table):
    made = made_record("toy", settings={"alpha": 0.2}, report={"note": "half trained."})
    text = markdown(table(made))
    assert "- `toy`: Toy. made up. half trained. Settings: alpha=0.2 (--set)." in text


def test_ties_beyond_the_interval_are_marked(table):
    made = made_record("toy", optimistic=[1, 3] * 100, pessimistic=[20, 30] * 100)
    assert _tables(markdown(table(made)))[1][1][4] == f"100.0 % {GAP}"


def test_ties_of_a_constant_scorer_are_marked_though_there_is_no_interval(table):
    made = made_record("toy", optimistic=[1] * 5, pessimistic=[100] * 5)
    line = _tables(markdown(table(made)))[1][1]
    assert line[3].startswith("none: all 5 users have the value 0")
    assert line[4] == f"100.0 % {GAP}"


def test_tests_over_fewer_seeds_than_a_row_has_say_so(table):
    ranks = [[1, 2, 3, 9], [2, 2, 4, 8]]
    whole = [made_record("a", seed, ranks[seed]) for seed in (0, 1)]
    other = [made_record("b", seed, [10, 20, 30, 7 + seed]) for seed in (0, 1)]
    found = table(*whole, other[0])
    for text in (markdown(found), terminal(found)):
        assert text.count(", over seeds 0") == (4 if text.startswith("#") else 1)
        assert "Tests are over the seeds that both rows have" in text
    lines = list(csv.DictReader(io.StringIO(flat(found))))
    assert {line["test_seeds"] for line in lines if line["against"]} == {"0"}
    same = markdown(table(*whole, *other))
    assert "over seeds" not in same


def test_a_label_never_breaks_the_page(table):
    label = "toy (x=a|b<script>*`)"
    text = markdown(table(made_record(label)))
    assert text.count("<script>") == text.count("- `toy (x=a|b<script>*')`: ") == 1
    assert r"toy (x=a\|b&lt;script>\*`)" in text


def test_a_board_of_several_data_sets_without_title_is_headed_by_its_name(tmp_path):
    made = [made_record("toy", dataset=name) for name in ("tiny", "other")]
    found = stored(tmp_path, made)
    assert board_table(Definition("two", None, ("tiny", "other")), found).title == "two"
    assert board_table(Definition("one", None, ("tiny",)), found).title == "Tiny"


def test_several_data_sets_share_one_table_of_metrics(tmp_path):
    made = [
        made_record("toy", dataset=name, optimistic=ranks)
        for name, ranks in (("tiny", [1, 2, 3]), ("other", [4, 5, 9]))
    ]
    made.append(made_record("lir", dataset="other", optimistic=[9, 9, 9]))
    definition = Definition("two", "Two of them", ("tiny", "other"), metrics=(Metric("MRR"),))
    text = markdown(board_table(definition, stored(tmp_path, made)))
    assert text.startswith("# Leaderboard: Two of them\n")
    assert [line[:2] for line in _tables(text)[0][1:]] == [["tiny", "MRR"], ["other", "MRR"]]
    assert _tables(text)[0][1][3] == "missing"
    assert "## Tiny" in text
    assert "## Other" in text
    assert "## Over data sets" in text
