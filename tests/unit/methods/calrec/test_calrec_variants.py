"""Backbones trained otherwise: LoRA, checkpointing, other heads; vLLM's seam; what it all costs."""

from __future__ import annotations

import dataclasses
import math
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, UsageError
from harness.histories import Histories
from methods.calrec import METHOD, accounting, states
from methods.calrec.backbone import describe_backbone
from methods.calrec.gradients import StepGradient
from methods.calrec.objective import read_histories
from methods.calrec.precision import generating
from tests.unit.methods.calrec.families import FAMILIES, model_of

torch = pytest.importorskip("torch")

from tests.unit.methods.calrec.stage_toys import PAIRS, Logged, settings_of  # noqa: E402
from tests.unit.methods.calrec.test_calrec_training import by_hand  # noqa: E402

Make = Callable[..., Any]
LISTS = [[(user + step) % 12 for step in range(6)] for user in range(8)]
TESTED = Histories.from_lists([[1, 2, 3], [7]], users=[3, 5])


def described(family: str, backbone: Any) -> Any:
    return describe_backbone(model_of(family, backbone), backbone.tokenizer, family, "cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_training_reads_every_architecture_as_it_is(make_backbone: Make, family: str) -> None:
    """Padded on the right and without a mask, windows and capped logits included."""
    backbone = described(family, make_backbone(scale=6))
    assert backbone.plain_head == (family != "gemma2")  # which caps its logits
    long = dataclasses.replace(PAIRS[0], prompt=[*range(5, 30)])
    pairs = [*PAIRS, long]
    loss, users, _ = read_histories(backbone, pairs, False)
    assert float(loss.detach()) == pytest.approx(sum(by_hand(backbone, p) for p in pairs), rel=1e-4)
    for row, pair in enumerate(pairs):
        _, alone, _ = read_histories(backbone, [pair], False)
        torch.testing.assert_close(users[row], alone[0], rtol=1e-4, atol=1e-5)


def test_a_model_that_cannot_write_is_refused(
    make_backbone: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    backbone = make_backbone()
    monkeypatch.setattr(type(backbone.model), "get_output_embeddings", lambda self: None)
    with pytest.raises(DataError, match="no generation head"):
        describe_backbone(backbone.model, backbone.tokenizer, "an encoder", "cpu")


def test_an_encoder_without_a_head_is_refused(tmp_path: Path, make_backbone: Make) -> None:
    """As its folder is read: named, with what to do."""
    import transformers

    transformers.T5Model(
        transformers.T5Config(d_model=16, d_ff=16, num_layers=1, num_heads=2, vocab_size=400)
    ).save_pretrained(tmp_path / "t5")
    make_backbone().tokenizer.save_pretrained(tmp_path / "t5")
    from methods.calrec.loading import load_pretrained

    with pytest.raises(DataError, match=r"t5.*cannot be loaded"):
        load_pretrained(str(tmp_path / "t5"))


# ---- LoRA, checkpointing, precision --------------------------------------------------------------


def test_lora_trains_its_adapters_alone(saved: Path, tmp_path: Path, make_data: Make) -> None:
    settings = settings_of(backbone=str(saved), lora_rank=4, epochs=2, batch_size=4)
    method = METHOD(settings)
    method.fit(make_data(LISTS), Logged(tmp_path / "run").context)
    backbone = method._backbone
    names = set(states.trained_weights(backbone.model))
    assert names
    assert all("lora_" in name for name in names)
    before = describe_backbone(*_loaded(saved), "saved", "cpu")
    stored = dict(before.model.named_parameters())
    for name, weights in backbone.causal.named_parameters():
        if "lora_" not in name:
            assert torch.equal(weights, stored[name.replace(".base_layer", "")]), name
    changed = [weights for name, weights in states.trained_weights(backbone.model).items()
               if "lora_B" in name]  # fmt: skip
    assert any(weights.abs().max() > 0 for weights in changed)
    assert np.isfinite(method.score(TESTED, np.arange(12))).all()
    assert "LoRA of rank 4" in method.describe()["note"]
    again = METHOD(settings)
    again.fit(make_data(LISTS), Logged(tmp_path / "run").context)
    assert again.describe()["fine_tuning_reused"]
    np.testing.assert_array_equal(
        again.score(TESTED, np.arange(12)), method.score(TESTED, np.arange(12))
    )


def _loaded(saved: Path) -> Any:
    from methods.calrec.loading import load_pretrained

    return load_pretrained(str(saved))


def test_gradient_checkpointing_changes_no_gradient(make_backbone: Make) -> None:
    found = []
    for checkpointing in (False, True):
        backbone = make_backbone(scale=2, gradient_checkpointing=checkpointing)
        backbone.model.train()
        assert backbone.model.is_gradient_checkpointing == checkpointing
        StepGradient(backbone, settings_of(), (0,)).accumulate(PAIRS, 0)
        found.append([weights.grad for weights in backbone.trained])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-7)


def test_bfloat16_generates_from_a_copy(make_backbone: Make) -> None:
    backbone = make_backbone()
    copied = generating(backbone, "bfloat16")
    assert next(copied.model.parameters()).dtype == torch.bfloat16
    assert next(backbone.model.parameters()).dtype == torch.float32
    assert generating(backbone, "float32") is backbone


def test_the_copy_follows_the_weights(tmp_path: Path, make_data: Make) -> None:
    """Validation after each epoch, and the scores in the end, see the model as it is then."""
    settings = settings_of(
        generation_precision="bfloat16", validation_users=4, tiny_pretraining_epochs=0, epochs=2
    )
    method, logged = METHOD(settings), Logged(tmp_path)
    seen = []

    def validate(fitted: Any, users: int | None) -> float:
        fitted.score(TESTED, np.arange(12))
        seen.append(next(fitted._writer._copy.model.parameters()).clone())
        return float(len(seen))

    context = dataclasses.replace(logged.context, validate_fn=validate)
    method.fit(make_data(LISTS), context)
    assert len(seen) == 3
    assert not torch.equal(seen[1], seen[2])
    method.score(TESTED, np.arange(12))
    kept = next(method._backbone.model.parameters()).to(torch.bfloat16)
    assert torch.equal(next(method._writer._copy.model.parameters()), kept)


# ---- vLLM ----------------------------------------------------------------------------------------


class FakeEngine:
    """Answers as vLLM does, from the folder that it was given."""

    offset = 0.0
    made: list[dict[str, Any]] = []  # noqa: RUF012 - looked at by the test

    def __init__(self, model: str, **options: Any) -> None:
        from transformers import AutoModelForCausalLM

        self._model = AutoModelForCausalLM.from_pretrained(model)
        self.made.append({"folder": model, **options})

    def generate(self, inputs: Any, parameters: Any, use_tqdm: bool) -> Any:
        for prompt, wanted in zip(inputs, parameters, strict=True):
            ids = prompt["prompt_token_ids"]
            outputs = [self._one(ids, wanted, number) for number in range(wanted.n)]
            yield types.SimpleNamespace(outputs=outputs)

    def _one(self, prompt: list[int], wanted: Any, number: int) -> Any:
        generator = torch.Generator().manual_seed(wanted.seed + number)
        ids, scores = list(prompt), []
        for _ in range(wanted.max_tokens):
            with torch.inference_mode():
                logits = self._model(torch.tensor([ids])).logits[0, -1]
            drawn = torch.multinomial(
                (logits / wanted.temperature).softmax(0), 1, generator=generator
            )
            token = int(drawn)
            score = float(logits.log_softmax(0)[token]) + self.offset
            scores.append({token: types.SimpleNamespace(logprob=score)})
            ids.append(token)
            if token in wanted.stop_token_ids:
                break
        return types.SimpleNamespace(token_ids=ids[len(prompt) :], logprobs=scores)


@pytest.fixture
def vllm(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A module of vLLM's name with the two things that are used of it."""
    module = types.ModuleType("vllm")
    module.LLM = type("LLM", (FakeEngine,), {"made": [], "offset": 0.0})
    module.SamplingParams = types.SimpleNamespace
    monkeypatch.setitem(sys.modules, "vllm", module)
    return module


def with_vllm(saved: Path, folder: Path, data: Any) -> Any:
    settings = settings_of(
        backbone=str(saved), generator="vllm", epochs=1, batch_size=4, n_generated=3,
        max_new_tokens=6,
    )  # fmt: skip
    method = METHOD(settings)
    method.fit(data, Logged(folder).context)
    return method


def test_vllm_generates_with_the_trained_weights(
    vllm: Any, saved: Path, tmp_path: Path, make_data: Make
) -> None:
    from methods.calrec.rehearsal import plain_score

    method = with_vllm(saved, tmp_path / "run", make_data(LISTS))
    written = method._written(TESTED)
    assert [len(found.texts) for found in written] == [3, 3]
    (made,) = vllm.LLM.made
    assert made["trust_remote_code"] is False
    engine = method._writer._engines[id(method._writer._copy)]
    prompts = [method._maker.prompt(items) for items in TESTED]
    for index, samples in engine.samples(prompts, [5, 6], 2, 6, 0.5):
        for sample in samples:
            expected = plain_score(method._backbone, prompts[index], sample.ids)
            assert sample.log_probability == pytest.approx(expected, abs=1e-4)
            assert sample.stopped == (sample.ids[-1] in method._backbone.stop_ids)


def test_vllm_with_other_log_probabilities_is_refused(
    vllm: Any, saved: Path, tmp_path: Path, make_data: Make
) -> None:
    vllm.LLM.offset = -0.5
    method = with_vllm(saved, tmp_path / "run", make_data(LISTS))
    with pytest.raises(DataError, match="vLLM scores a text otherwise"):
        method.score(TESTED, np.arange(12))


def test_without_vllm_the_setting_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, saved: Path, tmp_path: Path, make_data: Make
) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    method = with_vllm(saved, tmp_path / "run", make_data(LISTS))
    with pytest.raises(UsageError, match="needs the package vllm"):
        method.score(TESTED, np.arange(12))


# ---- templates, attributes -----------------------------------------------------------------------


def test_gpt4recs_layout(make_data: Make, tmp_path: Path) -> None:
    """Items in a row, one question; no prefix before each item (table 6)."""
    method = METHOD(settings_of(template="gpt4rec", epochs=0, tiny_pretraining_epochs=1))
    method.fit(make_data(LISTS), Logged(tmp_path).context)
    prompt = method._backbone.tokenizer.decode(method._maker.prompt(np.array([0, 4])))
    assert prompt == (
        "Previously, the customer has bought: Title: Red Lamp. Brand: Unknown. Title: Blue Chair. "
        "Brand: Unknown. In the future, the customer wants to buy"
    )
    empty = method._backbone.tokenizer.decode(method._maker.prompt(np.array([], dtype=int)))
    assert empty == "Previously, the customer has bought:"


def test_gpt4rec_may_read_titles_alone(make_data: Make, tmp_path: Path) -> None:
    settings = settings_of(
        template="gpt4rec", item_text="title", epochs=0, tiny_pretraining_epochs=1
    )
    method = METHOD(settings)
    method.fit(make_data(LISTS), Logged(tmp_path).context)
    prompt = method._backbone.tokenizer.decode(method._maker.prompt(np.array([0, 4])))
    assert prompt == (
        "Previously, the customer has bought: Red Lamp. Blue Chair. In the future, the customer "
        "wants to buy"
    )
    assert np.isfinite(method.score(TESTED, np.arange(12))).all()


def test_hierarchical_matching_uses_the_same_texts_and_its_own_scores(
    make_data: Make, tmp_path: Path
) -> None:
    found = {}
    for matching in ("bm25", "hierarchical"):
        method = METHOD(settings_of(matching=matching))
        method.fit(make_data(LISTS * 4), Logged(tmp_path / "run").context)
        found[matching] = method.score(TESTED, np.arange(12))
        report = method.describe()
        assert 0 <= report["all_attributes_match_share"] <= report["title_match_share"] <= 1
    assert report["users_with_texts_of_an_earlier_run"] == len(TESTED)
    assert np.isfinite(found["bm25"]).all()
    assert not np.isfinite(found["hierarchical"]).all()
    matched = np.isfinite(found["hierarchical"])
    assert matched.any()


# ---- accounts ------------------------------------------------------------------------------------


def test_accounts_add_up(make_data: Make, tmp_path: Path) -> None:
    method = METHOD(settings_of(price_per_hour=3.6, epochs=1))
    method.fit(make_data(LISTS), Logged(tmp_path).context)
    method.score(TESTED, np.arange(12))
    report, written = method.describe(), method._written(TESTED)
    texts = [sample.text for found in written for sample in found.texts]
    assert report["users_generated_for"] == 2
    assert report["generated_tokens"] == sum(found.n_tokens for found in written)
    known = set(texts) & method._catalogue
    assert report["catalogue_coverage"] == len(known) / 12
    assert report["off_catalogue_share"] == sum(t not in known for t in texts) / len(texts)
    seconds = report["generation_seconds_per_user"]
    assert report["generation_cost_per_user"] == pytest.approx(seconds / 1000, rel=0.05)
    assert report["fine_tuning_tokens_per_second"] > 0
    assert "generation_flops_utilisation" not in report, "a processor's peak is not known"


def test_utilisation_where_the_peak_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"NVIDIA H200": 989e12, "NVIDIA A100-SXM4-80GB": 312e12, "Tesla T4": 65e12}
    for name, peak in names.items():
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda index, name=name: name)
        assert accounting.peak_flops("cuda") == peak
        found = accounting.utilisation("training", peak / 4, "cuda")
        assert found == {"training_flops_utilisation": 0.25}
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: "Unheard Of 9000")
    assert accounting.utilisation("training", 1e12, "cuda") == {}
    assert accounting.peak_flops("cpu") is None


