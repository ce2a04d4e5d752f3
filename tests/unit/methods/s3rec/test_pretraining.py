"""The first stage within `fit`: resumed, reused, stopped early; what reaches the network."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from harness.settings import Layer, resolve
from methods.s3rec import METHOD
from methods.s3rec import pretraining as module
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

CANDIDATES = np.arange(N_ITEMS)
STAGE = {"pretraining_epochs": 6, "pretraining_save_every": 1, "pretraining_held_out": 0.2}


def scores_of(method):
    return method.score(random_histories(9), CANDIDATES)


class Killed(Exception):
    """Stands for a process that is stopped."""


def test_a_killed_run_goes_on_and_ends_bit_equal(tmp_path, monkeypatch):
    data = catalogue(random_histories())
    whole = fitted("s3rec", tmp_path / "whole", data, **STAGE)
    train, seen = module._Stage._train, []

    def stopping(stage):
        seen.append(stage.epoch)
        if len(seen) == 4:
            raise Killed
        train(stage)

    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(module._Stage, "_train", stopping)
        fitted("s3rec", tmp_path / "parts", data, **STAGE)
    seen.clear()
    monkeypatch.setattr(
        module._Stage, "_train", lambda stage: (seen.append(stage.epoch), train(stage))
    )
    resumed = fitted("s3rec", tmp_path / "parts", data, **STAGE)
    assert seen[0] == 4  # epochs 1 to 3 stood in the file
    assert (scores_of(resumed) == scores_of(whole)).all()


def test_other_fine_tuning_reuses_the_weights_and_other_pretraining_does_not(tmp_path):
    data = catalogue(random_histories())
    first = fitted("s3rec", tmp_path, data, **STAGE)
    assert first.describe()["pretraining_reused"] is False
    again = fitted("s3rec", tmp_path, data, **STAGE)
    assert again.describe()["pretraining_reused"] is True
    assert (scores_of(again) == scores_of(first)).all()
    other = fitted("s3rec", tmp_path, data, learning_rate=1e-4, objective="all-positions", **STAGE)
    assert other.describe()["pretraining_reused"] is True
    for values in ({"mask_ratio": 0.5}, {"features": "attributes"}, {"hidden_size": 8}):
        changed = fitted("s3rec", tmp_path, data, **{**STAGE, **values})
        assert changed.describe()["pretraining_reused"] is False
    shorter = catalogue(random_histories().without_last(1))
    assert fitted("s3rec", tmp_path, shorter, **STAGE).describe()["pretraining_reused"] is False


def test_held_out_users_decide_when_to_stop_and_what_is_kept(tmp_path, monkeypatch):
    data, losses = catalogue(random_histories()), []

    def judged(stage):
        import copy

        value = [5.0, 4.0, 4.5, 4.2, 4.1, 1.0][stage.epoch - 1]
        losses.append(value)
        if value < stage.best_loss:
            stage.best_loss, stage.best_epoch, stage.failures = value, stage.epoch, 0
            stage.best = copy.deepcopy(stage.network.state_dict())
        else:
            stage.failures += 1

    real = module._Stage._judge
    monkeypatch.setattr(module._Stage, "_judge", judged)
    method = fitted("s3rec", tmp_path / "a", data, **STAGE, pretraining_patience=2)
    assert losses == [5.0, 4.0, 4.5, 4.2, 4.1]
    described = method.describe()
    assert (described["pretraining_epochs"], described["pretraining_best_epoch"]) == (5, 2)
    monkeypatch.setattr(module._Stage, "_judge", real)
    all_in = fitted("s3rec", tmp_path / "b", data, **{**STAGE, "pretraining_held_out": 0.0})
    described = all_in.describe()
    assert described["pretraining_best_epoch"] == described["pretraining_epochs"] == 6
    assert "pretraining_held_out_loss" not in described


def test_pretraining_learns_and_the_log_says_so(tmp_path):
    log: list = []
    data = catalogue(random_histories(n_users=80))
    values = {"pretraining_batch_size": 64, "pretraining_learning_rate": 0.01}
    fitted("s3rec", tmp_path, data, {"log": log}, **{**STAGE, **values, "pretraining_epochs": 12})
    stage = [line for line in log if line.get("stage") == "pre-training"]
    assert len(stage) == 12 and stage[-1]["loss"] < 0.8 * stage[0]["loss"]
    assert all(line["held_out_loss"] is not None for line in stage)
    assert [line["epoch"] for line in log if "stage" not in line] == [1, 2]


@pytest.mark.parametrize("features", ["text", "attributes"])
def test_what_items_tell_changes_the_scores(tmp_path, features):
    histories, order = random_histories(), np.random.default_rng(1).permutation(N_ITEMS)
    shuffled = {key: [values[at] for at in order] for key, values in ATTRIBUTES.items()}
    scores = [
        scores_of(fitted("s3rec", tmp_path, catalogue(histories, values), features=features))
        for values in (ATTRIBUTES, shuffled)
    ]
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_as_shipped_no_text_is_read_and_the_note_says_so(tmp_path):
    histories, order = random_histories(), np.random.default_rng(1).permutation(N_ITEMS)
    shuffled = {key: [values[at] for at in order] for key, values in ATTRIBUTES.items()}
    values = {"pretraining_epochs": 1, "max_history": 20}
    made = [
        fitted("s3rec:as-shipped", tmp_path, catalogue(histories, attributes), **values)
        for attributes in (ATTRIBUTES, shuffled)
    ]
    assert (scores_of(made[0]) == scores_of(made[1])).all()
    note = made[0].describe()["note"]
    assert "no text is read" in note and "padding at the left" in note and "out of place" in note


@pytest.mark.parametrize("shared", [False, True])
def test_overwritten_in_place_all_that_is_read_is_who_shares_a_text(tmp_path, shared):
    """Classes are distinct texts: noise hides the words, not which items have the same ones."""
    order = np.random.default_rng(1).permutation(N_ITEMS)
    titles = [f"word{i % 10 if shared else i}" for i in range(N_ITEMS)]
    values = {"text_overwritten": True, "text_attributes": "title"}
    made = [
        fitted("s3rec", tmp_path, catalogue(random_histories(), {"title": given}), **values)
        for given in (titles, [titles[at] for at in order])
    ]
    assert (scores_of(made[0]) == scores_of(made[1])).all() != shared
    note = made[0].describe()["note"]
    assert "of texts only who shares one is read" in note and "no text is read" not in note


def test_without_pretraining_it_says_so(tmp_path):
    method = fitted("s3rec", tmp_path, catalogue(random_histories()), pretraining_epochs=0)
    assert "no pre-training" in method.describe()["note"]
    assert not any(key.startswith("pretraining") for key in method.describe())


def test_damaged_files_are_named(tmp_path):
    data = catalogue(random_histories())
    fitted("s3rec", tmp_path, data, **STAGE)
    weights = next((tmp_path / "pretrained").rglob("weights.safetensors"))
    weights.write_bytes(b"no weights")
    with pytest.raises(MethodError, match="delete the folder to pre-train anew"):
        fitted("s3rec", tmp_path, data, **STAGE)
    (weights.parent / "facts.json").unlink()
    import torch

    (weights.parent / "state.pt").write_bytes(b"no state")
    with pytest.raises(MethodError, match=r"state\.pt is damaged .* delete it to begin anew"):
        fitted("s3rec", tmp_path, data, **STAGE)
    torch.save({"standing": [1, 1, 0]}, weights.parent / "state.pt")
    with pytest.raises(MethodError, match=r"state\.pt is damaged \(KeyError\)"):
        fitted("s3rec", tmp_path, data, **STAGE)


def test_a_loss_that_is_no_number_is_refused(tmp_path):
    with pytest.raises(MethodError, match=r"loss became .* lower pretraining_learning"):
        fitted(
            "s3rec", tmp_path, catalogue(random_histories()), pretraining_learning_rate=1e30,
            pretraining_epochs=5,
        )  # fmt: skip


@pytest.mark.parametrize("held_out", [0.0, 0.2])
def test_weights_ruined_by_the_last_step_are_not_kept(tmp_path, held_out):
    values = {
        "pretraining_learning_rate": 1e30, "pretraining_epochs": 1,
        "pretraining_batch_size": 10**6, "pretraining_held_out": held_out,
    }  # fmt: skip
    with pytest.raises(MethodError, match="lower pretraining_learning"):
        fitted("s3rec", tmp_path, catalogue(random_histories()), **values)
    assert not list(tmp_path.rglob("facts.json")) + list(tmp_path.rglob("weights.safetensors"))


@pytest.mark.parametrize("seed", range(4))
def test_the_only_user_with_a_sequence_is_not_held_out(tmp_path, seed):
    data = catalogue(Histories.from_lists([[1], [0, 1, 2, 3], [2], [3]]))
    described = fitted("s3rec", tmp_path, data, {"seed": seed}).describe()
    assert described["pretraining_loss"] > 0
    assert "pretraining_held_out_loss" not in described


@pytest.mark.parametrize("name", ["s3rec", "s3rec:attributes", "s3rec:as-shipped"])
def test_a_catalogue_of_one_item(tmp_path, name):
    data = catalogue(
        Histories.from_lists([[0, 0, 0], [0, 0]]), {key: [of[1]] for key, of in ATTRIBUTES.items()}
    )
    method = fitted(name, tmp_path, data, pretraining_epochs=2, max_history=5)
    assert np.isfinite(method.score(Histories.from_lists([[0]]), np.arange(1))).all()


def test_attributes_or_texts_that_are_all_missing_are_an_error(tmp_path):
    none = {key: [""] * N_ITEMS for key in ATTRIBUTES}
    for features, message in (("text", "has any text"), ("attributes", "no item has a value")):
        with pytest.raises(MethodError, match=message):
            fitted("s3rec", tmp_path, catalogue(random_histories(), none), features=features)


def test_global_random_numbers_do_not_depend_on_whether_weights_were_there(tmp_path):
    import torch

    data = catalogue(random_histories())
    after = []
    for _ in range(2):
        method = method_of("s3rec", **STAGE)
        torch.manual_seed(1)
        method.build(data, replace(run_context(tmp_path), seed=3))
        after.append(torch.rand(3).tolist())
    assert after[0] == after[1]


def test_settings_that_do_not_fit_together():
    with pytest.raises(UsageError, match="needs align_padding=false"):
        resolve(METHOD.Settings, "s3rec", [Layer("test", {"align_targets": "false"})])
    both = {"text_overwritten": "true", "features": "attributes"}
    with pytest.raises(UsageError, match="needs features=text"):
        resolve(METHOD.Settings, "s3rec", [Layer("test", both)])


def test_the_defaults_are_recboles():
    from pathlib import Path

    import recbole
    import yaml

    found = yaml.safe_load(
        (Path(recbole.__file__).parent / "properties" / "model" / "S3Rec.yaml").read_text()
    )
    ours = METHOD.Settings()
    for name in ("mask_ratio", "aap_weight", "mip_weight", "map_weight", "sp_weight"):
        assert getattr(ours, name) == found[name]
