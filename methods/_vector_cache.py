"""A cache of score vectors by text, bounded by the bytes that it holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class VectorCache:
    """Keeps the vectors used last, read-only, as long as they fit into ``max_bytes`` together.

    A vector larger than the bound is not kept: a small bound costs time, it changes no answer.

    Attributes:
        computed: how many vectors were computed so far.
        held_bytes: the size of the vectors kept now.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.held_bytes = 0
        self.computed = 0
        self._vectors: OrderedDict[str, Vector] = OrderedDict()

    def __len__(self) -> int:
        return len(self._vectors)

    def vector(self, text: str, compute: Callable[[str], Vector]) -> Vector:
        """Return the vector kept for ``text``, else ``compute(text)``, which becomes read-only."""
        vector = self._vectors.get(text)
        if vector is not None:
            self._vectors.move_to_end(text)
            return vector
        vector = compute(text)
        self.computed += 1
        self._keep(text, vector)
        return vector

    def _keep(self, text: str, vector: Vector) -> None:
        """Keep a new vector and forget those unused for longest."""
        vector.setflags(write=False)
        if vector.nbytes > self.max_bytes:
            return
        self._vectors[text] = vector
        self.held_bytes += vector.nbytes
        while self.held_bytes > self.max_bytes:
            _, forgotten = self._vectors.popitem(last=False)
            self.held_bytes -= forgotten.nbytes
