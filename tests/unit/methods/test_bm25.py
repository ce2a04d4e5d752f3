"""BM25 against rank_bm25, bit for bit, and its behaviour where that one fails."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rank_bm25 import BM25Okapi

from harness.errors import MethodError
from methods import _bm25
from methods._bm25 import BM25, words_of

# few words, so that corpora repeat them and most word types stand in many documents
WORDS = st.sampled_from(
    ["a", "b", "c", "d", "e", "f", "A,", "title:", "title.", "ünïté", "1/2", "$9.99"]
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
CORPORA = st.lists(TEXTS, min_size=1, max_size=14).filter(any)


def peer(documents: list[str], **parameters: float) -> BM25Okapi:
    return BM25Okapi([words_of(text) for text in documents], **parameters)


def same_bits(found: np.ndarray, wanted: np.ndarray) -> bool:
    """Equal to the last bit, the sign of a zero included."""
    return found.dtype == wanted.dtype == np.float64 and found.tobytes() == wanted.tobytes()


@settings(deadline=None, max_examples=300)
@given(CORPORA, st.lists(TEXTS, min_size=1, max_size=4))
def test_scores_have_the_bits_of_rank_bm25(documents: list[str], queries: list[str]) -> None:
    ours, theirs = BM25(documents), peer(documents)
    for query in [*queries, *documents, "unseen words only", "a unseen a a", ""]:
        assert same_bits(ours.scores(query), theirs.get_scores(words_of(query)))


@settings(deadline=None, max_examples=60)
@given(
    CORPORA,
    st.floats(0.01, 5),
    st.floats(0, 0.99),
    st.floats(0, 1),
)
def test_other_parameters_have_the_bits_of_rank_bm25(
    documents: list[str], k1: float, b: float, epsilon: float
) -> None:
    ours = BM25(documents, k1=k1, b=b, epsilon=epsilon)
    theirs = peer(documents, k1=k1, b=b, epsilon=epsilon)
    for query in documents:
        assert same_bits(ours.scores(query), theirs.get_scores(words_of(query)))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("dense_share", [0.0, 0.2, 2.0])
def test_a_catalogue_of_templates_has_the_bits_of_rank_bm25(
    seed: int, dense_share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Zipf words between labels that stand in every item; all rows, some rows, postings only."""
    monkeypatch.setattr(_bm25, "DENSE_SHARE", dense_share)
    rng = np.random.default_rng(seed)
    documents = [
        f"Title: {' '.join(f'w{word}' for word in rng.zipf(1.3, 14))}. Brand: b{rng.integers(9)}."
        for _ in range(300)
    ]
    ours, theirs = BM25(documents), peer(documents)
    queries = [*documents[:20], "Title: Title: w1 w1 w1.", "w2 unseen w1 w2"]
    block = ours.score_many(queries)
    for row, query in enumerate(queries):
        assert same_bits(block[row], theirs.get_scores(words_of(query)))
        assert same_bits(ours.scores(query), block[row])


