"""Hierarchical matching: the finest level that matches, its scores, and what is counted."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MethodError
from harness.metrics import BOUNDS, METRICS
from harness.ranking import UNRANKED, rank_targets
from methods.calrec.attributes import attributes
from methods.calrec.matching import HierarchicalMatcher, MatchCounts
from methods.calrec.retrieval import GeneratedText


def item(*values: str) -> str:
    """An item's text, as the harness renders it."""
    labels = ("Title", "Category", "Brand", "Price")
    return " ".join(f"{label}: {value}." for label, value in zip(labels, values, strict=True))


ITEMS = (
    item("Lamp", "Home", "Ikea", "$5"),
    item("Lamp", "Home", "Ikea", "$6"),
    item("Lamp", "Home", "Muji", "$5"),
    item("Lamp", "Toys", "Lego", "$5"),
    item("Chair", "Home", "Ikea", "$5"),
    item("Chair", "Home", "Ikea", "$5"),
    item("Rug", "Home", "Muji", "$9"),
)
MALFORMED = (
    "",
    "  \n ",
    "Lamp",
    "Title:",
    "Title: Lamp.",
    "Title: Lamp. Brand: Ikea. Category: Home. Price: $5.",
    "title: Lamp. category: Home. brand: Ikea. price: $5.",
    "A Title: Lamp. Category: Home. Brand: Ikea. Price: $5.",
    "Title: Lamp. Category: Home. Brand: Ikea. Pri",
)


def scores_of(
    texts: Sequence[tuple[str, float]], *, n_predictions: int = 10, epsilon: float = 0.1,
    modulation: bool = True,
) -> list[float]:  # fmt: skip
    matcher = HierarchicalMatcher(
        ITEMS, n_predictions=n_predictions, epsilon=epsilon, modulation=modulation
    )
    return matcher.scores([GeneratedText(*text) for text in texts]).tolist()


def with_scores(found: dict[int, float]) -> list[float]:
    """Minus infinity for all items but these."""
    return [found.get(index, -math.inf) for index in range(len(ITEMS))]


@pytest.mark.parametrize(
    ("text", "level", "found"),
    [
        (item("Lamp", "Home", "Ikea", "$6"), 4, [1]),
        (item("Lamp", "Home", "Ikea", "$7"), 3, [0, 1]),
        (item("Lamp", "Home", "Lego", "$5"), 2, [0, 1, 2]),
        (item("Lamp", "Garden", "Ikea", "$5"), 1, [0, 1, 2, 3]),
        (item("Table", "Home", "Ikea", "$5"), 0, []),
        (item("Chair", "Home", "Ikea", "$5"), 4, [4, 5]),
        (item("LAMP", " hOme", "Muji", " $5"), 4, [2]),
    ],
)
def test_the_finest_level_that_matches_counts(text: str, level: int, found: list[int]) -> None:
    """All attributes, title with category and brand, title with category, title alone, none."""
    assert HierarchicalMatcher(ITEMS).matches(text) == (level, found)


def test_every_item_matches_its_own_text_in_all_attributes() -> None:
    matcher = HierarchicalMatcher(ITEMS)
    for index, text in enumerate(ITEMS):
        level, found = matcher.matches(text)
        assert level == 4
        assert index in found
        assert {ITEMS[other] for other in found} == {text}


def test_a_coarser_match_of_one_text_does_not_reach_beyond_its_finest() -> None:
    exact = item("Lamp", "Home", "Ikea", "$6")
    assert scores_of([(exact, 0.0)]) == with_scores({1: 1.0})


def test_items_found_by_one_text_tie_and_others_are_not_recommended() -> None:
    text = item("Lamp", "Home", "Kartell", "$5")
    expected = math.exp(0.1 * -3.0)
    assert scores_of([(text, -3.0)]) == with_scores(dict.fromkeys([0, 1, 2], expected))


def test_an_item_keeps_the_highest_score_of_the_texts_that_found_it() -> None:
    texts = [
        (item("Lamp", "Home", "Ikea", "$6"), -9.0),
        (item("Lamp", "Garden", "Ikea", "$5"), -2.0),
        (item("Lamp", "Home", "Ikea", "$7"), -4.0),
        (item("Chair", "Home", "Ikea", "$5"), -5.0),
    ]
    loud, quiet = math.exp(0.1 * -2.0), math.exp(0.1 * -5.0)
    expected = with_scores(dict.fromkeys([0, 1, 2, 3], loud) | dict.fromkeys([4, 5], quiet))
    assert scores_of(texts) == pytest.approx(expected, rel=1e-15)
    assert scores_of(texts[::-1]) == scores_of(texts)


def test_a_finer_match_does_not_outweigh_a_likelier_text() -> None:
    texts = [(ITEMS[6], -8.0), (item("Lamp", "Garden", "Ikea", "$5"), -2.0)]
    scores = scores_of(texts)
    assert scores[0] > scores[6] > -math.inf


def test_only_the_best_distinct_texts_are_kept() -> None:
    texts = [(ITEMS[6], -7.0), (ITEMS[4], -2.0), (ITEMS[1], -3.0), (ITEMS[4], -2.5)]
    best = {4: math.exp(-0.2), 5: math.exp(-0.2)}
    assert scores_of(texts, n_predictions=1) == with_scores(best)
    best |= {1: math.exp(0.1 * -3.0)}
    assert scores_of(texts, n_predictions=2) == pytest.approx(with_scores(best), rel=1e-15)
    best |= {6: math.exp(0.1 * -7.0)}
    assert scores_of(texts, n_predictions=3) == pytest.approx(with_scores(best), rel=1e-15)


