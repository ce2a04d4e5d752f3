"""A method that pre-trains on a mixture, from the command line to its record and its page."""

from __future__ import annotations

import pytest

from harness import environment
from harness.data import prepare as preparing
from tests.toys import mixture_text, random_sequences, write_card

FIT = """
GIVEN.append(data.sources)
with context.shared(f"seed {context.seed}") as folder:
    if not (folder / "checkpoint").exists():
        MADE.append(folder)
        (folder / "checkpoint").write_text("x")
"""


@pytest.fixture
def mixed(shell, plugin):
    """A toy that keeps what it was given, and a mixture beside the cards of its parts."""
    folder = shell.card.parent
    for name, n_users in (("films", 10), ("games", 20)):
        write_card(
            folder, [[f"{name}-{i}" for i in row] for row in random_sequences(n_users)], name
        )
    write_card(folder, name="other")
    path = folder / "mix.toml"
    path.write_text(mixture_text(rules=("whole", "all-but-last"), selecting=1))
    toy = plugin("toy", fit=FIT, mixture=repr(str(path)))
    toy.GIVEN, toy.MADE, toy.path = [], [], path
    return toy


def test_fit_is_given_the_parts_and_the_record_states_them(shell, mixed):
    done = shell.run("toy", "--quiet")
    assert done.code == 0, done.err
    ((films, games),) = mixed.GIVEN
    assert (films.name, games.name) == ("films", "games")
    assert (len(films.histories), len(games.histories)) == (10, 20)
    assert set(films.histories.lengths) == {6}
    assert set(games.histories.lengths) == {5}
    assert films.selection_targets is None
    assert games.selection_targets.shape == (20,)
    record = shell.records()["toy 0"]["method"]
    stated = record["mixture"]
    assert (stated["name"], stated["exponent"]) == ("mix", 0.3)
    assert record["external_inputs"]["mixture"] == f"sha256:{stated['content_hash']}"
    facts = [
        (part["dataset"], part["training"], part["selection"], part["n_users"], part["n_events"])
        for part in stated["parts"]
    ]
    assert facts == [("films", "whole", False, 10, 60), ("games", "all-but-last", True, 20, 100)]
    assert [part["probability"] for part in stated["parts"]] == [
        films.probability, games.probability,
    ]  # fmt: skip
    assert "mixture" not in shell.records()["lir 0"]["method"]


def test_by_products_are_made_once_for_all_data_sets_and_seeds_with_that_key(shell, mixed):
    both = ("--datasets", f"{shell.card},{shell.card.with_name('other.toml')}")
    done = shell.run("toy", "--seeds", "0,1", "--quiet", *both)
    assert done.code == 0, done.err
    assert len(mixed.GIVEN) == 4
    assert len(mixed.MADE) == len(set(mixed.MADE)) == 2
    assert {folder.parent for folder in mixed.MADE} == {shell.cache / "pretrained"}
    assert shell.run("toy", "--quiet", "--fresh").code == 0
    assert len(mixed.MADE) == 2


def test_every_data_set_is_prepared_once(shell, mixed, monkeypatch):
    asked = []
    real = preparing.prepare
    monkeypatch.setattr(
        preparing, "prepare", lambda card, *more: asked.append(card.name) or real(card, *more)
    )
    mixed.path.write_text(mixture_text(("films", "tiny"), ("whole", "leave-one-out")))
    assert shell.run("toy,toy:strong", "--seeds", "0,1", "--quiet").code == 0
    assert sorted(asked) == ["films", "tiny"]


def test_a_changed_mixture_is_another_run_and_an_untouched_one_is_kept(shell, mixed):
    shell.run("toy", "--quiet")
    assert "skip: finished" in shell.run("toy", "--dry-run", "--quiet").out
    mixed.path.write_text(mixture_text(rules=("whole", "all-but-last")))
    done = shell.run("toy", "--dry-run", "--quiet")
    assert "tiny / toy / seed 0: run: no record yet" in done.out
    assert len(mixed.GIVEN) == 1


def test_a_dry_run_tells_of_a_leak_and_prepares_no_mixture_that_nobody_names(shell, mixed):
    assert shell.run("random", "--dry-run", "--quiet").code == 0
    assert not list(shell.cache.glob("films-*"))
    mixed.path.write_text(mixture_text(("films", "tiny"), ("whole", "whole")))
    out = shell.run("toy", "--dry-run", "--quiet").out
    assert "tiny / toy / seed 0: cannot run: mixture mix: part number 2, tiny, may train on" in out


def test_a_part_that_cannot_be_prepared_stops_no_other_cell(shell, mixed):
    (shell.card.parent / "games-events.jsonl").unlink()
    done = shell.run("toy", "--quiet")
    assert done.code == 1
    assert "tiny / toy / seed 0: skipped: data set games: its events file is missing" in done.err
    records = shell.records()
    assert (records["toy 0"]["status"], records["lir 0"]["status"]) == ("skipped", "ok")
    assert mixed.GIVEN == []


def test_an_unknown_mixture_is_refused_before_anything_is_prepared(shell, mixed):
    mixed.path.unlink()
    done = shell.run("toy", "--quiet")
    assert done.code == 2
    assert done.err.startswith("error: no mixture at ")
    assert not shell.cache.exists()
    assert not shell.out.exists()


def test_a_variant_is_asked_of_the_parts_too(shell, mixed):
    done = shell.run("toy", "--quiet", "--without-texts")
    assert [source.name for source in mixed.GIVEN[0]] == [
        "films-without-texts", "games-without-texts",
    ]  # fmt: skip
    assert "tiny-without-texts / toy" not in done.err


def test_a_record_with_a_mixture_is_published_without_its_folder(shell, mixed, monkeypatch):
    state = {"version": "1", "commit": "c0ffee", "dirty": False}
    monkeypatch.setattr(environment, "code_state", lambda: state)
    shell.run("toy", "--quiet")
    done = shell.leaderboard("publish", "--cache", shell.cache, "--check")
    assert done.code == 0, done.out + done.err
    (path,) = (shell.root / "records" / "tiny").glob("toy-*/record.json")
    text = path.read_text()
    assert '"mix"' in text
    assert str(mixed.path.parent) not in text
