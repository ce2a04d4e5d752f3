"""CALRec as a reranker: scores of texts in one pass, and how two orders are put together."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from harness.method import Input
from harness.registry import load_method, source_hash
from methods.calrec import METHOD, masks
from methods.calrec.rehearsal import plain_score
from methods.calrec.reranking import (
    Reranker,
    TextScorer,
    best,
    fitted_proposer,
    proposer_class,
    reranked,
)

torch = pytest.importorskip("torch")

Make = Callable[..., Any]
ALL = np.arange(12)
TESTED = Histories.from_lists([[1, 2, 3], [7, 8], [], [11, 0, 1, 2]], users=[3, 5, 8, 9])
PROMPT = [7, 30, 99, 4, 150, 21, 8, 60, 77, 12, 5]
TEXTS = [
    [40, 41, 42, 1],
    [40, 41, 43, 44, 1],
    [40, 41, 1],
    [40],
    [1],
    [50, 40, 41, 42, 1],
    [40, 41, 42, 1],
    [51],
    [52, 52, 52, 52, 52, 52, 52, 52, 52, 1],
]


def plain_scores(backbone: Any, prompt: list[int], texts: Any) -> list[float]:
    return [plain_score(backbone, prompt, text) for text in texts]


# ---- scores of texts -----------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 3, 11])
@pytest.mark.parametrize("scale", [1, 6])
def test_scores_are_those_of_a_plain_pass_over_each_text(
    make_backbone: Make, scale: float, length: int
) -> None:
    """Texts begin alike, are single tokens, are others' beginnings, come twice."""
    backbone, prompt = make_backbone(scale=scale), PROMPT[:length]
    found = TextScorer(backbone).log_probabilities(prompt, TEXTS)
    assert found == pytest.approx(plain_scores(backbone, prompt, TEXTS), abs=2e-4)
    assert found[0] == found[6]
    assert len(set(found)) == len(TEXTS) - 1


def test_a_text_alone_has_the_score_that_it_has_in_company(make_backbone: Make) -> None:
    backbone = make_backbone(scale=6)
    scorer = TextScorer(backbone)
    together = scorer.log_probabilities(PROMPT, TEXTS)
    alone = [scorer.log_probabilities(PROMPT, [text])[0] for text in TEXTS]
    assert alone == pytest.approx(together, abs=2e-4)


def mistral(backbone: Any, window: int | None) -> Any:
    """A random model all of whose layers see so many tokens, with logits far from uniform."""
    import transformers

    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=backbone.model.get_input_embeddings().num_embeddings,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=window,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    model = transformers.MistralForCausalLM(config)
    model.get_output_embeddings().weight.data.normal_(0, 0.3)
    return model.eval()


@pytest.mark.parametrize("window", [None, 6])
def test_a_sliding_window_goes_by_places_in_the_text(
    make_backbone: Make, window: int | None
) -> None:
    backbone = make_backbone()
    backbone.model = mistral(backbone, window)
    found = TextScorer(backbone).log_probabilities(PROMPT, TEXTS)
    assert found == pytest.approx(plain_scores(backbone, PROMPT, TEXTS), abs=2e-4)


