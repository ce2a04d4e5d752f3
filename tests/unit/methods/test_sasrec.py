"""SASRec: exact cutting, both objectives, scoring, early stopping, what it does at the edges."""

from __future__ import annotations

import pickle
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from harness.method import Input, Method, RunContext, TrainingData
from harness.progress import Progress
from harness.settings import Layer, resolve
from methods import _spans
from methods.sasrec import METHOD, SASRec, Settings, build_model, training_batch

pytest.importorskip("recbole")

QUICK = Settings(**METHOD.card.quick_settings)
STILL = replace(QUICK, hidden_dropout=0.0, attention_dropout=0.0)
N_ITEMS = 30


def random_histories(seed: int = 0, n_users: int = 40, longest: int = 20) -> Histories:
    generator = np.random.default_rng(seed)
    lengths = generator.integers(2, longest + 1, size=n_users)
    return Histories.from_lists([generator.integers(0, N_ITEMS, size=n) for n in lengths])


def cyclic_histories(n_items: int = 12, n_users: int = 60) -> Histories:
    return Histories.from_lists([(np.arange(10) + user) % n_items for user in range(n_users)])


def training_data(histories: Histories, n_items: int = N_ITEMS) -> TrainingData:
    return TrainingData("planted", n_items, histories, "bought", frozenset({Input.ITEM_IDS}))


def run_context(tmp_path: Path, seed: int = 0, validations: Any = None, log: Any = None):
    """Return a context whose validations are given, or rise for ever."""
    given = iter(validations if validations is not None else (step / 1e4 for step in range(9999)))
    return RunContext(
        seed=seed,
        device="cpu",
        work_dir=tmp_path,
        progress=Progress(shown=False),
        validate_fn=lambda method, users: next(given),
        log_fn=(lambda values: log.append(dict(values)))
        if log is not None
        else lambda values: None,
    )


def fitted(tmp_path: Path, settings: Settings, histories: Histories, n_items=N_ITEMS, **context):
    method = SASRec(settings)
    method.fit(training_data(histories, n_items), run_context(tmp_path, **context))
    return method


def losses_of_steps(settings: Settings, batches: list, n_items: int, dtype: Any) -> list[float]:
    import torch

    model = build_model(settings, n_items, "cpu", seed=5).to(dtype).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    losses = []
    for interaction in batches:
        optimizer.zero_grad()
        loss = model.calculate_loss(interaction)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("objective", ["every-prefix", "all-positions"])
def test_cutting_a_batch_changes_no_loss_over_100_optimiser_steps(objective):
    import torch

    settings = replace(STILL, objective=objective, hidden_size=16, inner_size=16, max_history=50)
    lengths = np.random.default_rng(1).integers(2, 71, size=60)  # some are longer than 50
    histories = Histories.from_lists([(np.arange(n) + n) % N_ITEMS for n in lengths])
    generator = np.random.default_rng(0)
    if objective == "every-prefix":
        spans = _spans.every_prefix(histories, 50)
    else:
        spans = _spans.windows(histories, 50, generator)
    rows = [generator.choice(len(spans), size=8, replace=False) for _ in range(100)]
    assert max(spans.lengths) == 50 and min(spans.lengths[chosen].max() for chosen in rows) < 50
    cut, padded = (
        [training_batch(spans, chosen, objective, "cpu", width)[0] for chosen in rows]
        for width in (None, 50)
    )
    exact = [
        losses_of_steps(settings, batches, N_ITEMS, torch.float64) for batches in (cut, padded)
    ]
    np.testing.assert_allclose(*exact, rtol=0, atol=1e-9)
    assert exact[0][-1] < exact[0][0] - 0.1  # the steps taught it something


def test_the_test_of_cutting_would_notice_a_cut_too_short():
    spans = _spans.every_prefix(random_histories(1, longest=30), 50)
    rows = np.argsort(spans.lengths)[-8:]
    whole = training_batch(spans, rows, "every-prefix", "cpu")[0]
    model = build_model(STILL, N_ITEMS, "cpu", seed=5)
    short_spans = _spans.every_prefix(random_histories(1, longest=30), 5)
    short = training_batch(short_spans, rows, "every-prefix", "cpu")[0]
    assert (short["item_id"] == whole["item_id"]).all()
    assert abs(model.calculate_loss(whole).item() - model.calculate_loss(short).item()) > 1e-5


