"""``leaderboard publish`` and ``--check``: every fault planted in what is published is found."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import environment
from harness.check import _digest, _means, check_board
from tests.toys import Shell, write_card


def _code(dirty):
    return lambda: {"version": "1", "commit": "c0ffee", "dirty": dirty}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Where the first test that wants a published board leaves it for the others."""
    return tmp_path_factory.mktemp("published") / "board"


@pytest.fixture
def published(shell, plugin, monkeypatch, template) -> Shell:
    """A board of seven rows, two of them with two seeds, published and checked."""
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy", describe="return {'parameters': 1234}")
    plugin("idle", score="return np.full((len(histories), len(candidates)), -np.inf)")
    if not template.exists():
        assert shell.run("toy,toy:strong", "--set", "toy.layers=3", "--quiet").code == 0
        assert shell.run("idle,toy,random", "--seeds", "0,1", "--quiet").code == 0
        done = shell.leaderboard("publish", "--check")
        assert done.code == 0, done.out + done.err
        assert "tiny: ok" in done.out
        shutil.copytree(shell.out, template / "runs")
        shutil.copytree(shell.root, template / "leaderboards")
        return shell
    for folder in (shell.out, shell.root):
        shutil.copytree(template / folder.name, folder)
    return shell


def _page(shell):
    return shell.root / "tiny.md"


def _folder(shell, row="random", seed=1):
    return shell.root / "records" / "tiny" / f"{row}-seed{seed}"


def test_what_is_published(published):
    rows = [line for line in _page(published).read_text().splitlines() if line.startswith("| ")]
    labels = [row.split("|")[1].strip().removesuffix(" †") for row in rows[1:]]
    assert sorted(labels) == [
        "idle", "lir", "popularity", "random", "toy", "toy (layers=3)", "toy:strong (layers=3)",
    ]  # fmt: skip
    names = {path.name for path in published.root.rglob("*") if path.is_file()}
    assert {name for name in names if "ranks" not in name} == {
        "tiny.md", "record.json", "fit.jsonl",
    }  # fmt: skip


def test_nothing_published_holds_an_item_text_or_id(published):
    for path in published.root.rglob("*"):
        if path.suffix in (".md", ".json", ".jsonl"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"Thing|\bi\d\d\b|\bu\d\d\d\b", text), path
        elif path.suffix == ".npz":
            with np.load(path) as archive:
                assert {archive[name].dtype.kind for name in archive.files} == {"i"}


def test_publishing_again_changes_nothing(published):
    before = {path: path.read_bytes() for path in published.root.rglob("*") if path.is_file()}
    assert published.leaderboard("publish").code == 0
    after = {path: path.read_bytes() for path in published.root.rglob("*") if path.is_file()}
    assert after == before


def test_rows_published_earlier_stay(published, plugin):
    shutil.rmtree(published.out)
    plugin("other")
    published.run("other", "--quiet")
    assert published.leaderboard("publish", "--check").code == 0
    text = _page(published).read_text()
    assert "| other" in text
    assert "toy:strong (layers=3)" in text


# ---- faults planted in the page ------------------------------------------------------------------


def _edit(pattern, replacement):
    def edit(text):
        edited, count = re.subn(pattern, replacement, text, count=1, flags=re.M)
        assert count == 1, pattern
        return edited

    return edit


def _without_row(text):
    lines = text.splitlines(keepends=True)
    lines.remove(next(line for line in lines if line.startswith("| random")))
    return "".join(lines)


def _with_row(label):
    def edit(text):
        lines = text.splitlines(keepends=True)
        row = next(line for line in lines if line.startswith("| random"))
        at = next(n for n, line in enumerate(lines) if line.startswith("|--")) + 1
        lines.insert(at, row.replace("random", label, 1).replace("0.0", "0.9"))
        return "".join(lines)

    return edit


def _swapped(text):
    lines = text.splitlines(keepends=True)
    first = next(n for n, line in enumerate(lines) if line.startswith("|--")) + 1
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    return "".join(lines)


PAGE_FAULTS = {
    "metric": _edit(r"^(\| lir .*?/0\.\d\d\d)\d", r"\g<1>x"),
    "metric of one bound": _edit(r"^(\| random.*?)0\.\d{4}/", r"\g<1>0.9999/"),
    "bold taken away": _edit(r"\*\*(0\.\d{4})\*\*", r"\1"),
    "bold given": _edit(r"^(\| random.*?\| )(0\.\d{4})/", r"\1**\2**/"),
    "underline taken away": _edit(r"<u>(0\.\d{4})</u>", r"\1"),
    "tie rate": _edit(r"^(\| popularity.*?)\d+\.\d %", r"\g<1>0.0 %"),
    "seconds": _edit(r"^(\| lir.* % +\| +)\d+\.\d", r"\g<1>99.9"),
    "parameters": _edit(r"1,234", "1,235"),
    "seeds": _edit(r"\| 0,1 ", "| 0,2 "),
    "inputs": _edit(r"^\| lir( +)\| item text", r"| lir\1| item ids "),
    "mark of what has not learnt": _edit(r" †", "  "),
    "label": _edit(r"^\| toy \(layers=3\)", "| toy (layers=4)"),
    "row removed": _without_row,
    "row added": _with_row("mirror"),
    "row doubled": _with_row("random"),
    "rows swapped": _swapped,
    "prose": _edit("not masked", "masked"),
    "split hash": _edit(r"Split hash `\w{4}", "Split hash `0000"),
    "note of a row": _edit(r"layers=3 \(--set\)", "layers=9 (--set)"),
    "line added at the end": lambda text: text + "\nOur method is best.\n",
    "line removed at the end": lambda text: text.rstrip("\n").rpartition("\n")[0] + "\n",
}


