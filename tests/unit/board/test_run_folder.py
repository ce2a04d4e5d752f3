"""The board of a run folder: current data and rules only, this run's version of its rows."""

from __future__ import annotations

import dataclasses

import pytest

from harness.board.run_folder import run_board, write_run_board
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.planning import choose_methods, plan_cell
from harness.progress import Progress
from harness.protocol import protocol_of, run_id
from harness.records import write_record
from harness.splits import split_hash
from tests.boards import made_record
from tests.toys import write_card


@pytest.fixture
def cell(tmp_path, plugin, quick_disk):
    plugin("toy")
    card = load_card(str(write_card(tmp_path / "data")))
    data = prepare(card, tmp_path / "cache", Progress(shown=False))
    return plan_cell(choose_methods(["toy"], [])[0], data, 0, "cpu", tmp_path / "runs", False)


def _store(cell, name, *, planned=False, **changes):
    record, arrays = made_record(**changes)
    rules = protocol_of(cell.data.card.protocol.facts())
    dataset = {**record.dataset, "split_hash": split_hash(cell.data.content_hash)}
    if planned:
        identity = run_id(cell.row_id, record.seed)
        record = dataclasses.replace(record, row_id=cell.row_id, run_id=identity)
    if "split_hash" in changes:
        dataset = record.dataset
    record = dataclasses.replace(record, dataset=dataset, protocol=rules)
    write_record(cell.folder.parent.parent / name, record, arrays)


def _rows(tmp_path, cell):
    table = run_board(tmp_path / "runs", [cell])
    if table is None:
        return {}
    (section,) = table.sections
    return {row.label: list(row.seeds) for row in section.rows}


def test_other_rows_stay_and_records_of_other_data_do_not(tmp_path, cell):
    _store(cell, "a", label="lir")
    _store(cell, "b", label="old", split_hash="0" * 64)
    _store(cell, "c", planned=True)
    assert _rows(tmp_path, cell) == {"lir": [0], "toy": [0]}


def test_a_row_of_this_run_shows_this_version_though_another_ran_later(tmp_path, cell):
    _store(cell, "planned", planned=True, finished_at="2026-01-01")
    _store(cell, "other code", source="other", finished_at="2026-01-09")
    _store(cell, "other seed", planned=True, seed=1, finished_at="2026-01-05")
    _store(cell, "other seed and code", source="other", seed=2, finished_at="2026-01-09")
    _store(cell, "failed", planned=True, seed=3, status="failed")
    _store(cell, "threads or verb", seed=4, finished_at="2026-01-09")
    assert _rows(tmp_path, cell) == {"toy": [0, 1, 3]}


@pytest.mark.parametrize("change", ["threads", "verb"])
def test_what_no_record_shows_makes_another_row_too(tmp_path, cell, change, monkeypatch):
    _store(cell, "planned", planned=True)
    _store(cell, "other seed", planned=True, seed=1)
    assert _rows(tmp_path, cell) == {"toy": [0, 1]}
    data = cell.data
    if change == "threads":
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
    else:
        data = dataclasses.replace(data, card=dataclasses.replace(data.card, verb="watched"))
    other = plan_cell(cell.choice, data, 0, "cpu", tmp_path / "runs", False)
    assert _rows(tmp_path, other) == {}


def test_a_planned_cell_shows_its_own_run_only(tmp_path, cell):
    _store(cell, "a", planned=True)
    path = tmp_path / "runs" / "tiny" / "a" / "record.json"
    path.write_text(path.read_text().replace(cell.run_id, "0" * 64))
    assert _rows(tmp_path, cell) == {}


def test_a_damaged_record_is_left_off(tmp_path, cell):
    _store(cell, "c", planned=True)
    broken = tmp_path / "runs" / "tiny" / "x" / "record.json"
    broken.parent.mkdir(parents=True)
    broken.write_text("{")
    assert _rows(tmp_path, cell) == {"toy": [0]}


def test_the_page(tmp_path, cell):
    _store(cell, "c", planned=True)
    page = write_run_board(tmp_path / "runs", "tiny", run_board(tmp_path / "runs", [cell]))
    assert page == tmp_path / "runs" / "tiny" / "leaderboard.md"
    assert "| toy" in page.read_text()


def test_a_row_whose_ranks_were_edited_is_marked_failed_and_the_others_stand(tmp_path, cell):
    _store(cell, "a", planned=True)
    _store(cell, "b", label="lir")
    (ranks,) = (tmp_path / "runs" / "tiny" / "a").glob("ranks-*.npz")
    ranks.write_bytes(ranks.read_bytes()[:-40])
    (section,) = run_board(tmp_path / "runs", [cell]).sections
    assert {row.label: row.status for row in section.rows} == {"lir": "ok", "toy": "failed"}
    assert "damaged ranks" in section.row("toy").reason
