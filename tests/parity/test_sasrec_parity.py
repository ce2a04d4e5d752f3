"""SASRec against RecBole's class, used the way RecBole uses it: fixed width, its own functions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.histories import Histories
from harness.method import Input, RunContext, TrainingData
from harness.progress import Progress
from harness.seeding import seed_everything
from methods import _spans
from methods._training import EarlyStopping
from methods.sasrec import METHOD, SASRec, Settings, build_model, training_batch

pytest.importorskip("recbole")

N_ITEMS = 40
WIDTH = 12
SETTINGS = replace(Settings(**METHOD.card.quick_settings), max_history=WIDTH, max_epochs=2)


class RecBoleConfig(dict):
    """Written out here, not taken from our adapter, so that the two can disagree."""

    def __missing__(self, key):
        return None


class RecBoleDataset:
    def num(self, field):
        return {"item_id": N_ITEMS + 1, "user_id": 3}[field]


def recbole_model(settings: Settings):
    from recbole.model.sequential_recommender.sasrec import SASRec as RecBoleSASRec

    config = RecBoleConfig(
        USER_ID_FIELD="user_id",
        ITEM_ID_FIELD="item_id",
        LIST_SUFFIX="_list",
        ITEM_LIST_LENGTH_FIELD="item_length",
        NEG_PREFIX="neg_",
        MAX_ITEM_LIST_LENGTH=settings.max_history,
        device="cpu",
        n_layers=settings.n_layers,
        n_heads=settings.n_heads,
        hidden_size=settings.hidden_size,
        inner_size=settings.inner_size,
        hidden_dropout_prob=settings.hidden_dropout,
        attn_dropout_prob=settings.attention_dropout,
        hidden_act="gelu",
        layer_norm_eps=settings.layer_norm_eps,
        initializer_range=settings.initializer_range,
        loss_type="CE",
    )
    return RecBoleSASRec(config, RecBoleDataset())


def recbole_interaction(lists, targets=None):
    """The last WIDTH items + 1, right-padded with 0 to WIDTH, made by plain loops."""
    import torch

    table = torch.zeros(len(lists), WIDTH, dtype=torch.long)
    lengths = torch.zeros(len(lists), dtype=torch.long)
    for row, events in enumerate(lists):
        kept = [int(item) + 1 for item in events][-WIDTH:]
        table[row, : len(kept)] = torch.tensor(kept)
        lengths[row] = len(kept)
    batch = {"item_id_list": table, "item_length": lengths}
    if targets is not None:
        batch["item_id"] = torch.tensor([int(target) + 1 for target in targets])
    return batch


@pytest.fixture(scope="module")
def histories() -> Histories:
    generator = np.random.default_rng(0)
    lengths = generator.integers(2, 30, size=80)
    return Histories.from_lists([generator.integers(0, N_ITEMS, size=n) for n in lengths])


@pytest.fixture(scope="module", params=["every-prefix", "all-positions"])
def trained(request, histories, tmp_path_factory) -> SASRec:
    method = SASRec(replace(SETTINGS, objective=request.param))
    context = RunContext(
        seed=0,
        device="cpu",
        work_dir=tmp_path_factory.mktemp("sasrec"),
        progress=Progress(shown=False),
        validate_fn=lambda method, users: 0.0,
        log_fn=lambda values: None,
    )
    data = TrainingData("planted", N_ITEMS, histories, "bought", frozenset({Input.ITEM_IDS}))
    method.fit(data, context)
    return method


def test_scores_equal_full_sort_predict_without_the_padding_column(trained, histories):
    import torch

    model = recbole_model(trained.settings)
    model.load_state_dict(trained._model.state_dict())
    model.eval()
    with torch.no_grad():
        theirs = model.full_sort_predict(recbole_interaction(list(histories))).numpy()
    assert theirs.shape == (len(histories), N_ITEMS + 1)
    ours = trained.score(histories, np.arange(N_ITEMS))
    np.testing.assert_allclose(ours, theirs[:, 1:], rtol=0, atol=1e-6)
    with pytest.raises(AssertionError):  # were padding not dropped, this would not pass
        np.testing.assert_allclose(ours, theirs[:, :-1], rtol=0, atol=1e-2)


def test_the_loss_of_a_cut_batch_is_recboles_loss_of_the_padded_one(histories):
    still = replace(SETTINGS, hidden_dropout=0.0, attention_dropout=0.0, initializer_range=0.3)
    mine, model = build_model(still, N_ITEMS, "cpu", seed=2), recbole_model(still)
    model.load_state_dict(mine.state_dict())
    spans = _spans.every_prefix(histories, WIDTH)
    examples = [(events[:at], events[at]) for events in histories for at in range(1, len(events))]
    order = np.argsort(spans.lengths, kind="stable")
    for rows in np.array_split(order, 7):
        ours = mine.calculate_loss(training_batch(spans, rows, "every-prefix", "cpu")[0])
        contexts, targets = zip(*(examples[row] for row in rows), strict=True)
        theirs = model.calculate_loss(recbole_interaction(contexts, targets))
        assert abs(ours.item() - theirs.item()) < 1e-6


def test_an_untrained_model_starts_from_recboles_weights_under_the_same_seed():
    import torch

    ours = build_model(SETTINGS, N_ITEMS, "cpu", seed=11)
    seed_everything(11)
    theirs = recbole_model(SETTINGS)
    for (name, mine), (same, other) in zip(
        ours.state_dict().items(), theirs.state_dict().items(), strict=True
    ):
        assert name == same and torch.equal(mine, other)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 4))
def test_early_stopping_is_recboles(values, patience):
    from recbole.utils import early_stopping

    ours, best, failures = EarlyStopping(patience), -np.inf, 0
    for epoch, value in enumerate(values, start=1):
        best, failures, stop, update = early_stopping(value, best, failures, max_step=patience)
        assert ours.reached(value, epoch) == update
        assert ours.exhausted == stop
        assert ours.best == best
        if stop:
            break