@pytest.mark.parametrize("fault", PAGE_FAULTS)
def test_an_edited_page_is_found(published, fault):
    page = _page(published)
    original = page.read_text(encoding="utf-8")
    edited = PAGE_FAULTS[fault](original)
    assert edited != original
    page.write_text(edited, encoding="utf-8")
    done = published.leaderboard("--check")
    assert done.code == 1
    assert "tiny: " in done.out
    page.write_text(original, encoding="utf-8")
    assert published.leaderboard("--check").code == 0


NUMBERS = ("metric", "metric of one bound", "bold taken away", "bold given", "underline taken away",
           "tie rate", "seconds", "parameters", "seeds", "inputs", "mark of what has not learnt",
           "label", "row removed", "row added", "row doubled", "rows swapped", "split hash",
           )  # fmt: skip


@pytest.mark.parametrize("fault", NUMBERS)
def test_every_number_is_found_by_the_independent_code_alone(published, fault):
    page = _page(published)
    page.write_text(PAGE_FAULTS[fault](page.read_text()), encoding="utf-8")
    assert check_board(page, published.root / "records" / "tiny")


# ---- faults planted in the records ---------------------------------------------------------------


def _edit_ranks(folder, depth):
    """Improve one user's rank; adapt the digest, the metrics and the tie rate as ``depth`` says."""
    (path,) = folder.glob("ranks-*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    worst = int(np.argmax(arrays["pessimistic"]))
    arrays["optimistic"][worst] = arrays["pessimistic"][worst] = 1
    np.savez_compressed(path, **arrays)
    record = json.loads((folder / "record.json").read_text())
    if depth >= 1:
        record["ranks_sha256"] = _digest(arrays)
        path.rename(folder / f"ranks-{record['ranks_sha256'][:12]}.npz")
    if depth >= 2:
        means = _means(arrays["optimistic"].tolist(), arrays["pessimistic"].tolist())
        for (metric, bound), value in means.items():
            if bound:
                record["metrics"][metric][bound] = value
        record["tie_rate"] = means["tied", ""]
    (folder / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("depth", "expected"),
    [(0, "do not have the sha256"), (1, "the ranks give"), (2, "the records give")],
)
def test_an_edited_rank_is_found_however_far_it_is_covered_up(published, depth, expected):
    _edit_ranks(_folder(published), depth)
    done = published.leaderboard("--check")
    assert done.code == 1
    assert expected in done.out


def _record_edit(**changes):
    def edit(shell):
        path = _folder(shell) / "record.json"
        record = json.loads(path.read_text())
        for key, value in changes.items():
            record[key] = {**record[key], **value} if isinstance(value, dict) else value
        path.write_text(json.dumps(record))

    return edit


def _flip(shell):
    (path,) = _folder(shell).glob("ranks-*.npz")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))


RECORD_FAULTS = {
    "ranks file missing": lambda shell: next(_folder(shell).glob("*.npz")).unlink(),
    "ranks file damaged": _flip,
    "two ranks files": lambda shell: (_folder(shell) / "ranks-0.npz").write_bytes(b""),
    "record missing": lambda shell: (_folder(shell) / "record.json").unlink(),
    "record cut off": lambda shell: (_folder(shell) / "record.json").write_text('{"status": "ok"'),
    "record a list": lambda shell: (_folder(shell) / "record.json").write_text("[]"),
    "record empty": lambda shell: (_folder(shell) / "record.json").write_text('{"status": "ok"}'),
    "folder missing": lambda shell: shutil.rmtree(_folder(shell)),
    "all records missing": lambda shell: shutil.rmtree(shell.root / "records"),
    "page missing": lambda shell: _page(shell).unlink(),
    "page emptied": lambda shell: _page(shell).write_text(""),
    "metric": _record_edit(metrics={"MRR": {"optimistic": 0.5, "pessimistic": 0.5}}),
    "tie rate": _record_edit(tie_rate=0.123),
    "status": _record_edit(status="failed"),
    "seed": _record_edit(seed=7),
    "seconds": _record_edit(cost={"score_s": 1e6}),
    "cost no table": _record_edit(cost=3),
    "split hash": _record_edit(dataset={"split_hash": "0" * 64}),
    "size": _record_edit(dataset={"n_users": 29}),
    "protocol": _record_edit(protocol={"history_masked": True}),
    "label": _record_edit(method={"label": "other"}),
    "title": _record_edit(method={"title": "Another"}, seed=0),
}


