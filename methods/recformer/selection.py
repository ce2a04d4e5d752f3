"""Which epoch of pre-training is kept: by the domain that the mixture sets aside for this."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from harness.histories import Histories
from methods.recformer.encoding import Encoder
from methods.recformer.settings import Settings
from methods.recformer.sources import PRETRAINING, VALIDATION, Domain


class Selection:
    """Measures how well users' next items are told from those of others (in-batch accuracy).

    Args:
        encoder: is measured.
        domain: with selection targets.
        rows: int64 [n], the users asked, in the order in which they share batches.
        size: users in a batch.
        precision: "float32" or "bfloat16", of products.
    """

    def __init__(
        self, encoder: Encoder, domain: Domain, rows: NDArray[np.int64], size: int, precision: str
    ) -> None:
        if domain.selection_targets is None:
            raise ValueError(f"{domain.name} has no selection targets")
        self._encoder, self._size, self._precision = encoder, size, precision
        targets = domain.selection_targets[rows]
        self._histories = domain.items.histories(domain.histories.select(rows))
        distinct, self._index = np.unique(domain.items.group[targets], return_inverse=True)
        # one item of each group stands for it
        _, first = np.unique(domain.items.group, return_index=True)
        self._items = domain.items.histories(
            Histories.from_lists([[item] for item in first[distinct]])
        )

    def accuracy(self) -> float:
        """Return the share of users whose item comes first, strictly, among their batch's.

        Items equal to the own do not count against it; who stands alone in a batch counts as
        right, in every epoch alike.
        """
        histories = self._encoder.vectors(self._histories, self._precision)
        items = self._encoder.vectors(self._items, self._precision)
        index = torch.from_numpy(self._index).to(items.device)
        found = 0
        for first in range(0, len(index), self._size):
            own = index[first : first + self._size]
            scores = histories[first : first + self._size] @ items[own].T
            others = scores.masked_fill(own[:, None] == own[None, :], -torch.inf)
            found += int((scores.diagonal() > others.max(1).values).sum())
        return found / len(index)


def selecting(
    encoder: Encoder, domains: Sequence[Domain], settings: Settings, precision: str, seed: int
) -> Selection | None:
    """Return what selects the checkpoint; None where no domain is set aside for it."""
    for domain in domains:
        n_users = len(domain.histories)
        if domain.selection_targets is not None and n_users:
            generator = np.random.default_rng([seed, PRETRAINING, VALIDATION])
            rows = generator.permutation(n_users)[: settings.pretraining_validation_users]
            return Selection(encoder, domain, rows, settings.pretraining_batch_size, precision)
    return None
