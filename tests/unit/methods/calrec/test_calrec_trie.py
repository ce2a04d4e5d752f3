"""The catalogue as a trie, and sampling that it constrains: exact in distribution and in score."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from harness.histories import Histories
from methods.calrec import METHOD
from methods.calrec import trie as trie_module
from methods.calrec.generation import generate
from methods.calrec.sample_tree import LogitsError, Sample
from methods.calrec.trie import Trie

torch = pytest.importorskip("torch")

Make = Callable[..., Any]
Texts = Sequence[tuple[int, ...]]

END = 1
FEW: Texts = [
    (40, 41, 42, END),
    (40, 41, 43, 44, END),
    (40, 41, END),
    (40, 45, 46, 47, 48, END),
    (50, 51, 52, 53, END),
    (50, 51, 52, 54, 55, END),
    (60, END),
    (61, 62, 63, 64, END),
]


def prompts_of(lengths: Sequence[int] = (5, 3, 9, 3)) -> list[list[int]]:
    generator = np.random.default_rng(1)
    return [generator.integers(3, 200, length).tolist() for length in lengths]


def uniforms_of(user: int, samples: int = 12, steps: int = 8) -> np.ndarray:
    return np.random.default_rng([9, user]).random((samples, steps))


def sampled(
    backbone: Any, prompts: Any, uniforms: Any, texts: Texts, temperature: float = 1.0
) -> list[list[Sample]]:
    found = dict(generate(backbone, prompts, uniforms, temperature, Trie(texts)))
    return [found[index] for index in range(len(prompts))]


def catalogue_ids(backbone: Any, catalogue: Sequence[str]) -> list[tuple[int, ...]]:
    return [(*backbone.tokenise(f" {text}"), backbone.eos_id) for text in catalogue]


def constrained(
    backbone: Any, prompt: Sequence[int], ids: Sequence[int], texts: Texts, temperature: float = 1.0
) -> float:
    """Log-probability of a text among the texts: a plain pass, softmax over what may follow.

    With a temperature it is that of the tempered distribution, from which texts are drawn.
    """
    with torch.inference_mode():
        logits = backbone.model(torch.tensor([[*prompt, *ids]])).logits[0].double()
    total = 0.0
    for place, token in enumerate(ids):
        begun = tuple(ids[:place])
        allowed = sorted({text[place] for text in texts if text[:place] == begun})
        steps = (logits[len(prompt) - 1 + place, allowed] / temperature).log_softmax(0)
        total += float(steps[allowed.index(token)])
    return total


# ---- the trie alone ------------------------------------------------------------------------------


def test_a_trie_of_no_sequences_is_refused() -> None:
    with pytest.raises(ValueError, match="needs a sequence"):
        Trie([])


def test_equal_sequences_count_once() -> None:
    trie, single = Trie([*FEW, *FEW[::-1]]), Trie(FEW)
    assert trie.texts == sorted(FEW)
    assert len(trie) == len(single)
    np.testing.assert_array_equal(trie.only, single.only)


SEQUENCES = st.lists(st.lists(st.integers(2, 5), max_size=4), min_size=1, max_size=8)


@given(SEQUENCES)
def test_walking_down_allows_what_the_sequences_allow(lists: list[list[int]]) -> None:
    texts = [(*sequence, END) for sequence in lists]
    trie = Trie(texts)
    assert len(trie) == 1 + len({text[:n] for text in texts for n in range(1, len(text) + 1)})
    for text in texts:
        nodes = np.zeros(1, dtype=np.int64)
        for place, token in enumerate(text):
            below = {other for other in texts if other[:place] == text[:place]}
            tokens, present = trie.allowed(nodes)
            assert tokens[present].tolist() == sorted({other[place] for other in below})
            only = int(trie.only[nodes[0]])
            assert (only >= 0) == (len(below) == 1)
            if only >= 0:
                assert trie.texts[only] == text
            nodes = trie.moved(nodes, np.array([token]))
        tokens, present = trie.allowed(nodes)
        assert not present.any()
        assert trie.texts[trie.only[nodes[0]]] == text


@given(SEQUENCES)
def test_the_order_of_the_sequences_does_not_matter(lists: list[list[int]]) -> None:
    texts = [(*sequence, END) for sequence in lists]
    there, back = Trie(texts), Trie(texts[::-1])
    assert there.texts == back.texts
    np.testing.assert_array_equal(there.only, back.only)
    for one, other in zip(
        there.allowed(np.arange(len(there))), back.allowed(np.arange(len(back))), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_places_that_do_not_count_hold_token_zero() -> None:
    trie = Trie(FEW)
    nodes = trie.moved(np.array([[0, 0]]), np.array([[40, 60]]))
    tokens, present = trie.allowed(np.concatenate([nodes, [[0, 0]]]))
    assert tokens.tolist() == [[[41, 45, 0, 0], [1, 0, 0, 0]], [[40, 50, 60, 61]] * 2]
    np.testing.assert_array_equal(present, tokens > 0)


@pytest.mark.parametrize("token", [0, 2, 41, 55, 10_000])
def test_a_token_that_cannot_follow_is_an_error(token: int) -> None:
    trie = Trie(FEW)
    nodes = trie.moved(np.array([0, 0]), np.array([40, 60]))
    with pytest.raises(ValueError, match=f"token {token} cannot follow node 0"):
        trie.moved(np.array([0]), np.array([token]))
    with pytest.raises(ValueError, match="cannot follow"):
        trie.moved(nodes, np.array([41, 41]))  # the second one ends at once
    (end,) = trie.moved(nodes[1:], np.array([END]))
    with pytest.raises(ValueError, match="cannot follow"):
        trie.moved(np.array([end]), np.array([END]))


# ---- sampling ------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 20.0])
def test_every_sample_is_a_text_of_the_catalogue(
    make_backbone: Make, catalogue: tuple[str, ...], seed: int, temperature: float
) -> None:
    """At a temperature of 20 an unconstrained sample hardly ever is one."""
    backbone = make_backbone(scale=6, seed=seed)
    texts = catalogue_ids(backbone, catalogue)
    uniforms = [uniforms_of(100 * seed + user) for user in range(4)]
    users = sampled(backbone, prompts_of(), uniforms, texts, temperature)
    found = {sample.ids for samples in users for sample in samples}
    assert found <= set(texts)
    assert {backbone.text(ids) for ids in found} <= set(catalogue)
    assert all(sample.stopped for samples in users for sample in samples)
    if temperature == 20:
        assert len(found) > 8
        free = dict(generate(backbone, prompts_of(), uniforms, temperature))
        assert not {sample.ids for samples in free.values() for sample in samples} <= set(texts)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_scores_are_sums_over_what_may_follow(make_backbone: Make, temperature: float) -> None:
    """Of the model as it is, not of the tempered one."""
    backbone = make_backbone(scale=2)
    users = sampled(backbone, prompts_of(), [uniforms_of(u) for u in range(4)], FEW, temperature)
    found = [sample for samples in users for sample in samples]
    assert len({sample.ids for sample in found}) > 3
    assert len({sample.n_drawn for sample in found}) > 1
    for prompt, samples in zip(prompts_of(), users, strict=True):
        for sample in samples:
            expected = constrained(backbone, prompt, sample.ids, FEW)
            assert sample.log_probability == pytest.approx(expected, abs=1e-4)


def test_the_scores_of_all_texts_are_those_of_one_distribution(make_backbone: Make) -> None:
    backbone = make_backbone(scale=1)
    (samples,) = sampled(backbone, prompts_of([5]), [uniforms_of(0, 400)], FEW, temperature=4)
    scores = {sample.ids: sample.log_probability for sample in samples}
    assert set(scores) == set(FEW)
    assert np.exp(list(scores.values())).sum() == pytest.approx(1, abs=1e-4)


def test_nothing_is_drawn_once_a_text_is_certain(make_backbone: Make) -> None:
    backbone = make_backbone(scale=1)
    (samples,) = sampled(backbone, prompts_of([5]), [uniforms_of(0, 400)], FEW, temperature=4)
    drawn = {sample.ids: sample.n_drawn for sample in samples}
    assert drawn == {
        (40, 41, 42, END): 3,
        (40, 41, 43, 44, END): 3,
        (40, 41, END): 3,
        (40, 45, 46, 47, 48, END): 2,
        (50, 51, 52, 53, END): 4,
        (50, 51, 52, 54, 55, END): 4,
        (60, END): 1,
        (61, 62, 63, 64, END): 1,
    }


@pytest.mark.parametrize("scale", [1, 6])
@pytest.mark.parametrize("temperature", [0.7, 1.0])
def test_texts_are_drawn_as_often_as_the_constrained_model_says(
    make_backbone: Make, temperature: float, scale: float
) -> None:
    backbone, n = make_backbone(scale=scale), 2000
    (prompt,) = prompts_of([5])
    (samples,) = sampled(backbone, [prompt], [uniforms_of(3, n)], FEW, temperature)
    logs = [constrained(backbone, prompt, text, FEW, temperature) for text in FEW]
    expected = n * np.exp(logs)
    assert expected.sum() == pytest.approx(n, rel=1e-5)
    counts = Counter(sample.ids for sample in samples)
    observed = np.array([counts[text] for text in FEW])
    assert observed.sum() == n
    frequent = expected >= 5
    assert frequent.sum() >= (7 if scale == 1 else 2)
    bins = [*zip(observed[frequent], expected[frequent], strict=True)]
    if not frequent.all():
        bins.append((observed[~frequent].sum(), max(expected[~frequent].sum(), 1e-3)))
    found, wanted = np.array(bins, dtype=float).T
    assert chisquare(found, wanted * found.sum() / wanted.sum()).pvalue > 0.001


def test_temperature_zero_takes_the_likeliest_token_of_those_that_may_follow(
    make_backbone: Make,
) -> None:
    backbone = make_backbone(scale=6)
    users = sampled(backbone, prompts_of(), [uniforms_of(u) for u in range(4)], FEW, 0.0)
    for prompt, samples in zip(prompts_of(), users, strict=True):
        expected: tuple[int, ...] = ()
        while expected not in FEW:
            place = len(expected)
            allowed = sorted({text[place] for text in FEW if text[:place] == expected})
            with torch.inference_mode():
                logits = backbone.model(torch.tensor([[*prompt, *expected]])).logits[0, -1]
            expected += (allowed[int(logits[allowed].argmax())],)
        assert {sample.ids for sample in samples} == {expected}


def test_a_catalogue_of_one_text_is_certain(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    users = sampled(backbone, prompts_of(), [uniforms_of(u) for u in range(4)], FEW[3:4])
    for samples in users:
        assert {sample.ids for sample in samples} == {FEW[3]}
        assert {sample.log_probability for sample in samples} == {0.0}
        assert {(sample.n_drawn, sample.stopped) for sample in samples} == {(1, True)}


def test_equal_texts_change_nothing(make_backbone: Make) -> None:
    backbone = make_backbone(scale=3)
    uniforms = [uniforms_of(user) for user in range(4)]
    once = sampled(backbone, prompts_of(), uniforms, FEW)
    assert sampled(backbone, prompts_of(), uniforms, [*FEW[::-1], *FEW[2:5]]) == once


def test_a_text_that_the_limit_leaves_open_is_cut_off(make_backbone: Make) -> None:
    """What is certain by then is whole all the same."""
    backbone = make_backbone(scale=1)
    uniforms = [uniforms_of(0, 400, steps=2)]
    (samples,) = sampled(backbone, prompts_of([5]), uniforms, FEW, temperature=4)
    found = {(sample.ids, sample.stopped, sample.n_drawn) for sample in samples}
    assert found == {
        ((40, 41), False, 2),
        ((40, 45, 46, 47, 48, END), True, 2),
        ((50, 51), False, 2),
        ((60, END), True, 1),
        ((61, 62, 63, 64, END), True, 1),
    }


LONG: Texts = [(70, END), (71, 72, END), *((80, 81, 82, 83, 84, last, END) for last in (85, 86))]


@pytest.mark.parametrize("temperature", [0.0, 1.5])
def test_users_who_finish_at_different_times_get_what_they_get_alone(
    make_backbone: Make, monkeypatch: pytest.MonkeyPatch, temperature: float
) -> None:
    """Most of twelve users are certain at once; they leave, and the others read on."""
    backbone, kept = make_backbone(scale=6), []
    original = trie_module.TrieWalk.select

    def watched(walk: Any, rows: Any) -> None:
        kept.append(len(rows))
        original(walk, rows)

    monkeypatch.setattr(trie_module.TrieWalk, "select", watched)
    generator = np.random.default_rng(4)
    prompts = [generator.integers(3, 200, n).tolist() for n in (5, 3, 9, 3, 7, 6, 4, 8, 2, 5, 3, 9)]
    uniforms = [uniforms_of(user, samples=2) for user in range(len(prompts))]
    together = sampled(backbone, prompts, uniforms, LONG, temperature)
    assert kept
    assert 0 < kept[0] <= 6
    drawn = {max(sample.n_drawn for sample in samples) for samples in together}
    assert drawn == {1, 6}
    for prompt, numbers, expected in zip(prompts, uniforms, together, strict=True):
        (alone,) = sampled(backbone, [prompt], [numbers], LONG, temperature)
        for one, other in zip(alone, expected, strict=True):
            assert (one.ids, one.n_drawn, one.stopped) == (other.ids, other.n_drawn, other.stopped)
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-4)
            assert one.ids in LONG


def test_logits_that_are_no_numbers_are_found_where_nothing_may_be_written(
    make_backbone: Make,
) -> None:
    backbone = make_backbone(scale=6)

    def spoilt(module: Any, arguments: Any, output: Any) -> Any:
        output.logits[..., 5] = float("nan")  # no text has this token
        return output

    backbone.model.register_forward_hook(spoilt)
    with pytest.raises(LogitsError):
        sampled(backbone, prompts_of([5]), [uniforms_of(0)], FEW)


def test_the_whole_method_writes_the_catalogue_alone(
    make_settings: Make, make_context: Make, make_data: Make, catalogue: tuple[str, ...]
) -> None:
    """Free decoding of the same weights does not, so that the share could be another one."""
    shares = {}
    for decoding in ("trie", "free"):
        method = METHOD(make_settings(decoding=decoding, epochs=0, tiny_pretraining_epochs=1))
        method.fit(make_data([[0, 1, 2, 3], [4, 5, 6]]), make_context())
        users = Histories.from_lists([[1, 2], [], [7]], users=[3, 4, 5])
        method.score(users, np.arange(12))
        shares[decoding] = method.describe()["off_catalogue_share"]
    assert shares["trie"] == 0 < shares["free"]
