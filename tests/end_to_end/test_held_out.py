"""Held-out items and undeclared inputs stay where a method cannot see them."""

from __future__ import annotations

import numpy as np
import pytest

from harness.cells import CellInput, training_data
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.histories import Histories
from harness.method import Input
from harness.progress import Progress
from harness.splits import leave_one_out
from tests.toys import mixture_text, write_card

SPY = """
SEEN["train"] = [items.tolist() for items in data.histories]
SEEN["times"] = data.histories.timestamps
SEEN["n_items"] = data.n_items
SEEN["data"] = data
SEEN["validated"] = [context.validate(self, users=USERS) for _ in range(2)]
"""
SPY_SCORE = """
stage = "validation" if "validated" not in SEEN else "test"
for user, items in zip(histories.users.tolist(), histories):
    SEEN.setdefault(stage, []).append((user, items.tolist()))
SEEN.setdefault("score times", []).append(histories.timestamps)
draws = [np.random.default_rng(user).random(len(candidates)) for user in histories.users]
return np.array(draws)
"""


@pytest.fixture
def marked(shell, plugin):
    """Users share three items; each user's validation and test item occur nowhere else."""
    sequences = [["a", "b", "c", f"valid{user:02d}", f"xtest{user:02d}"] for user in range(12)]
    shell.card = write_card(shell.card.parent, sequences)
    toy = plugin("toy", fit=SPY, score=SPY_SCORE)
    toy.SEEN, toy.USERS = {}, None
    return toy


def _ids(shell):
    data = prepare(load_card(str(shell.card)), shell.cache, Progress(shown=False))
    return list(data.item_ids)


def test_validation_and_test_items_never_reach_fit(shell, marked):
    assert shell.run("toy", "--quiet").code == 0
    ids = _ids(shell)
    shared = [ids.index(item) for item in "abc"]
    assert marked.SEEN["train"] == [shared] * 12
    data = marked.SEEN["data"]
    held_out = {index for index, item in enumerate(ids) if len(item) > 1}
    assert len(held_out) == 24
    # no attribute of what fit was given holds one, not even the memory behind the arrays
    for array in (data.histories.items, data.histories.items.base):
        assert array is None or not held_out & set(np.ravel(array).tolist())
    assert marked.SEEN["n_items"] == 27


def test_score_sees_the_validation_item_at_test_time_but_never_the_target(shell, marked):
    shell.run("toy", "--quiet")
    ids = _ids(shell)
    shared = [ids.index(item) for item in "abc"]
    assert sorted(marked.SEEN["validation"])[::2] == [(user, shared) for user in range(12)]
    assert sorted(marked.SEEN["test"]) == [
        (user, [*shared, ids.index(f"valid{user:02d}")]) for user in range(12)
    ]


def test_a_planted_leak_would_be_seen(shell, marked):
    """The checks above can fail: a data set whose training part holds a test item trips them."""
    sequences = [["a", "b", "xtest00", f"valid{user:02d}", f"xtest{user:02d}"] for user in range(9)]
    shell.card = write_card(shell.card.parent, sequences)
    shell.run("toy", "--quiet")
    ids = _ids(shell)
    assert ids.index("xtest00") in marked.SEEN["train"][3]


def test_texts_and_times_are_withheld_unless_declared(shell, marked):
    shell.run("toy", "--quiet")
    with pytest.raises(Exception, match="does not declare"):
        _ = marked.SEEN["data"].item_texts
    assert marked.SEEN["data"]._item_texts is None
    assert marked.SEEN["times"] is None
    assert marked.SEEN["score times"] == [None] * len(marked.SEEN["score times"])


@pytest.mark.parametrize("declared", [True, False])
def test_timestamps_reach_only_who_declares_them(plugin, declared):
    inputs = "Input.TIMESTAMPS" if declared else "Input.ITEM_TEXT"
    toy = plugin("toy", inputs=inputs)
    times = np.arange(8, dtype=np.int64)
    sequences = Histories(
        np.arange(2), np.arange(8, dtype=np.int32), np.array([0, 4, 8]), timestamps=times
    )
    method = toy.METHOD(toy.ToySettings())
    cell = CellInput(method, "d", ("t",) * 8, "bought", leave_one_out(sequences), 0, "cpu")
    data = training_data(cell)
    assert (data.histories.timestamps is not None) == declared
    if declared:
        assert data.histories.timestamps.tolist() == [0, 1, 4, 5]
    else:
        assert data.item_texts == ("t",) * 8
    assert frozenset({Input(inputs.split(".")[1].lower().replace("_", " "))}) == data.inputs


