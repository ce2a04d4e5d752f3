"""``report``: the HTML page of a run folder, from its records and the prepared data."""

from __future__ import annotations

import re

import pytest

from harness import paper
from tests.toys import write_card


@pytest.fixture
def report(shell):
    def write(*arguments):
        folders = ["--datasets", shell.card, "--out", shell.out, "--cache", shell.cache, "--quiet"]
        return shell("report", *folders, *arguments)

    return write


def _page(shell) -> str:
    return (shell.out / "tiny" / "report.html").read_text(encoding="utf-8")


def test_the_report_shows_rows_slices_users_and_texts(shell, report):
    shell.run("random,lir", "--seeds", "0,1", "--quiet")
    done = report()
    assert (done.code, done.err) == (0, "")
    assert done.out == f"written: {shell.out / 'tiny' / 'report.html'}\n"
    page = _page(shell)
    value = shell.records()["lir 0"]["metrics"]["NDCG@10"]["pessimistic"]
    board = page.partition("<tbody>")[2].partition("</tbody>")[0]
    assert re.findall(r'<tr data-inputs="([^"]*)"', board)
    assert f"{value:.4f}" in board
    assert "repeat target" in page
    assert "Thing i0" in page
    assert page.count("<svg") >= 6


def test_texts_are_left_out_on_request(shell, report):
    shell.run("random", "--quiet")
    assert report("--no-texts").code == 0
    assert "Thing" not in _page(shell)
    assert "User " in _page(shell)


def test_the_same_records_give_the_same_page(shell, report):
    shell.run("random", "--quiet")
    report()
    first = _page(shell)
    report()
    assert _page(shell) == first


def test_a_failed_method_is_shown_as_failed(shell, report, plugin):
    plugin("toy", fit="raise MethodError('no luck')")
    shell.run("toy,random", "--quiet")
    assert report().code == 0
    assert "failed (seed 0): no luck" in _page(shell)


def test_a_row_whose_ranks_were_edited_is_marked_and_the_others_are_shown(shell, report):
    shell.run("random", "--quiet")
    (ranks,) = shell.folder_of("lir").glob("ranks-*.npz")
    ranks.write_bytes(b"nothing")
    assert report().code == 0
    assert "damaged ranks" in _page(shell)


def test_what_was_never_run_is_named(shell, report):
    done = report()
    assert done.code == 2
    assert "run it first" in done.err
    assert done.err.startswith("error: ")
    assert not (shell.out / "tiny" / "report.html").exists()


def test_no_data_set_and_an_unknown_one(shell):
    assert shell("report", "--datasets", ",").code == 2
    done = shell("report", "--datasets", "ml-100", "--out", shell.out)
    assert done.code == 2
    assert "ml-100k" in done.err


# ---- the paper's tables --------------------------------------------------------------------------


def _named_scientific(shell):
    shell.card = write_card(shell.card.parent, name="scientific")
    shell.run("random", "--quiet")
    return shell.out / "scientific" / "report.html"


def test_a_data_set_of_the_papers_has_its_tables_beside_ours(shell, report):
    page = _named_scientific(shell)
    done = report()
    assert (done.code, done.err) == (0, "")
    assert "Table 2" in page.read_text()


def test_damage_that_hides_the_papers_tables_is_told(shell, report):
    page = _named_scientific(shell)
    (ranks,) = (shell.out / "scientific" / "lir").glob("seed0-*/ranks-*.npz")
    ranks.write_bytes(b"nothing")
    done = report()
    assert done.code == 0
    assert "without the paper's tables" in done.err
    assert "lir" in done.err
    assert "Table 2" not in page.read_text()


def test_without_a_checkout_there_are_no_tables_and_nothing_to_tell(shell, report, monkeypatch):
    page = _named_scientific(shell)
    monkeypatch.setattr(paper, "facts_present", lambda: False)
    done = report()
    assert (done.code, done.err) == (0, "")
    assert "Table 2" not in page.read_text()
