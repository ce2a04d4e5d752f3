"""Algorithm 1: worked by hand, against a plain transcription, and in its corner cases."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from harness.errors import MethodError
from methods._bm25 import BM25
from methods.calrec.retrieval import (
    GeneratedText,
    Retriever,
    kept_predictions,
    linearly_scaled,
)

CATALOGUE = [
    "Title: red pen. Brand: acme.",
    "Title: blue pen. Brand: acme.",
    "Title: oak desk. Brand: woods.",
    "Title: red pen. Brand: acme.",  # a twin of item 0
    "Title: steel lamp. Brand: lumen.",
    "Title: desk lamp. Brand: lumen.",
    "Title: wool scarf. Brand: sheep.",
    "Title: green tea. Brand: leaf.",
    "Title: black tea. Brand: leaf.",
    "Title: tin box. Brand: store.",
]


def quasi_round_robin(
    samples: list[GeneratedText], items: list[str] | BM25, **arguments: object
) -> np.ndarray:
    """Algorithm 1 for one user, with nothing kept from one text to the next."""
    return Retriever(items, cache_bytes=0, **arguments).scores(samples)


def generated(*pairs: tuple[str, float]) -> list[GeneratedText]:
    return [GeneratedText(text, score) for text, score in pairs]


def test_an_example_worked_by_hand() -> None:
    """Six items of two words each; a, b, x, y, … as words.

    Lengths are equal, so a word that stands in a document once has a saturation of 2.5 / 2.5 = 1
    and its part of the score is its idf. With N = 6:
      "a" in 2 documents:  idf = ln(4.5 / 2.5) = ln 1.8
      "b" in 1 document:   idf = ln(5.5 / 1.5) = ln(11/3), and so for "x" in one

    Text "a b" (s = -1): item 0 "a b" scores ln 1.8 + ln(11/3), item 1 "a x" ln 1.8, others 0.
      Scaled: 1, ln 1.8 / ln 6.6, 0, 0, 0, 0     (1.8 x 11/3 = 6.6)
    Text "x" (s = -3): item 1 scores ln(11/3), others 0. Scaled: 0, 1, 0, 0, 0, 0
    Texts "a b " (s = -2: a repeat, dropped) and "" (s = -4: zeros).
    With epsilon = 0.1 the factors are e^-0.1 and e^-0.3, and the pooled maximum is
      item 0: e^-0.1;  item 1: max(e^-0.1 ln 1.8 / ln 6.6, e^-0.3) = e^-0.3;  others: 0.
    """
    items = ["a b", "a x", "c d", "e f", "g h", "i j"]
    samples = generated(("x", -3.0), ("", -4.0), ("a b ", -2.0), ("a b", -1.0))
    scores = quasi_round_robin(samples, items, epsilon=0.1)
    wanted = [math.exp(-0.1), math.exp(-0.3), 0.0, 0.0, 0.0, 0.0]
    assert scores == pytest.approx(wanted, abs=1e-15)

    runner_up = math.log(1.8) / math.log(6.6)
    mean = quasi_round_robin(samples, items, epsilon=0.1, pooling="mean")
    wanted = [math.exp(-0.1) / 3, (math.exp(-0.1) * runner_up + math.exp(-0.3)) / 3, 0, 0, 0, 0]
    assert mean == pytest.approx(wanted, abs=1e-15)
    assert not quasi_round_robin(samples, items, epsilon=0.1, pooling="min").any()

    plain = quasi_round_robin(samples, items, epsilon=0.1, modulation=False)
    assert plain == pytest.approx([1, 1, 0, 0, 0, 0], abs=1e-15)
    first = quasi_round_robin(samples, items, epsilon=0.1, n_predictions=1)
    assert first == pytest.approx([math.exp(-0.1), math.exp(-0.1) * runner_up, 0, 0, 0, 0])


def transcribed(
    samples: list[GeneratedText], items: list[str], n_predictions: int, epsilon: float, pooling: str
) -> np.ndarray:
    """Algorithm 1 line by line, with the peer's BM25 and the full matrix of N_c x N_preds."""
    order = sorted(range(len(samples)), key=lambda i: (-samples[i].log_probability, i))
    texts: list[str] = []
    scores: list[float] = []
    for i in order:
        if samples[i].text.strip() not in texts:
            texts.append(samples[i].text.strip())
            scores.append(samples[i].log_probability)
    texts, scores = texts[:n_predictions], scores[:n_predictions]
    if not texts:
        return np.zeros(len(items))
    peer = BM25Okapi([item.lower().split() for item in items])
    matrix = np.zeros((len(texts), len(items)))
    for i, text in enumerate(texts):
        column = peer.get_scores(text.lower().split())
        if column.max() > column.min():
            scaled = (column - column.min()) / (column.max() - column.min())
            matrix[i] = math.exp(epsilon * scores[i]) * scaled
    return {"max": np.max, "min": np.min, "mean": np.mean}[pooling](matrix, axis=0)


