"""The Last Item Repeater on small catalogues, and its published figures on real data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from rank_bm25 import BM25Okapi

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import Input, RunContext, TrainingData
from harness.progress import Progress
from methods import lir
from methods._bm25 import BM25
from methods.lir import LastItemRepeater, LastItemRepeaterSettings

TEXTS = (
    "Title: red pen. Brand: acme.",
    "Title: blue pen. Brand: acme.",
    "Title: oak desk. Brand: woods.",
    "Title: red pen. Brand: acme.",  # a twin of item 0
    "Title: steel lamp. Brand: lumen.",
    "Title: desk lamp. Brand: lumen.",
    "Title: wool scarf. Brand: sheep.",
    "Title: green tea. Brand: leaf.",
)


def fitted(
    texts: tuple[str, ...] = TEXTS, *, inputs: frozenset[Input] | None = None, **values: bool
) -> LastItemRepeater:
    method = LastItemRepeater(LastItemRepeaterSettings(**values))
    data = TrainingData(
        dataset="toy",
        n_items=len(texts),
        histories=Histories.from_lists([[0, 1]]),
        verb="bought",
        inputs=LastItemRepeater.card.inputs if inputs is None else inputs,
        _item_texts=texts,
    )
    context = RunContext(
        seed=0,
        device="cpu",
        work_dir=Path(),
        progress=Progress(shown=False),
        validate_fn=lambda method, users: 0.0,
        log_fn=lambda values: None,
    )
    method.fit(data, context)
    return method


def all_items(texts: tuple[str, ...] = TEXTS) -> np.ndarray:
    return np.arange(len(texts))


def test_scores_are_those_of_rank_bm25_with_the_last_text_as_query() -> None:
    histories = Histories.from_lists([[4, 1], [1, 4], [5], [2, 2, 2]])
    scores = fitted().score(histories, all_items())
    peer = BM25Okapi([text.lower().split() for text in TEXTS])
    for row, last in enumerate([1, 4, 5, 2]):
        wanted = peer.get_scores(TEXTS[last].lower().split())
        assert scores[row].tobytes() == wanted.tobytes()


def test_the_last_item_and_its_twin_come_first_and_tie() -> None:
    scores = fitted().score(Histories.from_lists([[5, 0], [0, 3]]), all_items())
    for row in scores:
        assert row[0] == row[3] == row.max()
        assert (np.delete(row, [0, 3]) < row[0]).all()
    assert np.array_equal(scores[0], scores[1])


def test_an_empty_history_ties_all_items() -> None:
    scores = fitted().score(Histories.from_lists([[], [6], []]), all_items())
    assert not scores[[0, 2]].any()
    assert scores[1].argmax() == 6


def test_candidates_may_be_few_and_in_any_order() -> None:
    method, histories = fitted(), Histories.from_lists([[0], [], [5, 2]])
    candidates = np.array([6, 0, 2])
    assert np.array_equal(
        method.score(histories, candidates), method.score(histories, all_items())[:, candidates]
    )


def test_no_user_and_no_candidate() -> None:
    method = fitted()
    assert method.score(Histories.from_lists([]), all_items()).shape == (0, len(TEXTS))
    assert method.score(Histories.from_lists([[1]]), np.array([], np.int64)).shape == (1, 0)


def test_users_alone_score_as_in_a_batch() -> None:
    histories = Histories.from_lists([[item, (3 * item) % 8] for item in range(8)])
    batch = fitted().score(histories, all_items())
    for row in range(8):
        alone = fitted().score(histories.select(np.array([row])), all_items())
        assert alone[0].tobytes() == batch[row].tobytes()


def test_each_distinct_text_is_scored_once(monkeypatch: pytest.MonkeyPatch) -> None:
    queries: list[str] = []
    scores = BM25.scores

    def counted(self: BM25, query: str) -> np.ndarray:
        queries.append(query)
        return scores(self, query)

    monkeypatch.setattr(BM25, "scores", counted)
    method = fitted()
    method.score(Histories.from_lists([[0], [3], [5], [5]]), all_items())
    method.score(Histories.from_lists([[5], [0]]), all_items())
    assert queries == [TEXTS[0], TEXTS[5]]


def test_a_cache_without_room_changes_no_score(monkeypatch: pytest.MonkeyPatch) -> None:
    histories = Histories.from_lists([[item] for item in range(8)] * 2)
    wanted = fitted().score(histories, all_items())
    monkeypatch.setattr(lir, "CACHE_BYTES", 0)
    assert np.array_equal(fitted().score(histories, all_items()), wanted)


def test_exclude_last_withholds_the_item_and_nothing_else() -> None:
    histories = Histories.from_lists([[5, 0], [], [2]])
    plain = fitted().score(histories, all_items())
    without = fitted(exclude_last=True).score(histories, all_items())
    assert np.isneginf(without).nonzero()[0].tolist() == [0, 2]
    assert np.isneginf(without[0, 0])
    assert np.isneginf(without[2, 2])
    kept = ~np.isneginf(without)
    assert np.array_equal(without[kept], plain[kept])
    assert without[0].argmax() == 3  # the twin is another item


def test_scoring_again_gives_fresh_arrays() -> None:
    method, histories = fitted(), Histories.from_lists([[1], []])
    first = method.score(histories, all_items())
    wanted = first.copy()
    first[:] = 7.0
    assert np.array_equal(method.score(histories, all_items()), wanted)


def test_texts_are_asked_for_through_the_contract() -> None:
    with pytest.raises(MethodError, match="withheld"):
        fitted(inputs=frozenset())


def test_a_catalogue_without_items_is_refused() -> None:
    with pytest.raises(MethodError, match="empty catalogue"):
        fitted(())


def test_a_catalogue_of_one_item() -> None:
    scores = fitted(("Title: pen.",)).score(Histories.from_lists([[0], []]), np.array([0]))
    assert scores.shape == (2, 1)
    assert np.isfinite(scores).all()


def test_importing_the_method_loads_no_heavy_package() -> None:
    heavy = {"numba", "torch", "pandas", "rank_bm25"}
    command = f"import sys, methods.lir; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"
    root = Path(lir.__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", command], check=False, cwd=root, capture_output=True, text=True
    )
    assert (found.returncode, found.stderr.strip()) == (0, "")