@pytest.mark.parametrize("fault", ["pairwise mean", "one logarithm", "single precision"])
def test_the_comparison_sees_planted_faults(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is right to seven digits or more, and would break ties or equality."""

    def faulty(n_containing: np.ndarray, n_documents: int, epsilon: float) -> np.ndarray:
        idf = np.array([math.log(n_documents - n + 0.5) - math.log(n + 0.5) for n in n_containing])
        mean = sum(idf.tolist()) / len(idf)
        if fault == "pairwise mean":
            mean = float(np.mean(idf))
        elif fault == "one logarithm":
            idf = np.log((n_documents - n_containing + 0.5) / (n_containing + 0.5))
        else:
            idf = idf.astype(np.float32).astype(np.float64)
        return np.where(idf < 0, epsilon * mean, idf)

    rng = np.random.default_rng(0)
    documents = [f"title: {' '.join(f'w{w}' for w in rng.zipf(1.3, 9))}" for _ in range(200)]
    wanted = peer(documents).get_scores(words_of(documents[0]))
    assert same_bits(BM25(documents).scores(documents[0]), wanted)
    monkeypatch.setattr(_bm25, "_floored_idf", faulty)
    scores = BM25(documents).scores(documents[0])
    assert scores == pytest.approx(wanted, rel=1e-6)
    assert not same_bits(scores, wanted)


@pytest.mark.parametrize(
    "documents",
    [
        ["a"],
        ["a b", "a"],
        ["a b", "a c", "a d"],
        ["a b", "a b", "c", "c d"],  # "a", "b" and "c" in exactly half: idf 0
        ["", "a b", "", "c"],
        ["x y", "x y", "x y", "x y"],
    ],
)
def test_the_smallest_catalogues(documents: list[str]) -> None:
    ours, theirs = BM25(documents), peer(documents)
    for query in ["a", "a a b", "b c d", "x", "", *documents]:
        assert same_bits(ours.scores(query), theirs.get_scores(words_of(query)))


def test_a_word_in_half_of_the_documents_adds_nothing() -> None:
    index = BM25(["a b", "a c", "d e", "f g"])
    assert index.scores("a").tolist() == [0.0] * 4
    assert index.scores("a b").tolist() == index.scores("b").tolist()


def test_a_word_in_all_documents_gives_a_positive_floor() -> None:
    documents = [f"label: word{number}" for number in range(20)]
    scores = BM25(documents).scores(documents[3])
    mean_idf = (20 * (math.log(19.5) - math.log(1.5)) + math.log(0.5) - math.log(20.5)) / 21
    # every document has the mean length, so the label's saturation is 2.5 / 2.5
    assert scores.argmax() == 3
    assert np.delete(scores, 3) == pytest.approx([0.25 * mean_idf] * 19)
    assert 0.25 * mean_idf > 0


def test_in_a_tiny_catalogue_shared_words_count_against() -> None:
    """Both words are in most of the documents: the mean idf, hence the floor, is negative."""
    assert (BM25(["a b", "a b"]).scores("a") < 0).all()


def test_repeated_words_count_repeatedly() -> None:
    index = BM25(["a b", "c d", "e f", "g h"])
    assert np.array_equal(index.scores("a a"), 2 * index.scores("a"))


def test_equal_texts_tie_and_a_document_without_words_scores_zero() -> None:
    documents = ["p q r", "s t", "", "p q r", "u p", "v w", "x y"]
    for b in (0.75, 1.0):
        scores = BM25(documents, b=b).scores("r p u")
        assert scores[0] == scores[3] > 0
        assert scores[2] == 0.0


def test_a_query_given_twice_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    index = BM25(["a b", "c d", "e f", "g h"])
    seen: list[list[str]] = []
    add_up = BM25._add_up

    def counted(self: BM25, queries: object) -> np.ndarray:
        seen.append(list(queries))  # type: ignore[call-overload]
        return add_up(self, seen[-1])

    monkeypatch.setattr(BM25, "_add_up", counted)
    scores = index.score_many(["a", "c", "a", "a"])
    assert seen == [["a", "c"]]
    assert np.array_equal(scores, [index.scores(query) for query in ["a", "c", "a", "a"]])


def test_no_query_gives_no_row() -> None:
    assert BM25(["a", "b c"]).score_many([]).shape == (0, 2)


def test_words_are_lower_case_and_cut_at_whitespace_only() -> None:
    assert words_of("  Title: A\tb.\n\nÄ ") == ["title:", "a", "b.", "ä"]
    index = BM25(["One TWO", "three", "four", "five"])
    assert np.array_equal(index.scores("two ONE"), index.scores("Two one"))


@pytest.mark.parametrize(
    ("documents", "message"),
    [([], "empty catalogue"), (["", "  \n"], "no word in any of 2 documents")],
)
def test_a_catalogue_without_words_is_refused(documents: list[str], message: str) -> None:
    with pytest.raises(MethodError, match=message):
        BM25(documents)


@pytest.mark.parametrize(
    "parameters", [{"k1": 0.0}, {"k1": math.nan}, {"b": -0.1}, {"b": 1.1}, {"epsilon": math.inf}]
)
def test_parameters_out_of_range_are_refused(parameters: dict[str, float]) -> None:
    with pytest.raises(MethodError, match="k1 above 0"):
        BM25(["a"], **parameters)