def test_all_positions_loss_is_the_mean_of_recboles_losses_of_all_prefixes():
    """Independent of our subclass's own path: the right side is RecBole's class alone."""
    histories = random_histories(2, longest=20)
    prefixes = _spans.every_prefix(histories, 50)
    sequences = _spans.windows(histories, 50, np.random.default_rng(0))
    model = build_model(replace(STILL, objective="all-positions"), N_ITEMS, "cpu", seed=5)
    recbole = build_model(STILL, N_ITEMS, "cpu", seed=6)
    recbole.load_state_dict(model.state_dict())
    rows = np.arange(len(sequences))
    batch, n_targets = training_batch(sequences, rows, "all-positions", "cpu")
    single, n_prefixes = training_batch(prefixes, np.arange(len(prefixes)), "every-prefix", "cpu")
    assert n_targets == n_prefixes == (histories.lengths - 1).sum()
    difference = model.calculate_loss(batch).item() - recbole.calculate_loss(single).item()
    assert abs(difference) < 1e-6


def test_an_epoch_trains_each_prefix_exactly_once():
    method = SASRec(replace(QUICK, batch_size=2))
    histories = Histories.from_lists([[0, 1, 2, 3], [4, 5], [6, 7, 8]])
    pairs = [
        (tuple(row[row > 0]), int(target))
        for batch, _ in method.batches(histories, 0, 1)
        for row, target in zip(batch["item_id_list"].numpy(), batch["item_id"].numpy(), strict=True)
    ]
    assert sorted(pairs) == [
        ((1,), 2),
        ((1, 2), 3),
        ((1, 2, 3), 4),
        ((5,), 6),
        ((7,), 8),
        ((7, 8), 9),
    ]


@pytest.mark.parametrize("objective", ["every-prefix", "all-positions"])
def test_a_cycle_is_learnt_and_its_order_matters(tmp_path, objective):
    method = fitted(tmp_path, replace(QUICK, objective=objective), cyclic_histories(), n_items=12)
    held_out = Histories.from_lists([(np.arange(6) + start) % 12 for start in range(12)])
    ranked_first = method.score(held_out, np.arange(12)).argmax(axis=1)
    assert (ranked_first == (np.arange(12) + 6) % 12).mean() > 0.9


@pytest.mark.parametrize("objective", ["every-prefix", "all-positions"])
def test_same_seed_same_scores_and_another_seed_others(tmp_path, objective):
    settings = replace(QUICK, max_epochs=2, objective=objective)
    histories, candidates = random_histories(), np.arange(N_ITEMS)
    scores = [
        fitted(tmp_path, settings, histories, seed=seed).score(histories, candidates)
        for seed in (3, 3, 4)
    ]
    assert (scores[0] == scores[1]).all()
    assert not np.allclose(scores[0], scores[2])


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> SASRec:
    folder = tmp_path_factory.mktemp("sasrec")
    return fitted(folder, replace(QUICK, max_epochs=3, max_history=10), random_histories())


def test_scores_do_not_depend_on_the_batch_nor_on_the_order_of_candidates(trained):
    histories = random_histories(7, n_users=700, longest=25)
    together = trained.score(histories, np.arange(N_ITEMS))
    assert together.shape == (700, N_ITEMS) and together.dtype == np.float32
    for row in (0, 13, 699):
        alone = trained.score(histories.select(np.array([row])), np.arange(N_ITEMS))
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
    order = np.random.default_rng(0).permutation(N_ITEMS)[:17]
    np.testing.assert_allclose(trained.score(histories, order), together[:, order], atol=1e-5)


def test_only_the_latest_events_count(trained):
    long = np.random.default_rng(1).integers(0, N_ITEMS, size=40)
    candidates = np.arange(N_ITEMS)
    whole, cut, other = (
        trained.score(Histories.from_lists([events]), candidates)
        for events in (long, long[-10:], long[:10])
    )
    assert (whole == cut).all()
    assert not np.allclose(whole, other)


