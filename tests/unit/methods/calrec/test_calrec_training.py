"""The losses by hand, their gradients in one pass or many, what trainings read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from harness.errors import MethodError
from methods.calrec import gradients, optimisation, training
from methods.calrec.gradients import StepGradient
from methods.calrec.objective import (
    Weights,
    contrastive_losses,
    language_model_loss,
    read_histories,
    read_targets,
)
from methods.calrec.sequences import TrainingPair

torch = pytest.importorskip("torch")

Make = Callable[..., Any]
PAIRS = [
    TrainingPair([5, 6, 7, 8], [9, 10, 1]),
    TrainingPair([5, 6], [11, 12, 13, 14, 1]),
    TrainingPair([5, 9, 4], [20, 1]),
    TrainingPair([5, 3, 4, 8, 9, 2], [11, 12, 30, 1]),
]
ALPHA, BETA, TEMPERATURE = 0.125, -0.025, 0.5


def by_hand(backbone: Any, pair: TrainingPair) -> float:
    """Add up -log P of each target token, one forward pass for each."""
    ids, total = [*pair.prompt, *pair.target], 0.0
    with torch.inference_mode():
        for place in range(len(pair.prompt), len(ids)):
            logits = backbone.model(torch.tensor([ids[:place]])).logits[0, -1].double()
            total -= float(logits.log_softmax(0)[ids[place]])
    return total


def states_by_hand(backbone: Any, ids: list[int]) -> Any:
    with torch.inference_mode():
        found = backbone.model(torch.tensor([ids]), output_hidden_states=True)
    return found.hidden_states[-1][0].double().numpy()


def cosine(a: Any, b: Any) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def contrast_by_hand(vectors: list[Any], targets: list[Any]) -> float:
    """Equations 2 and 3 as they are printed: for a target i the sum runs over the users j."""
    total = 0.0
    for i, target in enumerate(targets):
        scores = [cosine(vector, target) / TEMPERATURE for vector in vectors]
        total -= scores[i] - np.log(sum(np.exp(score) for score in scores))
    return total / len(targets)


def test_the_next_item_loss_is_what_it_is_by_hand(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    expected = sum(by_hand(backbone, pair) for pair in PAIRS)
    loss, _, _ = read_histories(backbone, PAIRS, False)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_prompt_tokens_bear_no_loss(make_backbone: Make) -> None:
    """A target of one token costs that token's surprise, whatever the prompt's length."""
    backbone = make_backbone(scale=6)
    pair = TrainingPair(list(range(3, 30)), [40])
    loss, _, _ = read_histories(backbone, [pair], False)
    assert float(loss.detach()) == pytest.approx(by_hand(backbone, pair), rel=1e-5)


def test_a_head_that_is_not_plain_gives_the_same_loss_by_another_way(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    plain, *vectors = read_histories(backbone, PAIRS, False)
    backbone.plain_head = False
    other, *same = read_histories(backbone, PAIRS, False)
    torch.testing.assert_close(plain, other)
    for one, another in zip(vectors, same, strict=True):
        torch.testing.assert_close(one, another)


def test_all_three_losses_are_what_they_are_by_hand(
    make_backbone: Make, make_settings: Make
) -> None:
    """The weights, the denominators and the pooled positions of equations 1 to 4."""
    backbone = make_backbone(scale=6)
    users, conditioned, targets = [], [], []
    for pair in PAIRS:
        both = states_by_hand(backbone, [*pair.prompt, *pair.target])
        middle = len(pair.prompt)
        users.append(both[:middle].mean(0))
        conditioned.append(both[middle:-1].mean(0))  # the ending token is not pooled
        targets.append(states_by_hand(backbone, pair.target[:-1]).mean(0))
    tt, ut = contrast_by_hand(conditioned, targets), contrast_by_hand(users, targets)
    losses = StepGradient(backbone, make_settings(), (0,)).accumulate(PAIRS, 0)
    assert losses.nig_sum == pytest.approx(sum(by_hand(backbone, p) for p in PAIRS), rel=1e-5)
    assert losses.tt == pytest.approx(tt, rel=1e-5)
    assert losses.ut == pytest.approx(ut, rel=1e-5)
    assert Weights.of(ALPHA, BETA) == Weights(0.9, ALPHA, BETA)
    assert abs(tt - ut) > 1e-3


def test_the_contrast_is_not_symmetric() -> None:
    generator = torch.Generator().manual_seed(0)
    users, targets = torch.randn(5, 4, generator=generator), torch.randn(5, 4, generator=generator)
    one, _ = contrastive_losses(users, users, targets, TEMPERATURE)
    other, _ = contrastive_losses(targets, targets, users, TEMPERATURE)
    assert abs(float(one - other)) > 1e-3
    vectors = [list(map(np.asarray, side.double().numpy())) for side in (users, targets)]
    assert float(one) == pytest.approx(contrast_by_hand(*vectors), rel=1e-5)


def test_equal_targets_are_negatives_unless_they_are_masked(
    make_backbone: Make, make_settings: Make
) -> None:
    pairs = [*PAIRS, TrainingPair([5, 31, 32], PAIRS[0].target)]
    backbone = make_backbone(scale=6)
    found = {}
    for masked in (False, True):
        settings = make_settings(mask_same_target=masked)
        found[masked] = StepGradient(backbone, settings, (0,)).accumulate(pairs, 0)
        backbone.model.zero_grad()
    assert found[True].tt < found[False].tt
    assert found[True].nig_sum == found[False].nig_sum
    equal = gradients.same_targets(pairs)
    assert equal.sum() == 2
    assert equal[0, 4]
    assert equal[4, 0]


def test_special_tokens_are_pooled_where_the_setting_says_so(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    backbone.opening_ids = [7]
    pair = TrainingPair([7, 5, 6], [9, 10, 1], n_opening=1)
    states = states_by_hand(backbone, [*pair.prompt, *pair.target])
    alone = states_by_hand(backbone, [7, *pair.target])
    for special, expected in (
        (False, (states[1:3], states[3:5], alone[1:3])),
        (True, (states[:3], states[3:], alone)),
    ):
        _, users, conditioned = read_histories(backbone, [pair], special)
        targets = read_targets(backbone, [pair], special)
        for found, wanted in zip((users, conditioned, targets), expected, strict=True):
            np.testing.assert_allclose(found[0].detach().numpy(), wanted.mean(0), atol=1e-5)


def test_the_language_model_loss_counts_every_token_but_the_first(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    windows = [[5, 6, 7, 8, 9], [5, 9]]
    expected = sum(by_hand(backbone, TrainingPair(ids[:1], ids[1:])) for ids in windows)
    loss = float(language_model_loss(backbone, windows).detach())
    assert loss == pytest.approx(expected, rel=1e-5)


def gradient_of(backbone: Any, settings: Any, weights: Weights | None = None) -> tuple[Any, Any]:
    backbone.model.train()
    losses = StepGradient(backbone, settings, (4,)).accumulate(PAIRS, 3, weights)
    found = [weight.grad.clone() for weight in backbone.trained]
    backbone.model.zero_grad()
    return losses, found


def with_dropout(backbone: Any) -> Any:
    """Drop out embeddings, seeded by a sequence's beginning: parts change nothing.

    Torch's own dropout draws for a whole batch: other parts, other draws.
    """

    def drop(module: Any, arguments: Any, output: Any) -> Any:
        masks = []
        for ids in arguments[0].tolist():
            generator = torch.Generator().manual_seed(100 * ids[0] + ids[1])
            drawn = torch.rand(32, output.shape[2], generator=generator)
            masks.append(drawn[: output.shape[1]] > 0.3)  # padding changes nothing
        return output * torch.stack(masks)

    backbone.model.get_input_embeddings().register_forward_hook(drop)
    return backbone


@pytest.mark.parametrize("reduction", ["token_mean", "sequence_sum"])
@pytest.mark.parametrize("alpha", [0.0, ALPHA])
def test_the_gradient_is_the_same_in_one_pass_or_many(
    make_backbone: Make, make_settings: Make, reduction: str, alpha: float
) -> None:
    """In parts, and in one: the losses and every weight's gradient, negatives of the whole batch.

    One pass a tower keeps its graph; parts are read twice. In float64: in float32 the rounding
    of sums differs between processors.
    """
    found = {}
    for tokens_at_once in (10_000, 12, 7):
        backbone = make_backbone(scale=2)
        backbone.model.double()
        settings = make_settings(
            nig_reduction=reduction, tokens_at_once=tokens_at_once, alpha=alpha,
            beta=BETA if alpha else 0.0,
        )  # fmt: skip
        found[tokens_at_once] = gradient_of(backbone, settings)
    losses, whole = found[10_000]
    assert (losses.tt is None) == (alpha == 0)
    for other, parts in (found[12], found[7]):
        assert other.nig_sum == pytest.approx(losses.nig_sum)
        assert other.tt == (None if alpha == 0 else pytest.approx(losses.tt, rel=1e-6))
        for one, another in zip(whole, parts, strict=True):
            # vectors are pooled in float32
            torch.testing.assert_close(one, another, rtol=1e-5, atol=1e-7)


def test_with_dropout_both_readings_of_a_part_drop_the_same(
    make_backbone: Make, make_settings: Make
) -> None:
    """Torch's dropout, on: the gradient in parts is the gradient of the loss of these readings."""

    def noisy() -> Any:
        backbone = make_backbone(scale=2)
        for layer in backbone.model.model.layers:
            layer.mlp.register_forward_hook(
                lambda module, arguments, output: torch.nn.functional.dropout(
                    output, 0.3, module.training
                )
            )
        return backbone

    settings = make_settings(tokens_at_once=12)
    backbone = noisy()
    losses, parts = gradient_of(backbone, settings)
    # by hand: the same parts and seeds, all graphs kept, one loss over everything
    step = StepGradient(backbone, settings, (4,))
    readings = gradients._Readings(backbone, settings, 1.0)
    own = step._parts(PAIRS, 3, (gradients.HISTORIES, gradients.TARGETS))
    assert len(own) > 4
    vectors: list[dict[int, Any]] = [{}, {}, {}]
    nig = 0.0
    for part in own:
        loss, read = readings.forward(part)
        nig = nig + loss if loss is not None else nig
        for kind, values in read.items():
            vectors[kind] |= dict(zip(part.places.tolist(), values, strict=True))
    ordered = [torch.stack([found[row] for row in range(len(PAIRS))]) for found in vectors]
    tt, ut = contrastive_losses(*ordered, TEMPERATURE)
    n_tokens = sum(len(pair.target) for pair in PAIRS)
    (0.9 * nig / n_tokens + ALPHA * tt + BETA * ut).backward()
    assert losses.tt == pytest.approx(float(tt.detach()), rel=1e-6)
    for weight, expected in zip(backbone.trained, parts, strict=True):
        torch.testing.assert_close(weight.grad, expected, rtol=1e-4, atol=1e-7)
    backbone.model.eval()
    backbone.model.zero_grad()
    quiet = StepGradient(backbone, settings, (4,)).accumulate(PAIRS, 3)
    assert quiet.tt != pytest.approx(losses.tt, rel=1e-6), "nothing was dropped"


