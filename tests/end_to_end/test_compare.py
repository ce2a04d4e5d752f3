"""``compare`` and ``data``: paired tests of two rows, the columns of table 1."""

from __future__ import annotations

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


def test_differences_with_interval_and_p_value(shell):
    shell.run("random", "--seeds", "0,1", "--quiet")
    done = _compare(shell, "lir", "random")
    assert done.code == 0
    assert "30 users, each the mean over seeds 0, 1" in done.out
    lines = [line for line in done.out.splitlines() if line.startswith("MRR")]
    assert len(lines) == 2
    a, b = (_users(shell, name, (0, 1), METRICS[3], "pessimistic") for name in ("lir", "random"))
    test = stats.ttest_rel(a, b)
    (line,) = (line for line in lines if "pessimistic" in line)
    for number in (f"{a.mean():.4f}", f"{b.mean():.4f}", f"{(a - b).mean():+.4f}",
                   f"{test.confidence_interval().low:+.4f}", f"{test.pvalue:.2g}"):  # fmt: skip
        assert number in line


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
    assert " none" in _compare(shell, "lir", "lir").out


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
