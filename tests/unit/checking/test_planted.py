"""Faults planted in what is published: every kind of number, name and mark, in every file."""

from __future__ import annotations

import csv
import io
import json
import re
import shutil
from itertools import pairwise

import pytest

from harness.board.flat import COLUMNS
from harness.checking import check_board
from harness.checking.leaves import Either, Span, differences, settled
from harness.checking.printed import figure
from harness.protocol import GATE
from tests.boards import made_record
from tests.unit.checking.published import WHOLE_FILE, publish, whole_board


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    root = tmp_path_factory.mktemp("template")
    publish(root, whole_board(), "both", WHOLE_FILE)
    return root


@pytest.fixture
def root(template, tmp_path):
    shutil.copytree(template, tmp_path, dirs_exist_ok=True)
    return tmp_path


def _faults(root, name):
    """Return the faults after an edit of one file, each of which must name that file."""
    faults = check_board(root, "both")
    assert all(fault.startswith(str(root / name)) and "\n" not in fault for fault in faults)
    return faults


# ---- JSON: every kind of leaf --------------------------------------------------------------------


def _leaves(part, steps=()):
    if isinstance(part, dict):
        for key, value in part.items():
            yield from _leaves(value, (*steps, key))
        return
    if isinstance(part, list) and part and isinstance(part[0], dict | float):
        for place, value in enumerate(part):
            yield from _leaves(value, (*steps, place))
        return
    yield steps, part


def _kind(steps, value):
    """Return what a leaf is, whichever data set, row, metric or seed it is of."""
    names = [str(step) for step in steps if not isinstance(step, int)]
    names = [re.sub(r"^(NDCG|Recall|MRR).*|^\d+$", "*", name) for name in names]
    return (*names, type(value).__name__)


def _changed(value):
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    if isinstance(value, float):
        return value * 1.001 + 1e-6
    if isinstance(value, str):
        return value + "x" if value else "a"
    return [*value, "x"] if isinstance(value, list) else 0.5


def _put(stated, steps, value):
    for step in steps[:-1]:
        stated = stated[step]
    stated[steps[-1]] = value


