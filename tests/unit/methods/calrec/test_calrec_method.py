"""The whole method on small data."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from harness.settings import Layer, resolve
from methods.calrec import METHOD

torch = pytest.importorskip("torch")

Make = Callable[..., Any]
ALL = np.arange(12)
TESTED = Histories.from_lists([[1, 2, 3], [7, 8], [], [11, 0, 1, 2]], users=[3, 5, 8, 9])


@pytest.fixture
def fitted(make_settings: Make, make_context: Make, make_data: Make) -> Any:
    method = METHOD(make_settings())
    lists = [[(user + step) % 12 for step in range(14)] for user in range(48)]
    method.fit(make_data(lists), make_context())
    return method


def test_a_cycle_is_learnt(fitted: Any) -> None:
    scores = fitted.score(TESTED, ALL)
    assert scores.dtype == np.float64
    assert scores.shape == (4, 12)
    assert scores.argmax(1)[[0, 1, 3]].tolist() == [4, 9, 3]


def test_scores_do_not_depend_on_company_or_order(fitted: Any) -> None:
    scores = fitted.score(TESTED, ALL)
    np.testing.assert_array_equal(fitted.score(TESTED, ALL[::-1]), scores[:, ::-1])
    rows = np.array([3, 1, 0])
    np.testing.assert_allclose(fitted.score(TESTED.select(rows), ALL), scores[rows], atol=1e-7)


def test_a_fitted_method_survives_pickling(fitted: Any) -> None:
    copied = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copied.score(TESTED, ALL), fitted.score(TESTED, ALL))


def test_the_random_numbers_are_those_of_the_context(fitted: Any, make_context: Make) -> None:
    found = fitted._writer.uniforms(7, 8)
    expected = make_context(seed=0).user_generator(7).random(found.shape)
    np.testing.assert_array_equal(found, expected)
    assert found.shape == (8, fitted._writer.max_new_tokens)


def test_texts_and_scores_are_kept_in_the_run_folder(fitted: Any, make_context: Make) -> None:
    fitted.score(TESTED, ALL)
    fitted.score(TESTED.select(np.array([1, 2])), ALL)
    folder = make_context().work_dir / "generated"
    files = sorted(folder.glob("*.jsonl"), key=lambda path: -path.stat().st_size)
    assert len(files) == 2
    lines = [json.loads(line) for line in files[0].read_text().splitlines()]
    assert [line["user"] for line in lines] == [3, 5, 8, 9]
    assert all(len(line["texts"]) == len(line["log_probabilities"]) == 8 for line in lines)
    fewer = [json.loads(line) for line in files[1].read_text().splitlines()]
    assert [line["texts"] for line in fewer] == [line["texts"] for line in lines[1:3]]


def test_describe_counts_what_was_generated(fitted: Any) -> None:
    fitted.score(TESTED, ALL)
    found = fitted.describe()
    assert found["users_generated_for"] == 4
    assert 1 <= found["distinct_texts_per_user"] <= 8
    assert 0 <= found["off_catalogue_share"] <= 1
    assert found["generated_tokens"] >= 4 * 8
    assert found["parameters"] > 10_000
    assert "stand-in for pre-training" in found["note"]
    json.dumps(dict(found), allow_nan=False)


def test_the_limit_of_new_tokens_comes_from_the_catalogue(fitted: Any) -> None:
    longest = max(len(fitted._backbone.tokenise(f" {text}")) for text in fitted._catalogue)
    assert fitted._writer.max_new_tokens == longest + 1


def test_the_same_seed_gives_the_same_texts(
    make_settings: Make, make_context: Make, make_data: Make
) -> None:
    lists = [[(user + step) % 12 for step in range(8)] for user in range(12)]

    runs = iter("abcd")  # a folder each: nothing must be taken from the run before

    def scores(seed: int) -> Any:
        context = make_context(seed)
        own = context.work_dir / next(runs)
        own.mkdir()
        method = METHOD(make_settings(tiny_pretraining_epochs=1, epochs=1, validation_users=3))
        method.fit(make_data(lists), dataclasses.replace(context, work_dir=own))
        return method.score(TESTED, ALL)

    np.testing.assert_array_equal(scores(1), scores(1))
    assert not np.array_equal(scores(1), scores(2))


@pytest.mark.parametrize("preset", ["untrained", "pretrained-only"])
def test_presets_leave_trainings_out(
    preset: str, make_context: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from methods.calrec import training, weights

    called = []
    for name in ("stand_in", "stage_one", "stage_two"):
        original = getattr(training, name)

        def watched(*arguments: Any, name: str = name, original: Any = original) -> Any:
            called.append(name)
            return original(*arguments)

        monkeypatch.setattr(weights, name, watched)
    layers = [
        Layer("quick", METHOD.card.quick_settings),
        Layer("preset", METHOD.card.presets[preset]),
    ]
    method = METHOD(resolve(METHOD.Settings, "calrec", layers)[0])
    method.fit(make_data([[1, 2, 3]]), make_context())
    assert called == (["stand_in"] if preset == "pretrained-only" else [])
    assert np.isfinite(method.score(TESTED, ALL)).all()


def test_validation_keeps_the_best_epoch(
    make_settings: Make, make_context: Make, make_data: Make
) -> None:
    """Validation always answers the same, so the first epoch of fine-tuning is the best."""

    def tuned(**values: Any) -> Any:
        method = METHOD(make_settings(tiny_pretraining_epochs=0, patience=1, **values))
        method.fit(make_data([[1, 2, 3], [4, 5, 6]]), make_context(validation=0.25))
        return method

    method = tuned(epochs=5, validation_users=3)
    assert method.describe()["kept_epoch"] == 1
    once, longer = tuned(epochs=1, validation_users=0), tuned(epochs=3, validation_users=0)
    np.testing.assert_array_equal(method.score(TESTED, ALL), once.score(TESTED, ALL))
    assert not np.array_equal(method.score(TESTED, ALL), longer.score(TESTED, ALL))


def test_a_catalogue_of_one_item_can_be_scored(
    make_settings: Make, make_context: Make, make_data: Make, catalogue: tuple[str, ...]
) -> None:
    method = METHOD(make_settings(tiny_pretraining_epochs=1, epochs=1))
    method.fit(make_data([[0, 0, 0], [0, 0]], catalogue[:1]), make_context())
    scores = method.score(Histories.from_lists([[0], []]), np.array([0]))
    assert scores.shape == (2, 1)
    assert np.isfinite(scores).all()


def test_equal_texts_tie_exactly(
    make_settings: Make, make_context: Make, make_data: Make, catalogue: tuple[str, ...]
) -> None:
    method = METHOD(make_settings(tiny_pretraining_epochs=1, epochs=0))
    lists = [[(user + step) % 24 for step in range(6)] for user in range(24)]
    method.fit(make_data(lists, catalogue * 2), make_context())
    scores = method.score(TESTED, np.arange(24))
    np.testing.assert_array_equal(scores[:, :12], scores[:, 12:])


def test_scoring_before_fitting_is_an_error(make_settings: Make) -> None:
    with pytest.raises(MethodError, match="before fit"):
        METHOD(make_settings()).score(TESTED, ALL)


def test_settings_that_do_not_fit_together_are_refused(make_settings: Make) -> None:
    with pytest.raises(UsageError, match="tiny_heads"):
        make_settings(tiny_width=30, tiny_heads=4)
    with pytest.raises(UsageError, match="tiny_window_items"):
        make_settings(tiny_window_items=30, max_history_items=20)
    with pytest.raises(UsageError, match="vLLM cannot follow"):
        make_settings(generator="vllm", decoding="trie")
    for values in ({"decoding": "trie"}, {"matching": "hierarchical"}):
        with pytest.raises(UsageError, match="rerank takes the place"):
            make_settings(rerank="sasrec", **values)
    with pytest.raises(UsageError, match="must not be below 0"):
        make_settings(alpha=2.0, beta=0.5)


def test_settings_without_effect_are_not_checked_and_are_named(make_settings: Make) -> None:
    other = make_settings(backbone="some/model", tiny_width=30, tiny_heads=4)
    make_settings(backbone="some/model", tiny_window_items=30, max_history_items=20)
    make_settings(tiny_pretraining_epochs=0, tiny_window_items=30, max_history_items=20)
    assert "tiny_width" in other.without_effect
    assert all(name.startswith("tiny_") for name in other.without_effect)
    assert make_settings().without_effect == []


def test_the_default_learning_rate_depends_on_the_backbone() -> None:
    assert METHOD.Settings().fine_tuning_rate == 5e-4
    assert METHOD.Settings(backbone="some/model").fine_tuning_rate == 1e-4
    for backbone in ("tiny", "some/model"):
        assert METHOD.Settings(backbone=backbone, learning_rate=3e-3).fine_tuning_rate == 3e-3


def test_logits_that_are_not_finite_name_the_user(fitted: Any) -> None:
    prompt = fitted._maker.prompt(np.array([7, 8]))

    def spoilt(module: Any, arguments: Any, output: Any) -> Any:
        ids = arguments[0].tolist()
        rows = [row for row, line in enumerate(ids) if line[-len(prompt) :] == prompt]
        return output.index_fill(0, torch.tensor(rows, dtype=torch.long), float("nan"))

    fitted._backbone.model.get_input_embeddings().register_forward_hook(spoilt)
    with pytest.raises(MethodError, match=r"for user 5 \(history of 2 items\)"):
        fitted.score(TESTED, ALL)
    assert fitted._accounts.tokens == 0
    assert np.isfinite(fitted.score(TESTED.select(np.array([0, 2, 3])), ALL)).all()


def test_generation_is_float32_where_training_is_not(
    make_settings: Make, make_context: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    from methods.calrec import loading, precision

    monkeypatch.setattr(precision, "BFLOAT16_DEVICES", {"cpu"})
    seen = set()

    def record(model: Any, arguments: Any, output: Any) -> None:
        seen.add((model.training, torch.is_autocast_enabled("cpu"), output.logits.dtype))

    original = loading.describe_backbone

    def watched(*arguments: Any) -> Any:
        found = original(*arguments)
        found.model.register_forward_hook(record)
        return found

    monkeypatch.setattr(loading, "describe_backbone", watched)
    method = METHOD(make_settings(tiny_pretraining_epochs=1, epochs=1))
    method.fit(make_data([[1, 2, 3], [4, 5, 6]]), make_context())
    with torch.autocast("cpu", dtype=torch.bfloat16):  # a caller's own must not matter either
        method.score(TESTED, ALL)
    assert seen == {(True, True, torch.bfloat16), (False, False, torch.float32)}


def test_nothing_to_train_on_is_an_error(
    make_settings: Make, make_context: Make, make_data: Make
) -> None:
    """Not a loss of 0."""
    single = make_data([[1], [2], []])
    with pytest.raises(MethodError, match=r"two events.* the longest has 1"):
        METHOD(make_settings(tiny_pretraining_epochs=0)).fit(single, make_context())
    METHOD(make_settings(tiny_pretraining_epochs=1, epochs=0)).fit(single, make_context())
    with pytest.raises(MethodError, match="every training history is empty"):
        METHOD(make_settings(epochs=0)).fit(make_data([[], []]), make_context())


def test_looking_at_the_card_imports_nothing_heavy() -> None:
    code = (
        "import sys, methods.calrec; "
        "print([name for name in ('torch', 'transformers', 'numba', 'pandas', 'tokenizers')"
        " if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
