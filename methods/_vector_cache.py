"""A cache of score vectors by text, bounded by the bytes that it holds."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

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

    def vectors(
        self,
        texts: Sequence[str],
        compute: Callable[[Sequence[str]], Iterable[Vector]],
        *,
        at_once: int = 32,
    ) -> dict[str, Vector]:
        """Return the vector of each of ``texts``, those not kept by calls of ``compute``.

        Args:
            texts: may repeat; each distinct one is computed once at most.
            compute: returns one vector for each of the texts given, each owning its memory: a
                row of a table would keep the whole table alive.
            at_once: how many texts ``compute`` gets in one call.
        """
        found: dict[str, Vector] = {}
        missing: list[str] = []
        for text in dict.fromkeys(texts):
            kept = self._vectors.get(text)
            if kept is None:
                missing.append(text)
            else:
                self._vectors.move_to_end(text)
                found[text] = kept
        for start in range(0, len(missing), at_once):
            block = missing[start : start + at_once]
            for text, vector in zip(block, compute(block), strict=True):
                found[text] = vector
                self._keep(text, vector)
        self.computed += len(missing)
        return found

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
