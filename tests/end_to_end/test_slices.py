"""``slices``: tables by groups of users, from the records of a run folder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.records import read_record, verified_ranks
from harness.stats import mean_test
from tests.toys import random_sequences, write_card


def _slices(shell, *arguments):
    folders = ["--datasets", shell.card, "--out", shell.out, "--cache", shell.cache, "--quiet"]
    return shell("slices", *arguments, *folders)


def _line(table: str, name: str) -> str:
    (line,) = (line for line in table.splitlines() if line.startswith(f"{name}  "))
    return line


def _ranks(shell, name, seed):
    folder = shell.folder_of(name, seed)
    return verified_ranks(folder, read_record(folder / "record.json"))


def test_a_slice_has_size_value_and_interval(shell):
    shell.run("random", "--seeds", "0,1", "--quiet")
    done = _slices(shell, "random", "--metric", "MRR", "--bound", "optimistic")
    assert (done.code, done.err) == (0, "")
    assert "tiny, random: 30 users, each the mean over seeds 0, 1" in done.out
    values = np.stack([1 / _ranks(shell, "random", seed)["optimistic"] for seed in (0, 1)])
    repeat = np.array([row[-1] in row[:-1] for row in random_sequences()])
    inside = values[:, repeat]
    test = mean_test(inside)  # users and seeds
    line = _line(done.out, "repeat target")
    n = inside.shape[1]
    for text in (f" {n} ", f"{100 * n / 30:.1f} %", f"{inside.mean():.4f}",
                 f"{test.low:.4f} to {test.high:.4f}"):  # fmt: skip
        assert text in line
    assert "MRR, optimistic" in done.out


def test_all_users_have_the_value_of_the_board(shell):
    shell.run("random", "--quiet")
    done = _slices(shell, "popularity")
    value = shell.records()["popularity 0"]["metrics"]["NDCG@10"]["pessimistic"]
    assert f"{value:.4f}" in _line(done.out, "all users")
    assert " 100.0 %" in _line(done.out, "all users")


def test_one_table_for_each_row_asked_for_and_one_legend(shell):
    shell.run("random", "--quiet")
    done = _slices(shell, "lir", "random", "lir")
    assert done.out.count("tiny, lir:") == done.out.count("tiny, random:") == 1
    assert done.out.index("tiny, lir:") < done.out.index("tiny, random:")
    assert done.out.count("- repeat target: The target occurs in the user's own") == 1


def test_the_last_item_repeater_finds_the_targets_that_are_the_last_item(shell):
    sequences = [[*row[:-1], row[-2]] if user % 3 == 0 else row
                 for user, row in enumerate(random_sequences())]  # fmt: skip
    shell.card = write_card(shell.card.parent, sequences)
    shell.run("random", "--quiet")
    line = _line(_slices(shell, "lir", "--metric", "Recall@1").out, "target is the last item")
    assert "1.0000" in line
    assert "none: all values are equal" in line


def test_an_empty_slice_has_no_value(shell):
    shell.run("random", "--quiet")
    line = _line(_slices(shell, "lir").out, "history: more than 20")
    assert " ".join(line.split()) == "history: more than 20 0 0.0 % none none: no users"


def test_what_the_data_set_cannot_tell_is_left_out(shell):
    shell.run("random", "--quiet")
    out = _slices(shell, "lir").out
    assert "timestamp collision" not in out
    assert "target without text" in out
    shell.run("random", "--quiet", "--without-texts")
    done = _slices(shell, "random", "--without-texts")
    assert done.code == 0
    assert "tiny-without-texts, random" in done.out
    assert "target without text" not in done.out


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (("lri",), "did you mean 'lir'?"),
        (("lir", "--metric", "NDGC@10"), "unknown metric 'NDGC@10': did you mean 'NDCG@10'?"),
        (("lir", "--bound", "pesimistic"), "did you mean 'pessimistic'?"),
        (("lir", "--fault-limit", "-1"), "--fault-limit must be at least 0"),
    ],
)
def test_what_does_not_exist(shell, arguments, reason):
    shell.run("random", "--quiet")
    done = _slices(shell, *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert reason in done.err


def test_a_data_set_that_does_not_exist(shell):
    done = shell("slices", "lir", "--datasets", "ml-100", "--out", shell.out)
    assert done.code == 2
    assert "did you mean 'ml-100k'?" in done.err
    done = shell("slices", "lir", "--datasets", ",", "--out", shell.out)
    assert (done.code, "names no data set" in done.err) == (2, True)


def test_rows_of_another_version_of_the_data_are_refused(shell):
    shell.run("random", "--quiet")
    shell.card = write_card(shell.card.parent, random_sequences(n_items=19))
    done = _slices(shell, "lir")
    assert (done.code, done.out, len(done.err.splitlines())) == (1, "", 1)
    assert "lir, seed 0, was run on the split" in done.err
    assert "run its cells again" in done.err


def test_changed_ranks_are_refused(shell):
    shell.run("random", "--quiet")
    (path,) = shell.folder_of("lir").glob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["pessimistic"][0] = 1
    np.savez_compressed(path, **arrays)
    done = _slices(shell, "lir")
    assert done.code == 1
    assert "changed after the run" in done.err


def test_ranks_of_other_users_are_refused(shell):
    from harness.records import ranks_digest

    shell.run("random", "--quiet")
    folder = shell.folder_of("lir")
    (path,) = folder.glob("*.npz")
    with np.load(path) as archive:
        arrays = {name: array[:-1] for name, array in archive.items()}
    record = json.loads((folder / "record.json").read_text())
    record["ranks_sha256"] = ranks_digest(arrays)
    (folder / "record.json").write_text(json.dumps(record))
    np.savez_compressed(folder / f"ranks-{record['ranks_sha256'][:12]}.npz", **arrays)
    done = _slices(shell, "lir")
    assert done.code == 1
    assert "the users of its ranks are not the 30 of the data set" in done.err
