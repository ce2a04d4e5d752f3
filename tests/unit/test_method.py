"""The contract's own parts: withheld inputs, draws per user, contexts that travel."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MethodError, did_you_mean
from harness.histories import Histories
from harness.method import Input, RunContext, SourceDomain, TrainingData, text_groups
from harness.progress import Progress
from harness.shared_folders import SharedFolders


def _context(seed=0):
    return RunContext(
        seed, "cpu", Path("work"), Progress(), lambda method, users: 0.5, lambda values: None
    )


def _data(*inputs):
    texts = ("a", "b")
    histories = Histories.from_lists([[0], [1]])
    return TrainingData("d", 2, histories, "bought", frozenset(inputs), texts)


def test_texts_are_withheld_unless_declared():
    assert _data(Input.ITEM_TEXT).item_texts == ("a", "b")
    for inputs in ((), (Input.ITEM_IDS,), (Input.TIMESTAMPS,)):
        with pytest.raises(MethodError, match=r"does not declare Input\.ITEM_TEXT"):
            _ = _data(*inputs).item_texts


def _domain(*inputs):
    histories = Histories.from_lists([[0, 1]])
    attributes = {"title": ("a", "b")}
    return SourceDomain(
        "d", 2, histories, None, 1.0, "bought", frozenset(inputs), ("a", "b"), attributes
    )


def test_a_source_domain_withholds_what_is_undeclared_as_the_target_does():
    assert _domain(Input.ITEM_TEXT).item_texts == ("a", "b")
    assert _domain(Input.ITEM_ATTRIBUTES).item_attributes == {"title": ("a", "b")}
    for inputs in ((), (Input.ITEM_IDS,), (Input.ITEM_ATTRIBUTES,)):
        with pytest.raises(MethodError, match=r"does not declare Input\.ITEM_TEXT"):
            _ = _domain(*inputs).item_texts
    for inputs in ((), (Input.ITEM_IDS,), (Input.ITEM_TEXT,)):
        with pytest.raises(MethodError, match=r"does not declare Input\.ITEM_ATTRIBUTES"):
            _ = _domain(*inputs).item_attributes


def test_draws_depend_on_seed_user_and_purpose_alone():
    def draw(seed, user, purpose):
        return _context(seed).user_generator(user, purpose).random()

    keys = [(seed, user, purpose) for seed in (0, 1) for user in (0, 1, 2) for purpose in (0, 1)]
    assert len({draw(*key) for key in keys}) == len(keys)
    assert [draw(*key) for key in reversed(keys)] == [draw(*key) for key in keys][::-1]


def test_a_pickled_context_draws_alike_but_neither_validates_nor_logs():
    context = _context(7)
    assert context.validate(None) == 0.5
    copy = pickle.loads(pickle.dumps(context))
    assert copy.user_generator(3).random() == context.user_generator(3).random()
    assert not copy.progress.shown
    with pytest.raises(MethodError, match="serve `fit` only"):
        copy.validate(None)
    with pytest.raises(MethodError, match="serve `fit` only"):
        copy.log(epoch=1)


def test_a_pickled_context_finds_the_same_shared_folders(tmp_path):
    shared = SharedFolders(tmp_path / "pretrained", "toy", "code 1")
    context = RunContext(0, "cpu", tmp_path, Progress(), max, max, shared)
    with context.shared("key") as folder:
        (folder / "checkpoint").write_text("x")
    copy = pickle.loads(pickle.dumps(context))
    assert copy.shared_dir("key") == context.shared_dir("key") == folder
    with copy.shared("key") as again:
        assert (again / "checkpoint").read_text() == "x"


def test_a_context_that_no_run_made_shares_within_its_own_folder(tmp_path):
    context = RunContext(0, "cpu", tmp_path, Progress(), max, max)
    with context.shared("key") as folder:
        assert folder.is_dir()
        assert folder.is_relative_to(tmp_path)


@given(st.lists(st.text(max_size=2)))
def test_text_groups_point_each_item_to_its_text(texts):
    distinct, group = text_groups(texts)
    assert len(set(distinct)) == len(distinct)
    assert [distinct[index] for index in group] == texts


def test_suggestions():
    assert did_you_mean("popularty", ["popularity", "lir"]) == "did you mean 'popularity'?"
    assert did_you_mean("x", ["b", "a"]) == "known: a, b"
    assert did_you_mean("x", []) == "none is known"