def test_every_kind_of_leaf_that_is_changed_is_found_and_named(root):
    page = root / "both.json"
    whole = page.read_text()
    kinds = {}
    for steps, value in _leaves(json.loads(whole)):
        kinds.setdefault(_kind(steps, value), []).append((steps, value))
    assert len(kinds) > 70
    for kind, found in kinds.items():
        steps, value = found[len(found) // 2]
        stated = json.loads(whole)
        _put(stated, steps, _changed(value))
        page.write_text(json.dumps(stated))
        named = "groups" if kind[-2] == "group" else kind[-2].replace("*", "")
        named = {"sections dataset name": "sections: holds", "sections rows label": "rows: holds",
                 "across label": "across: holds", "across against": "across: holds",
                 "across metric": "across: holds"}.get(" ".join(kind[:-1]), named)  # fmt: skip
        faults = _faults(root, "both")
        assert any(named in fault and "both.json" in fault for fault in faults), (kind, faults)
    page.write_text(whole)
    assert check_board(root, "both") == []


def test_every_kind_of_part_that_is_left_out_is_found(root):
    page = root / "both.json"
    whole = page.read_text()
    kinds = {_kind(steps, value)[:-1]: steps for steps, value in _leaves(json.loads(whole))}
    for kind, steps in kinds.items():
        stated = json.loads(whole)
        part = stated
        for step in steps[:-1]:
            part = part[step]
        del part[steps[-1]]
        page.write_text(json.dumps(stated))
        assert _faults(root, "both"), kind


def _without_a_row(stated):
    del stated["sections"][0]["rows"][2]


def _rows_swapped(stated):
    rows = stated["sections"][0]["rows"]
    rows[0], rows[1] = rows[1], rows[0]


def _none_best(stated):
    stated["sections"][0]["rows"][0]["values"]["MRR"]["best"] = []


def _nan(stated):
    stated["sections"][0]["rows"][0]["values"]["MRR"]["expected"] = float("nan")


def _tiny_p(stated):
    tests = stated["sections"][1]["rows"][2]["comparisons"]["MRR"]
    tests["p_value"] = tests["p_value"] * 0.999


STRUCTURE = {
    "a row left out": (_without_a_row, "rows: holds"),
    "rows swapped": (_rows_swapped, "rows: holds"),
    "a data set left out": (lambda stated: stated["sections"].pop(), "sections: holds"),
    "a test over data sets left out": (lambda stated: stated["across"].pop(), "across: holds"),
    "a part added": (lambda stated: stated.update(extra=1), "extra: is stated"),
    "no best mark": (_none_best, "best"),
    "not a number": (_nan, "expected: states nan"),
    "a little smaller p-value": (_tiny_p, "p_value"),
    "sections a number": (lambda stated: stated.update(sections=3), "sections: holds None"),
    "a metric renamed": (lambda stated: stated["metrics"].__setitem__(0, "NDCG@11"), "metrics"),
    "rows null": (lambda stated: stated["sections"][0].update(rows=None), "rows: holds None"),
}  # fmt: skip


@pytest.mark.parametrize("name", STRUCTURE)
def test_a_changed_structure_is_found(root, name):
    edit, expected = STRUCTURE[name]
    stated = json.loads((root / "both.json").read_text())
    edit(stated)
    (root / "both.json").write_text(json.dumps(stated))
    faults = check_board(root, "both")
    assert any(expected in fault and "both.json" in fault for fault in faults), faults


def test_values_that_rounding_leaves_open():
    assert list(differences({"low": Span(0.1, 0.2)}, {"low": 0.15})) == []
    assert list(differences({"low": Span(0.1, 0.2)}, {"low": 0.21})) == [
        "low: states 0.21, the records give 0.1 to 0.2"
    ]
    assert list(differences({"best": Either(([], ["a"]))}, {"best": ["a"]})) == []
    assert list(differences({"best": Either(([], ["a"]))}, {"best": ["b"]}))
    assert list(differences({"n": 1}, {"n": True})) == ["n: states True, the records give 1"]
    assert list(differences({"p_value": 1e-30}, {"p_value": 1.0001e-30}))
    assert list(differences({"p_value": 1e-30}, {"p_value": 1.00000001e-30})) == []
    assert settled({"a": Span(1, 2), "b": [Either((1, 2))]}, {"a": 1.5, "b": [2]}) == {
        "a": 1.5, "b": [2],
    }  # fmt: skip
    assert settled({"a": Span(1, 2), "b": Either((1, 2))}, None) == {"a": 1, "b": 1}


def test_a_printed_number_may_fall_either_way_only_at_the_edge():
    assert re.fullmatch(figure(0.12345), "0.1234") or re.fullmatch(figure(0.12345), "0.1235")
    assert all(re.fullmatch(figure(0.12345 + 1e-16), text) for text in ("0.1234", "0.1235"))
    assert not re.fullmatch(figure(0.12345 + 2e-9), "0.1234")
    assert not re.fullmatch(figure(0.1234), "0.1235")
    assert all(re.fullmatch(figure(-1e-15, "+.4f"), text) for text in ("-0.0000", "+0.0000"))
    assert not re.fullmatch(figure(1.26e-30, ".2g"), "1.2e-30")


# ---- CSV: every column ---------------------------------------------------------------------------


@pytest.mark.parametrize("column", COLUMNS)
def test_every_column_of_the_csv_that_is_changed_is_found_and_named(root, column):
    page = root / "both.csv"
    lines = list(csv.reader(io.StringIO(page.read_text())))
    place = lines[0].index(column)
    full = [line for line in lines[1:] if line[place]]
    line = full[len(full) // 2]
    try:
        line[place] = repr(float(line[place]) * 1.001 + 1e-6)
    except ValueError:
        line[place] = {"true": "false", "false": "true"}.get(line[place], line[place] + "x")
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(lines)
    page.write_text(stream.getvalue())
    faults = _faults(root, "both.csv")
    assert len(faults) == 1
    assert f", {column}: " in faults[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (r"\A[^\n]*\n", "", "the columns are"),
        (r"\n[^\n]*\n\Z", "\n", "lines below the header"),
        (r"\A(.*\n)(.*)\n(.*)\n", r"\1\3\n\2\n", "bound: "),
        (r"\A(.*\n[^,]*),", r"\1", "28 fields instead of 29"),
        (r"pessimistic,[\d.]+", "pessimistic,nan", "value: 'nan'"),
        (r"pessimistic,[\d.]+", "pessimistic,", "value: ''"),
        (r"\A.*", '"', "cannot be checked"),
    ],
)
def test_a_csv_of_another_form_is_found(root, old, new, expected):
    _edit(root / "both.csv", old, new)
    assert any(expected in fault for fault in _faults(root, "both.csv"))


# ---- the page ------------------------------------------------------------------------------------


def _edit(path, old, new):
    text, count = re.subn(old, new, path.read_text(encoding="utf-8"), count=1, flags=re.M)
    assert count == 1, old
    path.write_text(text, encoding="utf-8")


def _table_cells(text):
    """Return (table, column) -> the place in the text of each cell that is not empty."""
    found, table, inside, at = {}, -1, False, 0
    for line in text.splitlines(keepends=True):
        table += line.startswith("|") and not inside
        inside = line.startswith("|")
        if inside and not line.startswith("|-"):
            edges = [match.start() for match in re.finditer(r"(?<!\\)\|", line)]
            for column, (a, b) in enumerate(pairwise(edges)):
                if line[a + 1 : b].strip():
                    found.setdefault((table, column), []).append((at + a + 1, at + b))
        at += len(line)
    return found


def test_every_column_of_every_table_that_is_changed_is_found(root):
    page = root / "both.md"
    text = page.read_text(encoding="utf-8")
    cells = _table_cells(text)
    assert {table for table, _ in cells} == set(range(6))  # metrics, two by two, over data sets
    for (table, column), places in cells.items():
        for a, b in {places[0], places[1], places[-1]}:
            cell = text[a:b]
            digit = re.search(r"\d(?=\D*$)", cell)
            if digit is None:
                changed = cell.rstrip() + "x"
            else:
                at = digit.start()
                changed = f"{cell[:at]}{(int(cell[at]) + 2) % 10}{cell[at + 1 :]}"
            page.write_text(text[:a] + changed + text[b:], encoding="utf-8")
            assert _faults(root, "both.md"), (table, column, cell)


PAGE_FAULTS = {
    "heading": (r"^# Leaderboard: Both", "# Leaderboard: Other", "the heading"),
    "bold taken away": (r"\*\*(0\.\d{4})\*\*", r"\1", "is not marked as the best"),
    "bold given": (r"(?<=[| ])(0\.\d{4})/0", r"**\1**/0", "marked though it is not the best"),
    "half a bold": (r"\*\*(0\.\d{4})\*\*", r"**\1", "is not marked as the best"),
    "underline taken away": (r"<u>(0\.\d{4})</u>", r"\1", "is not marked as the best"),
    "underline given": (r"/(0\.\d{4}) ", r"/<u>\1</u> ", "marked though it is not the best"),
    "letters": (r"<sup>a", "<sup>z", "has the letters"),
    "letters taken away": (r" <sup>\w+</sup>", "", "has the letters None"),
    "no-learning mark taken away": (r"^(\| weak) †", r"\1  ", "column 'method'"),
    "no-learning mark taken from a column": (r"^(\| data set.*weak) †", r"\1", "the columns are"),
    "no-learning mark given": (r"^\| close( +)\|", r"| close †\1|", "column 'method'"),
    "gap mark taken away": (r" ‡ ", "  ", "column 'tied'"),
    "gap mark given": (r"^(\| close.* 0\.0 %)  ", r"\1 ‡", "column 'tied'"),
    "a missing row filled": (r"\| missing +\|", "| 0.5000/0.5000 |", "not 'missing'"),
    "improvement": (r"close over", "close above", "improvement"),
    "size": (r"^60 users", "61 users", "does not say '60 users"),
    "events": (r"1,234 events", "1,235 events", "1,234 events"),
    "fewest events": (r"at least \d", "at least 9", "at least"),
    "masking": (r"is not masked", "is masked", "history is not masked"),
    "split": (r"Split leave-one-out", "Split in time", "Split leave-one-out"),
    "split hash": (r"Split hash `\w", "Split hash `0", "the split hash"),
    "level": (r"level 0\.1\)", "level 0.05)", "level of the letters"),
    "correction": (r"Benjamini and Hochberg", "Holm", "does not say 'Benjamini'"),
    "bound of the tests": (r"\(pessimistic ranks\)", "(expected ranks)", "pessimistic ranks"),
    "bound over data sets": (r"means of pessimistic", "means of expected", "other ranks"),
    "note": (r"half trained", "well trained", "notes of rows"),
    "uncommitted": (r" Made with uncommitted code\.", "", "notes of rows"),
    "settings": (r"alpha=0\.5", "alpha=0.6", "notes of rows"),
    "note left out": (r"^- `toy`.*\n", "", "notes of rows"),
    "missing seed": (r"seeds 7 are", "seeds 8 are", "missing rows and seeds"),
    "missing row untold": (r"^- sasrec: .*\n", "", "missing rows and seeds"),
    "reference": (r"\| reference", "| -0.1", "the records give 'reference'"),
    "p-value": (r"p ([\d.]+)(e-\d+)? +\|", r"p 0.123 |", "p 0.123"),
    "sign of a difference": (r"\| -(0\.\d*[1-9])", r"| +\1", "column"),
    "a column left out": (r"^\| data set *\| ", "| ", "the columns are"),
    "a line left out": (r"^\| tiny +\| MRR .*\n", "", "not a table of 8 lines"),
    "a row left out": (r"^\| toy +\| item.*\n", "", "not a table of"),
    "a table left out": (r"^### Tests\n\n(\|.*\n)+", "", "tables on the page"),
    "a table added": (r"\Z", "\n\n| a |\n|---|\n| b |\n", "tables on the page"),
    "everything": (r"(?s)\A.*\Z", "", "tables on the page"),
}


@pytest.mark.parametrize("name", PAGE_FAULTS)
def test_an_edited_page_is_found_and_told(root, name):
    old, new, expected = PAGE_FAULTS[name]
    _edit(root / "both.md", old, new)
    faults = _faults(root, "both.md")
    assert any(expected in fault for fault in faults), faults


# ---- LaTeX ---------------------------------------------------------------------------------------


LATEX_FAULTS = {
    "number": (r"(0\.\d\d\d)\d(?=/)", r"\g<1>x", "which is no pair of numbers"),
    "optimistic number": (r"(& )0\.\d{4}/", r"\g<1>0.9999/", "optimistic: printed 0.9999"),
    "pessimistic number": (r"/0\.\d{4}", "/0.0001", "pessimistic: printed 0.0001"),
    "bold taken away": (r"\\textbf\{(0\.\d{4})\}", r"\1", "is not marked as the best"),
    "bold given": (r"(& )(0\.\d{4})/", r"\1\\textbf{\2}/", "marked though it is not the best"),
    "underline taken away": (r"\\underline\{(0\.\d{4})\}", r"\1", "is not marked as the best"),
    "letters": (r"textsuperscript\{a", "textsuperscript{z", "has the letters"),
    "improvement": (r"close over", "close above", "improvement"),
    "percent": (r"(\.\d)(?= \\%)", r"\g<1>9", "improvement"),
    "label": (r"& toy ", "& boy ", "the columns are"),
    "metric": (r"& MRR@5", "& MRR@6", "the line begins with"),
    "data set": (r"^ *tiny ", " tine ", "the line begins with"),
    "missing": (r"& missing", "& 0.0000/0.0000", "not 'missing'"),
    "caption": (r"caption\{Both", "caption{Other", "the caption does not begin"),
    "a line left out": (r"^ +& MRR .*\n", "", "not one of 8 lines"),
    "a rule left out": (r"\\midrule", "", "2 rules instead of the three"),
    "everything": (r"(?s)\A.*\Z", "", "0 rules"),
    "an empty head": (r"\\toprule(?s:.*)\\midrule", r"\\toprule\n\\midrule", "cannot be checked"),
}


@pytest.mark.parametrize("name", LATEX_FAULTS)
def test_an_edited_latex_table_is_found_and_told(root, name):
    old, new, expected = LATEX_FAULTS[name]
    _edit(root / "both.tex", old, new)
    faults = _faults(root, "both.tex")
    assert any(expected in fault for fault in faults), faults


# ---- files, and what a board is asked to show ----------------------------------------------------


@pytest.mark.parametrize("ending", ["json", "md", "csv", "tex"])
@pytest.mark.parametrize("damage", ["missing", "not UTF-8", "empty", "a folder"])
def test_a_damaged_file_is_named(root, ending, damage):
    path = root / f"both.{ending}"
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    elif damage != "missing":
        path.write_bytes(b"" if damage == "empty" else b"\xff\xfe\x00")
    assert _faults(root, path.name)


@pytest.mark.parametrize("content", ["[]", "3", "null", "{", '{"sections": [{}, 3]}', "[" * 9999])
def test_a_json_that_is_no_board_is_named(root, content):
    (root / "both.json").write_text(content)
    faults = check_board(root, "both")
    assert faults[0].startswith(str(root / "both.json"))
    assert not any("\n" in fault for fault in faults)


DEFINITIONS = {
    "title": (r"Both_of", "Both of", "title: states"),
    "data sets": (r'"tiny", "other"', '"other", "tiny"', "sections: holds"),
    "a row": (r'"close"\]', '"close", "random"]', "rows: holds"),
    "seeds": (r"\[0, 1, 7\]", "[0, 1, 2]", "seeds: states"),
    "metrics": (r'"MRR@5"', '"MRR@6"', "MRR@6: is missing"),
    "sources": (r'sources = \["calrec"\]', "sources = []", "sources: states"),
    "correction": (r"benjamini-hochberg", "holm", "correction: states"),
    "level": (r"level = 0.1", "level = 0.2", "level: states"),
    "against": (r"^level", 'against = "lir"\nlevel', "against: states"),
    "bound": (r"^level", 'bound = "expected"\nlevel', "bound: states"),
    "improvement": (r'of = "close"', 'of = "lir"', "of: states"),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_board_that_is_not_the_one_asked_for_is_found(root, name):
    old, new, expected = DEFINITIONS[name]
    _edit(root / "both.toml", old, new)
    faults = check_board(root, "both")
    assert any(expected in fault and "both.json" in fault for fault in faults), faults


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("datasets = [", "TOMLDecodeError"),
        ("", "'datasets'"),
        ("datasets = 3", "a list of names"),
        ("datasets = ['tiny']\nmetrics = ['HIT@1']", "no metric 'HIT@1'"),
        ("datasets = ['tiny']\nfamily = 3", "both.toml"),
        ("datasets = ['tiny']\nseeds = 3", "both.toml"),
        ("datasets = ['tiny']\nrow = [3]", "both.toml"),
        ("datasets = ['tiny']\n[family]\ncorrection = 'sidak'", "is 'sidak', not one of"),
    ],
)  # fmt: skip
def test_a_damaged_board_file_is_named(root, content, expected):
    (root / "both.toml").write_text(content)
    (fault,) = check_board(root, "both")
    assert fault.startswith(str(root / "both.toml"))
    assert expected in fault


def test_a_page_whose_board_is_gone_is_found(root):
    (root / "tiny.json").write_text("{}")
    (fault,) = check_board(root, "tiny")
    assert "there is no such board; the board file both.toml shows its data" in fault
    shutil.rmtree(root / "records")
    assert "none of its records is there" in check_board(root, "both")[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (r", over seeds 0", "", "printed '"),
        (r", over seeds 0", ", over seeds 1", "printed '"),
        (r"^- Tests are over the seeds.*\n", "", "leaves it unexplained"),
    ],
)
def test_seeds_of_a_test_are_told_where_a_row_has_others(tmp_path, old, new, expected):
    rows = [made_record(label, 0, [1, 2, 9 + place, 30]) for place, label in enumerate(GATE)]
    rows += [made_record("toy", seed, [1, 1, 5 + seed, 7]) for seed in (0, 1)]
    publish(tmp_path, rows)
    assert check_board(tmp_path, "tiny") == []
    _edit(tmp_path / "tiny.md", old, new)
    assert any(expected in fault for fault in check_board(tmp_path, "tiny"))
