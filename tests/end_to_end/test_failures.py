"""A cell that fails: shown as failed, never as zero, never left out, and nobody else's trouble."""

from __future__ import annotations

import errno
import json
import resource

import numpy as np
import pytest

from harness import files, planning
from tests.toys import install, process, write_card

FAULTS = {
    "raises": ({"fit": "raise RuntimeError('no\\nluck')"}, "RuntimeError: no luck"),
    "raises in score": ({"score": "raise KeyError('x')"}, "KeyError: 'x'"),
    "NaN": (
        {"score": "s = np.zeros((len(histories), len(candidates)))\ns[-1, 3] = np.nan\nreturn s"},
        "NaN score for user",
    ),
    "wrong shape": ({"score": "return np.zeros((len(histories), 3))"}, "shape (30, 20)"),
    "wrong dtype": (
        {"score": "return np.zeros((len(histories), len(candidates)), int)"},
        "found int64",
    ),
    "no array": ({"score": "return [[0.0] * len(candidates)] * len(histories)"}, "found list"),
    "writes to its input": ({"fit": "data.histories.items[0] = 0"}, "ValueError"),
    "exits": ({"fit": "raise SystemExit(0)"}, "SystemExit"),
    "memory": ({"fit": "raise MemoryError"}, "out of memory"),
    "unspeakable report": ({"describe": "return {'note': object()}"}, "describe()"),
    "report of NaN": ({"describe": "return {'loss': float('nan')}"}, "describe()"),
    "no report": ({"describe": "return None"}, "describe()"),
    "validates on nobody": ({"fit": "context.validate(self, users=0)"}, "at least one user"),
    "undeclared text": ({"fit": "data.item_texts"}, "does not declare Input.ITEM_TEXT"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_method_is_shown_as_failed_and_the_others_finish(shell, plugin, fault):
    parts, reason = FAULTS[fault]
    plugin("toy", **parts)
    done = shell.run("toy,random")
    assert done.code == 1
    assert "failed: tiny / toy / seed 0" in done.out
    assert reason in done.out
    metrics = [line for line in shell.page.splitlines() if line.startswith("| tiny ")]
    assert [line.split("|")[-3].strip() for line in metrics] == ["failed"] * 4
    row = next(line for line in shell.page.splitlines() if line.startswith("| toy"))
    assert row.split("|")[4].strip() == "failed"
    assert "0.0" not in row
    records = shell.records()
    assert records["toy 0"]["status"] == "failed"
    assert records["toy 0"]["metrics"] == {}
    assert reason in records["toy 0"]["reason"]
    assert {records[f"{name} 0"]["status"] for name in ("random", "lir", "popularity")} == {"ok"}
    assert "Traceback" in (shell.folder_of("toy") / "traceback.txt").read_text()
    assert "Traceback" not in done.err


def test_a_nan_names_the_user_and_the_item(shell, plugin):
    plugin(
        "toy",
        score="s = np.zeros((len(histories), len(candidates)))\n"
        "s[histories.users == 17, 3] = np.nan\nreturn s",
    )
    shell.run("toy")
    assert "user 17" in shell.records()["toy 0"]["reason"]
    assert "item 3" in shell.records()["toy 0"]["reason"]


def test_a_mended_method_replaces_the_failed_row(shell, plugin):
    plugin("toy", fit="raise RuntimeError('no luck')")
    shell.run("toy")
    assert "last run failed" in shell.run("toy", "--dry-run").out
    plugin("toy")
    assert shell.run("toy").code == 0
    assert "failed" not in shell.page


def test_a_failed_cell_runs_again(shell, plugin):
    toy = plugin("toy", fit="if not MENDED:\n    raise RuntimeError('no luck')")
    toy.MENDED = False
    assert shell.run("toy").code == 1
    toy.MENDED = True
    assert shell.run("toy").code == 0
    assert "failed" not in shell.page
    assert not (shell.folder_of("toy") / "traceback.txt").exists()


@pytest.mark.parametrize("error", ["RuntimeError", "KeyboardInterrupt", "OSError"])
def test_a_fresh_run_that_fails_leaves_the_former_record_and_ranks(shell, plugin, error):
    toy = plugin("toy", fit=f"context.log(epoch=1)\nif FAILING:\n    raise {error}('no luck')")
    toy.FAILING = False
    shell.run("toy")
    folder = shell.folder_of("toy")
    kept = {p.name: p.read_bytes() for p in folder.iterdir() if p.suffix in (".json", ".npz")}
    assert len(kept) == 2
    before = shell.records()["toy 0"]
    page = shell.page
    toy.FAILING = True
    done = shell.run("toy", "--fresh")
    assert done.code == (130 if error == "KeyboardInterrupt" else 1)
    assert {name: (folder / name).read_bytes() for name in kept} == kept
    if error != "KeyboardInterrupt":
        stands = f"the board keeps the record finished {before['finished_at']}"
        assert stands in done.out
        assert stands in done.err
    toy.FAILING = False
    toy.CALLS.clear()
    shell.run("toy")
    assert toy.CALLS == []  # still found finished
    assert next(r for r in shell.page.splitlines() if "toy" in r) in page


def test_quiet_still_says_why_a_cell_failed_or_was_skipped(shell, plugin):
    plugin("toy", fit="raise RuntimeError('no luck')")
    plugin("absent", card='requires=("no_such_package",),')
    done = shell.run("toy,absent", "--quiet")
    failed, skipped = done.err.splitlines()
    assert failed.startswith("tiny / toy / seed 0: failed: RuntimeError: no luck (see ")
    assert skipped.startswith("tiny / absent / seed 0: skipped: needs no_such_package")
    assert "failed: tiny / toy / seed 0: RuntimeError: no luck" in done.out
    assert "skipped: tiny / absent / seed 0: needs no_such_package" in done.out


LEFTOVERS = """
left = sorted(path.name for path in context.work_dir.iterdir())
(context.work_dir / "checkpoint").mkdir()
(context.work_dir / "checkpoint" / "weights").write_text("x")
if FAILING:
    raise FAILING("no luck")
context.log(left=len(left))
"""


@pytest.mark.parametrize("before", ["finished", "failed", "interrupted"])
def test_a_run_never_meets_the_work_of_an_earlier_one(shell, plugin, before):
    toy = plugin("toy", fit=LEFTOVERS)
    toy.FAILING = {"finished": None, "failed": RuntimeError, "interrupted": KeyboardInterrupt}[
        before
    ]
    shell.run("toy")
    assert (shell.folder_of("toy") / "work" / "checkpoint" / "weights").is_file()
    toy.FAILING = None
    assert shell.run("toy", "--fresh").code == 0
    assert json.loads((shell.folder_of("toy") / "fit.jsonl").read_text()) == {"left": 0}


def test_a_missing_package_skips_the_cell_and_says_which(shell, plugin):
    plugin("toy", card='requires=("numpy", "no_such_package.part"),')
    done = shell.run("toy")
    assert done.code == 1
    assert "skipped: tiny / toy / seed 0" in done.out
    assert "no_such_package" in shell.records()["toy 0"]["reason"]
    assert "| skipped" in shell.page


def test_a_package_that_went_missing_leaves_what_is_finished(shell, plugin, monkeypatch):
    plugin("toy")
    shell.run("toy")
    before = shell.records()["toy 0"]
    monkeypatch.setattr(planning, "_obstacle", lambda *_: "needs what was removed")
    assert shell.run("toy").code == 0  # nothing needs to run
    assert shell.run("toy", "--fresh").code == 1
    assert shell.records()["toy 0"] == before
    assert list(shell.folder_of("toy").glob("ranks-*.npz"))


# ---- damaged files -------------------------------------------------------------------------------


def _damage(folder, what):
    (ranks,) = folder.glob("ranks-*.npz")
    record = folder / "record.json"
    if what == "record cut off":
        record.write_bytes(record.read_bytes()[:-20])
    elif what == "record not UTF-8":
        record.write_bytes(b"\xff\xfe")
    elif what == "record of another format":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"format": 99}))
    elif what == "record without metrics":
        record.write_text(json.dumps(json.loads(record.read_text()) | {"metrics": {}}))
    elif what == "record missing":
        record.unlink()
    elif what == "ranks cut off":
        ranks.write_bytes(ranks.read_bytes()[:-30])
    elif what == "ranks with a flipped byte":
        content = bytearray(ranks.read_bytes())
        content[len(content) // 2] ^= 0xFF
        ranks.write_bytes(bytes(content))
    elif what == "other ranks":
        with np.load(ranks) as archive:
            arrays = dict(archive)
        arrays["pessimistic"][0] += 1
        np.savez_compressed(ranks, **arrays)
    elif what == "fit log missing":
        (folder / "fit.jsonl").unlink()
    elif what == "fit log edited":
        (folder / "fit.jsonl").write_text('{"loss": 0}\n')
    else:
        ranks.unlink()


@pytest.mark.parametrize(
    "what",
    ["record cut off", "record not UTF-8", "record of another format", "record without metrics",
     "record missing", "ranks cut off", "ranks with a flipped byte", "other ranks",
     "ranks missing", "fit log missing", "fit log edited"],
)  # fmt: skip
def test_a_damaged_record_or_ranks_file_is_run_again(shell, plugin, what):
    toy = plugin("toy")
    shell.run("toy")
    whole = shell.records()["toy 0"]["ranks_sha256"]
    _damage(shell.folder_of("toy"), what)
    toy.CALLS.clear()
    done = shell.run("toy")
    assert done.code == 0
    assert toy.CALLS.count("fit") == 1
    assert "kept" not in done.err
    assert shell.records()["toy 0"]["ranks_sha256"] == whole


# ---- a full disk ---------------------------------------------------------------------------------


@pytest.mark.parametrize("full_for", [".npz", "record.json"])
def test_a_full_disk_is_said_and_nothing_half_written_is_taken_for_finished(
    shell, plugin, monkeypatch, full_for
):
    toy = plugin("toy")
    real = files.os.fsync

    def full(descriptor):
        name = files.os.readlink(f"/proc/self/fd/{descriptor}")
        if "/toy/" in name and full_for in name:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(files.os, "fsync", full)
    done = shell.run("toy")
    assert done.code == 1
    assert "no space left on the device" in done.err
    assert "failed: tiny / toy / seed 0" in done.out
    assert not list(shell.folder_of("toy").glob(".*.tmp"))
    records = shell.records()
    assert records.get("toy 0", {"status": "failed"})["status"] == "failed"
    assert records["lir 0"]["status"] == "ok"
    monkeypatch.undo()
    plugin_again = shell.run("lir")  # the others are kept
    assert plugin_again.err.count("skip: finished") == 3
    assert toy.CALLS.count("fit") == 1


def test_a_page_that_cannot_be_written_still_prints_the_board(shell, monkeypatch):
    shell.run("random", "--quiet")
    (shell.out / "tiny" / "leaderboard.md").unlink()
    (shell.out / "tiny" / "leaderboard.md").mkdir()
    done = shell.run("random", "--quiet")
    assert done.code == 1
    assert "\nrandom" in done.out
    assert "markdown: not written" in done.out
    assert "Traceback" not in done.err


def test_a_file_limit_of_the_real_system(shell, tmp_path):
    site = install(
        tmp_path, "large", describe="return {'note': 'x' * 200_000}",
    )  # fmt: skip
    shell.run("random")  # prepares the data; compiles
    done = process(
        *shell.run_arguments("large", "--quiet"), path=site,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)),
    )  # fmt: skip
    out, err = done.communicate(timeout=120)
    assert done.returncode == 1, err
    assert "Traceback" not in err
    assert "failed: tiny / large / seed 0" in out
    assert "File too large" in out  # the reason, which fits into a record of its own
    assert shell.records()["large 0"]["status"] == "failed"
    assert not list(shell.folder_of("large").glob("*.npz"))
    assert not list(shell.folder_of("large").glob(".*.tmp"))
    assert shell.records()["random 0"]["status"] == "ok"


def test_a_data_set_whose_files_are_absent_stops_no_other(shell, tmp_path):
    absent = write_card(tmp_path / "other", name="other")
    for source in absent.parent.glob("*.jsonl*"):
        source.unlink()
    done = shell.run("random", "--datasets", f"{shell.card},{absent}")
    assert done.code == 1
    assert "data set other: its" in done.err
    assert shell.records()["random 0"]["status"] == "ok"
