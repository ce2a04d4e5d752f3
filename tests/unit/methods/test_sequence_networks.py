"""What holds for every network over sequences: exact cutting, seeds, edges, what is said."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from methods import _spans
from methods._sequential import training_batch
from tests.unit.methods.network_toys import (
    ATTRIBUTES,
    N_ITEMS,
    catalogue,
    fitted,
    method_of,
    random_histories,
    run_context,
)

pytest.importorskip("recbole")

CAUSAL = ["sasrec", "fdsa", "fdsa:attributes", "s3rec", "unisrec:text", "unisrec:id-text"]
ALL = [*CAUSAL, "bert4rec"]
READING_TEXT = ["fdsa", "s3rec", "unisrec:text", "unisrec:id-text"]
STILL = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "max_epochs": 1}
CANDIDATES = np.arange(N_ITEMS)


def still(name):
    return {**STILL, **({"adaptor_dropout": 0.0} if "unisrec" in name else {})}


@pytest.mark.parametrize("objective", ["every-prefix", "all-positions"])
@pytest.mark.parametrize("name", CAUSAL)
def test_a_cut_batch_has_the_loss_of_the_padded_one(tmp_path, name, objective):
    histories = random_histories(3)
    method = fitted(name, tmp_path, catalogue(histories), objective=objective, **still(name))
    method._model.eval()  # the gate's noise is off, as dropout is
    if objective == "every-prefix":
        spans = _spans.every_prefix(histories, 50)
    else:
        spans = _spans.windows(histories, 50, np.random.default_rng(0))
    rows = np.argsort(spans.lengths)[: len(spans) // 2]
    losses = [
        method._model.calculate_loss(training_batch(spans, rows, objective, "cpu", width)[0])
        for width in (None, 50)
    ]
    assert abs(losses[0].item() - losses[1].item()) < 1e-5


@pytest.mark.parametrize("name", CAUSAL)
def test_all_positions_loss_is_the_mean_over_all_prefixes(tmp_path, name):
    histories = random_histories(2)
    data = catalogue(histories)
    single = fitted(name, tmp_path, data, **still(name))
    joint = fitted(name, tmp_path, data, objective="all-positions", **still(name))
    joint._model.load_state_dict(single._model.state_dict())
    single._model.eval(), joint._model.eval()
    prefixes = _spans.every_prefix(histories, 50)
    windows = _spans.windows(histories, 50, np.random.default_rng(0))
    one = training_batch(prefixes, np.arange(len(prefixes)), "every-prefix", "cpu")[0]
    all_at_once = training_batch(windows, np.arange(len(windows)), "all-positions", "cpu")[0]
    expected = single._model.calculate_loss(one).item()
    assert abs(joint._model.calculate_loss(all_at_once).item() - expected) < 1e-5


@pytest.mark.parametrize("name", ALL)
def test_same_seed_same_scores_and_another_seed_others(tmp_path, name):
    data = catalogue(random_histories())
    scores = [
        fitted(name, tmp_path, data, {"seed": seed}).score(data.histories, CANDIDATES)
        for seed in (3, 3, 4)
    ]
    assert (scores[0] == scores[1]).all()
    assert not np.allclose(scores[0], scores[2])


@pytest.mark.parametrize("name", READING_TEXT)
def test_shuffled_texts_give_other_scores(tmp_path, name):
    histories = random_histories()
    order = np.random.default_rng(1).permutation(N_ITEMS)
    shuffled = {key: [values[at] for at in order] for key, values in ATTRIBUTES.items()}
    scores = [
        fitted(name, tmp_path, catalogue(histories, attributes)).score(histories, CANDIDATES)
        for attributes in (ATTRIBUTES, shuffled)
    ]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_as_shipped_no_text_reaches_fdsa(tmp_path):
    histories = random_histories()
    order = np.random.default_rng(1).permutation(N_ITEMS)
    shuffled = {key: [values[at] for at in order] for key, values in ATTRIBUTES.items()}
    scores, notes = zip(
        *(
            (made.score(histories, CANDIDATES), made.describe()["note"])
            for attributes in (ATTRIBUTES, shuffled)
            for made in [fitted("fdsa:as-shipped", tmp_path, catalogue(histories, attributes))]
        ),
        strict=True,
    )
    assert (scores[0] == scores[1]).all()
    assert "no text is read" in notes[0]


@pytest.mark.parametrize("name", ALL)
def test_the_record_names_loss_and_objective(tmp_path, name):
    described = fitted(name, tmp_path, catalogue(random_histories()), max_history=50).describe()
    assert "cross-entropy" in described["loss"]
    assert described["objective"] == "every-prefix"
    assert described["parameters"] > 0 and described["histories_cut"] == 0
    other = fitted(name, tmp_path, catalogue(random_histories()), objective="all-positions")
    assert other.describe()["objective"] == "all-positions"
    assert "note" in other.describe()


@pytest.mark.parametrize("name", ALL)
def test_long_histories_are_told_once_and_read_from_their_end(tmp_path, name):
    data = catalogue(random_histories(longest=20))
    context = run_context(tmp_path)
    method = method_of(name, max_history=6)
    method.fit(data, context)
    said = [line for line in context.progress.lines if "max_history" in line]
    assert len(said) == 1 and "the newest are read" in said[0]
    n_cut = int((data.histories.lengths > (5 if name == "bert4rec" else 6)).sum())
    assert f"{n_cut} of {len(data.histories)}" in said[0]
    assert method.describe()["histories_cut"] == n_cut
    long = np.random.default_rng(1).integers(0, N_ITEMS, size=40)
    whole, newest, oldest = (
        method.score(Histories.from_lists([events]), CANDIDATES)
        for events in (long, long[-6:], long[:6])
    )
    assert (whole == newest).all() and not np.allclose(whole, oldest)


@pytest.mark.parametrize("name", ALL)
def test_few_items_unseen_items_and_empty_histories(tmp_path, name):
    few = {key: values[:3] for key, values in ATTRIBUTES.items()}
    histories = Histories.from_lists([[0, 1, 0, 1], [1, 0]])  # item 2 is never trained
    method = fitted(name, tmp_path, catalogue(histories, few))
    scores = method.score(Histories.from_lists([[2], [], [0, 2, 1] * 30]), np.arange(3))
    assert scores.shape == (3, 3) and np.isfinite(scores).all()
    assert (scores[1] == 0).all()


@pytest.mark.parametrize("name", ALL)
def test_scores_do_not_depend_on_other_candidates_nor_their_order(tmp_path, name):
    data = catalogue(random_histories())
    method = fitted(name, tmp_path, data)
    scores = method.score(data.histories, CANDIDATES)
    order = np.random.default_rng(0).permutation(N_ITEMS)
    assert (method.score(data.histories, order) == scores[:, order]).all()
    np.testing.assert_allclose(
        method.score(data.histories, order[:7]), scores[:, order[:7]], atol=1e-5
    )


@pytest.mark.parametrize("name", ALL)
def test_what_cannot_be_done_is_said(tmp_path, name):
    base = name.partition(":")[0]
    with pytest.raises(MethodError, match=f"{base} has nothing to learn.*the longest has 1"):
        fitted(name, tmp_path, catalogue(Histories.from_lists([[0], [1]])))
    with pytest.raises(MethodError, match=f"{base} was asked to score.*call fit first"):
        method_of(name).score(Histories.from_lists([[0]]), CANDIDATES)


@pytest.mark.parametrize("name", READING_TEXT)
def test_items_without_text_are_counted_and_none_with_text_is_an_error(tmp_path, name):
    some = {key: ["", *values[1:]] for key, values in ATTRIBUTES.items()}
    described = fitted(name, tmp_path, catalogue(random_histories(), some)).describe()
    assert described["items_without_text"] == 1
    none = {key: [""] * N_ITEMS for key in ATTRIBUTES}
    with pytest.raises(MethodError, match="no item of planted has any text"):
        fitted(name, tmp_path, catalogue(random_histories(), none))


def test_attributes_that_are_all_missing_are_an_error(tmp_path):
    none = {**ATTRIBUTES, "brand": [""] * N_ITEMS}
    with pytest.raises(MethodError, match="no item has a value of any"):
        fitted("fdsa:attributes", tmp_path, catalogue(random_histories(), none), attributes="brand")


def test_listing_the_methods_loads_no_heavy_package():
    code = "import sys, methods.bert4rec, methods.fdsa, methods.s3rec; "
    code += "import methods.unisrec; "
    code += "sys.exit(bool({'torch', 'recbole', 'pandas', 'transformers', 'sklearn'} & "
    code += "{*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_noise_in_place_of_texts_that_are_not_read_is_refused():
    for name in ("fdsa", "s3rec"):
        with pytest.raises(UsageError, match="text_overwritten=true needs features"):
            method_of(name, features="attributes", text_overwritten=True)


def test_s3rec_without_pretraining_needs_no_encoder(tmp_path):
    method = fitted(
        "s3rec", tmp_path, catalogue(random_histories()), pretraining_epochs=0, encoder="no/such"
    )
    assert type(method).external_inputs(method.settings) == {}
    assert "no pre-training" in method.describe()["note"]
