"""Pre-training as a whole: pairs, selection, going on after an interruption, sharing."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness.errors import MethodError, UsageError  # noqa: E402
from methods.recformer import checkpoints  # noqa: E402
from methods.recformer.pretraining import PreTraining  # noqa: E402
from methods.recformer.selection import selecting  # noqa: E402
from methods.recformer.sharing import key_of, pretrained  # noqa: E402
from methods.recformer.sources import (  # noqa: E402
    catalogue_of,
    domains_of,
    drawn_pairs,
    equal_others,
    sides_of,
)
from tests.unit.methods.recformer.pretraining_toys import (  # noqa: E402
    TITLES,
    Logged,
    cyclic,
    encoder_of,
    settings_of,
    source,
    sources,
)


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def domains(parts=None, **values):
    settings = settings_of(**values)
    return domains_of(parts or sources(), encoder_of(settings).vocabulary, settings)


class Stopped(Exception):
    """What a process is killed by in these tests."""


def killed_after(training: PreTraining, n_steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run until a number of steps has been done, then stop as Ctrl-C would."""
    done, real = [], training._step

    def step(*arguments):
        if len(done) == n_steps:
            raise Stopped
        done.append(real(*arguments))

    monkeypatch.setattr(training, "_step", step)
    with pytest.raises(Stopped):
        training.run()


def trained(folder: Path, kills: tuple[int, ...] = (), monkeypatch=None, selecting=False, **values):
    """Pre-train with interruptions; return weights, cost and logged lines."""
    folder.mkdir(exist_ok=True)
    settings = settings_of(pretraining_save_every=2, **values)
    logged = Logged(folder)
    for n_steps in (*kills, None):
        torch.rand(5)  # whatever ran before is of no consequence
        encoder = encoder_of(settings)
        parts = domains_of(sources(selecting), encoder.vocabulary, settings)
        training = PreTraining(encoder, parts, settings, logged.context, folder)
        if n_steps is None:
            cost = training.run()
        else:
            killed_after(training, n_steps, monkeypatch)
    return encoder.model.state_dict(), cost, logged.lines


# ---- pairs ---------------------------------------------------------------------------------------


def test_targets_are_uniform_in_the_later_half_and_never_first() -> None:
    parts = domains([source("films", [[0, 1], [0, 1, 2, 3, 4], [0] * 6, [3]] * 2000)])
    pairs = drawn_pairs(parts, 0, 0)
    assert len(pairs) == 6000  # the users with two events
    found = {user: Counter(pairs.targets[pairs.users % 4 == user].tolist()) for user in range(4)}
    assert [set(found[user]) for user in range(4)] == [{1}, {2, 3, 4}, {2, 3, 4, 5}, set()]
    for user in (1, 2):
        shares = np.array(list(found[user].values())) / found[user].total()
        assert shares == pytest.approx(1 / len(shares), abs=0.04)


def test_domains_are_drawn_by_the_mixtures_shares() -> None:
    pairs = drawn_pairs(
        domains([source("films", cyclic(3000), 0.2), source("games", cyclic(200), 0.8)]), 0, 0
    )
    assert len(pairs) == 3200
    assert (pairs.domains == 1).mean() == pytest.approx(0.8, abs=0.03)
    assert pairs.users[pairs.domains == 1].max() < 200


def test_draws_depend_on_seed_and_epoch() -> None:
    parts = domains()
    one, again, epoch, seed = (
        drawn_pairs(parts, *key).users.tolist() for key in ((0, 0), (0, 0), (0, 1), (1, 0))
    )
    assert one == again
    assert one != epoch
    assert one != seed


def test_a_pair_is_what_precedes_an_item_and_the_item() -> None:
    (part,) = parts = domains([source("films", [[0, 1, 2]])], max_tokens=200)
    pairs = drawn_pairs(parts, 0, 0)
    (history,), (item,) = (side.ids for side in sides_of(parts, pairs))
    of = {index: part.items.items().ids[index][1:].tolist() for index in range(len(TITLES))}
    target = int(pairs.targets[0])
    assert item[1:].tolist() == of[target]
    assert history[1:].tolist() == [id_ for n in range(target)[::-1] for id_ in of[n]]


def test_equal_items_are_found_whatever_their_index() -> None:
    attributes = {"title": ["lamp", "chair", "lamp"]}
    parts = domains([source("films", [[1, 0], [1, 2], [0, 1]], attributes=attributes)])
    pairs = drawn_pairs(parts, 0, 0)
    _, items = sides_of(parts, pairs)
    lamps = pairs.users < 2
    expected = (lamps[:, None] == lamps[None, :]) & ~np.eye(3, dtype=bool)
    assert (equal_others(items) == expected).all()


def test_a_mixture_without_pairs_is_refused() -> None:
    with pytest.raises(MethodError, match="nothing to pre-train on: no user of the mixture"):
        domains([source("films", [[1], [2]])])


# ---- attributes ----------------------------------------------------------------------------------