def test_a_malformed_text_takes_a_place_among_the_kept_ones() -> None:
    texts = [("no item", -1.0), (ITEMS[6], -2.0)]
    assert scores_of(texts, n_predictions=1) == with_scores({})
    assert scores_of(texts, n_predictions=2) == with_scores({6: math.exp(-0.2)})


@pytest.mark.parametrize("off", [{"epsilon": 0.0}, {"modulation": False}])
def test_without_modulation_all_that_is_found_ties(off: dict[str, float]) -> None:
    texts = [(ITEMS[6], -math.inf), (ITEMS[4], -2.0)]
    assert scores_of(texts, **off) == with_scores({4: 1.0, 5: 1.0, 6: 1.0})


def test_a_text_of_probability_zero_still_finds_its_items() -> None:
    assert scores_of([(ITEMS[6], -math.inf)]) == with_scores({6: 0.0})


def test_no_samples_recommend_nothing() -> None:
    assert scores_of([]) == with_scores({})


@pytest.mark.parametrize("score", [math.nan, 0.5])
def test_a_score_that_is_no_log_probability_is_an_error(score: float) -> None:
    with pytest.raises(MethodError, match="generated text 1 has the log-probability"):
        scores_of([(ITEMS[6], -1.0), (ITEMS[4], score)])


def test_a_catalogue_without_labels_matches_whole_texts() -> None:
    matcher = HierarchicalMatcher(["A red lamp", "A blue  chair", "A Red Lamp"])
    assert matcher.labels == ()
    assert matcher.matches("a  RED lamp") == (1, [0, 2])
    assert matcher.matches("a red") == (0, [])
    assert matcher.matches("") == (0, [])
    counts = MatchCounts()
    matcher.count(["a red lamp", "a red", ""], counts)
    assert counts == MatchCounts(texts=3, format_errors=1, all_attributes=1, title=1)


def test_an_item_without_any_text_is_never_found() -> None:
    matcher = HierarchicalMatcher(["A red lamp", "", "A chair"])
    scores = matcher.scores([GeneratedText("", 0.0), GeneratedText("a chair", -1.0)])
    assert np.isneginf(scores).tolist() == [True, True, False]


def test_counts_and_shares_are_those_made_by_hand() -> None:
    """Repeated texts count as often as they came; a match in all attributes is one in title too."""
    matcher, counts = HierarchicalMatcher(ITEMS), MatchCounts()
    matcher.count([ITEMS[0], ITEMS[0], item("Lamp", "Home", "Ikea", "$7")], counts)
    assert counts == MatchCounts(texts=3, format_errors=0, all_attributes=2, title=3)
    texts = [item("Rug", "x", "y", "z"), item("Sofa", "Home", "Ikea", "$5"), "Lamp", "", ITEMS[5]]
    matcher.count(texts, counts)
    assert counts == MatchCounts(texts=8, format_errors=2, all_attributes=3, title=5)
    assert counts.shares() == {
        "format_error_share": 0.25,
        "all_attributes_match_share": 0.375,
        "title_match_share": 0.625,
    }


def test_the_shares_of_no_texts_are_zero() -> None:
    assert set(MatchCounts().shares().values()) == {0.0}


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_texts_are_format_errors_and_find_nothing(text: str) -> None:
    matcher, counts = HierarchicalMatcher(ITEMS), MatchCounts()
    matcher.count([text], counts)
    assert counts == MatchCounts(texts=1, format_errors=1)
    assert np.isneginf(matcher.scores([GeneratedText(text, -1.0)])).all()


LABEL_WORDS = st.sampled_from(["Title:", "Category:", "Brand:", "Price:", "Lamp.", "Home.", "$5."])


@given(st.text(max_size=40) | st.lists(LABEL_WORDS, max_size=12).map(" ".join))
def test_any_text_can_be_matched_and_counted(text: str) -> None:
    matcher, counts = HierarchicalMatcher(ITEMS), MatchCounts()
    matcher.count([text], counts)
    malformed = attributes(text, matcher.labels) is None
    assert counts.format_errors == malformed
    assert counts.all_attributes <= counts.title <= 1 - malformed
    recommended = np.isfinite(matcher.scores([GeneratedText(text, -1.0)])).any()
    assert recommended == bool(counts.title)


def test_a_target_without_a_match_misses_in_every_metric_and_both_bounds() -> None:
    scores = np.array([scores_of([(item("Lamp", "Home", "Kartell", "$5"), -3.0)])] * 2)
    ranks = rank_targets(scores, np.array([6, 1]))
    assert ranks.optimistic.tolist() == [UNRANKED, 1]
    assert ranks.pessimistic.tolist() == [UNRANKED, 3]
    for metric in METRICS:
        for bound in BOUNDS:
            missed, found = metric.users(ranks.optimistic, ranks.pessimistic, bound)
            assert missed == 0
            assert found > 0 or (metric.name, bound) == ("Recall@1", "pessimistic")


def test_all_items_not_recommended_do_not_tie_as_found() -> None:
    ranks = rank_targets(np.array([scores_of([("no item", -1.0)])]), np.array([0]))
    for metric in METRICS:
        assert metric.values(ranks.optimistic).tolist() == [0.0]
        assert metric.values(ranks.pessimistic).tolist() == [0.0]