WORDS = st.sampled_from(
    [
        "Title:",
        "red",
        "blue",
        "pen.",
        "desk",
        "lamp.",
        "tea.",
        "Brand:",
        "acme.",
        "lumen.",
        "nothing",
    ]
)
SAMPLES = st.lists(
    st.builds(
        GeneratedText,
        st.one_of(
            st.sampled_from([*CATALOGUE, "", "  ", f"{CATALOGUE[0]} \n"]),
            st.lists(WORDS, max_size=6).map(" ".join),
        ),
        st.one_of(st.sampled_from([-1.0, -2.0]), st.floats(-60, 0)),
    ),
    max_size=14,
)


@settings(deadline=None, max_examples=150)
@given(
    SAMPLES,
    st.integers(1, 12),
    st.sampled_from([0.0, 1 / 5000, 0.1]),
    st.sampled_from(["max", "mean", "min"]),
)
def test_scores_have_the_bits_of_a_plain_transcription(
    samples: list[GeneratedText], n_predictions: int, epsilon: float, pooling: str
) -> None:
    arguments = {"n_predictions": n_predictions, "epsilon": epsilon, "pooling": pooling}
    found = quasi_round_robin(samples, CATALOGUE, **arguments)
    wanted = transcribed(samples, CATALOGUE, n_predictions, epsilon, pooling)
    assert found.dtype == np.float64
    assert found.tobytes() == wanted.tobytes()


@settings(deadline=None, max_examples=50)
@given(st.lists(SAMPLES, max_size=5), st.sampled_from([0, 200, 2**20]))
def test_users_one_after_another_score_as_each_alone_whatever_the_cache_holds(
    samples_of_users: list[list[GeneratedText]], cache_bytes: int
) -> None:
    retriever = Retriever(CATALOGUE, cache_bytes=cache_bytes)
    for samples in samples_of_users:
        scores = retriever.scores(samples)
        assert scores.shape == (len(CATALOGUE),)
        assert scores.tobytes() == quasi_round_robin(samples, CATALOGUE).tobytes()


def test_the_first_places_are_the_best_items_of_the_texts_in_order_of_score() -> None:
    rng = np.random.default_rng(3)
    items = [" ".join(f"w{word}" for word in rng.integers(0, 900, 8)) for _ in range(200)]
    chosen = rng.choice(200, 10, replace=False)
    log_probabilities = -1.0 - np.arange(10)
    samples = [
        GeneratedText(items[item], score)
        for item, score in zip(chosen, log_probabilities, strict=True)
    ]
    scores = quasi_round_robin([samples[i] for i in rng.permutation(10)], items)
    assert np.argsort(-scores, kind="stable")[:10].tolist() == chosen.tolist()
    # a strong modulation lets the runners-up of the first texts overtake the last texts: "quasi"
    strong = quasi_round_robin(samples, items, epsilon=0.5)
    assert np.argsort(-strong, kind="stable")[:10].tolist() != chosen.tolist()
    # and without it the best items of all texts tie
    plain = quasi_round_robin(samples, items, modulation=False)
    assert (plain[chosen] == 1.0).all()


def test_the_running_maximum_is_that_of_the_matrix() -> None:
    samples = generated(*((text, -float(i)) for i, text in enumerate(CATALOGUE)))
    bm25 = BM25(CATALOGUE)
    matrix = [
        math.exp(sample.log_probability / 5000) * linearly_scaled(bm25.scores(sample.text))
        for sample in kept_predictions(samples)
    ]
    assert np.array_equal(quasi_round_robin(samples, bm25), np.max(matrix, axis=0))