def test_parts_do_not_change_a_gradient_under_dropout_by_sequence(
    make_backbone: Make, make_settings: Make
) -> None:
    found = [
        gradient_of(with_dropout(make_backbone(scale=2)), make_settings(tokens_at_once=tokens))
        for tokens in (10_000, 12)
    ]
    assert found[0][0].tt == pytest.approx(found[1][0].tt, rel=1e-5)
    for one, other in zip(found[0][1], found[1][1], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)


def test_the_terms_add_up_to_the_whole_and_each_one_matters(
    make_backbone: Make, make_settings: Make
) -> None:
    backbone, settings = make_backbone(scale=2), make_settings()
    terms = [Weights(0.9, 0, 0), Weights(0, ALPHA, 0), Weights(0, 0, BETA)]
    _, whole = gradient_of(backbone, settings)
    single = [gradient_of(backbone, settings, weights)[1] for weights in terms]
    for place, expected in enumerate(whole):
        torch.testing.assert_close(
            sum(found[place] for found in single), expected, rtol=1e-4, atol=1e-7
        )
    norms = gradients.term_norms(
        StepGradient(backbone, settings, (4,)), PAIRS, 3, backbone.model.zero_grad
    )
    for weights, found, name in zip(terms, single, ("nig", "tt", "ut"), strict=True):
        scale = abs(weights.nig or weights.tt or weights.ut)
        norm = torch.stack([gradient.norm() for gradient in found]).norm()
        assert norms[f"{name}_gradient_norm"] * scale == pytest.approx(float(norm), rel=1e-4)
        assert norm > 0
    assert all(weight.grad is None for weight in backbone.trained)


