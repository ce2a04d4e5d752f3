"""The catalogue as a prefix tree of tokens: what may be written next, and when one is certain."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ids = tuple[int, ...]


class Trie:
    """A prefix tree over token sequences, none of which begins another one.

    Args:
        sequences: token ids, each with the token that ends it; equal ones count once.

    Attributes:
        texts: the distinct sequences.
        only: int64 [n_nodes], the index in ``texts`` of the single one below a node, -1 where
            there are several. Node 0 is the root.
    """

    def __init__(self, sequences: Sequence[Sequence[int]]) -> None:
        self.texts: list[Ids] = sorted({tuple(sequence) for sequence in sequences})
        if not self.texts:
            raise ValueError("a trie needs a sequence")
        children: list[dict[int, int]] = [{}]
        below: list[list[int]] = [[len(self.texts), 0]]  # how many, and one of them
        for number, text in enumerate(self.texts):
            node = 0
            for token in text:
                node = children[node].setdefault(token, len(children))
                if node == len(children):
                    children.append({})
                    below.append([0, number])
                below[node][0] += 1
        counts = np.array([len(found) for found in children], dtype=np.int64)
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        # in the order of tokens, so that what is drawn does not depend on how the tree was built
        edges = [edge for found in children for edge in sorted(found.items())]
        self._tokens = np.array([token for token, _ in edges], dtype=np.int64)
        self._children = np.array([child for _, child in edges], dtype=np.int64)
        self.only: NDArray[np.int64] = np.array(
            [number if count == 1 else -1 for count, number in below], dtype=np.int64
        )

    def __len__(self) -> int:
        """Return the number of nodes."""
        return len(self.only)

    def allowed(self, nodes: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """Return what may follow each node, int64 [..., most], rising; and which places count.

        Places that do not count hold token 0.
        """
        starts, counts = self._starts[nodes], self._starts[nodes + 1] - self._starts[nodes]
        steps = np.arange(max(1, int(counts.max(initial=0))))
        present = steps < counts[..., None]
        places = np.where(present, starts[..., None] + steps, 0)
        return np.where(present, self._tokens[places], 0), present

    def moved(
        self, nodes: NDArray[np.int64], tokens: NDArray[np.int64]
    ) -> NDArray[np.int64]:  # fmt: skip
        """Return the children that allowed tokens lead to; arrays of equal shape."""
        flat = np.empty(nodes.size, dtype=np.int64)
        pairs = zip(nodes.ravel().tolist(), tokens.ravel().tolist(), strict=True)
        for place, (node, token) in enumerate(pairs):
            start, end = self._starts[node], self._starts[node + 1]
            found = start + np.searchsorted(self._tokens[start:end], token)
            if found == end or self._tokens[found] != token:
                raise ValueError(f"token {token} cannot follow node {node}")
            flat[place] = self._children[found]
        return flat.reshape(nodes.shape)


class TrieWalk:
    """Where the samples of a batch of users stand in the trie, as `SampleTree` grows them.

    Args:
        trie: over the catalogue.
        users: B at first.
        samples: R of each.
    """

    def __init__(self, trie: Trie, users: int, samples: int) -> None:
        self._trie = trie
        self._at = np.zeros((users, samples), dtype=np.int64)

    def restricted(self, logits: Any, node: Any, active: Any) -> tuple[Any, Any]:
        """Keep of float [B, Q, V] what may be written next at each node of the level.

        Args:
            logits: of the level's nodes.
            node: int64 [B, R], at which of them each sample stands.
            active: bool [B, R], samples that go on.

        Returns:
            float [B, Q, K], minus infinity where a node has fewer than K continuations; int64
            [B, Q, K], the tokens they are of. Nodes without active samples come as they may.
        """
        import torch

        users, width, _ = logits.shape
        level = np.zeros((users, width), dtype=np.int64)
        going, places = active.cpu().numpy(), node.cpu().numpy()
        rows, _ = np.nonzero(going)
        level[rows, places[going]] = self._at[going]
        tokens, present = self._trie.allowed(level)
        table = torch.from_numpy(tokens).to(logits.device)
        hidden = torch.from_numpy(~present).to(logits.device)
        return logits.gather(2, table).masked_fill(hidden, -torch.inf), table

    def moved(self, tokens: Any, active: Any) -> Any:
        """Follow the drawn tokens; returns bool [B, R], which active samples are certain now."""
        import torch

        going = active.cpu().numpy()
        self._at[going] = self._trie.moved(self._at[going], tokens.cpu().numpy()[going])
        certain = (self._trie.only[self._at] >= 0) & going
        return torch.from_numpy(certain).to(tokens.device)

    def select(self, rows: Any) -> None:
        """Keep some users."""
        self._at = self._at[rows.cpu().numpy()]

    def texts(self) -> list[list[Ids | None]]:
        """Return each sample's whole text, or None where it is not certain."""
        found = self._trie.only[self._at].tolist()
        return [[self._trie.texts[n] if n >= 0 else None for n in row] for row in found]