@pytest.mark.parametrize(
    "samples",
    [
        [],
        generated(("", -1.0), (" \n", -2.0)),
        generated(("wholly unseen", -1.0)),
        generated(("Title: Brand:", -0.5)),  # the labels say nothing about any item
    ],
)
@pytest.mark.parametrize("pooling", ["max", "mean", "min"])
def test_texts_that_say_nothing_tie_all_items(samples: list[GeneratedText], pooling: str) -> None:
    """As in the paper's remark on empty outputs: optimistic rank 1, pessimistic rank N_c."""
    # labels in documents of one length: BM25 gives every item the same
    items = [f"Title: word{i} Brand: other{i}" for i in range(12)]
    scores = quasi_round_robin(samples, items, pooling=pooling)
    assert scores.tobytes() == np.zeros(12).tobytes()


def test_a_text_that_says_nothing_hides_no_other() -> None:
    good = generated((CATALOGUE[6], -9.0))
    scores = quasi_round_robin([*generated(("", -0.1), ("unseen", -0.2)), *good], CATALOGUE)
    assert np.array_equal(scores, quasi_round_robin(good, CATALOGUE))
    assert scores.argmax() == 6


def test_items_of_equal_texts_tie() -> None:
    samples = generated((CATALOGUE[1], -1.0), ("red tea. Title:", -2.0), (CATALOGUE[5], -3.0))
    for pooling in ("max", "mean", "min"):
        scores = quasi_round_robin(samples, CATALOGUE, pooling=pooling)
        assert scores[0] == scores[3]


def test_predictions_are_distinct_sorted_and_few() -> None:
    samples = generated(("b", -2.0), (" a\n", -3.0), ("a", -1.0), ("c", -2.0), ("A", -4.0))
    kept = kept_predictions(samples, 10)
    assert kept == generated(("a", -1.0), ("b", -2.0), ("c", -2.0), ("A", -4.0))
    assert kept_predictions(samples, 2) == kept[:2]
    assert kept_predictions(samples[::-1], 3) == generated(("a", -1.0), ("c", -2.0), ("b", -2.0))


def test_repeats_are_dropped_before_the_cut() -> None:
    samples = generated(*[("same", -1.0)] * 20, ("other", -5.0))
    assert [sample.text for sample in kept_predictions(samples, 2)] == ["same", "other"]


def test_an_impossible_text_scores_nothing_unless_modulation_is_off() -> None:
    samples = generated((CATALOGUE[2], -math.inf))
    assert not quasi_round_robin(samples, CATALOGUE).any()
    assert quasi_round_robin(samples, CATALOGUE, modulation=False).max() == 1.0
    assert quasi_round_robin(samples, CATALOGUE, epsilon=0.0).max() == 1.0


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.5])
def test_what_is_no_log_probability_is_refused_with_its_index(value: float) -> None:
    samples = generated(("a", -1.0), ("b", -2.0), ("a", value))
    with pytest.raises(MethodError, match=f"generated text 2 has the log-probability {value}"):
        quasi_round_robin(samples, CATALOGUE)


def test_rounding_above_zero_is_let_pass() -> None:
    assert quasi_round_robin(generated((CATALOGUE[2], 1e-6)), CATALOGUE).argmax() == 2


def test_each_distinct_text_goes_through_bm25_once() -> None:
    read: list[str] = []

    class Recorder(BM25):
        def scores(self, query: str) -> np.ndarray:
            read.append(query)
            return super().scores(query)

    retriever = Retriever(Recorder(CATALOGUE))
    for i in range(9):
        text = CATALOGUE[i % 3]
        retriever.scores(generated((text, -1.0), (f"{text} ", -2.0)))
    assert read == CATALOGUE[:3]
    assert retriever.n_items == len(CATALOGUE)


def test_scaling_runs_from_zero_to_one() -> None:
    assert linearly_scaled(np.array([3.0, 5.0, 4.0])).tolist() == [0.0, 1.0, 0.5]
    assert linearly_scaled(np.array([-3.0, -5.0])).tolist() == [1.0, 0.0]
    assert linearly_scaled(np.array([2.0, 2.0])).tolist() == [0.0, 0.0]
    assert linearly_scaled(np.array([7.0])).tolist() == [0.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n_predictions": 0}, "n_predictions must be at least 1"),
        ({"epsilon": -0.1}, "epsilon must be"),
        ({"epsilon": math.nan}, "epsilon must be"),
        ({"pooling": "median"}, "max, mean, min"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        Retriever(CATALOGUE, **arguments)