def test_the_reductions_differ_by_tokens_per_user(make_backbone: Make, make_settings: Make) -> None:
    norms = {}
    for reduction in ("token_mean", "sequence_sum"):
        settings = make_settings(nig_reduction=reduction, alpha=0.0, beta=0.0)
        _, found = gradient_of(make_backbone(), settings)
        norms[reduction] = float(torch.stack([part.norm() for part in found]).norm())
    n_tokens = sum(len(pair.target) for pair in PAIRS)
    ratio = norms["sequence_sum"] / norms["token_mean"]
    assert ratio == pytest.approx(n_tokens / len(PAIRS), rel=1e-4)


def test_parts_hold_all_rows_within_the_limit() -> None:
    lengths = np.random.default_rng(0).integers(1, 40, 50).tolist()
    parts = gradients.cut_by_length(lengths, 100)
    assert sorted(row for part in parts for row in part.tolist()) == list(range(50))
    assert all(len(part) * max(lengths[row] for row in part) <= 100 for part in parts)
    assert len(parts) < 25
    assert [part.tolist() for part in gradients.cut_by_length([500, 3], 100)] == [[1], [0]]


def test_batches_hold_every_window_once() -> None:
    generator = np.random.default_rng(0)
    windows = [[index] * int(n) for index, n in enumerate(generator.integers(5, 15, 200))]
    batches = training.batches_by_length(windows, 100, generator)
    assert sorted(window[0] for batch in batches for window in batch) == list(range(200))


