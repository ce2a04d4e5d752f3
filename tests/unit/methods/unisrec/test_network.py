"""UniSRec: adaptor and network against plain definitions, cosines, ties, what is frozen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.errors import UsageError
from harness.settings import Layer, resolve
from methods.unisrec import METHOD
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

WIDTH, HIDDEN, EXPERTS = 7, 5, 3


def adaptor(dropout=0.0):
    import torch

    from methods.unisrec.adaptor import Adaptor

    torch.manual_seed(0)
    made = Adaptor(WIDTH, HIDDEN, EXPERTS, dropout).double()
    for weights in made.parameters():
        torch.nn.init.normal_(weights)
    return made


def test_the_adaptor_is_the_gated_sum_of_whitenings():
    import torch

    made = adaptor().eval()
    vectors = torch.randn(4, 6, WIDTH, dtype=torch.double)
    found = made(vectors)
    assert found.shape == (4, 6, HIDDEN)
    for place in np.ndindex(4, 6):
        x = vectors[place]
        gate = torch.softmax(x @ made.w_gate, dim=0)
        expected = sum(
            g * (expert.lin.weight @ (x - expert.bias))
            for g, expert in zip(gate, made.experts, strict=True)
        )
        torch.testing.assert_close(found[place], expected, rtol=0, atol=1e-12)


def test_training_draws_dropout_for_each_expert_and_noise_for_the_gate():
    import torch

    made, vectors = adaptor(), torch.randn(50, WIDTH, dtype=torch.double)
    quiet = made.eval()(vectors)
    made.train()
    assert not torch.allclose(made(vectors), quiet)  # noise of the gate alone
    made.w_gate.data.zero_(), made.w_noise.data.fill_(-1e9)
    draws = torch.stack([made._gate_logits(vectors.abs()) for _ in range(300)])
    assert abs(draws.std().item() - 0.01) < 1e-3  # the floor
    made.w_noise.data.zero_()
    draws = torch.stack([made._gate_logits(vectors) for _ in range(300)])
    assert abs(draws.std().item() - (np.log(2) + 0.01)) < 0.02


def test_parts_of_many_vectors_give_the_same():
    import torch

    from methods.unisrec import adaptor as module

    made, vectors = adaptor().eval(), torch.randn(20, WIDTH, dtype=torch.double)
    whole = made(vectors)
    with torch.no_grad(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "ROWS_AT_ONCE", 6)
        torch.testing.assert_close(made(vectors), whole, rtol=0, atol=1e-12)


def test_computing_parts_again_changes_no_gradient(monkeypatch):
    import torch

    from methods.unisrec import adaptor as module

    made, vectors = adaptor(), torch.randn(20, WIDTH, dtype=torch.double)
    made.dropout = 0.0
    made.w_noise.data.fill_(-1e9)
    made.eval()  # nothing is drawn, so that parts and whole are the same
    gradients = []
    for kept in (100, 5):
        monkeypatch.setattr(module, "KEPT_ROWS", kept)
        monkeypatch.setattr(module, "ROWS_AT_ONCE", 6)
        made.zero_grad()
        made(vectors).pow(2).sum().backward()
        found = [weights.grad for weights in made.parameters()]
        gradients.append([grad.clone() for grad in found if grad is not None])
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


def test_the_adaptors_keys_are_those_of_the_released_checkpoints():
    keys = {"w_gate", "w_noise"}
    for expert in range(EXPERTS):
        keys |= {f"experts.{expert}.bias", f"experts.{expert}.lin.weight"}
    assert set(adaptor().state_dict()) == keys


@pytest.mark.parametrize("preset", ["text", "id-text"])
def test_losses_and_scores_by_definition(tmp_path, preset):
    """The whole network, written down again without what the class inherits or fuses."""
    import torch

    histories = random_histories(4, n_users=12)
    values = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "n_layers": 1, "n_heads": 1}
    method = fitted(f"unisrec:{preset}", tmp_path, catalogue(histories), **values)
    network = method._model.eval()
    layer = network.trm_encoder.layer[0]
    attention, forward = layer.multi_head_attention, layer.feed_forward
    table = torch.zeros(N_ITEMS + 1, method._text.width)
    table[1:] = torch.from_numpy(method._text.table())
    texts = network.moe_adaptor(table)
    items = texts if preset == "text" else texts + network.item_embedding.weight
    normal = items / items.norm(dim=1, keepdim=True)
    losses, scores = [], []
    for events in histories:
        indices = torch.from_numpy(events.astype(np.int64)) + 1
        inputs = items[indices[:-1]] + network.position_embedding.weight[: len(events) - 1]
        x = network.LayerNorm(inputs)
        query, key, value = attention.query(x), attention.key(x), attention.value(x)
        weights = (query @ key.T / x.shape[1] ** 0.5).masked_fill(
            torch.ones(len(x), len(x)).triu(1).bool(), -torch.inf
        )
        x = attention.LayerNorm(attention.dense(torch.softmax(weights, 1) @ value) + x)
        inner = torch.nn.functional.gelu(forward.dense_1(x))
        state = forward.LayerNorm(forward.dense_2(inner) + x)[-1]
        cosines = normal @ (state / state.norm())
        losses.append(torch.nn.functional.cross_entropy(cosines / 0.2, indices[-1]))
        scores.append(cosines[1:])
    found = method.score(histories.without_last(1), np.arange(N_ITEMS))
    np.testing.assert_allclose(found, torch.stack(scores).detach().numpy(), atol=2e-5)
    from methods import _recbole, _spans

    spans = _spans.latest(histories.without_last(1), 50)
    rows = np.arange(len(spans))
    targets = np.array([events[-1] + 1 for events in histories], dtype=np.int64)
    batch = _recbole.interaction(spans.padded(rows), spans.lengths, targets, "cpu")
    assert abs(network.calculate_loss(batch).item() - torch.stack(losses).mean().item()) < 1e-5


def test_equal_texts_tie_in_text_mode_alone(tmp_path):
    twins = {key: [values[at // 2] for at in range(N_ITEMS)] for key, values in ATTRIBUTES.items()}
    histories = random_histories()
    for preset, equal in (("text", True), ("id-text", False)):
        method = fitted(f"unisrec:{preset}", tmp_path, catalogue(histories, twins))
        scores = method.score(histories, np.arange(N_ITEMS))
        assert np.abs(scores).max() <= 1 + 1e-5
        assert bool((scores[:, 0::2] == scores[:, 1::2]).all()) is equal


@pytest.mark.parametrize("preset", ["text", "id-text"])
def test_items_are_adapted_once_for_all_blocks_and_anew_after_training(
    tmp_path, monkeypatch, preset
):
    from methods.unisrec.method import UniSRec

    made, data = [], catalogue(random_histories())
    real = UniSRec._all_vectors

    def counted(method):
        made.append(real(method))
        return made[-1]

    monkeypatch.setattr(UniSRec, "_all_vectors", counted)
    seen = []

    method = method_of(f"unisrec:{preset}", max_epochs=2)

    def validate(asked, users):
        seen.append(asked.score(data.histories, np.arange(N_ITEMS)))
        asked.score(data.histories, np.arange(N_ITEMS))
        return [1.0, 0.5][len(seen) - 1]  # the first epoch is the best

    method.fit(data, replace(run_context(tmp_path), validate_fn=validate))
    scores = method.score(data.histories, np.arange(N_ITEMS))
    assert len(made) == 3  # of either epoch, and of the best one's weights
    assert (scores == seen[0]).all() and not np.allclose(scores, seen[1])


def test_text_only_has_no_parameter_that_belongs_to_an_item(tmp_path):
    data = catalogue(random_histories())
    text, ids = (
        fitted(f"unisrec:{preset}", tmp_path, data).describe()["parameters"]
        for preset in ("text", "id-text")
    )
    assert ids - text == (N_ITEMS + 1) * 16


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"checkpoint": "a.pth", "pretraining": "some"}, "starts from one of them"),
        ({"pretraining": "some", "encoder": "tf-idf"}, "space of its own"),
        ({"checkpoint": "a.pth", "encoder": "tf-idf"}, "space of its own"),
    ],
)
def test_settings_that_do_not_fit_together(values, message):
    with pytest.raises(UsageError, match=message):
        resolve(METHOD.Settings, "unisrec", [Layer("test", values)])