def test_a_domain_is_read_by_the_attributes_asked_for_that_it_has() -> None:
    films = source("films", cyclic(3), attributes={"genre": ["a"] * 6, "title": ["b"] * 6})
    games = source("games", cyclic(3), attributes={"price": ["1"] * 6, "brand": ["c"] * 6})
    found = domains([films, games], attributes="genre")
    assert [part.items.names for part in found] == [("genre",), ("brand",)]
    usual = domains([films, games])
    assert [part.items.names for part in usual] == [("title",), ("brand",)]
    values, settings = catalogue_of([films, games], settings_of(attributes="genre"))
    assert values == {"genre": ["a"] * 6, "brand": ["c"] * 6}
    assert settings.attribute_names == ("genre", "brand")


# ---- training ------------------------------------------------------------------------------------


def test_it_learns_which_item_follows(tmp_path: Path) -> None:
    _, cost, lines = trained(
        tmp_path, selecting=True, pretraining_epochs=25, pretraining_learning_rate=1e-2
    )
    losses = [line["loss"] for line in lines]
    assert losses[-1] < 0.6 * losses[0]
    assert lines[-1]["mlm_loss"] < 0.9 * lines[0]["mlm_loss"]
    accuracies = [line["validation_accuracy"] for line in lines]
    assert (cost.best_accuracy, cost.epochs) == (max(accuracies), 25)
    assert cost.best_epoch == 1 + accuracies.index(max(accuracies))
    assert cost.best_accuracy > 0.5
    assert cost.pairs == 25 * 32
    assert cost.tokens > 2 * cost.pairs
    assert cost.contrastive_loss == losses[-1]


def test_word_embeddings_move_only_where_asked_for(tmp_path: Path) -> None:
    key = "longformer.embeddings.word_embeddings.weight"
    for moves in (False, True):
        settings = settings_of(train_word_embeddings=moves)
        encoder = encoder_of(settings)
        before = encoder.model.state_dict()[key].clone()
        pretrained(encoder, sources(), settings, Logged(tmp_path).context)
        assert torch.equal(before, encoder.model.state_dict()[key]) is not moves
        assert all(weights.requires_grad for weights in encoder.model.parameters())


def test_without_a_selecting_domain_the_last_epoch_is_kept(tmp_path: Path) -> None:
    weights, cost, lines = trained(tmp_path)
    assert (cost.best_epoch, cost.best_accuracy) == (2, None)
    assert [line["validation_accuracy"] for line in lines] == [None, None]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cost.json", "encoder.safetensors"]
    encoder = encoder_of(settings_of(), seed=9)
    checkpoints.load_weights(tmp_path / checkpoints.WEIGHTS, encoder.model)
    assert all(torch.equal(weights[key], w) for key, w in encoder.model.state_dict().items())


def test_the_best_epoch_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(pretraining_epochs=3)
    encoder = encoder_of(settings)
    parts = domains_of(sources(selecting=True), encoder.vocabulary, settings)
    training = PreTraining(encoder, parts, settings, Logged(tmp_path).context, tmp_path)
    seen, accuracies = [], iter([0.2, 0.4, 0.4])

    def accuracy() -> float:
        seen.append({key: w.clone() for key, w in encoder.model.state_dict().items()})
        return next(accuracies)

    monkeypatch.setattr(training._selection, "accuracy", accuracy)
    cost = training.run()
    assert (cost.best_epoch, cost.best_accuracy) == (2, 0.4)
    assert all(torch.equal(seen[1][key], w) for key, w in encoder.model.state_dict().items())


def test_accuracy_counts_users_whose_item_is_strictly_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = settings_of(pretraining_batch_size=3)
    encoder = encoder_of(settings)
    part = source("films", [[1, 1], [1, 2], [1, 3], [1, 4]], targets=[0, 1, 1, 2])
    (domain,) = domains_of([part], encoder.vocabulary, settings)
    found = selecting(encoder, [domain], settings, "float32", 0)
    assert found is not None
    assert found.accuracy() <= 1
    # items as unit vectors, users exactly as their items: only equal items could disturb
    items = torch.eye(3)
    monkeypatch.setattr(
        encoder, "vectors",
        lambda seq, precision: items if len(seq) == 3 else items[found._index],
    )  # fmt: skip
    assert found.accuracy() == 1.0
    # all alike: a tie is no success; alone in the last batch nothing is there to be confused with
    monkeypatch.setattr(encoder, "vectors", lambda seq, precision: torch.ones(len(seq), 3))
    assert found.accuracy() == 0.25


