"""A step's loss and gradient: in parts, over processes, without false negatives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from methods.recformer.contrast import Contrast, contrastive_loss, dropout_seed  # noqa: E402
from methods.recformer.model import normalised  # noqa: E402
from methods.recformer.precision import products  # noqa: E402
from tests.unit.methods.recformer.pretraining_toys import (  # noqa: E402
    batch_of,
    encoder_of,
    gradients,
    settings_of,
    shared_work,
)

TOLERANCE = 1e-5


def assert_equal(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, rtol=TOLERANCE, atol=TOLERANCE)


def plain(encoder, sides, equal, step: int, precision: str) -> float:
    """The same with one graph for the whole batch; parts and their dropout as documented."""
    vectors = []
    for side, sequences in enumerate(sides):
        rows, found = [], []
        for number, (part, batch) in enumerate(encoder.batches(sequences)):
            torch.manual_seed(dropout_seed(5, step, side, number))
            with products(precision, "cpu"):
                found.append(normalised(encoder.model(batch)))
            rows.append(part)
        vectors.append(torch.cat(found)[torch.from_numpy(np.argsort(np.concatenate(rows)))])
    loss = contrastive_loss(*vectors, torch.from_numpy(equal), 0.05)
    loss.backward()
    return loss.item()


@pytest.mark.parametrize("tokens", [30, 100, 10_000])
@pytest.mark.parametrize(
    ("attention", "precision"),
    [("quick", "float32"), ("sliding", "float32"), ("quick", "bfloat16")],
)
def test_gradients_in_parts_are_those_of_the_whole_batch(tokens, attention, precision) -> None:
    settings = settings_of(tokens_at_once=tokens, attention=attention)
    found, expected = (encoder_of(settings, dropout=0.3) for _ in range(2))
    sides, equal = batch_of(found, settings)
    for encoder in (found, expected):
        encoder.model.train()
    loss = Contrast(found, 0.05, precision, 5).accumulate(sides, equal, step=2)
    assert loss == pytest.approx(plain(expected, sides, equal, 2, precision), abs=TOLERANCE)
    grown = gradients(found.model)
    assert max(float(gradient.abs().max()) for gradient in grown.values()) > 0.1
    assert_equal(grown, gradients(expected.model))


def test_dropout_depends_on_seed_and_step_alone() -> None:
    settings = settings_of()
    encoder = encoder_of(settings, dropout=0.3)
    encoder.model.train()
    sides, equal = batch_of(encoder, settings)
    losses = []
    for seed, step in ((5, 2), (5, 2), (5, 3), (6, 2)):
        torch.rand(7)
        losses.append(Contrast(encoder, 0.05, "float32", seed).accumulate(sides, equal, step))
    assert losses[0] == losses[1]
    assert len(set(losses)) == 3


def test_two_processes_compute_what_one_does(tmp_path: Path) -> None:
    sizes = (6, 7, 1)  # an odd one gives them unequal shares, a single one leaves one without work
    shared_work(0, str(tmp_path), 1, sizes)
    torch.multiprocessing.spawn(shared_work, (str(tmp_path), 2, sizes), nprocs=2)
    alone = torch.load(tmp_path / "1-0", weights_only=True)
    for rank in (0, 1):
        found = torch.load(tmp_path / f"2-{rank}", weights_only=True)
        for size in map(str, sizes):
            assert found[size]["losses"] == pytest.approx(alone[size]["losses"], abs=TOLERANCE)
            assert_equal(found[size]["model"], alone[size]["model"])
            assert_equal(found[size]["head"], alone[size]["head"])
        for name in ("first", "again"):
            assert found[name].pop("losses") == pytest.approx(
                alone[name]["losses"], abs=10 * TOLERANCE
            )
            assert found[name] == {k: v for k, v in alone[name].items() if k != "losses"}
        # what rounds differently in a gradient near zero is a step of AdamW apart
        for key, weights in alone["weights"].items():
            torch.testing.assert_close(found["weights"][key], weights, rtol=0, atol=2e-3)


def test_an_item_equal_to_the_own_is_no_negative() -> None:
    vectors = normalised(torch.eye(3))
    items = vectors[[0, 0, 2]]
    none = torch.zeros(3, 3, dtype=torch.bool)
    equal = none.clone()
    equal[0, 1] = equal[1, 0] = True
    histories = vectors[[0, 0, 2]]
    assert contrastive_loss(histories, items, equal, 0.05) < 1e-6
    assert contrastive_loss(histories, items, none, 0.05) == pytest.approx(
        2 / 3 * np.log(2), abs=1e-6
    )
