"""``leaderboard add`` and ``render``: records made elsewhere, and pages written again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import environment
from harness.checking.records import json_digest
from harness.files import canonical_json, sha256_text
from harness.records import ranks_digest
from tests.toys import Shell, random_sequences, write_card


@pytest.fixture
def board(shell, monkeypatch) -> Shell:
    """A published board of lir, popularity and random, and a run folder that holds nothing more."""
    state = {"version": "1", "commit": "c0ffee", "dirty": False}
    monkeypatch.setattr(environment, "code_state", lambda: state)
    assert shell.run("random", "--quiet").code == 0
    assert shell.leaderboard("publish", "--check").code == 0
    return shell


@pytest.fixture
def elsewhere(board, plugin) -> Path:
    """The folder of a record of ``toy`` that another machine has made: another run folder."""
    plugin("toy", fit="context.log(loss=0.5)")
    here, board.out = board.out, board.out.parent / "elsewhere"
    assert board.run("toy", "--quiet").code == 0
    folder = board.folder_of("toy")
    board.out = here
    return folder


def _files(root):
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def _refused(board, place, expected):
    before = _files(board.root)
    done = board.leaderboard("add", place)
    assert done.code == 1, done.out
    assert expected in done.err
    assert _files(board.root) == before


@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_record_of_another_machine_joins_the_board(board, elsewhere, named):
    done = board.leaderboard("add", elsewhere / "record.json" if named == "file" else elsewhere)
    assert done.code == 0, done.err
    rows = (board.root / "tiny.md").read_text().partition("## Rows")[2].partition("##")[0]
    assert {line.split()[1] for line in rows.splitlines() if line.startswith("| ")} >= {
        "toy", "lir", "popularity", "random",
    }  # fmt: skip
    published = board.root / "records" / "tiny" / "toy-seed0"
    assert sorted(path.suffix for path in published.iterdir()) == [".json", ".jsonl", ".npz"]
    assert board.leaderboard("--check").code == 0


def test_adding_again_changes_nothing(board, elsewhere):
    assert board.leaderboard("add", elsewhere).code == 0
    before = _files(board.root)
    assert board.leaderboard("add", elsewhere).code == 0
    assert _files(board.root) == before


def test_a_record_that_was_published_elsewhere_joins_as_it_is(board, elsewhere, tmp_path):
    assert board.leaderboard("add", elsewhere).code == 0
    theirs = tmp_path / "theirs"
    shutil.move(board.root, theirs)
    assert board.leaderboard("publish").code == 0
    assert not (board.root / "records" / "tiny" / "toy-seed0").exists()
    assert board.leaderboard("add", theirs / "records" / "tiny" / "toy-seed0").code == 0
    for name in ("record.json", "fit.jsonl"):
        part = Path("records", "tiny", "toy-seed0", name)
        assert (board.root / part).read_bytes() == (theirs / part).read_bytes()
    assert _files(board.root).keys() == {
        board.root / path.relative_to(theirs) for path in _files(theirs)
    }


def test_a_published_record_that_was_edited_is_refused(board, elsewhere, tmp_path):
    assert board.leaderboard("add", elsewhere).code == 0
    theirs = tmp_path / "theirs"
    shutil.copytree(board.root / "records" / "tiny" / "toy-seed0", theirs)
    record = json.loads((theirs / "record.json").read_text())
    record["cost"]["fit_s"] = 0.001
    (theirs / "record.json").write_text(json.dumps(record))
    _refused(board, theirs, "does not have the sha256 it states")


def test_edited_ranks_are_refused(board, elsewhere):
    (path,) = elsewhere.glob("ranks-*.npz")
    with np.load(path) as stored:
        ranks = dict(stored)
    name = next(name for name, values in ranks.items() if values.dtype.kind == "i")
    ranks[name] = np.ones_like(ranks[name])
    np.savez(path, **ranks)
    _refused(board, elsewhere, "ranks")


def test_an_edited_metric_is_refused(board, elsewhere):
    record = json.loads((elsewhere / "record.json").read_text())
    record["metrics"]["MRR"]["optimistic"] = 0.99
    (elsewhere / "record.json").write_text(json.dumps(record))
    _refused(board, elsewhere, "changed after the run")


def test_a_failed_record_is_refused_with_its_reason(board, plugin):
    plugin("toy", fit="raise MethodError('no luck')")
    board.run("toy", "--quiet")
    _refused(board, board.folder_of("toy"), "the record is failed: no luck")


def test_a_record_of_another_split_is_refused(board, plugin):
    plugin("toy")
    here, board.out = board.out, board.out.parent / "elsewhere"
    board.card = write_card(board.card.parent / "other", random_sequences(31, 12, 5))
    assert board.run("toy", "--quiet").code == 0
    folder = board.folder_of("toy")
    board.out = here
    _refused(board, folder, "differ in split_hash")


# ---- records that were made up -------------------------------------------------------------------


def _made_up(folder, **parts):
    """Return where a published record lies that is changed and sealed again, as anyone can."""
    record = json.loads((folder / "record.json").read_text())
    for path, value in parts.items():
        *outer, last = path.split("__")
        inner = record
        for name in outer:
            inner = inner[name]
        inner[last] = value
    record["run_id"] = sha256_text(
        canonical_json({"row": record["row_id"], "seed": record["seed"]})
    )
    record = record | parts.get("also", {})
    sealed = {key: value for key, value in record.items() if key != "record_sha256"}
    record["record_sha256"] = json_digest(sealed)
    (folder / "record.json").write_text(json.dumps(record))
    return folder


@pytest.fixture
def theirs(board, elsewhere, tmp_path) -> Path:
    """A published record of ``toy``, outside the board."""
    assert board.leaderboard("add", elsewhere).code == 0
    published = board.root / "records" / "tiny" / "toy-seed0"
    shutil.move(published, tmp_path / "theirs")
    assert board.leaderboard("render").code == 0
    return tmp_path / "theirs"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({"dataset__name": "../../victim"}, "the data set's name"),
        ({"dataset__name": "."}, "the data set's name"),
        ({"dataset__name": "a/b"}, "the data set's name"),
        ({"seed": "0/../../../../evil"}, "seed is"),
        ({"seed": -1}, "seed is"),
        ({"seed": True}, "seed is"),
        ({"finished_at": 5}, "finished_at is 5"),
        ({"method__paper": ["a"]}, "method paper is"),
        ({"method__title": "a\u202eb"}, "method title is"),
        ({"method__inputs": "item ids"}, "inputs are"),
        ({"dataset__n_items": 1.5}, "n_items is 1.5"),
        ({"report__note": "Thing " * 200}, "note has 1200 characters"),
    ],
)
def test_a_made_up_record_is_refused_and_nothing_is_touched(board, theirs, parts, expected):
    victim = board.root.parent / "victim" / "keep"
    victim.mkdir(parents=True)
    (victim / "important").write_text("here")
    before = {path for path in board.root.parent.rglob("*") if theirs not in path.parents}
    _refused(board, _made_up(theirs, **parts), expected)
    assert (victim / "important").read_text() == "here"
    after = {path for path in board.root.parent.rglob("*") if theirs not in path.parents}
    assert after == before


def test_two_rows_never_share_a_run(board, theirs):
    other = json.loads(
        (board.root / "records" / "tiny" / "random-seed0" / "record.json").read_text()
    )
    made_up = _made_up(theirs, row_id=other["row_id"])
    _refused(board, made_up, "is the run of 'random' too")


def _with_arrays(folder, change):
    """Change the arrays of a record and seal it again."""
    record = json.loads((folder / "record.json").read_text())
    (path,) = folder.glob("ranks-*.npz")
    with np.load(path) as stored:
        arrays = change(dict(stored))
    path.unlink()
    digest = ranks_digest(arrays)
    np.savez(folder / f"ranks-{digest[:12]}.npz", **arrays)
    return _made_up(folder, ranks_sha256=digest, seed=record["seed"])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda arrays: {k: v for k, v in arrays.items() if k != "top"}, "the arrays are"),
        (lambda arrays: {**arrays, "texts": np.array(["Thing i00"])}, "the arrays are"),
        (lambda arrays: {**arrays, "top": arrays["top"] + 99}, "an item ranked first is not"),
        (lambda arrays: {**arrays, "top": arrays["top"][:3]}, "top is of 3 users"),
        (lambda arrays: {**arrays, "top": arrays["top"] * 1.0}, "top is float64"),
    ],
)
def test_arrays_unlike_those_of_ranks_are_refused(board, theirs, change, expected):
    _refused(board, _with_arrays(theirs, change), expected)


# ---- boards that name their rows -----------------------------------------------------------------


def test_a_row_that_no_board_would_show_is_refused(board, elsewhere):
    (board.root / "tiny.toml").write_text('datasets = ["tiny"]\nmethods = ["lir", "popularity"]\n')
    _refused(board, elsewhere, "no board shows 'toy' with seed 0; add it to methods and seeds in")


def test_a_board_names_a_local_model_by_the_end_of_its_path(board, plugin):
    plugin("toy")
    board.run("toy", "--quiet", "--set", "toy.backbone=/home/me/tiny-llama")
    folder = board.folder_of("toy")
    file = board.root / "tiny.toml"
    file.write_text('datasets = ["tiny"]\nmethods = ["lir", "popularity"]\n')
    label = "toy (backbone=tiny-llama)"
    _refused(board, folder, f"no board shows {label!r}")
    file.write_text(f'datasets = ["tiny"]\nmethods = ["lir", "popularity", "{label}"]\n')
    done = board.leaderboard("add", folder, "--check")
    assert done.code == 0, done.out + done.err
    assert label in (board.root / "tiny.md").read_text()


def test_publishing_leaves_out_what_no_board_shows(board, plugin):
    plugin("toy")
    board.run("toy,random", "--quiet")
    (board.root / "tiny.toml").write_text(
        'datasets = ["tiny"]\nmethods = ["lir", "popularity", "random"]\n'
    )
    done = board.leaderboard("publish", "--check")
    assert done.code == 0, done.out + done.err
    assert not list(board.root.glob("records/tiny/toy*"))
    assert "toy" not in (board.root / "tiny.md").read_text()


# ---- texts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("allowed", [True, False])
def test_texts_travel_where_the_card_allows_it(shell, monkeypatch, allowed):
    state = {"version": "1", "commit": "c0ffee", "dirty": False}
    monkeypatch.setattr(environment, "code_state", lambda: state)
    shell.card = write_card(shell.card.parent, redistributable=allowed)
    shell.run("random", "--quiet")
    done = shell.leaderboard("publish", "--check")
    assert done.code == 0, done.out + done.err
    assert ("Thing i0" in (shell.root / "tiny.html").read_text()) == allowed
    assert ("Thing i0" in (shell.root / "records" / "tiny" / "split.json").read_text()) == allowed


def test_texts_that_a_shipped_card_forbids_are_neither_taken_nor_passed(shell, monkeypatch):
    state = {"version": "1", "commit": "c0ffee", "dirty": False}
    monkeypatch.setattr(environment, "code_state", lambda: state)
    shell.card = write_card(shell.card.parent, name="games", redistributable=True)
    shell.run("random", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    assert "Thing i0" not in (shell.root / "games.html").read_text()
    shutil.copy(shell.out / "games" / "split.json", shell.root / "records" / "games")
    done = shell.leaderboard("--check")
    assert done.code == 1
    assert "the card of games does not allow" in done.out


def test_what_is_no_record(board, tmp_path):
    _refused(board, tmp_path / "nothing", "record.json")
    assert board.leaderboard("add").code == 2
    assert board.leaderboard("publish", tmp_path).code == 2


def test_pages_follow_an_edited_board_file(board):
    file = board.root / "mine.toml"
    file.write_text('datasets = ["tiny"]\nmethods = ["lir", "popularity"]\nmetrics = ["MRR"]\n')
    assert "mine.json: cannot be read" in board.leaderboard("--check").out
    done = board.leaderboard("render", "--check")
    assert done.code == 0, done.out + done.err
    page = (board.root / "mine.md").read_text()
    assert "MRR" in page
    assert "NDCG@10" not in page.partition("## Rows")[0].partition("| data set")[2]
    assert f"written: {board.root / 'mine.md'}" in done.out
    assert not list(board.root.glob("tiny.*"))
    file.unlink()
    assert board.leaderboard("render").code == 0
    assert (board.root / "tiny.md").is_file()
