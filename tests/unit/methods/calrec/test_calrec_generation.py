"""Sampling: exact in distribution, independent of the batch, scored as the model scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from harness.errors import DataError
from methods.calrec import masks
from methods.calrec.generation import generate
from methods.calrec.masks import left_padded
from methods.calrec.rehearsal import check_generation
from methods.calrec.sample_tree import LogitsError, draw
from tests.unit.methods.calrec.families import FAMILIES, model_of

torch = pytest.importorskip("torch")

Make = Callable[..., Any]


def prompts_of(backbone: Any, lengths: Sequence[int] = (5, 3, 9, 3)) -> list[list[int]]:
    generator = np.random.default_rng(1)
    return [generator.integers(3, 200, length).tolist() for length in lengths]


def uniforms_of(user: int, samples: int = 12, steps: int = 7) -> np.ndarray:
    return np.random.default_rng([9, user]).random((samples, steps))


def sampled(backbone: Any, prompts: Any, uniforms: Any, temperature: float = 0.7) -> list[Any]:
    found = dict(generate(backbone, prompts, uniforms, temperature))
    return [found[index] for index in range(len(prompts))]


def rescored(backbone: Any, prompt: list[int], ids: Sequence[int]) -> float:
    """Teacher forcing: one plain forward pass over prompt and text."""
    with torch.inference_mode():
        logits = backbone.model(torch.tensor([[*prompt, *ids]])).logits[0].double()
    steps = logits.log_softmax(1)[len(prompt) - 1 : -1]
    return float(steps.gather(1, torch.tensor(ids)[:, None]).sum())


@pytest.mark.parametrize("lengths", [(5, 3, 9, 3), (30, 3, 17, 9)])
@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_a_plain_forward_pass(
    make_backbone: Make, family: str, lengths: tuple[int, ...]
) -> None:
    """The last three have windows of 8 tokens, in every other layer or in all of them."""
    backbone = make_backbone(scale=6)
    backbone.model = model_of(family, backbone)
    prompts = prompts_of(backbone, lengths)
    users = sampled(backbone, prompts, [uniforms_of(user) for user in range(4)])
    assert len({sample.ids for samples in users for sample in samples}) > 8
    for prompt, samples in zip(prompts, users, strict=True):
        for sample in samples:
            assert sample.log_probability == pytest.approx(
                rescored(backbone, prompt, sample.ids), abs=1e-4
            )


@pytest.mark.parametrize("family", ["gemma3", "mistral"])
def test_a_window_left_out_would_be_seen(
    make_backbone: Make, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: one mask for all layers, as if none had a window."""
    backbone = make_backbone(scale=6)
    backbone.model = model_of(family, backbone)
    monkeypatch.setattr(masks, "sliding_window", lambda config: None)
    (prompt,) = prompts_of(backbone, [30])
    (samples,) = sampled(backbone, [prompt], [uniforms_of(0)])
    errors = [s.log_probability - rescored(backbone, prompt, s.ids) for s in samples]
    assert max(map(abs, errors)) > 0.1


@pytest.mark.parametrize("family", ["llama", "gpt2", "gemma3", "mistral"])
def test_a_rehearsal_lets_known_families_pass(make_backbone: Make, family: str) -> None:
    backbone = make_backbone(scale=6)
    backbone.model = model_of(family, backbone)
    check_generation(backbone, 40)


def test_a_rehearsal_finds_a_window_under_another_name(make_backbone: Make) -> None:
    """GPT-Neo's local layers go by cache slots; a prompt within the window shows nothing."""
    import transformers

    backbone = make_backbone(scale=6)
    rows = backbone.model.get_input_embeddings().num_embeddings
    torch.manual_seed(0)
    backbone.model = transformers.GPTNeoForCausalLM(
        transformers.GPTNeoConfig(
            vocab_size=rows,
            hidden_size=32,
            num_layers=2,
            num_heads=2,
            attention_types=[[["global", "local"], 1]],
            window_size=8,
            max_position_embeddings=64,
            tie_word_embeddings=False,
        )
    ).eval()
    backbone.model.get_output_embeddings().weight.data.normal_(0, 0.3)
    with pytest.raises(DataError, match="gpt_neo's, is of a kind that sampling cannot follow"):
        check_generation(backbone, 40)


