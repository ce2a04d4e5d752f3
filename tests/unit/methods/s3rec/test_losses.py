"""The losses by index against the table of all targets, RecBole's class, and plain loops."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from methods.s3rec.examples import examples
from methods.s3rec.method import build_model
from methods.s3rec.settings import Settings

pytest.importorskip("recbole")

N_ITEMS, N_TOKENS, WIDTH = 20, 6, 9
SMALL = {
    "hidden_size": 8, "inner_size": 8, "hidden_dropout": 0.0, "attention_dropout": 0.0,
    "max_history": WIDTH, "initializer_range": 0.4, "encoder": "tf-idf",
}  # fmt: skip


def tokens_of_items(seed=0):
    """One to three tokens an item, none of the padding item, none of item 1."""
    generator = np.random.default_rng(seed)
    table = np.zeros((N_ITEMS + 1, 3), dtype=np.int64)
    for item in range(2, N_ITEMS + 1):
        chosen = generator.choice(N_TOKENS, size=generator.integers(1, 4), replace=False) + 1
        table[item, : len(chosen)] = chosen
    table[N_ITEMS, 0] = N_TOKENS
    return table


def batch_of(left=None, seed=0, n_rows=7):
    import torch

    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, WIDTH + 1, size=n_rows)
    items = np.where(
        np.arange(WIDTH) < lengths[:, None], generator.integers(1, N_ITEMS + 1, (n_rows, WIDTH)), 0
    )
    made = examples(items, lengths, 0.4, N_ITEMS, generator)
    if left:
        made = made.padded_left(left)
    return {field.name: torch.from_numpy(getattr(made, field.name)) for field in fields(made)}


def test_by_index_equals_the_table_of_all_targets_gradients_included(monkeypatch):
    import torch

    from methods.s3rec import bce

    monkeypatch.setattr(bce, "CHUNK", 13)  # several chunks, the last one smaller
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(11, 4, generator=generator, dtype=torch.double, requires_grad=True)
    attributes = torch.randn(5, 4, generator=generator, dtype=torch.double, requires_grad=True)
    tokens = torch.tensor([[1, 3], [2, 0], [0, 0], [5, 4]] + [[1, 0]] * 7)
    targets = torch.zeros(11, 5, dtype=torch.double)
    for row, told in enumerate(tokens.tolist()):
        for token in told:
            if token:
                targets[row, token - 1] = 1
    dense = torch.nn.functional.binary_cross_entropy_with_logits(
        states @ attributes.T, targets, reduction="sum"
    )
    expected = torch.autograd.grad(3 * dense, (states, attributes))
    found = bce.summed_bce(states, attributes, tokens)
    torch.testing.assert_close(found, dense, rtol=0, atol=1e-10)
    for one, other in zip(
        torch.autograd.grad(3 * found, (states, attributes)), expected, strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-10)
    assert torch.autograd.gradcheck(lambda a, b: bce.summed_bce(a, b, tokens), (states, attributes))


def test_padded_at_the_left_the_loss_is_recboles():
    """Its ``pretrain`` is given the same masks and segments, and the table of all targets."""
    import torch
    from recbole.model.sequential_recommender.s3rec import S3Rec

    settings = Settings(features="attributes", align_padding=False, **SMALL)
    network = build_model(settings, N_ITEMS, tokens_of_items(), None, "cpu", seed=1)
    for seed in range(3):
        batch = batch_of(left=WIDTH, seed=seed)
        features = torch.zeros(*batch["items"].shape, N_TOKENS)
        for place in np.ndindex(*batch["items"].shape):
            for token in network.tokens[batch["items"][place]].tolist():
                if token:
                    features[(*place, token - 1)] = 1
        theirs = S3Rec.pretrain(
            network, features, batch["masked"], batch["items"], batch["negatives"],
            batch["context"], batch["segment"], batch["other_segment"],
        )  # fmt: skip
        ours = network.pretraining_loss(batch)
        torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-5)
        gradients = [
            torch.autograd.grad(loss, list(network.parameters()), allow_unused=True)
            for loss in (ours, theirs)
        ]
        for one, other in zip(*gradients, strict=True):
            assert (one is None) == (other is None)
            if one is not None:
                torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_targets_out_of_place_are_those_of_the_same_column_padded_at_the_right():
    """UniSRec's fault, by a plain loop: every item an attribute, the padding item as well."""
    import torch

    settings = Settings(
        align_padding=False, align_targets=False, mip_weight=0.0, sp_weight=0.0, aap_weight=1.0,
        map_weight=1.0, **SMALL,
    )  # fmt: skip
    vectors = np.random.default_rng(0).normal(size=(N_ITEMS + 1, 5)).astype(np.float32)
    tokens = np.arange(1, N_ITEMS + 2)[:, None]
    network = build_model(settings, N_ITEMS, tokens, vectors, "cpu", seed=1)
    right, left = batch_of(seed=4), batch_of(left=WIDTH, seed=4)
    states, attributes = network.forward(left["masked"]), network.attributes()
    expected = 0.0
    for row, column in zip(*np.nonzero(left["masked"].numpy()), strict=True):
        hidden = left["masked"][row, column] == N_ITEMS + 1
        state = (network.map_norm if hidden else network.aap_norm)(states[row, column])
        target = torch.zeros(N_ITEMS + 1)
        target[right["items"][row, column]] = 1  # 0, the padding item, behind the row's end
        expected += torch.nn.functional.binary_cross_entropy_with_logits(
            attributes @ state, target, reduction="sum"
        )
    torch.testing.assert_close(network.pretraining_loss(left), expected, rtol=1e-6, atol=1e-4)