def test_validation_uses_one_seeded_sample_and_records_its_size(shell, marked):
    marked.USERS = 5
    shell.run("toy", "--seeds", "0,1,2", "--quiet")
    records = shell.records()
    assert records["toy 0"]["report"]["validation_users"] == [5]
    assert records["toy 0"]["report"]["validation_s"] >= 0
    first, second = marked.SEEN["validated"]
    assert first == second


def test_the_sample_is_the_same_in_every_call_and_another_for_another_seed(shell, marked):
    marked.USERS = 5
    samples = []
    for seed in (0, 0, 1):
        marked.SEEN.clear()
        shell.run("toy", "--seeds", str(seed), "--quiet", "--fresh")
        users = [user for user, _ in marked.SEEN["validation"]]
        assert len(users) == 10
        assert sorted(users[:5]) == sorted(users[5:])
        samples.append(sorted(users[:5]))
    assert samples[0] == samples[1] != samples[2]


def test_asking_for_more_users_than_there_are_means_all(shell, marked):
    marked.USERS = 1000
    shell.run("toy", "--quiet")
    assert shell.records()["toy 0"]["report"]["validation_users"] == [12]


SOURCES_SPY = """
SEEN["sources"] = data.sources
"""


def _sequences(name):
    """Nine users who share three items; whose last items occur nowhere else."""
    return [[*"abc", f"{name}-valid{user}", f"{name}-xtest{user}"] for user in range(9)]


def _pretrain(shell, plugin, rules, selecting=None):
    """Run a method that pre-trains on the target, tiny, and on films."""
    folder = shell.card.parent
    for name in ("tiny", "films"):
        write_card(folder, _sequences(name), name)
    mixture = folder / "mix.toml"
    mixture.write_text(mixture_text(("tiny", "films"), rules, selecting))
    toy = plugin("toy", fit=SOURCES_SPY, mixture=repr(str(mixture)))
    toy.SEEN = {}
    return toy, shell.run("toy", "--quiet")


def _item_ids(shell, name):
    card = load_card(str(shell.card.with_name(f"{name}.toml")))
    return list(prepare(card, shell.cache, Progress(shown=False)).item_ids)


def _reachable(value, seen):
    """Yield every array that can be reached from a value, and the memory behind it."""
    if id(value) in seen or isinstance(value, str | int | float | type(None)):
        return
    seen.add(id(value))
    if isinstance(value, np.ndarray):
        yield value
        yield from _reachable(value.base, seen)
    elif isinstance(value, dict | tuple | list | frozenset):
        parts = value.values() if isinstance(value, dict) else value
        for part in parts:
            yield from _reachable(part, seen)
    else:
        yield from _reachable(vars(value), seen)


def test_held_out_items_of_the_target_never_reach_fit_through_the_mixture(shell, plugin):
    toy, done = _pretrain(shell, plugin, ("leave-one-out", "all-but-last"), selecting=1)
    assert done.code == 0, done.err
    ids = _item_ids(shell, "tiny")
    held_out = {index for index, item in enumerate(ids) if len(item) > 1}
    assert len(held_out) == 18
    tiny, films = toy.SEEN["sources"]
    assert [items.tolist() for items in tiny.histories] == [[ids.index(i) for i in "abc"]] * 9
    arrays = [array for array in _reachable(tiny, set()) if array is not tiny.histories.offsets]
    assert any(array is tiny.histories.items for array in arrays)
    for array in arrays:
        if array.dtype == np.int32:  # items; users and offsets are int64
            assert not held_out & set(array.ravel().tolist())
    # of films, which nothing is evaluated on, the last items alone are held out: they select
    films_ids = _item_ids(shell, "films")
    last = [films_ids.index(f"films-xtest{user}") for user in range(9)]
    assert films.selection_targets.tolist() == last
    assert not set(last) & set(films.histories.items.tolist())
    assert films_ids.index("films-valid0") in films.histories[0]


@pytest.mark.parametrize("rule", ["whole", "all-but-last"])
def test_a_mixture_that_would_show_held_out_items_trains_nothing(shell, plugin, rule):
    toy, done = _pretrain(shell, plugin, (rule, "leave-one-out"))
    assert done.code == 1
    assert "part number 1, tiny, may train on validation or test items of tiny" in done.err
    assert "fit" not in toy.CALLS
    assert shell.records()["toy 0"]["status"] == "skipped"
    assert shell.records()["lir 0"]["status"] == "ok"