def test_a_rehearsal_refuses_weights_that_are_no_numbers(make_backbone: Make) -> None:
    backbone = make_backbone()
    backbone.model.get_input_embeddings().weight.data[5] = float("nan")
    with pytest.raises(DataError, match="NaN or infinite before any training"):
        check_generation(backbone, 40)


def test_logits_that_are_no_distribution_name_their_prompt(make_backbone: Make) -> None:
    """The others of the batch are not to blame."""
    backbone = make_backbone(scale=6)
    prompts, uniforms = prompts_of(backbone), [uniforms_of(user) for user in range(4)]

    def spoilt(module: Any, arguments: Any, output: Any) -> Any:
        rows = [row for row, ids in enumerate(arguments[0].tolist()) if ids[-9:] == prompts[2]]
        return output.index_fill(0, torch.tensor(rows, dtype=torch.long), float("nan"))

    backbone.model.get_input_embeddings().register_forward_hook(spoilt)
    with pytest.raises(LogitsError) as caught:
        sampled(backbone, prompts, uniforms)
    assert caught.value.prompt == 2
    assert sampled(backbone, prompts[3:], uniforms[3:])


def test_a_user_gets_the_same_texts_alone_and_in_a_batch(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    prompts, uniforms = prompts_of(backbone), [uniforms_of(user) for user in range(4)]
    together = sampled(backbone, prompts, uniforms)
    for user in range(4):
        (alone,) = sampled(backbone, [prompts[user]], [uniforms[user]])
        assert [sample.ids for sample in alone] == [sample.ids for sample in together[user]]
        np.testing.assert_allclose(
            [sample.log_probability for sample in alone],
            [sample.log_probability for sample in together[user]],
            atol=1e-4,
        )


def test_users_in_another_order_get_the_same_texts(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    prompts, uniforms = prompts_of(backbone), [uniforms_of(user) for user in range(4)]
    forward = sampled(backbone, prompts, uniforms)
    backward = sampled(backbone, prompts[::-1], uniforms[::-1])
    assert [[s.ids for s in user] for user in forward] == [
        [s.ids for s in user] for user in backward[::-1]
    ]


def test_temperature_zero_takes_the_likeliest_token(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    prompt = prompts_of(backbone)[0]
    (samples,) = sampled(backbone, [prompt], [uniforms_of(0)], temperature=0)
    expected = list(prompt)
    with torch.inference_mode():
        while len(expected) < len(prompt) + 7:
            expected.append(int(backbone.model(torch.tensor([expected])).logits[0, -1].argmax()))
            if expected[-1] in backbone.stop_ids:
                break
    assert {sample.ids for sample in samples} == {tuple(expected[len(prompt) :])}


def test_a_low_temperature_comes_close_to_the_likeliest_token(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    prompt = prompts_of(backbone)[0]
    (greedy,) = sampled(backbone, [prompt], [uniforms_of(0)], temperature=0)
    (cold,) = sampled(backbone, [prompt], [uniforms_of(0)], temperature=1e-3)
    assert [sample.ids for sample in cold] == [sample.ids for sample in greedy]


def test_two_tokens_are_drawn_as_often_as_the_model_says(make_backbone: Make) -> None:
    """The pair of the first two tokens follows the product of the tempered softmaxes."""
    backbone, temperature, n = make_backbone(scale=5), 0.8, 4000
    prompt = prompts_of(backbone)[0]
    uniforms = np.random.default_rng(5).random((n, 2))
    (samples,) = sampled(backbone, [prompt], [uniforms], temperature)
    with torch.inference_mode():
        first = backbone.model(torch.tensor([prompt])).logits[0, -1].double() / temperature
        expected, observed = [], []
        for token in first.softmax(0).topk(12).indices.tolist():
            after = backbone.model(torch.tensor([[*prompt, token]])).logits[0, -1].double()
            second = (after / temperature).softmax(0)
            for follower in second.topk(6).indices.tolist():
                expected.append(n * float(first.softmax(0)[token] * second[follower]))
                observed.append(sum(sample.ids[:2] == (token, follower) for sample in samples))
    frequent = [cell for cell, value in enumerate(expected) if value >= 5]
    assert len(frequent) > 5
    expected, observed = [expected[c] for c in frequent], [observed[c] for c in frequent]
    expected.append(n - sum(expected))
    observed.append(n - sum(observed))
    assert chisquare(observed, expected).pvalue > 0.001


def test_draw_inverts_the_cumulative_distribution() -> None:
    logits = torch.tensor([[[0.5, 0.0, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0]]]).double().log()
    node = torch.tensor([[0, 0, 0, 0, 1, 1]])
    uniforms = torch.tensor([[0.0, 0.499, 0.501, 0.999999, 0.0, 0.999999]]).double()
    assert draw(logits, node, uniforms, 1.0).tolist() == [[0, 0, 2, 3, 1, 1]]


def test_texts_end_at_a_stop_token_and_at_the_limit(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    prompts, uniforms = prompts_of(backbone), [uniforms_of(user) for user in range(4)]
    backbone.stop_ids = []
    free = sampled(backbone, prompts, uniforms)
    assert {len(sample.ids) for samples in free for sample in samples} == {7}
    common = [sample.ids[3] for samples in free for sample in samples if len(sample.ids) > 3]
    backbone.stop_ids = sorted({backbone.eos_id, max(set(common), key=common.count)})
    lengths = set()
    for before, after in zip(free, sampled(backbone, prompts, uniforms), strict=True):
        for long, short in zip(before, after, strict=True):
            ends = [step for step, index in enumerate(long.ids) if index in backbone.stop_ids]
            assert short.ids == (long.ids[: ends[0] + 1] if ends else long.ids)
            assert short.stopped == bool(ends)
            assert len(short.ids) <= 7
            lengths.add(len(short.ids))
    assert len(lengths) > 1
    assert 7 in lengths


def test_users_leave_when_their_samples_are_finished(make_backbone: Make) -> None:
    """Three of four users stop at once; the fourth gets what it gets alone."""
    backbone = make_backbone(scale=6)
    backbone.stop_ids = []
    prompts, uniforms = prompts_of(backbone), [uniforms_of(user) for user in range(4)]
    free = sampled(backbone, prompts, uniforms, temperature=0)
    backbone.stop_ids = sorted({free[user][0].ids[0] for user in range(3)})
    batch = sampled(backbone, prompts, uniforms, temperature=0)
    assert [len(batch[user][0].ids) for user in range(3)] == [1, 1, 1]
    assert len(batch[3][0].ids) > 1
    (alone,) = sampled(backbone, prompts[3:], uniforms[3:], temperature=0)
    assert [sample.ids for sample in alone] == [sample.ids for sample in batch[3]]


def test_generation_defaults_of_the_model_are_ignored(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    prompts, uniforms = prompts_of(backbone), [uniforms_of(user) for user in range(4)]
    expected = sampled(backbone, prompts, uniforms)
    backbone.model.generation_config.update(top_k=1, top_p=0.1, temperature=9.0, max_length=2)
    assert sampled(backbone, prompts, uniforms) == expected


def test_left_padded_ends_in_the_last_column() -> None:
    ids, present = left_padded([[1, 2, 3], [4]], 9)
    assert ids.tolist() == [[1, 2, 3], [9, 9, 4]]
    assert present.tolist() == [[True] * 3, [False, False, True]]


def test_a_batch_that_does_not_fit_is_halved(
    make_backbone: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same texts; a single user that does not fit is an error that says what to lower."""
    from harness.errors import MethodError
    from methods.calrec import generation

    backbone = make_backbone(scale=6)
    prompts = prompts_of(backbone)
    uniforms = [uniforms_of(user) for user in range(4)]
    whole = sampled(backbone, prompts, uniforms)
    grown, sizes = generation.SampleTree.grown, []

    def fragile(self: Any, temperature: float) -> Any:
        sizes.append(len(self.node))
        if len(self.node) > most[0]:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory")
        return grown(self, temperature)

    monkeypatch.setattr(generation.SampleTree, "grown", fragile)
    most = [1]
    halved = sampled(backbone, prompts, uniforms)
    assert sizes == [4, 2, 1, 1, 2, 1, 1]
    for one, other in zip(whole, halved, strict=True):
        assert [sample.ids for sample in one] == [sample.ids for sample in other]
    most = [0]
    with pytest.raises(MethodError, match="out of memory with a single user"):
        sampled(backbone, prompts, uniforms)
