"""``reproduce``: the paper beside the records of a run folder, or published ones."""

from __future__ import annotations

import gzip
import json
import shutil

import numpy as np
import pytest
from scipy import stats

from harness.data import cards
from harness.data.cards import load_card
from harness.paper import reproduction_page
from harness.paper.states import STATES
from harness.records import read_record, verified_ranks
from tests.layouts import expected_half_width
from tests.toys import random_sequences, write_card


@pytest.fixture
def scientific(shell):
    """The shell, on a tiny data set that bears the name of one of the paper's."""
    shell.card = write_card(shell.card.parent, name="scientific")
    return shell


def _reproduce(shell, *more):
    return shell("reproduce", "--out", shell.out, *more)


def _publish(shell):
    """Put the run folder where published records lie, as they lie there."""
    for path in shell.out.rglob("record.json"):
        cell = path.parent
        dataset, row, seed = cell.relative_to(shell.out).parts
        shutil.copytree(cell, shell.root / "records" / dataset / f"{row}-{seed}")


def _lines(out: str, method: str, metric: str, bound: str) -> list[str]:
    lines = [" ".join(line.split()) for line in out.splitlines()]
    return [
        line for line in lines if line.startswith(f"{method} ") and f" {metric} {bound} " in line
    ]


def _counts(out: str, table: int) -> list[int]:
    """Cells, those of each state, not measured: the line of a table in the summary."""
    (line,) = [line for line in out.splitlines() if line.startswith(f"{table}    ")]
    return [int(word) for word in line.split()[-6:]]


def test_a_measured_cell_has_value_interval_difference_and_state(scientific, plugin):
    plugin(
        "sasrec", fit="pass",
        score="return np.random.default_rng(1).random((len(histories), len(candidates)))",
    )  # fmt: skip
    assert scientific.run("sasrec", "--quiet").code == 0
    done = _reproduce(scientific)
    assert (done.code, done.err) == (0, "")
    (folder,) = (scientific.out / "scientific" / "sasrec").iterdir()
    arrays = verified_ranks(folder, read_record(folder / "record.json"))
    values = 1 / arrays["pessimistic"].astype(float)
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    difference = values.mean() - 0.0456
    (line,) = _lines(done.out, "SASRec", "MRR", "pessimistic")
    assert line == (
        f"SASRec sasrec MRR pessimistic 0.0456 {values.mean():.4f} {low:.4f} to {high:.4f} "
        f"{difference:+.4f} {100 * difference / 0.0456:+.1f} % differs"
    )
    assert "SASRec is sasrec: 30 users, seed 0; protocol difference: 8,442 of" in done.out


def test_the_interval_of_several_seeds_is_wider_than_that_of_their_mean(scientific, plugin):
    plugin(
        "sasrec", fit="self.seed = context.seed",
        # one seed puts the items in order, the other turns it round
        score="return np.tile(candidates * (1.0 - 2.0 * self.seed), (len(histories), 1))",
    )  # fmt: skip
    assert scientific.run("sasrec", "--seeds", "0,1", "--quiet").code == 0
    ranks = []
    for seed in (0, 1):
        (folder,) = (scientific.out / "scientific" / "sasrec").glob(f"seed{seed}-*")
        ranks.append(verified_ranks(folder, read_record(folder / "record.json"))["pessimistic"])
    values = 1 / np.array(ranks, dtype=float)
    out = _reproduce(scientific).out
    (line,) = _lines(out, "SASRec", "MRR", "pessimistic")
    before, _, after = line.partition(" to ")
    low, high = float(before.split()[-1]), float(after.split()[0])
    half = expected_half_width(values)
    expected = values.mean() - half, values.mean() + half
    assert (low, high) == pytest.approx(expected, abs=0.00006)
    assert "30 users, each the mean over seeds 0, 1" in out


def test_all_nine_methods_are_listed_and_what_was_not_measured_stays_empty(scientific):
    scientific.run("random", "--quiet")  # lir comes along
    out = _reproduce(scientific).out
    for method in ("BERT4Rec", "SASRec", "FDSA", "S3-Rec", "UniSRec-ID+Text", "UniSRec-Text",
                   "RecFormer", "LIR", "CALRec"):  # fmt: skip
        for metric in ("NDCG@10", "Recall@1", "Recall@10", "MRR"):
            for bound in ("optimistic", "pessimistic"):
                found = _lines(out, method, metric, bound)
                assert len(found) == 1 + (method == "CALRec" and bound == "optimistic")
    assert _lines(out, "S3-Rec", "NDCG@10", "optimistic") == ["S3-Rec NDCG@10 optimistic 0.0414"]
    assert _lines(out, "CALRec over the best other", "MRR", "optimistic") == [
        "CALRec over the best other MRR optimistic 28.1 %"
    ]
    assert "popularity" not in out
    assert "protocol difference: 8,442 of the paper's 9,461 users" in out


