"""``compare`` and ``data``: paired tests of two rows, the columns of table 1."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from harness.metrics import METRICS
from harness.records import read_record, verified_ranks
from tests.toys import write_card


def _compare(shell, first, second):
    return shell("compare", first, second, "--datasets", "tiny", "--out", shell.out)


def _users(shell, name, seeds, metric, bound):
    values = []
    for seed in seeds:
        folder = shell.folder_of(name, seed)
        ranks = verified_ranks(folder, read_record(folder / "record.json"))
        values.append(metric.values(ranks[bound]))
    return np.mean(values, axis=0)


def _line(out, metric, bound, number=0):
    """The first table's line of a metric, or another's."""
    found = [line for line in out.splitlines() if line.startswith(metric) and bound in line]
    return found[number].split()


def test_differences_with_intervals_and_tests(shell):
    shell.run("random", "--quiet")
    done = _compare(shell, "lir", "random")
    assert done.code == 0
    assert "30 users, each the mean over seeds 0;" in done.out
    a, b = (_users(shell, name, (0,), METRICS[3], "pessimistic") for name in ("lir", "random"))
    test = stats.ttest_rel(a, b)
    low, high = test.confidence_interval()
    wins, losses = int((a > b).sum()), int((a < b).sum())
    line = _line(done.out, "MRR", "pessimistic")
    assert line[2:5] == [f"{a.mean():.4f}", f"{b.mean():.4f}", f"{(a - b).mean():+.4f}"]
    assert line[5:8] == [f"{low:+.4f}", "to", f"{high:+.4f}"]
    assert line[-1] == f"{wins}/{30 - wins - losses}/{losses}"
    tests = _line(done.out, "MRR", "pessimistic", 1)
    assert tests[2:4] == [f"{test.pvalue:.2g}", f"{stats.wilcoxon(a, b).pvalue:.2g}"]


def test_the_interval_of_several_seeds_counts_their_variance_too(shell):
    shell.run("random", "--seeds", "0,1,2", "--quiet")
    done = _compare(shell, "lir", "random")
    assert "30 users, each the mean over seeds 0, 1, 2" in done.out
    assert "from the variance of users and of seeds" in done.out
    assert "The tests speak of these seeds" in done.out
    a, b = (_users(shell, name, (0, 1, 2), METRICS[3], "pessimistic") for name in ("lir", "random"))
    line = _line(done.out, "MRR", "pessimistic")
    assert line[4] == f"{(a - b).mean():+.4f}"


def test_the_users_who_decide_are_shown_with_their_ranks(shell):
    shell.run("random", "--quiet")
    done = _compare(shell, "lir", "random")
    one, two = (_users(shell, name, (0,), METRICS[0], "pessimistic") for name in ("lir", "random"))
    difference = (one - two) * np.sign((one - two).sum())
    lines = done.out.partition("Users who decide")[2].splitlines()
    strongest = int(np.lexsort([np.arange(30), -difference])[0])
    assert lines[4].split()[0] == str(strongest)
    assert lines[4].split()[-1] == f"{(one - two)[strongest]:+.4f}"
    part = np.cumsum(np.sort(difference)[::-1])
    half = int(np.argmax(part >= difference.sum() / 2)) + 1
    assert f"{half} of 30 make up half of the difference" in lines[0]


def _edit_record(folder, change):
    path = folder / "record.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda record: record["dataset"].update(split_hash="other"), "differ in split_hash"),
        (lambda record: record["dataset"].update(n_items=3), "differ in n_items"),
        (
            lambda record: record["protocol"].update(history_masked=True),
            "different protocols: history_masked: True, False",
        ),
    ],
)
def test_rows_that_were_measured_on_other_things_are_refused(shell, change, message):
    shell.run("random", "--quiet")
    _edit_record(shell.folder_of("lir"), change)
    done = _compare(shell, "lir", "random")
    assert done.code == 1
    assert message in done.err


def test_rows_of_other_users_are_refused(shell):
    from harness.records import ranks_digest

    shell.run("random", "--quiet")
    folder = shell.folder_of("lir")
    (path,) = folder.glob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["user"] = arrays["user"] + 1
    digest = ranks_digest(arrays)
    _edit_record(folder, lambda record: record.update(ranks_sha256=digest))
    np.savez_compressed(folder / f"ranks-{digest[:12]}.npz", **arrays)
    done = _compare(shell, "lir", "random")
    assert done.code == 1
    assert "1 are only in lir, 1 only in random" in done.err


def test_no_resamples_are_refused(shell):
    shell.run("random", "--quiet")
    done = shell(
        "compare", "lir", "random", "--datasets", "tiny", "--out", shell.out, "--resamples", "0"
    )
    assert done.code == 2
    assert "--resamples must be at least 1" in done.err


def test_only_seeds_that_both_have(shell):
    shell.run("random", "--seeds", "0,1", "--quiet")
    shell.run("random", "--seeds", "2", "--quiet")
    for seed in (0, 2):
        (shell.folder_of("lir", seed) / "record.json").unlink()
    assert "over seeds 1;" in _compare(shell, "lir", "random").out
    (shell.folder_of("random", 1) / "record.json").unlink()
    done = _compare(shell, "lir", "random")
    assert done.code == 1
    assert "none in common" in done.err


def test_seeds_of_two_versions_of_the_code_are_not_averaged(shell, plugin):
    plugin("toy")
    shell.run("toy", "--seeds", "0,1,2", "--quiet")
    assert "over seeds 0, 1, 2;" in _compare(shell, "toy", "lir").out
    plugin("toy", score="return -np.tile(candidates * 1.0, (len(histories), 1))")
    shell.run("toy", "--seeds", "1", "--quiet")
    assert "over seeds 1;" in _compare(shell, "toy", "lir").out


def test_a_row_with_itself_has_no_p_value(shell):
    shell.run("random", "--quiet")
    out = _compare(shell, "lir", "lir").out
    assert _line(out, "MRR", "optimistic", 1)[2:5] == ["none"] * 3
    assert "Users who decide (pessimistic NDCG@10): none, the sums are equal" in out


def test_an_unknown_row(shell):
    shell.run("random", "--quiet")
    done = _compare(shell, "lri", "random")
    assert (done.code, len(done.err.splitlines())) == (2, 1)
    assert "did you mean 'lir'?" in done.err


def test_one_user_cannot_be_paired(shell):
    shell.card = write_card(shell.card.parent, [list("abcd")])
    shell.run("random", "--quiet")
    done = _compare(shell, "lir", "random")
    assert done.code == 1
    assert "one user only" in done.err


def test_a_damaged_record_is_named_once_and_the_bootstrap_explained(shell):
    shell.run("random", "--seeds", "0,1", "--quiet")
    path = shell.folder_of("random", 1) / "record.json"
    path.write_text("{")
    done = _compare(shell, "lir", "random")
    assert done.code == 0
    assert done.err.startswith(f"left out: {path}: not a whole record")
    assert done.err.count("left out") == 1
    assert "bootstrap: 95 % interval from draws of users alone" in done.out


def test_sealed_arrays_that_are_no_ranks_are_not_compared(shell):
    from harness.records import ranks_digest

    shell.run("random", "--quiet")
    folder = shell.folder_of("lir")
    (path,) = folder.glob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["optimistic"] = arrays["optimistic"] + 0.5
    path.unlink()
    np.savez(folder / f"ranks-{ranks_digest(arrays)[:12]}.npz", **arrays)
    _edit_record(folder, lambda record: record.update(ranks_sha256=ranks_digest(arrays)))
    done = _compare(shell, "lir", "random")
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert "optimistic is float64 with 1 dimensions" in done.err


def test_changed_ranks_are_not_compared(shell):
    shell.run("random", "--quiet")
    (path,) = shell.folder_of("lir").glob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["optimistic"][0] = 1
    np.savez_compressed(path, **arrays)
    done = _compare(shell, "lir", "random")
    assert done.code == 1
    assert "changed after the run" in done.err


@pytest.mark.parametrize("action", ["prepare", "stats"])
def test_data(shell, action):
    done = shell("data", action, shell.card, "--cache", shell.cache, "--quiet")
    assert done.code == 0
    assert "tiny" in done.out
    assert "30" in done.out
    assert done.err == ""