def test_a_cut_batch_has_the_loss_of_the_padded_one():
    import torch

    settings = Settings(features="attributes", **{**SMALL, "max_history": 30})
    network = build_model(settings, N_ITEMS, tokens_of_items(), None, "cpu", seed=1)
    batch = batch_of()
    wide = {
        name: table if table.dim() == 1 else torch.nn.functional.pad(table, (0, 30 - WIDTH))
        for name, table in batch.items()
    }
    torch.testing.assert_close(
        network.pretraining_loss(batch), network.pretraining_loss(wide), rtol=1e-6, atol=1e-5
    )


def test_computing_segments_again_changes_no_gradient(monkeypatch):
    import torch

    from methods.s3rec import model

    settings = Settings(features="attributes", **{**SMALL, "hidden_dropout": 0.3})
    network = build_model(settings, N_ITEMS, tokens_of_items(), None, "cpu", seed=1).train()
    gradients = []
    for kept in (10**9, 0):
        monkeypatch.setattr(model, "KEPT_POSITIONS", kept)
        torch.manual_seed(2)
        network.zero_grad()
        network.pretraining_loss(batch_of()).backward()
        gradients.append([weights.grad.clone() for weights in network.parameters()])
    for one, other in zip(*gradients, strict=True):
        assert torch.equal(one, other)


STEP = """
import sys
import numpy as np, torch
from dataclasses import fields
from methods.s3rec.examples import examples
from methods.s3rec.method import build_model
from methods.s3rec.settings import Settings
n = 40_000
settings = Settings(encoder="tf-idf", hidden_size=int(sys.argv[1]))
vectors = np.random.default_rng(0).normal(size=(n, 384)).astype(np.float32)
tokens = np.arange(0, n + 1)[:, None]
network = build_model(settings, n, tokens, vectors, "cpu", 0).train()
items = np.random.default_rng(1).integers(1, n + 1, (1024, 50))
made = examples(items, np.full(1024, 50), 0.2, n, np.random.default_rng(2))
batch = {field.name: torch.from_numpy(getattr(made, field.name)) for field in fields(made)}
optimiser = torch.optim.Adam(network.parameters())
loss = network.pretraining_loss(batch)
loss.backward()
optimiser.step()
assert torch.isfinite(loss)
# not getrusage's maximum: a child inherits that of the process that started it
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc here")
@pytest.mark.parametrize("hidden", [64, 300])
def test_a_step_with_forty_thousand_items_stays_under_four_gigabytes(hidden):
    done = subprocess.run(
        [sys.executable, "-c", STEP, str(hidden)], capture_output=True, text=True, check=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert int(done.stdout.split()[-1]) < 4e9
