"""``leaderboard publish`` and ``--check``: every fault planted in what is published is found."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from harness import environment
from harness.checking import check_board
from harness.metrics import summary, tie_rate
from harness.records import ranks_digest
from tests.toys import Shell, write_card


def _code(dirty, commit="c0ffee"):
    return lambda: {"version": "1", "commit": commit, "dirty": dirty}


@pytest.fixture(scope="module")
def template(tmp_path_factory) -> Path:
    """Where the first test that wants a published board leaves it for the others."""
    return tmp_path_factory.mktemp("published") / "board"


@pytest.fixture
def published(shell, plugin, monkeypatch, template) -> Shell:
    """A board of seven rows, two of them with two seeds, published and checked."""
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy", fit="context.log(loss=0.5)", describe="return {'parameters': 1234}")
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
    rows = _page(published).read_text().partition("## Rows")[2].partition("## Tests")[0]
    lines = [line for line in rows.splitlines() if line.startswith("| ")]
    labels = [line.split("|")[1].strip().removesuffix(" †") for line in lines[1:]]
    assert sorted(labels) == [
        "idle", "lir", "popularity", "random", "toy", "toy (layers=3)", "toy:strong (layers=3)",
    ]  # fmt: skip
    names = {path.name for path in published.root.rglob("*") if path.is_file()}
    assert {name for name in names if "ranks" not in name} == {
        "tiny.md", "tiny.json", "tiny.csv", "tiny.tex", "tiny.html", "index.html",
        "reproduction.md", "record.json", "fit.jsonl", "split.json",
    }  # fmt: skip


def test_nothing_published_holds_an_item_text_or_id(published):
    for path in published.root.rglob("*"):
        if path.suffix in (".md", ".json", ".jsonl", ".csv", ".tex", ".html"):
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


def _first_row(lines):
    """Return the place of the first line below the head of the table of rows."""
    at = next(n for n, line in enumerate(lines) if line.startswith("## Rows"))
    return next(n for n, line in enumerate(lines) if n > at and line.startswith("|--")) + 1


def _without_row(text):
    lines = text.splitlines(keepends=True)
    lines.remove(next(line for line in lines if line.startswith("| random")))
    return "".join(lines)


def _with_row(label):
    def edit(text):
        lines = text.splitlines(keepends=True)
        row = next(line for line in lines if line.startswith("| random"))
        lines.insert(_first_row(lines), row.replace("random", label, 1).replace("0.0", "0.9"))
        return "".join(lines)

    return edit


def _swapped(text):
    lines = text.splitlines(keepends=True)
    first = _first_row(lines)
    lines[first], lines[first + 1] = lines[first + 1], lines[first]
    return "".join(lines)


PAGE_FAULTS = {
    "metric": _edit(r"^(\| tiny +\| MRR.*?/0\.\d\d\d)\d", r"\g<1>x"),
    "metric of one bound": _edit(r"^(\| tiny +\| MRR.*\| )0\.\d{4}/", r"\g<1>0.9999/"),
    "bold taken away": _edit(r"\*\*(0\.\d{4})\*\*", r"\1"),
    "bold given": _edit(r"^(\| tiny.*?\| )(0\.\d{4})/", r"\1**\2**/"),
    "underline taken away": _edit(r"<u>(0\.\d{4})</u>", r"\1"),
    "tie rate": _edit(r"^(\| popularity.*?)\d+\.\d %", r"\g<1>0.0 %"),
    "seconds": _edit(r"^(\| lir.* %(?: ‡)? +\| +)\d+\.\d", r"\g<1>99.9"),
    "interval": _edit(r"^(\| popularity.*? to 0\.\d\d\d)\d", r"\g<1>x"),
    "groups": _edit(r"<sup>a</sup>", "<sup>z</sup>"),
    "improvement": _edit(r"([+-]\d+)\.\d %", r"\g<1>.x %"),
    "difference": _edit(r"^(\| random.*?)[+-]0\.\d{4} \[", r"\g<1>+0.9999 ["),
    "interval of a difference": _edit(r"^(\| random.*? to )[+-]0\.\d{4}\]", r"\g<1>+0.9999]"),
    "p-value": _edit(r"^(\| random.*?\], p )[\d.e-]+", r"\g<1>1e-9"),
    "reference": _edit(r"NDCG@10, minus \S+", "NDCG@10, minus nobody"),
    "parameters": _edit(r"1,234", "1,235"),
    "seeds": _edit(r"\| 0,1 ", "| 0,2 "),
    "device": _edit(r"\| cpu ", "| gpu "),
    "peak of memory": _edit(r"^(\| lir.*\| )([\d,]+)( +\| cpu)", r"\g<1>9\2\3"),
    "column renamed": _edit(r"\| metric ", "| metrik "),
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
           "interval", "groups", "improvement", "difference", "interval of a difference",
           "p-value", "reference", "device", "peak of memory",
           )  # fmt: skip


@pytest.mark.parametrize("fault", NUMBERS)
def test_every_number_is_found_by_the_independent_code_alone(published, fault):
    page = _page(published)
    page.write_text(PAGE_FAULTS[fault](page.read_text()), encoding="utf-8")
    assert check_board(published.root, "tiny")


OTHER_FILES = {
    "JSON": ("tiny.json", _edit(r'"pessimistic": 0\.\d\d', '"pessimistic": 0.77')),
    "JSON cut off": ("tiny.json", lambda text: text[: len(text) // 2]),
    "CSV": ("tiny.csv", _edit(r"^(tiny,.*?,MRR,pessimistic,0\.)\d", r"\g<1>9")),
    "CSV without a line": ("tiny.csv", _edit(r"^tiny,.*\n", "")),
    "LaTeX": ("tiny.tex", _edit(r"\\underline\{0\.\d{3}", r"\\underline{0.999")),
    "HTML": ("tiny.html", _edit(r">0\.\d{4}<", ">0.9999<")),
    "HTML, a script": ("tiny.html", _edit("</body>", "<script>alert(1)</script></body>")),
    "index": ("index.html", _edit("A tiny data", "A huge data")),
    "reproduction": ("reproduction.md", lambda text: text + "and all of it agrees.\n"),
}


@pytest.mark.parametrize("fault", OTHER_FILES)
def test_an_edit_of_any_other_file_is_found(published, fault):
    name, edit = OTHER_FILES[fault]
    path = published.root / name
    path.write_text(edit(path.read_text(encoding="utf-8")), encoding="utf-8")
    done = published.leaderboard("--check")
    assert done.code == 1, done.out
    assert name in done.out


@pytest.mark.parametrize("name", ["tiny.json", "tiny.csv", "tiny.tex", "tiny.html", "index.html"])
def test_a_missing_file_is_found(published, name):
    (published.root / name).unlink()
    done = published.leaderboard("--check")
    assert done.code == 1
    assert name in done.out


# ---- faults planted in the records ---------------------------------------------------------------


def _hash(value):
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


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
        record["ranks_sha256"] = ranks_digest(arrays)
        path.rename(folder / f"ranks-{record['ranks_sha256'][:12]}.npz")
    if depth >= 2:
        record["metrics"] = summary(arrays["optimistic"], arrays["pessimistic"])
        record["tie_rate"] = tie_rate(arrays["optimistic"], arrays["pessimistic"])
    if depth >= 3:
        del record["record_sha256"]
        record["record_sha256"] = _hash(record)
    (folder / "record.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("depth", "expected"),
    [
        (0, "do not have the sha256"),
        (1, "the ranks give"),
        (2, "was changed"),
        (3, "the records give"),
    ],
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
    "expected metric": _record_edit(metrics={"NDCG@10": {"expected": 0.9}}),
    "commit": _record_edit(code={"commit": "decade"}),
    "packages": _record_edit(code={"packages": {}}),
    "memory": _record_edit(cost={"peak_memory_bytes": 1}),
    "settings": _record_edit(method={"settings": {"x": 1}}),
    "time": _record_edit(finished_at="2030-01-01"),
    "no digest of the record": _record_edit(record_sha256=None),
    "no digest of the fit log": _record_edit(fit_log_sha256=None),
    "fit log missing": lambda shell: (_folder(shell, "toy") / "fit.jsonl").unlink(),
    "fit log edited": lambda shell: (_folder(shell, "toy") / "fit.jsonl").write_text("{}\n"),
    "a file too many": lambda shell: (_folder(shell) / "notes.txt").write_text("x"),
    "row id": _record_edit(row_id="0" * 64),
}


@pytest.mark.parametrize("fault", RECORD_FAULTS)
def test_an_edited_or_missing_record_is_found(published, fault):
    RECORD_FAULTS[fault](published)
    done = published.leaderboard("--check")
    assert done.code == 1, done.out
    assert "Traceback" not in done.err


def _reseal(path, **changes):
    """Change a record and cover it up by a new digest."""
    record = json.loads(path.read_text())
    for key, value in changes.items():
        record[key] = {**record[key], **value} if isinstance(value, dict) else value
    del record["record_sha256"]
    path.write_text(json.dumps(record | {"record_sha256": _hash(record)}))


COVERED_UP = {
    "expected metric": ({"metrics": {"MRR": {
        "optimistic": 0.5, "pessimistic": 0.5, "expected": 0.5}}}, "MRR expected is stated as"),
    "seed": ({"seed": 7}, "do not give the run id"),
    "dirty": ({"code": {"dirty": True}}, "Made with uncommitted code"),
    "made elsewhere": ({"code": {"source": "external"}}, "do not agree about whether"),
    "row": ({"row_id": "0" * 64, "run_id": _hash({"row": "0" * 64, "seed": 1})},
            "mixes seeds of different code"),
    "fit log": ({"fit_log_sha256": None}, "the fit log does not have"),
    "origin": ({"origin": None}, "does not say which settings"),
}  # fmt: skip


@pytest.mark.parametrize("fault", COVERED_UP)
def test_an_edit_that_is_covered_up_by_a_new_digest_is_found_too(published, fault):
    changes, expected = COVERED_UP[fault]
    _reseal(_folder(published) / "record.json", **changes)
    assert any(expected in line for line in check_board(published.root, "tiny"))


@pytest.mark.parametrize("gate", ["lir", "popularity"])
def test_a_board_without_a_baseline_is_a_fault(published, gate):
    for folder in (published.root / "records" / "tiny").glob(f"{gate}-*"):
        shutil.rmtree(folder)
    assert published.leaderboard("render").code == 0
    done = published.leaderboard("--check")
    assert done.code == 1
    assert f"the baseline {gate} is missing" in done.out


def test_checking_nothing_is_not_ok(shell):
    done = shell.leaderboard("--check")
    assert done.code == 1
    assert "holds no board" in done.out
    assert shell.leaderboard("--check", "--boards", "tiny").code == 1


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


def test_a_damaged_record_is_refused_not_passed_over(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--quiet")
    (shell.folder_of("toy") / "record.json").write_text("{")
    _refused(shell, "not a whole record")
    _refused(shell, "not a whole record", "--datasets", "tiny")
    (shell.out / "other").mkdir()
    _refused(shell, "no finished cell of other", "--datasets", "other")  # and tiny's is not read


@pytest.mark.parametrize("gate", ["lir", "popularity"])
def test_a_board_without_its_baselines_is_refused(shell, monkeypatch, gate):
    monkeypatch.setattr(environment, "code_state", _code(False))
    shell.run("random", "--quiet")
    shutil.rmtree(shell.out / "tiny" / gate)
    _refused(shell, f"not judged: {gate} is missing; run it with the baselines")


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
    assert _page(shell).read_text().count("Made with uncommitted code.") == 3


@pytest.mark.parametrize(("dirty", "commit"), [(None, None), (False, None), (None, "c0ffee")])
def test_code_of_no_known_commit_is_refused_unless_allowed(shell, monkeypatch, dirty, commit):
    monkeypatch.setattr(environment, "code_state", _code(dirty, commit))
    shell.run("random", "--quiet")
    _refused(shell, "code, so nobody" if commit else "code of no known commit")
    assert shell.leaderboard("publish", "--allow-dirty", "--check").code == 0
    assert "Made with uncommitted code." in _page(shell).read_text()


def test_the_record_holds_the_state_of_the_code_that_was_loaded(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    toy = plugin("toy", fit="COMMIT()")
    toy.COMMIT = lambda: monkeypatch.setattr(environment, "code_state", _code(True, "later"))
    shell.run("toy,random", "--quiet")
    states = {(r["code"]["commit"], r["code"]["dirty"]) for r in shell.records().values()}
    assert states == {("c0ffee", False)}


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


# ---- rows that replace others --------------------------------------------------------------------


BACKWARDS = "return -np.tile(candidates * 1.0, (len(histories), 1))"


def _published_toys(shell):
    found = shell.root.glob("records/tiny/toy*/record.json")
    records = [json.loads(path.read_text()) for path in found]
    return sorted((record["method"]["label"], record["seed"]) for record in records)


def test_seeds_of_older_code_leave_with_the_row_that_is_replaced(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--seeds", "0,1,2", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    assert _published_toys(shell) == [("toy", 0), ("toy", 1), ("toy", 2)]
    plugin("toy", score=BACKWARDS)
    shell.run("toy", "--seeds", "0", "--quiet")
    done = shell.leaderboard("publish", "--check")
    assert done.code == 0, done.out + done.err
    assert _published_toys(shell) == [("toy", 0)]
    shell.run("toy", "--seeds", "2", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    assert _published_toys(shell) == [("toy", 0), ("toy", 2)]


def test_only_the_seeds_of_one_version_are_published_from_a_mixed_run_folder(
    shell, plugin, monkeypatch
):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--seeds", "0,1,2", "--quiet")
    plugin("toy", score=BACKWARDS)
    shell.run("toy", "--seeds", "1", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    assert _published_toys(shell) == [("toy", 1)]


def _contents(shell):
    return {path: path.read_bytes() for path in shell.root.rglob("*") if path.is_file()}


def test_an_older_row_does_not_replace_a_newer_one(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--quiet")
    old = shell.out.rename(shell.out.with_name("old"))
    plugin("toy", score=BACKWARDS)
    shell.run("toy", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    before, new = _contents(shell), shell.records()["toy 0"]["finished_at"]
    shell.out = old
    done = shell.leaderboard("publish")
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert shell.records()["toy 0"]["finished_at"] in done.err
    assert new in done.err
    assert _contents(shell) == before


def test_an_older_run_of_the_very_same_row_is_no_fault(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--seeds", "0,1", "--quiet")
    shutil.copytree(shell.out, shell.out.with_name("old"))
    shell.run("toy", "--fresh", "--quiet")
    assert shell.leaderboard("publish", "--check").code == 0
    before = _contents(shell)
    shell.out = shell.out.with_name("old")
    assert shell.leaderboard("publish", "--check").code == 0
    assert _contents(shell) == before


def test_another_model_does_not_replace_a_published_one_whose_path_ends_alike(
    shell, plugin, monkeypatch
):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy")
    shell.run("toy", "--quiet", "--set", "toy.backbone=/one/model")
    assert shell.leaderboard("publish", "--check").code == 0
    before = _contents(shell)
    shutil.rmtree(shell.out / "tiny" / "toy")
    shell.run("toy", "--quiet", "--set", "toy.backbone=/two/model")
    done = shell.leaderboard("publish")
    assert (done.code, len(done.err.splitlines())) == (1, 1)
    assert "another model is published as 'toy (backbone=model)'" in done.err
    assert _contents(shell) == before


def test_a_board_that_fails_its_check_is_no_success(shell, monkeypatch):
    from harness import publish

    monkeypatch.setattr(environment, "code_state", _code(False))
    monkeypatch.setattr(publish, "check", lambda root, name: ["a number differs"])
    shell.run("random", "--quiet")
    done = shell.leaderboard("publish")
    assert done.code == 1
    assert "does not pass its check after publishing: a number differs" in done.err


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


def test_a_fit_log_is_published_without_paths_and_never_with_long_texts(shell, plugin, monkeypatch):
    monkeypatch.setattr(environment, "code_state", _code(False))
    plugin("toy", fit="context.log(start=self.settings.backbone, loss=float('nan'))")
    shell.run("toy", "--quiet", "--set", "toy.backbone=/home/me/tiny llama")
    assert shell.leaderboard("publish", "--check").code == 0
    (log,) = shell.root.glob("records/tiny/toy-*/fit.jsonl")
    assert json.loads(log.read_text()) == {"start": "tiny llama", "loss": None}
    (folder,) = (path.parent for path in (shell.out / "tiny" / "toy").rglob("record.json"))
    text = json.dumps({"item": "long " * 20}) + "\n"
    (folder / "fit.jsonl").write_text(text)
    record = json.loads((folder / "record.json").read_text())
    record["fit_log_sha256"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "record.json").write_text(json.dumps(record))
    done = shell.leaderboard("publish")
    assert done.code == 1
    assert "a text of 100 characters, which may be an item's" in done.err


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


# ---- render --------------------------------------------------------------------------------------


def _infinite(path):
    path.write_text(re.sub(r'"tie_rate": [\d.]+', '"tie_rate": NaN', path.read_text()))


def _unsealed(path):
    path.write_text(json.dumps(json.loads(path.read_text()) | {"record_sha256": None}))


UNFIT = {
    "edited": (lambda path: path.write_text(path.read_text().replace("c0ffee", "0decaf")),
               "a part of the record was changed"),
    "sealed again": (lambda path: _reseal(path, tie_rate=0.125), "tie rate is stated as 0.125"),
    "split": (lambda path: _reseal(path, dataset={"split_hash": "0" * 64}), "differ in split_hash"),
    "not sealed": (_unsealed, "a part of the record was changed"),
    "NaN": (_infinite, "tie_rate is nan, not a finite number"),
}  # fmt: skip


@pytest.mark.parametrize("fault", UNFIT)
def test_rendering_damaged_records_touches_nothing(published, fault):
    change, expected = UNFIT[fault]
    change(_folder(published) / "record.json")
    split = published.root / "records" / "tiny" / "split.json"
    before = split.read_bytes(), _contents(published)
    done = published.leaderboard("render")
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert expected in done.err
    assert (split.read_bytes(), _contents(published)) == before


def test_rendering_keeps_damaged_facts_of_a_split_and_drops_those_of_another(published):
    path = published.root / "records" / "tiny" / "split.json"
    text = path.read_text()
    path.write_text(text[:-20])
    done = published.leaderboard("render")
    assert done.code == 1
    assert "split.json: damaged" in done.err
    assert path.read_text() == text[:-20]
    path.write_text(re.sub(r'"split_hash": "\w+"', f'"split_hash": "{"0" * 64}"', text))
    done = published.leaderboard("render")
    assert done.code == 0, done.err
    assert not path.exists()