@pytest.mark.parametrize("fault", RECORD_FAULTS)
def test_an_edited_or_missing_record_is_found(published, fault):
    RECORD_FAULTS[fault](published)
    done = published.leaderboard("--check")
    assert done.code == 1, done.out
    assert "Traceback" not in done.err


def test_checking_nothing_is_not_ok(shell):
    done = shell.leaderboard("--check")
    assert done.code == 1
    assert "holds no board" in done.out
    assert shell.leaderboard("--check", "--datasets", "tiny").code == 1


def test_another_page_beside_the_boards_is_no_board(published):
    (published.root / "README.md").write_text("| a | table |\n|---|---|\n| of | notes |\n")
    assert published.leaderboard("--check").code == 0


# ---- what is refused -----------------------------------------------------------------------------


def _refused(shell, expected, *arguments):
    done = shell.leaderboard("publish", *arguments)
    assert done.code == 1
    assert expected in done.err
    assert len(done.err.splitlines()) == 1
    assert not shell.root.exists()


def test_no_finished_cell_is_refused(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    _refused(shell, "holds no finished cell")
    plugin("toy", fit="raise RuntimeError('no luck')")
    shell.run("toy", "--quiet")
    _refused(shell, "no finished cell of other", "--datasets", "tiny,other")
    for name in ("lir", "random", "popularity"):
        shutil.rmtree(shell.out / "tiny" / name)
    _refused(shell, "holds no finished cell")


def test_a_failed_cell_is_not_published_beside_finished_ones(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy", fit="raise RuntimeError('no luck')")
    shell.run("toy", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    assert "toy" not in _page(shell).read_text()


def test_uncommitted_code_is_refused_unless_allowed(shell, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(True))
    shell.run("random", "--quiet")
    _refused(shell, "uncommitted code")
    assert shell.leaderboard("publish", "--allow-dirty", "--check").code == 0
    assert json.loads((_folder(shell, seed=0) / "record.json").read_text())["code"]["dirty"]


@pytest.mark.parametrize("part", ["ranks", "metrics"])
def test_a_record_changed_after_the_run_is_refused(shell, monkeypatch, part):
    monkeypatch.setattr(environment, "code_state", _code(False))
    shell.run("random", "--quiet")
    folder = shell.folder_of("random")
    if part == "ranks":
        _edit_ranks(folder, 0)
    else:
        record = json.loads((folder / "record.json").read_text())
        record["metrics"]["MRR"]["pessimistic"] = 0.9
        (folder / "record.json").write_text(json.dumps(record))
    _refused(shell, "changed after the run")


def test_records_of_another_split_do_not_join_a_published_board(published):
    before = {path: path.read_bytes() for path in published.root.rglob("*") if path.is_file()}
    shutil.rmtree(published.out)
    published.card = write_card(published.card.parent, [list("abcd"), list("bcda"), list("cdab")])
    published.run("random", "--quiet")
    done = published.leaderboard("publish")
    assert done.code == 1
    assert "differ in split_hash" in done.err
    after = {path: path.read_bytes() for path in published.root.rglob("*") if path.is_file()}
    assert after == before


# ---- paths of the machine ------------------------------------------------------------------------


def test_absolute_paths_are_reduced_to_their_last_part(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin(
        "toy",
        describe="return {'note': f'tuned from {self.settings.backbone} and /opt/x/tokenizer'}",
    )
    shell.run("toy", "--quiet", "--set", "toy.backbone=/home/some body/models/tiny llama")
    assert shell.leaderboard("publish", "--check").code == 0
    (record,) = shell.root.glob("records/tiny/toy-*/record.json")
    method = json.loads(record.read_text())["method"]
    assert method["label"] == "toy (backbone=tiny llama)"
    assert method["settings"]["backbone"] == "tiny llama"
    for path in [record, _page(shell)]:
        text = path.read_text()
        assert "/home" not in text
        assert "some body" not in text
        assert "/opt" not in text
    assert "tuned from tiny llama and tokenizer" in _page(shell).read_text()


def test_hub_ids_stay_whole(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--quiet", "--set", "toy.backbone=someone/a-model")
    shell.leaderboard("publish")
    assert "backbone=someone/a-model" in _page(shell).read_text()


def test_two_models_whose_paths_end_alike_are_refused(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    for folder in ("one", "two"):
        shell.run("toy", "--quiet", "--set", f"toy.backbone=/{folder}/model")
    _refused(shell, "both be published as")


def test_rows_that_differ_in_a_sign_have_folders_of_their_own(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    for value in ("a-b", "a.b", "a b", "-a-b"):
        shell.run("toy", "--quiet", "--set", f"toy.backbone={value}")
    assert shell.leaderboard("publish", "--check").code == 0
    assert len(list(shell.root.glob("records/tiny/toy-*"))) == 4
