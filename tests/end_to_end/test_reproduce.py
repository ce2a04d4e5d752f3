"""``reproduce``: the paper beside the records of a run folder."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from harness import published
from harness.records import read_record, verified_ranks
from tests.toys import random_sequences, write_card


@pytest.fixture
def scientific(shell):
    """The shell, on a tiny data set that bears the name of one of the paper's."""
    shell.card = write_card(shell.card.parent, name="scientific")
    return shell


def _reproduce(shell, *more):
    return shell("reproduce", "--out", shell.out, *more)


def _lines(out: str, method: str, metric: str, bound: str) -> list[str]:
    lines = [" ".join(line.split()) for line in out.splitlines()]
    return [
        line for line in lines if line.startswith(f"{method} ") and f" {metric} {bound} " in line
    ]


def test_a_measured_cell_has_value_interval_difference_and_state(scientific, plugin):
    plugin(
        "sasrec", fit="self.seed = context.seed",
        score="return np.random.default_rng(self.seed).random((len(histories), len(candidates)))",
    )  # fmt: skip
    assert scientific.run("sasrec", "--seeds", "0,1", "--quiet").code == 0
    done = _reproduce(scientific)
    assert (done.code, done.err) == (0, "")
    ranks = []
    for seed in (0, 1):
        (folder,) = (scientific.out / "scientific" / "sasrec").glob(f"seed{seed}-*")
        arrays = verified_ranks(folder, read_record(folder / "record.json"))
        ranks.append(arrays["pessimistic"].astype(float))
    assert not np.array_equal(*ranks)
    values = np.mean([1 / ranks[0], 1 / ranks[1]], axis=0)
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    difference = values.mean() - 0.0456
    (line,) = _lines(done.out, "SASRec", "MRR", "pessimistic")
    assert line == (
        f"SASRec sasrec MRR pessimistic 0.0456 {values.mean():.4f} {low:.4f} to {high:.4f} "
        f"{difference:+.4f} {100 * difference / 0.0456:+.1f} % differs"
    )
    assert "SASRec is sasrec: 30 users, each the mean over seeds 0, 1" in done.out


def test_all_nine_methods_are_listed_and_what_was_not_measured_stays_empty(scientific):
    scientific.run("random", "--quiet")
    done = _reproduce(scientific)
    for method in published.METHODS.values():
        for metric in ("NDCG@10", "Recall@1", "Recall@10", "MRR"):
            for bound in ("optimistic", "pessimistic"):
                assert len(_lines(done.out, method, metric, bound)) == 1
    assert _lines(done.out, "S3-Rec", "NDCG@10", "optimistic") == [
        "S3-Rec NDCG@10 optimistic 0.0414"
    ]
    assert "random" not in done.out
    assert "popularity" not in done.out


def test_the_protocol_difference_and_the_states_stand_below(scientific):
    scientific.run("random", "--quiet")  # lir comes along
    out = _reproduce(scientific).out
    assert "protocol difference: 8,442 of the paper's 9,461 users" in out
    assert "not measured 64" in out
    last = out.strip().splitlines()[-1]
    assert last.startswith("72 cells: agrees ")
    counts = [int(part.split()[-1]) for part in last.partition(": ")[2].split(", ")]
    assert sum(counts) == 72
    states = [line.split()[-1] for line in out.splitlines() if line.startswith("LIR  ")]
    assert [states.count(name) for name in ("agrees", "near", "differs")] == counts[:3]


def test_a_row_with_settings_counts_as_its_method_and_shows_its_label(scientific, plugin):
    plugin("sasrec")
    scientific.run("sasrec", "--quiet")
    scientific.run("sasrec", "--set", "sasrec.layers=3", "--quiet")
    done = _reproduce(scientific)
    lines = _lines(done.out, "SASRec", "MRR", "optimistic")
    assert [line.partition(" MRR ")[0] for line in lines] == [
        "SASRec sasrec", "SASRec sasrec (layers=3)",
    ]  # fmt: skip
    assert "80 cells: " in done.out


def test_values_that_do_not_vary_have_no_interval(scientific):
    sequences = [[*row[:-1], row[-2]] for row in random_sequences()]
    scientific.card = write_card(scientific.card.parent, sequences, name="scientific")
    scientific.run("random", "--quiet")
    (line,) = _lines(_reproduce(scientific).out, "LIR", "Recall@1", "optimistic")
    assert "1.0000 none: all values are equal" in line
    assert line.endswith("differs")


def test_each_data_set_has_a_table_even_where_nothing_was_run(shell):
    done = _reproduce(shell, "--datasets", "games,amazon-pet")
    assert done.code == 0
    assert done.out.index("games: Games of") < done.out.index("amazon-pet: Pet of")
    assert done.out.count("72 cells: agrees 0, near 0, differs 0, not measured 72") == 2


@pytest.mark.parametrize(
    ("datasets", "reason"),
    [
        ("ml-100k", "the paper does not have 'ml-100k'; it has scientific, games, amazon-sci"),
        ("games,Average", "the paper does not have 'Average'"),
        (",", "--datasets names no data set"),
    ],
)
def test_a_data_set_that_the_paper_does_not_have_is_refused(shell, datasets, reason):
    done = _reproduce(shell, "--datasets", datasets)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert reason in done.err


def test_changed_ranks_are_refused(scientific):
    scientific.run("random", "--quiet")
    (path,) = (scientific.out / "scientific" / "lir").rglob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["pessimistic"][0] = 1
    np.savez_compressed(path, **arrays)
    done = _reproduce(scientific)
    assert (done.code, "changed after the run" in done.err) == (1, True)


def test_a_calrec_row_comes_with_a_word_on_its_backbone(scientific, monkeypatch):
    from harness.commands import reproduce

    scientific.run("random", "--quiet")
    assert reproduce.CALREC_BACKBONE not in _reproduce(scientific).out
    # any finished row may stand for one of CALRec's: the word depends on the name alone
    monkeypatch.setitem(published.METHODS, "random", published.METHODS["calrec"])
    assert reproduce.CALREC_BACKBONE in _reproduce(scientific).out
