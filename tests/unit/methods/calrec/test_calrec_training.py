"""The loss by hand, gradient accumulation, and what a training may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.errors import MethodError
from harness.progress import SilentBar
from methods.calrec import optimisation, training
from methods.calrec.objective import language_model_loss, next_item_loss
from methods.calrec.sequences import TrainingPair

torch = pytest.importorskip("torch")

Make = Callable[..., Any]
PAIRS = [
    TrainingPair([5, 6, 7, 8], [9, 10, 1]),
    TrainingPair([5, 6], [11, 12, 13, 14, 1]),
    TrainingPair([5, 9, 4], [20, 1]),
]


def by_hand(backbone: Any, pair: TrainingPair) -> float:
    """Add up -log P of each target token, one forward pass for each."""
    ids, total = [*pair.prompt, *pair.target], 0.0
    with torch.inference_mode():
        for place in range(len(pair.prompt), len(ids)):
            logits = backbone.model(torch.tensor([ids[:place]])).logits[0, -1].double()
            total -= float(logits.log_softmax(0)[ids[place]])
    return total


def test_the_next_item_loss_is_what_it_is_by_hand(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    expected = sum(by_hand(backbone, pair) for pair in PAIRS)
    assert float(next_item_loss(backbone, PAIRS).detach()) == pytest.approx(expected, rel=1e-5)


def test_prompt_tokens_bear_no_loss(make_backbone: Make) -> None:
    """A target of one token costs that token's surprise, whatever the prompt's length."""
    backbone = make_backbone(scale=6)
    pair = TrainingPair(list(range(3, 30)), [40])
    loss = float(next_item_loss(backbone, [pair]).detach())
    assert loss == pytest.approx(by_hand(backbone, pair), rel=1e-5)


def test_the_language_model_loss_counts_every_token_but_the_first(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    windows = [[5, 6, 7, 8, 9], [5, 9]]
    expected = sum(by_hand(backbone, TrainingPair(ids[:1], ids[1:])) for ids in windows)
    loss = float(language_model_loss(backbone, windows).detach())
    assert loss == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("reduction", ["token_mean", "sequence_sum"])
def test_the_gradient_is_the_same_in_one_pass_or_many(
    make_backbone: Make, make_settings: Make, monkeypatch: pytest.MonkeyPatch, reduction: str
) -> None:
    def gradients(tokens_at_once: int) -> tuple[Any, dict[str, float]]:
        backbone = make_backbone(scale=2)
        backbone.model.double()  # in float32 the rounding of sums differs between processors
        settings = make_settings(nig_reduction=reduction, tokens_at_once=tokens_at_once)
        found = []

        class Recorder:
            def step(self) -> None:
                found.extend(p.grad.clone() for p in backbone.model.parameters())

        losses = training._fine_tuning_epoch(
            backbone,
            PAIRS,
            Recorder(),
            settings=settings,
            generator=np.random.default_rng(0),
            bar=SilentBar(),
        )
        return found, losses

    whole, losses = gradients(10_000)
    parts, same = gradients(7)
    assert losses == pytest.approx(same, rel=1e-5)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)
    n_tokens = sum(len(pair.target) for pair in PAIRS)
    assert losses["nig_token_mean"] * n_tokens == pytest.approx(losses["nig_sequence_sum"] * 3)


def test_the_reductions_differ_by_tokens_per_user(make_backbone: Make, make_settings: Make) -> None:
    norms = {}
    for reduction in ("token_mean", "sequence_sum"):
        backbone = make_backbone()

        class Recorder:
            def step(self, backbone: Any = backbone, reduction: str = reduction) -> None:
                gradients = [p.grad.norm() for p in backbone.model.parameters()]
                norms[reduction] = float(torch.stack(gradients).norm())

        settings = make_settings(nig_reduction=reduction)
        generator = np.random.default_rng(0)
        training._fine_tuning_epoch(
            backbone, PAIRS, Recorder(), settings=settings, generator=generator, bar=SilentBar()
        )
    assert norms["sequence_sum"] / norms["token_mean"] == pytest.approx(10 / 3, rel=1e-4)


def test_passes_hold_all_pairs_within_the_limit() -> None:
    generator = np.random.default_rng(0)
    pairs = [TrainingPair([1] * int(n), [2]) for n in generator.integers(1, 40, 50)]
    parts = list(training.passes(pairs, 100))
    assert sorted(len(p.prompt) for part in parts for p in part) == sorted(
        len(p.prompt) for p in pairs
    )
    assert all(len(part) * max(len(p.prompt) + 1 for p in part) <= 100 for part in parts)
    assert len(parts) < 25


def test_batches_hold_every_window_once() -> None:
    generator = np.random.default_rng(0)
    windows = [[index] * int(n) for index, n in enumerate(generator.integers(5, 15, 200))]
    batches = training.batches_by_length(windows, 100, generator)
    assert sorted(window[0] for batch in batches for window in batch) == list(range(200))


def test_the_learning_rate_rises_and_falls() -> None:
    model = torch.nn.Linear(1, 1)
    options = {"weight_decay": 0.0, "warmup_steps": 4, "clip": 0.0}
    falling = optimisation.Optimisation(model, peak=1.0, cosine_steps=100, **options)
    constant = optimisation.Optimisation(model, peak=1.0, cosine_steps=None, **options)
    rates = []
    for falling.steps in range(101):
        constant.steps = falling.steps
        rates.append((falling.rate(), constant.rate()))
    assert [rate for _, rate in rates[:6]] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rates[100] == pytest.approx((0.1, 1))
    assert all(rates[step][0] > rates[step + 1][0] for step in range(5, 100))


def test_the_best_validated_epoch_is_kept() -> None:
    model = torch.nn.Linear(1, 1, bias=False)
    metrics = {1: 0.1, 2: 0.3, 3: 0.2, 4: 0.3}
    keeper = optimisation.BestEpoch(model, 1, metrics.__getitem__)
    exhausted = []
    for epoch in metrics:
        model.weight.data.fill_(epoch)
        keeper.saw(epoch)
        exhausted.append(keeper.exhausted)
    assert exhausted == [False, False, False, True]
    assert keeper.restore() == 2
    assert model.weight.item() == 2


def test_without_validation_the_last_epoch_counts() -> None:
    model = torch.nn.Linear(1, 1)
    keeper = optimisation.BestEpoch(model, 1, None)
    assert [keeper.saw(epoch) for epoch in range(3)] == [None] * 3
    assert not keeper.exhausted
    assert keeper.restore() == 2


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(MethodError, match="lower the learning rate"):
        optimisation.finite(float("nan"), "fine-tuning")
