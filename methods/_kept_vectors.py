"""Vectors that are dear to make, kept where all methods and runs find them."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.files import atomic_write, canonical_json, sha256_text
from harness.method import RunContext

FILE = "vectors.npy"


def kept(
    facts: Mapping[str, Any],
    make: Callable[[], NDArray[np.float32]],
    n_rows: int,
    context: RunContext,
    owner: str,
) -> NDArray[np.float32]:
    """Return vectors from where they are kept; they are made, once, where they are not.

    Args:
        facts: all that decides them, as JSON can hold it.
        make: makes them, finite float32 [n_rows, width].
        n_rows: how many there are.
        context: knows the place.
        owner: the method's name, for messages.
    """
    key = f"item vectors {sha256_text(canonical_json(facts))}"
    with context.shared(key, for_all_methods=True) as folder:
        path = folder / FILE
        if path.is_file():
            found = _read(path, n_rows)
            if found is not None:
                return found
            context.progress.say(f"{owner}: {path} is damaged; its texts are encoded anew")
        vectors = make()
        with atomic_write(path) as stream:
            np.save(stream, vectors, allow_pickle=False)
        return vectors


def _read(path: Path, n_rows: int) -> NDArray[np.float32] | None:
    """Return the vectors in a file; None where it is damaged."""
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    whole = isinstance(found, np.ndarray) and found.dtype == np.float32 and found.ndim == 2
    return found if whole and len(found) == n_rows and np.isfinite(found).all() else None


@contextlib.contextmanager
def random_numbers_kept() -> Iterator[None]:
    """Leave random numbers as if vectors that are made in the block had been found instead.

    Imports, and weights that a model draws before it reads its own, would move them on.
    """
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