def test_a_number_that_is_no_probability_names_the_user(make_data: Make, tmp_path: Path) -> None:
    from harness.errors import MethodError
    from methods.calrec.retrieval import GeneratedText
    from methods.calrec.writing import Written

    method = METHOD(settings_of(epochs=0, tiny_pretraining_epochs=1))
    method.fit(make_data(LISTS), Logged(tmp_path).context)
    broken = Written([GeneratedText("Title: Red Lamp.", math.nan)], 1, 0)
    method._written = lambda histories: [broken] * len(histories)
    with pytest.raises(MethodError, match="user 3"):
        method.score(TESTED, np.arange(12))


def test_empty_and_malformed_texts_are_counted_and_scored(make_data: Make, tmp_path: Path) -> None:
    from methods.calrec.retrieval import GeneratedText
    from methods.calrec.writing import Written

    for matching in ("bm25", "hierarchical"):
        method = METHOD(settings_of(epochs=0, tiny_pretraining_epochs=1, matching=matching))
        method.fit(make_data(LISTS), Logged(tmp_path / matching).context)
        texts = ["", "   ", "Brand: Title:", "no label", "\u0000\ufffd"]
        found = Written([GeneratedText(text, -1.0) for text in texts], 5, 0)
        method._writer.write = lambda histories, *_, found=found: (
            (row, found) for row in range(len(histories))
        )
        scores = method.score(TESTED, np.arange(12))
        assert not np.isnan(scores).any()
        assert method.describe()["format_error_share"] == 1.0