def test_an_empty_history_ties_all_candidates_and_harms_no_neighbour(trained):
    candidates = np.arange(N_ITEMS)
    mixed = trained.score(Histories.from_lists([[1, 2], [], [3]]), candidates)
    assert (mixed[1] == 0).all()
    np.testing.assert_allclose(
        mixed[[0, 2]], trained.score(Histories.from_lists([[1, 2], [3]]), candidates), atol=1e-6
    )
    assert trained.score(Histories.from_lists([[]]), candidates).shape == (1, N_ITEMS)
    assert trained.score(Histories.from_lists([]), candidates).shape == (0, N_ITEMS)


def test_items_of_the_history_are_scored_as_any_other(tmp_path):
    repeats = Histories.from_lists([[item] * 8 for item in range(12)])
    method = fitted(tmp_path, QUICK, repeats, n_items=12)
    assert (method.score(repeats, np.arange(12)).argmax(axis=1) == np.arange(12)).all()


def test_unseen_items_and_a_one_item_catalogue_get_finite_scores(tmp_path):
    method = fitted(tmp_path, replace(QUICK, max_epochs=1), Histories.from_lists([[0, 1, 2]]), 9)
    assert np.isfinite(method.score(Histories.from_lists([[7, 8], [8]]), np.arange(9))).all()
    lone = fitted(tmp_path, replace(QUICK, max_epochs=1), Histories.from_lists([[0, 0, 0]]), 1)
    assert lone.score(Histories.from_lists([[0], []]), np.arange(1)).shape == (2, 1)


def test_scoring_changes_neither_its_arguments_nor_later_scores(trained):
    histories, candidates = random_histories(8), np.arange(N_ITEMS)[::-1].copy()
    items, before = histories.items.copy(), candidates.copy()
    first = trained.score(histories, candidates)
    assert (histories.items == items).all() and (candidates == before).all()
    assert (trained.score(histories, candidates) == first).all()  # dropout is off


@pytest.mark.parametrize("objective", ["every-prefix", "all-positions"])
def test_a_fitted_method_survives_pickling(tmp_path, objective):
    histories, candidates = random_histories(), np.arange(N_ITEMS)
    method = fitted(tmp_path, replace(QUICK, max_epochs=1, objective=objective), histories)
    again: Method = pickle.loads(pickle.dumps(method))
    assert (again.score(histories, candidates) == method.score(histories, candidates)).all()
    assert again.describe() == method.describe()


def test_training_stops_after_patience_and_goes_back_to_the_best_epoch(tmp_path):
    log: list[dict[str, Any]] = []
    histories, candidates = random_histories(), np.arange(N_ITEMS)
    validations = [0.1, 0.3, 0.2, 0.2, 0.2]
    stopped = fitted(
        tmp_path, replace(QUICK, patience=2), histories, validations=validations, log=log
    )
    assert [line["epoch"] for line in log] == [1, 2, 3, 4, 5]  # the third failure in a row stops
    assert [line["validation_ndcg10"] for line in log] == validations
    assert all(np.isfinite(line["loss"]) and line["seconds"] > 0 for line in log)
    two = fitted(tmp_path, replace(QUICK, max_epochs=2), histories)
    assert (stopped.score(histories, candidates) == two.score(histories, candidates)).all()
    described = stopped.describe()
    assert (described["best_epoch"], described["epochs"]) == (2, 5)
    assert described["best_validation_ndcg10"] == 0.3


def test_validate_every_skips_epochs_but_never_the_last(tmp_path):
    log: list[dict[str, Any]] = []
    settings = replace(QUICK, max_epochs=5, validate_every=2)
    fitted(tmp_path, settings, random_histories(), log=log)
    validated = [line["epoch"] for line in log if line["validation_ndcg10"] is not None]
    assert validated == [2, 4, 5]


def test_validation_sees_the_model_of_that_epoch_in_evaluation_mode(tmp_path):
    histories, seen = random_histories(), []
    context = run_context(tmp_path)

    def validate(method: Method, users: int | None) -> float:
        seen.append(method.score(histories, np.arange(N_ITEMS)))
        assert (seen[-1] == method.score(histories, np.arange(N_ITEMS))).all()
        return float(len(seen))

    method = SASRec(replace(QUICK, max_epochs=3))
    method.fit(training_data(histories), replace(context, validate_fn=validate))
    assert not np.allclose(seen[0], seen[1])
    assert (seen[2] == method.score(histories, np.arange(N_ITEMS))).all()