def test_the_learning_rate_rises_and_falls() -> None:
    weights = list(torch.nn.Linear(1, 1).parameters())
    options = {"weight_decay": 0.0, "warmup_steps": 4, "clip": 0.0}
    falling = optimisation.Optimisation(weights, peak=1.0, cosine_steps=100, **options)
    constant = optimisation.Optimisation(weights, peak=1.0, cosine_steps=None, **options)
    rates = []
    for falling.steps in range(101):
        constant.steps = falling.steps
        rates.append((falling.rate(), constant.rate()))
    assert [rate for _, rate in rates[:6]] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1, 1])
    assert rates[100] == pytest.approx((0.1, 1))
    assert all(rates[step][0] > rates[step + 1][0] for step in range(5, 100))


def test_a_loss_that_is_no_number_is_an_error() -> None:
    with pytest.raises(MethodError, match=r"fine-tuning.*lower the learning rate"):
        optimisation.finite(float("nan"), "fine-tuning")


def test_a_gradient_that_is_no_number_leaves_the_weights_as_they_were() -> None:
    weights = [torch.nn.Parameter(torch.ones(3))]
    steps = optimisation.Optimisation(weights, 1.0, 0.0, 0, None, 0.0)
    weights[0].grad = torch.tensor([1.0, float("nan"), 1.0])
    with pytest.raises(MethodError, match="norm of its gradient"):
        steps.step("stage I, round 1, step 1")
    assert weights[0].tolist() == [1, 1, 1]
