"""What pre-training minimises, and the second views of histories that it needs (METHODS 5.3)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Int64Array = NDArray[np.int64]
BoolArray = NDArray[np.bool_]


# ---- losses --------------------------------------------------------------------------------------


def equal_others(targets: Any) -> Any:
    """Return which other rows have the same next item, bool [n, n], the diagonal False.

    Args:
        targets: int64 [n].
    """
    equal = targets[:, None] == targets[None, :]
    return equal.fill_diagonal_(False)


def cosines(states: Any, others: Any) -> Any:
    """Return the cosines of all pairs of rows, [n, n], for two tables [n, width]."""
    from torch.nn.functional import normalize

    return normalize(states, dim=-1) @ normalize(others, dim=-1).T


def contrastive_loss(similar: Any, equal: Any, temperature: float) -> Any:
    """Return the mean loss of telling each row's own counterpart from the batch's (InfoNCE).

    A row's loss is ``-log(exp(own) / sum over the batch of exp(logit))``, with the own pair in the
    sum. As in UniSRec, another row with the same next item is not left out of the sum: its logit is
    replaced by 0 before the exponential, so that it adds 1.

    Args:
        similar: float [n, n], the cosine of row i and counterpart j.
        equal: bool [n, n], see `equal_others`.
        temperature: divides cosines.
    """
    logits = (similar / temperature).masked_fill(equal, 0.0)
    return (logits.logsumexp(dim=1) - logits.diagonal()).mean()


def accuracy(similar: Any, equal: Any) -> float:
    """Return the share of rows whose own counterpart is more similar than every different one.

    Args:
        similar: float [n, n], see `contrastive_loss`.
        equal: bool [n, n]; what it marks is no mistake.
    """
    import torch

    own = torch.eye(len(similar), dtype=torch.bool, device=similar.device)
    best_other = similar.detach().masked_fill(equal | own, -torch.inf).amax(dim=1)
    return float((similar.detach().diagonal() > best_other).double().mean())


# ---- second views --------------------------------------------------------------------------------


def with_items_dropped(
    items: Int64Array, lengths: Int64Array, chance: float, generator: np.random.Generator
) -> tuple[Int64Array, Int64Array]:
    """Return histories without some of their items, and their lengths; the first one always stays.

    Args:
        items: int64 [n, longest], right-padded with 0; left as it is.
        lengths: int64 [n], at least 1.
        chance: of each later item to be dropped; the order of the others is kept.
        generator: draws.
    """
    kept = generator.random(items.shape) >= chance
    kept[:, 0] = True
    kept &= np.arange(items.shape[1]) < lengths[:, None]
    left = np.argsort(~kept, axis=1, kind="stable")
    n_kept = kept.sum(axis=1, dtype=np.int64)
    moved = np.take_along_axis(np.where(kept, items, 0), left, axis=1)
    return moved[:, : n_kept.max(initial=1)].copy(), n_kept


def swapped_positions(
    items: Int64Array, chance: float, generator: np.random.Generator
) -> BoolArray:
    """Return bool [n, longest]: where the item's second vector is read, never at padding.

    Args:
        items: int64 [n, longest], right-padded with 0.
        chance: of each position.
        generator: draws.
    """
    return (generator.random(items.shape) < chance) & (items > 0)