def test_describe_counts_parameters_and_names_an_objective_that_is_not_the_default(tmp_path):
    settings = replace(QUICK, max_epochs=1)
    described = fitted(tmp_path, settings, random_histories()).describe()
    hidden, inner = settings.hidden_size, settings.inner_size
    attention = 4 * (hidden * hidden + hidden)  # query, key, value, output
    feed_forward = hidden * inner + inner + inner * hidden + hidden
    normalisation = 2 * hidden
    tables = (N_ITEMS + 1 + 50) * hidden  # items with padding, positions
    expected = tables + normalisation + 2 * (attention + feed_forward + 2 * normalisation)
    assert described["parameters"] == expected
    assert described["objective"] == "every-prefix" and "note" not in described
    other = fitted(tmp_path, replace(settings, objective="all-positions"), random_histories())
    assert "all-positions" in other.describe()["note"]
    assert SASRec(settings).describe() == {}


def test_ctrl_c_in_the_middle_of_an_epoch_propagates(tmp_path, monkeypatch):
    import methods._sequential as module

    calls = []

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return training_batch(*arguments, **named)

    monkeypatch.setattr(module, "training_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fitted(tmp_path, replace(QUICK, batch_size=16), random_histories())


def test_errors_say_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(MethodError, match="two events, and the longest has 1"):
        fitted(tmp_path, QUICK, Histories.from_lists([[0], [1]]))
    with pytest.raises(MethodError, match="call fit first"):
        SASRec(QUICK).score(Histories.from_lists([[0]]), np.arange(3))
    with pytest.raises(MethodError, match=r"loss became .* lower learning_rate"):
        fitted(tmp_path, replace(STILL, learning_rate=1e30), random_histories())
    with pytest.raises(UsageError, match=r"hidden_size \(50\) must be a multiple of n_heads \(4\)"):
        resolve(Settings, "sasrec", [Layer("test", {"hidden_size": "50", "n_heads": "4"})])
    with pytest.raises(UsageError, match="did you mean 'all-positions'"):
        resolve(Settings, "sasrec", [Layer("test", {"objective": "all-position"})])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "recbole.model.sequential_recommender.sasrec", raising=False)
    monkeypatch.setitem(sys.modules, "recbole.model.sequential_recommender", None)
    with pytest.raises(MethodError, match=r"recbole\.model.* is missing"):
        build_model(QUICK, 3, "cpu", 0)


def test_the_defaults_are_recboles_and_the_preset_is_the_unisrec_repositorys():
    import recbole
    import yaml

    folder = Path(recbole.__file__).parent / "properties"
    model = yaml.safe_load((folder / "model" / "SASRec.yaml").read_text())
    overall = yaml.safe_load((folder / "overall.yaml").read_text())
    ours = Settings()
    for name in ("n_layers", "n_heads", "hidden_size", "inner_size", "initializer_range"):
        assert getattr(ours, name) == model[name]
    assert ours.hidden_dropout == model["hidden_dropout_prob"]
    assert ours.attention_dropout == model["attn_dropout_prob"]
    assert ours.layer_norm_eps == float(model["layer_norm_eps"])
    assert (ours.batch_size, ours.max_epochs) == (overall["train_batch_size"], overall["epochs"])
    assert (ours.learning_rate, ours.patience) == (
        overall["learning_rate"],
        overall["stopping_step"],
    )
    assert METHOD.card.presets["unisrec-repository"] == {"hidden_size": 300}


def test_recboles_import_leaves_anomaly_detection_as_it_was():
    code = (
        "import torch; from methods._recbole import model_class; model_class('sasrec', 'SASRec'); "
    )
    code += "import sys; sys.exit(torch.is_anomaly_enabled())"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_listing_the_method_loads_no_heavy_package():
    code = "import sys, methods.sasrec; "
    code += "sys.exit(bool({'torch', 'recbole', 'pandas', 'numba'} & {*sys.modules}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
