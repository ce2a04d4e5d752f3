"""Two-stage fine-tuning: schedule, stages, what is kept, and that accumulation changes nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from harness.errors import MethodError
from harness.histories import Histories
from harness.progress import Progress
from methods.recformer.encoding import Encoder
from methods.recformer.finetuning import FineTuning, Optimisation
from methods.recformer.settings import Settings
from methods.recformer.tokens import ItemTokens
from methods.recformer.weights import load_start

ATTRIBUTES = {"title": tuple(f"thing number {n} {'xyz'[n % 3]}" for n in range(12))}
HISTORIES = Histories.from_lists(
    [(start + np.arange(4)) % 12 for start in range(12)] + [np.array([], np.int32)]
)


class Context:
    """What fine-tuning asks of a run."""

    seed = 3
    progress = Progress(shown=False)

    def __init__(self):
        self.lines = []

    def log(self, **values):
        self.lines.append(values)


def _settings(**values):
    quick = {
        "random_width": 16, "random_layers": 1, "random_vocabulary": 320, "max_tokens": 96,
        "stage1_epochs": 4, "stage2_epochs": 3, "validate_every": 1, "batch_size": 8,
        "learning_rate": 1e-3, "warmup_steps": 2, "precision": "float32",
    }  # fmt: skip
    return Settings(**(quick | values))


def _training(settings, validate=lambda vectors: 0.5, histories=HISTORIES):
    start = load_start(settings, ATTRIBUTES, "cpu", 0)
    items = ItemTokens(ATTRIBUTES, start.vocabulary, settings)
    encoder = Encoder(start.model, start.vocabulary, settings.tokens_at_once, "cpu")
    context = Context()
    torch.manual_seed(0)
    training = FineTuning(
        encoder, items, histories, settings=settings, context=context, validate=validate
    )
    return training, encoder, context


def test_the_loss_falls_and_the_log_has_a_line_for_every_epoch():
    training, _, context = _training(_settings(stage1_epochs=6, learning_rate=8e-3), iter_up())
    outcome, vectors = training.run()
    assert [(line["stage"], line["epoch"]) for line in context.lines] == [
        (0, 0), *((1, n) for n in range(1, 7)), *((2, n) for n in range(1, 4)),
    ]  # fmt: skip
    assert context.lines[6]["loss"] < context.lines[1]["loss"]
    assert (outcome.best_stage, outcome.best_epoch, outcome.epochs) == (2, 3, (6, 3))
    assert vectors.shape == (12, 16)
    assert outcome.tokens > 0


def iter_up():
    """Validation that is better every time."""
    values = iter(range(100))
    return lambda vectors: next(values)


def test_stage_one_encodes_items_anew_and_stage_two_does_not():
    seen = []

    def validate(vectors):
        seen.append(vectors.clone())
        return float(len(seen))

    training, _, _ = _training(_settings(), validate)
    training.run()
    before, first, *rest = seen
    assert torch.equal(before, first)  # epoch 1 starts from the vectors of the start
    stage1, stage2 = rest[:3], rest[3:]
    for one, two in zip([first, *stage1], stage1, strict=False):
        assert not torch.equal(one, two)
    assert len(stage2) == 3
    for vectors in stage2:
        assert torch.equal(vectors, stage1[-1])  # those of the best epoch of stage 1


def test_the_best_epoch_is_kept_with_its_vectors():
    states = {}
    values = iter([0.0, 0.3, 0.9, 0.2, 0.1, 0.5, 0.4, 0.3])

    def validate(vectors):
        value = next(values)
        states[value] = (vectors.clone(), encoder.model.item_positions.weight.detach().clone())
        return value

    training, encoder, _ = _training(_settings(), validate)
    outcome, vectors = training.run()
    assert (outcome.best_stage, outcome.best_epoch, outcome.best_ndcg10) == (1, 2, 0.9)
    assert torch.equal(vectors, states[0.9][0])
    assert torch.equal(encoder.model.item_positions.weight, states[0.9][1])


def test_stages_end_when_patience_does():
    training, _, _ = _training(
        _settings(stage1_epochs=9, stage2_epochs=9, stage1_patience=2, stage2_patience=1),
    )
    outcome, _ = training.run()
    assert outcome.epochs == (2, 1)
    assert (outcome.best_stage, outcome.best_epoch) == (0, 0)  # the start was never beaten


def test_validation_comes_every_few_epochs_and_at_the_end():
    training, _, context = _training(_settings(stage1_epochs=5, validate_every=3), iter_up())
    training.run()
    found = [
        line["epoch"] for line in context.lines
        if line["stage"] == 1 and line["validation_ndcg10"] is not None
    ]  # fmt: skip
    assert found == [3, 5]


def test_the_schedule_rises_falls_and_is_shared_or_not():
    model = torch.nn.Linear(1, 1)
    settings = _settings(learning_rate=1.0, warmup_steps=4)
    optimisation = Optimisation(model, settings, 20)
    rates = []
    for _ in range(25):
        rates.append(optimisation.rate)
        model(torch.ones(1, 1)).sum().backward()
        optimisation.step()
    assert rates[:5] == [0.0, 0.25, 0.5, 0.75, 1 - 4 / 20]
    assert rates[10] == 1 - 10 / 20
    assert rates[20:] == [0.0] * 5  # as in stage 2 after the whole of stage 1
    flat = Optimisation(model, _settings(learning_rate=1.0, warmup_steps=0, decay=False), 20)
    assert flat.rate == 1.0
    _, _, shared = trained(_settings(warmup_steps=0))
    _, _, anew = trained(_settings(warmup_steps=0, shared_schedule=False))
    first = {line["epoch"]: line["learning_rate"] for line in shared if line["stage"] == 2}
    second = {line["epoch"]: line["learning_rate"] for line in anew if line["stage"] == 2}
    assert first[1] == 0.0
    assert second[1] > 0.0


def trained(settings):
    training, encoder, context = _training(settings, iter_up())
    outcome, _ = training.run()
    return outcome, encoder.model.state_dict(), context.lines


def test_the_same_seed_gives_the_same_weights():
    one, two = trained(_settings())[1], trained(_settings())[1]
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_passes_change_nothing_but_rounding():
    # dropout would draw for other shapes
    losses = []
    for tokens in (64, 100_000):
        settings = _settings(tokens_at_once=tokens, stage1_epochs=1, stage2_epochs=0)
        training, encoder, context = _training(settings)
        for module in encoder.model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = 0.0
        for layer in encoder.model.longformer.encoder.layer:
            layer.attention.self.dropout = 0.0
        training.run()
        losses.append(context.lines[1]["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_loss_is_the_cross_entropy_of_cosines_among_all_items():
    settings = _settings(stage1_epochs=1, stage2_epochs=0, batch_size=100, learning_rate=0.0)
    histories = Histories.from_lists([[5], [7]])  # the only target follows an empty history
    training, encoder, context = _training(settings, histories=histories)
    encoder.model.eval()
    encoder.model.train = lambda mode=True: encoder.model  # no dropout
    training.run()
    items = training.item_vectors()
    empty = encoder.vectors(training._items.histories(Histories.from_lists([[]])))
    logits = (items @ empty[0]) / settings.temperature
    expected = -(logits.log_softmax(0)[[5, 7]]).mean()
    assert context.lines[1]["loss"] == pytest.approx(float(expected), rel=1e-4)


def test_more_targets_of_a_user_make_a_longer_epoch():
    one = trained(_settings(stage1_epochs=1, stage2_epochs=0))[0]
    three = trained(_settings(stage1_epochs=1, stage2_epochs=0, targets_per_user=3))[0]
    assert 2 < three.tokens / one.tokens < 4.5


def test_nothing_to_learn_from_and_a_loss_that_is_no_number():
    with pytest.raises(MethodError, match="every training history is empty"):
        _training(_settings(), histories=Histories.from_lists([[], []]))
    training, encoder, _ = _training(_settings())
    with torch.no_grad():
        encoder.model.item_positions.weight.fill_(math.nan)
    # RecBole switches anomaly detection on for the whole process
    with (
        torch.autograd.set_detect_anomaly(True),
        pytest.raises(MethodError, match=r"loss became nan: lower recformer\.learning_rate"),
    ):
        training.run()
