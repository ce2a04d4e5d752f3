"""What is minimised (paper, section 3.4): next-item generation and two contrastive losses.

Language-model losses come as sums over tokens, not means: a step's gradient is then the same in
however many passes its batch is read. Contrastive losses need the vectors of the whole batch at
once; `gradients` brings both together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from methods.calrec.backbone import Backbone
from methods.calrec.masks import right_padded
from methods.calrec.sequences import TrainingPair

IGNORED = -100


@dataclass(frozen=True)
class Weights:
    """The weights of the three losses; equation 4 has (1 - alpha - beta, alpha, beta)."""

    nig: float
    tt: float
    ut: float

    @classmethod
    def of(cls, alpha: float, beta: float) -> Weights:
        """Return those of the paper's total loss."""
        return cls(1 - alpha - beta, alpha, beta)

    @property
    def contrastive(self) -> bool:
        """Whether anything besides the generation loss counts."""
        return bool(self.tt or self.ut)


def read_histories(
    backbone: Backbone, pairs: Sequence[TrainingPair], pool_special: bool, generation: bool = True
) -> tuple[Any, Any, Any]:
    """Read history and target in one pass, the first tower.

    Args:
        backbone: the model.
        pairs: n of them.
        pool_special: whether the beginning-of-sequence token counts for the history's vector and
            the end-of-sequence token for the target's.
        generation: False leaves the generation loss out; it is then None.

    Returns:
        The sum of -log P(t_j | t_<j) over the target tokens, a scalar (equation 1, which is
        printed without the minus); v^U float32 [n, width], the mean of the final states over the
        history; v^TU float32 [n, width], the mean over the target.
    """
    ids, _ = right_padded([[*pair.prompt, *pair.target] for pair in pairs], backbone.eos_id)
    states, logits = _states(backbone, ids)
    spans = [_spans(pair, pool_special) for pair in pairs]
    users = pooled(states, [history for history, _ in spans])
    targets = pooled(states, [target for _, target in spans])
    loss = _generation_loss(backbone, states, logits, pairs) if generation else None
    return loss, users, targets


def read_targets(backbone: Backbone, pairs: Sequence[TrainingPair], pool_special: bool) -> Any:
    """Read the targets alone, the second tower; returns v^T, float32 [n, width].

    Without any prefix, behind the beginning-of-sequence token where the tokeniser has one.
    """
    opening = backbone.opening_ids
    # a target of nothing but its end has nothing else to pool
    texts = [
        [*opening, *(pair.target if pool_special else pair.target[:-1] or pair.target)]
        for pair in pairs
    ]
    ids, _ = right_padded(texts, backbone.eos_id)
    states, _ = _states(backbone, ids, logits=False)
    first = 0 if pool_special else len(opening)
    return pooled(states, [(first, len(text)) for text in texts])


def pooled(states: Any, spans: Sequence[tuple[int, int]]) -> Any:
    """Return the mean of float [n, length, width] over each row's span, float32 [n, width]."""
    import torch

    places = torch.arange(states.shape[1], device=states.device)
    starts, ends = torch.tensor(spans, device=states.device).T[:, :, None]
    share = ((places >= starts) & (places < ends)).float() / (ends - starts)
    with torch.autocast(states.device.type, enabled=False):  # products in float32, too
        return torch.bmm(share[:, None], states.float())[:, 0]


def contrastive_losses(
    users: Any, conditioned: Any, targets: Any, temperature: float, equal: Any | None = None
) -> tuple[Any, Any]:
    """Return L_TT and L_UT (equations 2 and 3), scalars.

    S_ji = cos(v_j, v_i^T) / temperature; the loss is the mean over targets i of
    log sum_j exp S_ji - S_ii. For a fixed target the sum runs over the *users* j of the batch, i
    among them: cross-entropy down the columns, not symmetric.

    Args:
        users: float [n, width], v^U.
        conditioned: float [n, width], v^TU.
        targets: float [n, width], v^T.
        temperature: divides cosines (the paper: 0.5).
        equal: bool [n, n], other users of the same target, left out of the sums; None for none.
    """
    import torch

    losses = []
    place = torch.arange(len(targets), device=targets.device)
    second = torch.nn.functional.normalize(targets.float(), dim=1)
    for vectors in (conditioned, users):
        first = torch.nn.functional.normalize(vectors.float(), dim=1)
        scores = second @ first.T / temperature  # row i: target i against all users
        if equal is not None:
            scores = scores.masked_fill(equal, -torch.inf)
        losses.append(torch.nn.functional.cross_entropy(scores, place))
    return losses[0], losses[1]


def language_model_loss(backbone: Backbone, windows: Sequence[Sequence[int]]) -> Any:
    """Return the summed negative log-likelihood of all tokens but the first of each window."""
    import torch

    ids, present = right_padded(windows, backbone.eos_id)
    # padded on the right: causal attention never looks there, so no mask is needed
    logits = backbone.model(
        input_ids=torch.from_numpy(ids).to(backbone.device), use_cache=False
    ).logits
    labels = np.where(present, ids, IGNORED)[:, 1:]
    return _summed(logits[:, :-1].flatten(0, 1), torch.from_numpy(labels).flatten())


def _states(backbone: Backbone, ids: Any, logits: bool = True) -> tuple[Any, Any]:
    """Return final states [n, length, width]; all logits too where the head is no plain one."""
    import torch

    return backbone.read(torch.from_numpy(ids).to(backbone.device), logits)


def _spans(pair: TrainingPair, pool_special: bool) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return where history and target stand that are pooled."""
    middle, end = len(pair.prompt), len(pair.prompt) + len(pair.target)
    first = 0 if pool_special or pair.n_opening >= middle else pair.n_opening
    last = end if pool_special or end - middle < 2 else end - 1
    return (first, middle), (middle, last)


def _generation_loss(
    backbone: Backbone, states: Any, logits: Any, pairs: Sequence[TrainingPair]
) -> Any:
    import torch

    rows = [row for row, pair in enumerate(pairs) for _ in pair.target]
    # a token is predicted one place before it stands
    places = [len(pair.prompt) - 1 + step for pair in pairs for step in range(len(pair.target))]
    labels = torch.tensor([token for pair in pairs for token in pair.target])
    chosen = logits[rows, places] if logits is not None else backbone.head(states[rows, places])
    return _summed(chosen, labels)


def _summed(logits: Any, labels: Any) -> Any:
    """Return the summed cross-entropy of float [n, vocabulary] and int64 [n], in float32."""
    import torch

    return torch.nn.functional.cross_entropy(
        logits.float(), labels.to(logits.device), ignore_index=IGNORED, reduction="sum"
    )