def test_the_summary_has_every_table_and_counts_its_states(scientific):
    scientific.run("random", "--quiet")
    out = _reproduce(scientific).out
    assert [_counts(out, table)[0] for table in range(1, 9)] == [66, 532, 120, 32, 48, 16, 72, 90]
    for table in range(1, 9):
        total, *states = _counts(out, table)
        assert sum(states) == total
    lines = [line for line in out.splitlines() if line.startswith("LIR  ")]
    states = [line.rpartition("  ")[2] for line in lines]
    assert [states.count(name) for name in STATES] == _counts(out, 2)[1:5]
    assert len(states) == 8
    assert _counts(out, 7)[1:] == [0, 0, 0, 0, 72]
    assert "Table 2: " in out
    assert "Table 7: " not in out


def test_a_row_with_settings_counts_as_its_method_and_shows_its_label(scientific, plugin):
    plugin("sasrec")
    scientific.run("sasrec", "--quiet")
    scientific.run("sasrec", "--set", "sasrec.layers=3", "--quiet")
    done = _reproduce(scientific)
    lines = _lines(done.out, "SASRec", "MRR", "optimistic")
    assert [line.partition(" MRR ")[0] for line in lines] == [
        "SASRec sasrec", "SASRec sasrec (layers=3)",
    ]  # fmt: skip
    assert _counts(done.out, 2)[0] == 532 + 8
    assert "settings: layers=3 (--set)" in done.out


def test_values_that_do_not_vary_have_no_interval(scientific):
    sequences = [[*row[:-1], row[-2]] for row in random_sequences()]
    scientific.card = write_card(scientific.card.parent, sequences, name="scientific")
    scientific.run("random", "--quiet")
    (line,) = _lines(_reproduce(scientific).out, "LIR", "Recall@1", "optimistic")
    assert "1.0000 none: all values are equal" in line
    assert line.endswith("differs")


REVIEWS = """\
name = "amazon-arts"
title = "Reviews made up for a test"
extends = "_amazon-2018"

[source]
folder_env = "NOT_SET_BY_ANYBODY"
folder_default = "."

[source.files.events]
path = "reviews.json.gz"

[source.files.items]
path = "meta.json.gz"
"""


def _write_reviews(folder):
    """Write reviews, the last of every other user twice, and their card; return its path."""
    reviews = [
        {"reviewerID": f"U{user:02d}", "asin": f"A{(user * 5 + day * day) % 13:02d}",
         "overall": 5.0, "unixReviewTime": 86_400 * day, "reviewText": f"Text {user} {day}"}
        for user in range(20) for day in [*range(6), *([5] if user % 2 else [])]
    ]  # fmt: skip
    items = [
        {"asin": f"A{item:02d}", "title": f"Thing {item}", "main_cat": "Toys", "brand": "",
         "price": "$1"}
        for item in range(13)
    ]  # fmt: skip
    folder.mkdir()
    for name, rows in (("reviews", reviews), ("meta", items)):
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{name}.json.gz").write_bytes(gzip.compress(content))
    card = folder / "amazon-arts.toml"
    card.write_text(REVIEWS, encoding="utf-8")
    return card


def test_both_sides_of_dedup_are_those_of_data_duplicates(shell, tmp_path):
    card = _write_reviews(tmp_path / "arts")
    arguments = ("--out", shell.out, "--cache", shell.cache, "--quiet")
    assert shell("data", "duplicates", card, *arguments).code == 0
    out = _reproduce(shell, "--tables", "2,7", "--datasets", "amazon-arts").out
    found = {}
    for side, name in (("without", "amazon-arts-dedup-none"), ("with", "amazon-arts")):
        (path,) = (shell.out / name / "lir").rglob("record.json")
        found[side] = read_record(path).metrics["Recall@1"]["optimistic"]
        (line,) = _lines(out, f"{side} dedup", "Recall@1", "optimistic")
        assert line.split()[6] == f"{found[side]:.4f}"
    (line,) = _lines(out, "change by dedup", "Recall@1", "optimistic")
    change = 100 * (found["with"] / found["without"] - 1)
    assert line.startswith(f"change by dedup lir Recall@1 optimistic -87 % {change:.0f} % none: a ")
    assert change < 0
    assert _counts(out, 7)[-1] == 0
    # table 2 is of the data set itself
    (line,) = _lines(out, "LIR", "Recall@1", "optimistic")
    assert line.split()[5] == f"{found['with']:.4f}"