@pytest.mark.parametrize("clip", [0.5, 0.0])
@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_what_is_no_number_keeps_the_last_state(tmp_path, monkeypatch, what, clip) -> None:
    settings = settings_of(pretraining_save_every=2, pretraining_gradient_clip=clip)
    encoder = encoder_of(settings)
    parts = domains_of(sources(), encoder.vocabulary, settings)
    training = PreTraining(encoder, parts, settings, Logged(tmp_path).context, tmp_path)
    real = training._contrast.accumulate

    def accumulate(sides, equal, step):
        loss = real(sides, equal, step)
        if step == 3 and what == "gradient":
            encoder.model.item_positions.weight.grad[0] = torch.inf
        return float("nan") if step == 3 and what == "loss" else loss

    monkeypatch.setattr(training._contrast, "accumulate", accumulate)
    advice = r"lower recformer\.pretraining_learning_rate \(now 0\.001\), or .*gradient_clip.*now 0"
    with pytest.raises(MethodError, match=f"the {what}.* became .* epoch 1, step 4: {advice}"):
        training.run()
    found = checkpoints.load_state(tmp_path)
    assert found is not None
    assert (found[0].epoch, found[0].step) == (0, 2)
    assert all(torch.isfinite(weights).all() for weights in found[1]["model"].values())


def test_words_cannot_be_hidden_without_a_mask(tmp_path: Path) -> None:
    settings = settings_of()
    encoder = encoder_of(settings)
    object.__setattr__(encoder.vocabulary, "mask_id", None)
    with pytest.raises(UsageError, match="has no mask token"):
        pretrained(encoder, sources(), settings, Logged(tmp_path).context)
    cost, _ = pretrained(encoder, sources(), settings_of(mlm_weight=0.0), Logged(tmp_path).context)
    assert cost.guessing_loss == 0


# ---- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [(1,), (3,), (4,), (7, 1), (2, 2, 2)])
@pytest.mark.parametrize("selects", [False, True])
def test_a_stopped_run_ends_with_the_same_bits(tmp_path, monkeypatch, kills, selects) -> None:
    expected, cost, lines = trained(tmp_path / "whole", selecting=selects)
    found, again, _ = trained(tmp_path / "parts", kills, monkeypatch, selecting=selects)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
    assert again.contrastive_loss == cost.contrastive_loss == lines[-1]["loss"]
    assert (again.pairs, again.tokens, again.best_epoch) == (
        cost.pairs, cost.tokens, cost.best_epoch,
    )  # fmt: skip
    stored = [(tmp_path / name / checkpoints.WEIGHTS).read_bytes() for name in ("whole", "parts")]
    assert stored[0] == stored[1]


def test_a_damaged_state_says_what_to_delete(tmp_path: Path, monkeypatch) -> None:
    settings = settings_of()
    (tmp_path / checkpoints.STATE).write_bytes(b"nothing")
    encoder = encoder_of(settings)
    parts = domains_of(sources(), encoder.vocabulary, settings)
    training = PreTraining(encoder, parts, settings, Logged(tmp_path).context, tmp_path)
    with pytest.raises(MethodError, match=r"state\.pt is damaged .* delete it to begin anew"):
        training.run()


# ---- sharing -------------------------------------------------------------------------------------


def test_a_second_run_takes_what_the_first_one_made(tmp_path: Path) -> None:
    settings = settings_of()
    first, second = encoder_of(settings), encoder_of(settings)
    before = torch.get_rng_state()
    cost, reused = pretrained(first, sources(), settings, Logged(tmp_path).context)
    assert torch.equal(before, torch.get_rng_state())
    assert not reused
    logged = Logged(tmp_path)
    again, reused = pretrained(second, sources(), settings, logged.context)
    assert reused
    assert again == cost
    assert logged.lines == []
    expected = first.model.state_dict()
    assert all(torch.equal(expected[key], w) for key, w in second.model.state_dict().items())


def test_a_damaged_result_says_what_to_delete(tmp_path: Path) -> None:
    settings = settings_of()
    pretrained(encoder_of(settings), sources(), settings, Logged(tmp_path).context)
    (path,) = tmp_path.rglob(checkpoints.WEIGHTS)
    path.write_bytes(b"")
    with pytest.raises(MethodError, match="delete the folder to pre-train anew"):
        pretrained(encoder_of(settings), sources(), settings, Logged(tmp_path).context)
    (path,) = tmp_path.rglob(checkpoints.COST)
    path.write_text('{"pairs": 1}')
    with pytest.raises(MethodError, match="delete the folder to pre-train anew"):
        pretrained(encoder_of(settings), sources(), settings, Logged(tmp_path).context)


def test_the_key_names_what_matters_and_not_the_target() -> None:
    key = key_of(settings_of(), 0)
    assert key == key_of(settings_of(stage1_epochs=3, learning_rate=1.0, pretraining="x.toml"), 0)
    others = [
        settings_of(pretraining_epochs=3), settings_of(temperature=0.1), settings_of(max_items=3),
        settings_of(mlm_weight=0.0), settings_of(random_width=8), settings_of(attributes="title"),
        settings_of(weights="a/b"), settings_of(weight_decay=0.1), settings_of(tokens_at_once=7),
    ]  # fmt: skip
    assert len({key, key_of(settings_of(), 1), *(key_of(other, 0) for other in others)}) == 11
    assert json.loads(key)["seed"] == 0
