"""The cache of score vectors: what it keeps, what it forgets, what it never changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from methods._vector_cache import VectorCache

ROW_BYTES = 4 * 8


def lengths(text: str) -> np.ndarray:
    return np.full(4, float(len(text)))


def test_a_text_is_computed_once_while_kept() -> None:
    cache = VectorCache(10 * ROW_BYTES)
    for text in ["a", "bb", "a", "bb", "ccc"]:
        assert cache.vector(text, lengths).tolist() == [len(text)] * 4
    assert (cache.computed, len(cache), cache.held_bytes) == (3, 3, 3 * ROW_BYTES)


def test_the_text_unused_for_longest_is_forgotten() -> None:
    cache = VectorCache(2 * ROW_BYTES)
    for text in ["a", "b", "a", "c"]:  # "c" drives out "b"
        cache.vector(text, lengths)
    assert cache.computed == 3
    for text in ["a", "c"]:
        cache.vector(text, lengths)
    assert cache.computed == 3
    cache.vector("b", lengths)
    assert cache.computed == 4


def test_a_vector_beyond_the_bound_is_returned_and_not_kept() -> None:
    cache = VectorCache(ROW_BYTES - 1)
    assert cache.vector("abc", lengths).tolist() == [3.0] * 4
    assert (len(cache), cache.held_bytes) == (0, 0)


def test_what_is_kept_cannot_be_changed() -> None:
    vector = VectorCache(ROW_BYTES).vector("abc", lengths)
    with pytest.raises(ValueError, match="read-only"):
        vector[0] = 1.0


@given(st.lists(st.text("ab", max_size=3), max_size=25), st.integers(0, 6))
def test_the_bound_holds_and_changes_no_answer(texts: list[str], rows: int) -> None:
    cache = VectorCache(rows * ROW_BYTES)
    for text in texts:
        assert (cache.vector(text, lengths) == len(text)).all()
        assert cache.held_bytes == len(cache) * ROW_BYTES <= rows * ROW_BYTES