def test_tables_and_data_sets_can_be_chosen(scientific):
    scientific.run("random", "--quiet")
    out = _reproduce(scientific, "--tables", "2, 1").out
    assert (out.index("Table 1: ") < out.index("Table 2: "), out.count("not measured\n")) == (
        True, 1,
    )  # fmt: skip
    assert not [line for line in out.splitlines() if line.startswith("3    ")]
    other = _reproduce(scientific, "--datasets", "games,amazon-pet").out
    assert "Table " not in other
    assert _counts(other, 2) == [3 * 76, 0, 0, 0, 0, 3 * 76]  # two data sets, and the average


def test_published_records_are_read_in_place_of_a_run_folder(scientific):
    scientific.run("random", "--quiet")
    _publish(scientific)
    done = scientific("reproduce", "--root", scientific.root)
    assert done.code == 0
    assert _counts(done.out, 2) == _counts(_reproduce(scientific).out, 2)


def test_the_page_is_what_the_published_records_give(scientific, tmp_path):
    scientific.run("random", "--quiet")
    _publish(scientific)
    page = tmp_path / "pages" / "paper.md"
    done = scientific("reproduce", "--root", scientific.root, "--markdown", page)
    assert done.out.endswith(f"\nmarkdown: {page}\n")
    assert page.read_text(encoding="utf-8") == reproduction_page(scientific.root / "records")


def test_words_are_told_by_the_prepared_data_of_the_records(scientific, monkeypatch):
    scientific.run("random", "--quiet")
    arguments = ("--tables", "1", "--datasets", "scientific", "--cache", scientific.cache)
    assert "told by the prepared data" in _reproduce(scientific, *arguments).out
    # the shipped card of this name was never prepared in this cache
    assert "told by the prepared data" in _reproduce(scientific, *arguments, "--prepared").out
    card = load_card(str(scientific.card))
    monkeypatch.setattr(cards, "load_card", lambda name: card)
    out = _reproduce(scientific, *arguments, "--prepared").out
    assert "told by the prepared data" not in out
    (line,) = [line for line in out.splitlines() if line.startswith("words per item")]
    assert line.split()[3:5] == ["22.82", "3.00"]  # "Title: Thing i07."


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--datasets", "ml-100k"], "the paper does not have 'ml-100k'; its data sets Scientific"),
        (["--datasets", "games,Average"], "the paper does not have 'Average'"),
        (["--datasets", ","], "--datasets names no data set"),
        (["--tables", "2,9"], "--tables takes numbers from 1 to 8, such as 2,7; found '2,9'"),
        (["--tables", "two"], "found 'two'"),
        (["--tables", ""], "found ''"),
        ([], "there is no folder"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(shell, arguments, reason):
    done = _reproduce(shell, *arguments)
    assert (done.code, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert reason in done.err


def test_run_folder_and_published_records_exclude_each_other(shell):
    done = _reproduce(shell, "--root", shell.root)
    assert (done.code, "not allowed with argument" in done.err) == (2, True)


def test_changed_ranks_are_refused(scientific):
    scientific.run("random", "--quiet")
    (path,) = (scientific.out / "scientific" / "lir").rglob("*.npz")
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["pessimistic"][0] = 1
    np.savez_compressed(path, **arrays)
    done = _reproduce(scientific)
    assert (done.code, "changed after the run" in done.err) == (1, True)


def test_a_damaged_record_is_left_out_of_a_run_folder_and_refused_when_published(scientific):
    scientific.run("random", "--quiet")
    _publish(scientific)
    for folder in (scientific.out / "scientific" / "lir", scientific.root / "records"):
        (path,) = [path for path in folder.rglob("record.json") if "lir" in str(path.parent)]
        path.write_text("{", encoding="utf-8")
    assert _counts(_reproduce(scientific).out, 2)[-1] == 532
    done = scientific("reproduce", "--root", scientific.root)
    assert (done.code, "not a whole record" in done.err) == (1, True)
