"""The cache of score vectors: what it keeps, what it forgets, what it never changes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods._vector_cache import VectorCache

ROW_BYTES = 4 * 8


def lengths(texts: Sequence[str]) -> list[np.ndarray]:
    return [np.full(4, float(len(text))) for text in texts]


def test_a_text_is_computed_once_while_kept() -> None:
    cache = VectorCache(10 * ROW_BYTES)
    cache.vectors(["a", "bb", "a"], lengths)
    found = cache.vectors(["bb", "ccc"], lengths)
    assert set(found) == {"bb", "ccc"}
    assert (cache.computed, len(cache), cache.held_bytes) == (3, 3, 3 * ROW_BYTES)


def test_the_text_unused_for_longest_is_forgotten() -> None:
    cache = VectorCache(2 * ROW_BYTES)
    cache.vectors(["a"], lengths)
    cache.vectors(["b"], lengths)
    cache.vectors(["a"], lengths)
    cache.vectors(["c"], lengths)  # forgets "b"
    assert cache.computed == 3
    cache.vectors(["a", "c"], lengths)
    assert cache.computed == 3
    cache.vectors(["b"], lengths)
    assert cache.computed == 4


def test_a_vector_beyond_the_bound_is_returned_and_not_kept() -> None:
    cache = VectorCache(ROW_BYTES - 1)
    assert cache.vectors(["abc"], lengths)["abc"].tolist() == [3.0] * 4
    assert (len(cache), cache.held_bytes) == (0, 0)


def test_what_is_kept_cannot_be_changed() -> None:
    vector = VectorCache(ROW_BYTES).vectors(["abc"], lengths)["abc"]
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


def test_compute_gets_a_few_texts_at_a_time() -> None:
    sizes: list[int] = []

    def compute(texts: Sequence[str]) -> list[np.ndarray]:
        sizes.append(len(texts))
        return lengths(texts)

    VectorCache(0).vectors([str(number) for number in range(7)], compute, at_once=3)
    assert sizes == [3, 3, 1]


@given(st.lists(st.lists(st.text("ab", max_size=3), max_size=6)), st.integers(0, 6))
def test_the_bound_holds_and_changes_no_answer(calls: list[list[str]], rows: int) -> None:
    cache = VectorCache(rows * ROW_BYTES)
    for texts in calls:
        found = cache.vectors(texts, lengths)
        assert set(found) == set(texts)
        assert all((vector == len(text)).all() for text, vector in found.items())
        assert cache.held_bytes == len(cache) * ROW_BYTES <= rows * ROW_BYTES
