"""The main command as a user types it: what joins, what is kept, what is recorded."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.checking.records import rank_means
from harness.records import ranks_digest
from tests.toys import write_card

NOISY = """
context.log(epoch=1, loss=np.float32(0.5))
context.log(epoch=2, loss=0.25)
"""


def test_baselines_join_by_themselves_and_the_board_stands_in_the_run_folder(shell):
    done = shell.run("random")
    assert done.code == 0
    assert set(shell.records()) == {"popularity 0", "lir 0", "random 0"}
    for row in ("popularity", "lir", "random"):
        assert f"\n{row}" in done.out
        assert f"| {row}" in shell.page
    assert "leaderboard.md" in done.out


def test_named_first_and_once_even_where_it_is_a_baseline(shell):
    done = shell.run("lir,lir,random", "--dry-run")
    cells = [line.split(" / ")[1] for line in done.out.splitlines()]
    assert cells == ["lir", "random", "popularity"]


def test_a_second_call_keeps_finished_cells_and_trains_nothing(shell, plugin):
    toy = plugin("toy")
    assert shell.run("toy").code == 0
    first = shell.records()
    assert toy.CALLS.count("fit") == 1
    toy.CALLS.clear()
    done = shell.run("toy")
    assert done.code == 0
    assert toy.CALLS == []
    assert shell.records() == first
    assert done.err.count("skip: finished") == 4


def test_fresh_runs_again(shell, plugin):
    toy = plugin("toy")
    shell.run("toy")
    before = shell.records()["toy 0"]
    assert shell.run("toy", "--fresh").code == 0
    assert toy.CALLS.count("fit") == 2
    after = shell.records()["toy 0"]
    assert after["finished_at"] > before["finished_at"]
    assert after["run_id"] == before["run_id"]
    assert after["ranks_sha256"] == before["ranks_sha256"]


def test_a_later_call_with_other_methods_adds_rows(shell, plugin):
    plugin("toy")
    shell.run("random")
    assert "toy" not in shell.page
    done = shell.run("toy")
    assert done.code == 0
    assert "| toy" in shell.page
    assert "| random" in shell.page
    assert shell.run("random").code == 0
    assert "| toy" in shell.page  # and rows not named stay


def _metric_line(shell, metric):
    return next(line for line in shell.page.splitlines() if f"| {metric} " in line)


def test_seeds_make_one_row(shell):
    assert shell.run("random", "--seeds", "0,1,01").code == 0
    rows = [line for line in shell.page.splitlines() if line.startswith("| random")]
    assert len(rows) == 2  # among the rows, and among the tests
    assert "| 0,1 " in rows[0]
    records = shell.records()
    assert records["random 0"]["run_id"] != records["random 1"]["run_id"]
    means = [records[f"random {seed}"]["metrics"]["MRR"]["pessimistic"] for seed in (0, 1)]
    assert means[0] != means[1]
    assert f"{np.mean(means):.4f}" in _metric_line(shell, "MRR")


def test_dry_run_lists_cells_with_reasons_and_writes_nothing(shell, plugin):
    plugin("toy")
    done = shell.run("toy:strong", "--dry-run", "--seeds", "0,1")
    assert done.code == 0
    lines = done.out.splitlines()
    assert len(lines) == 8
    assert lines[1] == "tiny / toy:strong / seed 1: run: no record yet"
    assert not shell.out.exists()
    shell.run("toy:strong")
    states = shell.run("toy:strong", "--dry-run", "--seeds", "0,1").out.splitlines()
    assert "skip: finished 20" in states[0]
    assert "run: no record yet" in states[1]
    assert "--fresh" in shell.run("toy:strong", "--dry-run", "--fresh").out.splitlines()[0]


def test_a_record_holds_what_its_numbers_are_made_of(shell, plugin):
    plugin("toy", fit=NOISY, describe="return {'parameters': np.int64(7), 'note': 'a toy'}")
    shell.run("toy:strong", "--set", "toy.layers=3")
    (record,) = (r for label, r in shell.records().items() if label.startswith("toy"))
    folder = shell.folder_of("toy-strong")
    assert record["method"]["label"] == "toy:strong (layers=3)"
    assert record["method"]["settings"] == {"strength": 5.0, "layers": 3, "backbone": "none"}
    assert record["method"]["origins"] == {
        "strength": "preset strong", "layers": "--set", "backbone": "default",
    }  # fmt: skip
    assert record["cost"]["parameters"] == 7
    assert record["cost"]["threads"] >= 1
    assert record["report"]["note"] == "a toy"
    assert record["dataset"]["n_users"] == 30
    assert record["code"]["packages"]["numpy"] == np.__version__
    (ranks,) = folder.glob("ranks-*.npz")
    with np.load(ranks) as archive:
        arrays = dict(archive)
    assert ranks_digest(arrays) == record["ranks_sha256"]
    assert arrays["top"].shape == (30, 10)
    means = rank_means(arrays["optimistic"], arrays["pessimistic"])
    for metric in ("NDCG@10", "Recall@1", "Recall@10", "MRR"):
        assert record["metrics"][metric]["pessimistic"] == pytest.approx(
            means[metric, "pessimistic"], abs=1e-12
        )
    log = [json.loads(line) for line in (folder / "fit.jsonl").read_text().splitlines()]
    assert log == [{"epoch": 1, "loss": 0.5}, {"epoch": 2, "loss": 0.25}]
    assert "toy:strong (layers=3)" in shell.page
    assert "strength=5.0 (preset strong)" in shell.page


def test_a_setting_given_at_its_value_changes_neither_label_nor_run(shell, plugin):
    toy = plugin("toy")
    shell.run("toy")
    toy.CALLS.clear()
    done = shell.run("toy", "--set", "toy.layers=2")
    assert (done.code, toy.CALLS) == (0, [])
    assert [label for label in shell.records() if label.startswith("toy")] == ["toy 0"]


def test_the_cards_settings_apply_and_are_recorded_as_the_cards(shell, plugin):
    plugin("toy")
    extra = "[settings.toy]\nlayers = 4\nstrength = 2"
    shell.card = write_card(shell.card.parent, extra=extra)
    shell.run("toy:strong")
    method = shell.records()["toy:strong 0"]["method"]
    assert method["settings"]["layers"] == 4
    assert method["settings"]["strength"] == 5.0  # the preset wins over the card
    assert method["origins"]["layers"] == "data set card"


def test_a_changed_baseline_stands_beside_the_untouched_one(shell):
    assert shell.run("random", "--set", "lir.exclude_last=true").code == 0
    assert set(shell.records()) == {
        "popularity 0", "random 0", "lir 0", "lir (exclude_last=True) 0",
    }  # fmt: skip
    assert "not judged" not in shell.page


def test_a_board_whose_baseline_failed_judges_nobody(shell, plugin, monkeypatch):
    from methods.lir import METHOD

    def fails(*_):
        raise RuntimeError("no luck")

    plugin("idle", score="return np.full((len(histories), len(candidates)), -np.inf)")
    assert "†" in shell.run("idle").out
    monkeypatch.setattr(METHOD, "fit", fails)
    shell.folder_of("lir").joinpath("record.json").unlink()
    done = shell.run("idle")
    assert done.code == 1
    assert "not judged: lir has failed" in done.out
    assert "- not judged: lir has failed" in shell.page
    assert "†" not in shell.page


def test_a_card_whose_settings_name_no_method(shell):
    shell.card = write_card(shell.card.parent, extra="[settings.randon]\nlayers = 4")
    done = shell.run("random", "--quiet")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "did you mean 'random'?" in done.err


def test_two_data_sets_have_a_board_each(shell):
    other = write_card(shell.card.parent, [list("abcd"), list("bcda"), list("cdab")], "other")
    done = shell("run", "--methods", "random", "--datasets", f"{shell.card},{other}",
                 "--out", shell.out, "--cache", shell.cache, "--quiet")  # fmt: skip
    assert done.code == 0
    assert "3 users" in (shell.out / "other" / "leaderboard.md").read_text()
    assert "30 users" in shell.page
    assert done.err == ""


def test_the_bars_name_the_cell(shell):
    done = shell.run("random")
    assert "tiny / random: scoring" in done.err
    assert "tiny / lir: scoring" in done.err


def test_changed_code_is_another_run_and_takes_the_row_over(shell, plugin):
    plugin("toy")
    shell.run("toy")
    old = shell.records()["toy 0"]
    plugin("toy", score="return -np.tile(candidates * 1.0, (len(histories), 1))")
    assert shell.run("toy").code == 0
    records = [json.loads(p.read_text()) for p in (shell.out / "tiny/toy").rglob("record.json")]
    assert len(records) == 2
    (new,) = (record for record in records if record["run_id"] != old["run_id"])
    assert f"{new['metrics']['MRR']['pessimistic']:.4f}" in shell.page
    # going back finds the first run finished, and shows it though the other ran later
    toy = plugin("toy")
    assert shell.run("toy").code == 0
    assert toy.CALLS == []
    assert f"{old['metrics']['MRR']['pessimistic']:.4f}" in _metric_line(shell, "MRR")


def test_running_never_touches_leaderboards(shell, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    shell.run("random")
    assert not (tmp_path / "leaderboards").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "data", "runs"]


# ---- what a board file declares ------------------------------------------------------------------


def _board_file(shell, text):
    path = shell.out.parent / "planned.toml"
    path.write_text(text, encoding="utf-8")
    return path


def _run_board(shell, path, *more):
    return shell("run", "--board", path, "--out", shell.out, "--cache", shell.cache, *more)


def test_a_board_file_says_what_to_run(shell, plugin):
    plugin("toy")
    path = _board_file(
        shell,
        f"""
        datasets = ["{shell.card}"]
        methods = ["toy", "random"]
        seeds = [0, 1]
        [[row]]
        method = "lir"
        seeds = [3]
        """,
    )
    listed = _run_board(shell, path, "--dry-run", "--quiet")
    assert listed.code == 0, listed.err
    planned = {line.partition(": ")[0] for line in listed.out.splitlines()}
    assert {"tiny / toy / seed 0", "tiny / toy / seed 1", "tiny / lir / seed 3"} <= planned
    assert "tiny / toy / seed 3" not in planned
    assert len(listed.out.splitlines()) == len(planned)
    assert _run_board(shell, path, "--quiet").code == 0
    assert {"toy 0", "toy 1", "lir 3"} <= set(shell.records())


@pytest.mark.parametrize(
    ("text", "more", "code", "expected"),
    [
        ("datasets = ['tiny']", (), 2, "names no methods"),
        ("datasets = ['tiny']\nmethods = ['toy (x=1)']", (), 2, "settings given by hand"),
        ("datasets = ['tiny']\nmethods = ['toi']", (), 2, "unknown method 'toi'"),
        ("datasets = 'tiny'", (), 1, "must be a list"),
        ("datasets = ['tiny']\nmethods = ['lir']", ("--methods", "lir"), 2, "leave out --methods"),
    ],
)
def test_a_board_file_that_cannot_be_run(shell, text, more, code, expected):
    done = _run_board(shell, _board_file(shell, text), *more)
    assert (done.code, len(done.err.splitlines())) == (code, 1)
    assert expected in done.err


def test_no_such_board(shell):
    done = _run_board(shell, "scientifik")
    assert done.code == 2
    assert "did you mean 'scientific'?" in done.err