def test_a_window_left_out_would_be_seen(
    make_backbone: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault: one mask for all layers, as if none had a window."""
    backbone = make_backbone()
    backbone.model = mistral(backbone, 6)
    monkeypatch.setattr(masks, "sliding_window", lambda config: None)
    found = TextScorer(backbone).log_probabilities(PROMPT, TEXTS)
    errors = np.subtract(found, plain_scores(backbone, PROMPT, TEXTS))
    assert np.abs(errors).max() > 0.01


def test_scoring_leaves_training_mode(make_backbone: Make) -> None:
    backbone = make_backbone()
    backbone.model.train()
    TextScorer(backbone).log_probabilities(PROMPT, TEXTS)
    assert not backbone.model.training


def test_weights_that_are_no_numbers_are_an_error(make_backbone: Make) -> None:
    backbone = make_backbone()
    backbone.model.get_input_embeddings().weight.data[99] = float("nan")
    with pytest.raises(MethodError, match="NaN or infinite in reranking"):
        TextScorer(backbone).log_probabilities(PROMPT, TEXTS)


# ---- two orders put together ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scores", "k", "expected"),
    [
        ([1.0, 4.0, 3.0, 2.0], 2, [1, 2]),
        ([1.0, 4.0, 3.0, 2.0], 4, [1, 2, 3, 0]),
        ([1.0, 4.0, 3.0, 2.0], 9, [1, 2, 3, 0]),
        ([3.0, 5.0, 3.0, 3.0], 2, [1]),  # the tie reaches beyond the second place
        ([3.0, 5.0, 3.0, 3.0], 3, [1]),
        ([3.0, 5.0, 3.0, 3.0], 4, [1, 0, 2, 3]),
        ([3.0, 5.0, 3.0, 1.0], 3, [1, 0, 2]),  # it ends with the third
        ([2.0, 2.0, 2.0, 2.0], 3, []),
        ([2.0, 2.0, 2.0, 2.0], 4, [0, 1, 2, 3]),
        ([-np.inf, 4.0, -np.inf, 2.0], 3, [1, 3]),  # what is not recommended is not reranked
        ([-np.inf, 2.0, -np.inf, 2.0], 1, []),
        ([-np.inf] * 4, 2, []),
    ],
)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_the_best_items_are_taken_without_a_tie_at_the_boundary(
    scores: list[float], k: int, expected: list[int], kind: Any
) -> None:
    assert best(np.array(scores, dtype=kind), k).tolist() == expected


SCORES = st.lists(st.sampled_from([-np.inf, -2.5, 0.0, 1.0, 1.5, 7.0]), min_size=1, max_size=12)


@given(SCORES, st.integers(1, 14))
def test_all_items_taken_are_above_all_left(scores: list[float], k: int) -> None:
    values = np.array(scores)
    taken = best(values, k)
    assert len(taken) <= k
    left = np.setdiff1d(np.arange(len(values)), taken)
    finite = left[np.isfinite(values[left])]
    assert not len(taken) or not len(finite) or values[taken].min() > values[finite].max()
    # and as many as can be: with the next group of equal items there would be more than k
    if len(finite):
        assert len(taken) + (values[left] == values[finite].max()).sum() > k


@given(SCORES, st.integers(1, 14), st.data())
def test_the_rest_keeps_its_order_below_what_is_reranked(
    scores: list[float], k: int, data: st.DataObject
) -> None:
    base = np.array(scores)
    taken = best(base, k)
    logs = data.draw(
        st.lists(st.floats(-3000, 0), min_size=len(taken), max_size=len(taken)), label="logs"
    )
    found = reranked(base, taken, logs)
    np.testing.assert_array_equal(np.isneginf(found), np.isneginf(base))
    rest = [index for index in range(len(base)) if index not in taken and base[index] > -np.inf]
    for one, other in itertools.combinations(rest, 2):
        assert np.sign(found[one] - found[other]) == np.sign(base[one] - base[other])
    assert all(-2 <= found[index] <= -1 for index in rest)
    assert all(0 < found[index] <= 1 for index in taken)


def test_reranked_items_come_in_the_order_of_the_log_probabilities() -> None:
    base = np.array([9.0, 8.0, 7.0, 1.0, 1.0, 0.5, -np.inf])
    found = reranked(base, np.array([0, 1, 2]), [-7.0, -2.0, -7.0])
    assert found[1] > found[0] == found[2] > found[3] == found[4] > found[5] > found[6]
    assert np.isneginf(found[6])


def test_all_items_may_be_reranked_and_none() -> None:
    base = np.array([3.0, 2.0, 1.0], dtype=np.float32)
    assert reranked(base, np.array([0, 1, 2]), [-3.0, -2.0, -1.0]).argsort().tolist() == [0, 1, 2]
    none = reranked(base, np.array([], dtype=np.int64), [])
    assert none.argsort().tolist() == [2, 1, 0]
    assert none.dtype == np.float64


def test_very_low_log_probabilities_stay_apart_and_above_the_rest() -> None:
    logs = [0.0, -1e-9, -0.5, -1999.999, -2000.0, -2000.0001, -2000.001, -9e4, -1e6]
    base = np.array([*range(50, 50 - len(logs), -1), 1.0])
    found = reranked(base, np.arange(len(logs)), logs)
    assert (np.diff(found[: len(logs)]) < 0).all()
    assert found[0] == 1
    assert found[len(logs) - 1] > 0 > found[len(logs)]


def test_many_items_of_the_rest_stay_apart() -> None:
    base = np.random.default_rng(0).permutation(200_000).astype(np.float32)
    found = reranked(base, np.array([], dtype=np.int64), [])
    np.testing.assert_array_equal(found.argsort(), base.argsort())
    assert (found.min(), found.max()) == (pytest.approx(-2, abs=1e-5), -1)


# ---- who proposes --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["calrec", "calrec:trie"])
def test_calrec_itself_cannot_be_reranked(name: str) -> None:
    with pytest.raises(UsageError, match="name another method to rerank"):
        proposer_class(name)


def test_an_unknown_method_or_preset_is_named_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="unknown method 'popularty': did you mean 'popularity'"):
        proposer_class("popularty")
    with pytest.raises(UsageError, match=r"'sasrec' has no preset 'unisrec-repo'.*did you mean"):
        proposer_class("sasrec:unisrec-repo")


@pytest.mark.parametrize("name", ["fdsa", "fdsa:unisrec-repository", "recformer", "s3rec"])
def test_a_method_that_reads_attributes_is_refused(name: str) -> None:
    base = name.partition(":")[0]
    assert Input.ITEM_ATTRIBUTES in load_method(base).method.card.inputs
    with pytest.raises(UsageError, match=f"'{name}' reads item attributes, which calrec does not"):
        proposer_class(name)


def test_a_method_that_wants_a_mixture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    method = load_method("popularity").method
    monkeypatch.setattr(method, "mixture", classmethod(lambda kind, settings: "some"))
    with pytest.raises(UsageError, match="'popularity' wants a mixture of its own"):
        proposer_class("popularity")


def test_a_preset_of_the_proposing_method_is_in_force() -> None:
    kind, settings = proposer_class("sasrec:unisrec-repository")
    assert kind is load_method("sasrec").method
    assert settings == kind.Settings(hidden_size=300)
    assert proposer_class("sasrec")[1] == kind.Settings()


def test_external_inputs_name_the_reranked_code(make_settings: Make) -> None:
    found = METHOD.external_inputs(make_settings(rerank="popularity"))
    assert found["after training: reranked source"] == source_hash(load_method("popularity"))
    other = METHOD.external_inputs(make_settings(rerank="lir"))
    assert (
        other["after training: reranked source"]
        == source_hash(load_method("lir"))
        != found["after training: reranked source"]
    )
    assert METHOD.external_inputs(make_settings()) == {}


def test_external_inputs_of_the_reranked_method_are_calrecs_too(
    make_settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = load_method("popularity").method
    given = classmethod(lambda kind, settings: {"weights": "abc"})
    monkeypatch.setattr(method, "external_inputs", given)
    found = METHOD.external_inputs(make_settings(rerank="popularity"))
    assert found["after training: reranked weights"] == "abc"
    assert len(found) == 2


def test_a_refused_method_is_refused_when_the_run_is_planned(make_settings: Make) -> None:
    with pytest.raises(UsageError, match="reads item attributes"):
        METHOD.external_inputs(make_settings(rerank="fdsa"))


def test_the_proposing_method_sees_what_it_declares_in_a_folder_of_its_own(
    make_context: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = {}
    method = load_method("popularity").method
    original = method.fit

    def watched(proposer: Any, data: Any, context: Any) -> None:
        seen.update(inputs=data.inputs, folder=context.work_dir, seed=context.seed)
        with pytest.raises(MethodError, match="withheld"):
            _ = data.item_texts
        original(proposer, data, context)

    monkeypatch.setattr(method, "fit", watched)
    context = make_context(seed=4)
    data = dataclasses.replace(make_data([[1, 2], [2]]), sources=(object(),))
    fitted = fitted_proposer("popularity", data, context)
    assert fitted.score(TESTED, ALL)[0, :4].tolist() == [0, 1, 2, 0]
    assert seen == {
        "inputs": frozenset({Input.ITEM_IDS}),
        "folder": Path(context.work_dir) / "reranked",
        "seed": 4,
    }


# ---- the whole -----------------------------------------------------------------------------------

LISTS = [[4, 7, 2], [4, 7, 2], [4, 7], [4, 1], [9, 4]]  # 4, 7, 2 lead; 1 and 9 tie; the rest is 0
LEADING, TIED, UNSEEN = [4, 7, 2], [1, 9], [0, 3, 5, 6, 8, 10, 11]


def fitted_reranker(
    make_settings: Make, context: Any, data: Any, top_k: int = 3, **values: Any
) -> Any:
    settings = make_settings(
        rerank="popularity", rerank_top_k=top_k, epochs=0, tiny_pretraining_epochs=1, **values
    )
    method = METHOD(settings)
    method.fit(data, context)
    return method


def model_order(method: Any, history: Any, items: Sequence[int]) -> list[int]:
    prompt, eos = method._maker.prompt(history), method._maker.eos_id
    score = {
        index: plain_score(method._backbone, prompt, [*method._maker.item(index), eos])
        for index in items
    }
    return sorted(items, key=lambda index: -score[index])


@pytest.mark.parametrize(
    ("top_k", "proposed", "rest"),
    [(3, LEADING, [TIED, UNSEEN]), (4, LEADING, [TIED, UNSEEN]), (12, list(range(12)), [])],
)
def test_the_best_of_popularity_come_first_ordered_by_the_model(
    make_settings: Make, make_context: Make, make_data: Make, top_k: int, proposed: list[int],
    rest: list[list[int]],
) -> None:  # fmt: skip
    """The fourth place would split a tie, and goes to neither."""
    method = fitted_reranker(make_settings, make_context(), make_data(LISTS), top_k)
    scores = method.score(TESTED, ALL)
    assert scores.dtype == np.float64
    orders = set()
    for row, history in enumerate(TESTED):
        first = (-scores[row]).argsort(kind="stable")[: len(proposed)].tolist()
        assert first == model_order(method, history, proposed)
        orders.add(tuple(first))
        assert ((scores[row, proposed] > 0) & (scores[row, proposed] <= 1)).all()
        groups = [set(scores[row, group].tolist()) for group in rest]
        assert all(len(group) == 1 for group in groups)
        assert sorted((max(group) for group in groups), reverse=True) == [
            max(group) for group in groups
        ]
        assert all(-2 <= max(group) <= -1 for group in groups)
    if top_k == 12:
        assert len(orders) > 1  # it is the user's own order


def test_reranked_scores_do_not_depend_on_company_or_candidates(
    make_settings: Make, make_context: Make, make_data: Make
) -> None:
    method = fitted_reranker(make_settings, make_context(), make_data(LISTS))
    scores = method.score(TESTED, ALL)
    np.testing.assert_array_equal(method.score(TESTED, ALL[::-1]), scores[:, ::-1])
    some, rows = np.array([7, 0, 2]), np.array([3, 1])
    np.testing.assert_array_equal(method.score(TESTED.select(rows), some), scores[rows][:, some])


def test_reranked_items_of_equal_texts_tie(
    make_settings: Make, make_context: Make, make_data: Make, catalogue: tuple[str, ...]
) -> None:
    data = make_data(LISTS, (*catalogue[:8], catalogue[4], *catalogue[9:]))
    data = dataclasses.replace(data, histories=Histories.from_lists([*LISTS, [8, 8, 8, 8]]))
    method = fitted_reranker(make_settings, make_context(), data, top_k=4)
    scores = method.score(TESTED, ALL)
    np.testing.assert_array_equal(scores[:, 8], scores[:, 4])
    assert (scores[:, [8, 4, 7, 2]] > 0).all()


def test_nothing_is_generated_and_describe_says_what_was_reranked(
    make_settings: Make, make_context: Make, make_data: Make
) -> None:
    context = make_context()
    method = fitted_reranker(make_settings, context, make_data(LISTS))
    method.score(TESTED, ALL)
    found = method.describe()
    assert "reranks popularity, not in the paper" in found["note"]
    assert not any(name.startswith("generat") for name in found)
    assert not list(context.work_dir.rglob("*.jsonl"))


class Silent:
    """A method that recommends nothing."""

    def score(self, histories: Histories, candidates: Any) -> Any:
        return np.full((len(histories), len(candidates)), -np.inf)


def test_a_user_for_whom_nothing_is_proposed_is_recommended_nothing(make_backbone: Make) -> None:
    reranker: Any = Reranker(Silent(), TextScorer(make_backbone()), 12, 3)  # type: ignore[arg-type]
    scores = reranker.scores(TESTED, [PROMPT] * 4, lambda index: [40, 1])
    assert np.isneginf(scores).all()
