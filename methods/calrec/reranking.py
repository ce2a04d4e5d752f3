"""CALRec as a reranker of another method's best items: beyond the paper, never the default.

The paper names its limits: Recall@10, large catalogues, cold items. Here another method proposes
and the language model orders: an item's score is the log-probability of its text after the user's
prompt. Items that were not proposed keep the other method's order below.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError, UsageError
from harness.files import atomic_write
from harness.histories import Histories
from harness.method import NOT_SHARED, Input, Method, RunContext, TrainingData
from harness.registry import check_preset, load_method, source_hash
from harness.settings import Layer, resolve
from methods.calrec.backbone import Backbone
from methods.calrec.precision import generation_precision
from methods.calrec.texts import name_of

USERS_PER_FILE = 64
ALLOWED = {Input.ITEM_IDS, Input.ITEM_TEXT}
"""What a proposing method may read: what CALRec declares, and item ids, which all methods get."""


def proposer_class(name: str) -> tuple[type[Method], Any]:
    """Return the method that ``NAME`` or ``NAME:PRESET`` names, with its settings.

    Raises:
        UsageError: there is no such method or preset, or it reads what CALRec does not declare.
    """
    base, _, preset = name.partition(":")
    if base == "calrec":
        raise UsageError(f"calrec.rerank = {name!r}: name another method to rerank")
    entry = load_method(base)
    check_preset(entry, preset)
    more = entry.method.card.inputs - ALLOWED
    if more:
        raise UsageError(
            f"calrec.rerank = {name!r} reads {', '.join(sorted(more))}, which calrec does not "
            "declare; name a method of item ids or texts"
        )
    layers = [Layer(f"preset {preset}", entry.method.card.presets[preset])] if preset else []
    settings, _ = resolve(entry.method.Settings, base, layers)
    if entry.method.mixture(settings) is not None:
        raise UsageError(f"calrec.rerank = {name!r} wants a mixture of its own; name another one")
    return entry.method, settings


def proposer_identity(name: str) -> dict[str, str]:
    """Return the digest of the proposing method's code and what decides it from outside."""
    method, settings = proposer_class(name)
    code = source_hash(load_method(name.partition(":")[0]))
    external = method.external_inputs(settings)
    found = {"source": code, **external}
    return {f"{NOT_SHARED}reranked {key}": value for key, value in found.items()}


def fitted_proposer(name: str, data: TrainingData, context: RunContext) -> Method:
    """Fit the proposing method on the same training data."""
    kind, settings = proposer_class(name)
    method = kind(settings)
    folder = context.work_dir / "reranked"
    folder.mkdir(exist_ok=True)
    method.fit(
        dataclasses.replace(data, inputs=kind.card.inputs, sources=()),
        dataclasses.replace(context, work_dir=folder),
    )
    return method


def best(scores: NDArray[np.floating[Any]], k: int) -> NDArray[np.int64]:
    """Return up to ``k`` columns of float [n_items] with the highest scores, best first.

    A tie that reaches beyond the k-th is left out as a whole: which of equal items were taken
    would otherwise depend on their order in the catalogue.
    """
    finite = np.flatnonzero(scores > -np.inf)
    order = finite[np.argsort(-scores[finite], kind="stable")]
    if len(order) <= k:
        return order
    taken: NDArray[np.int64] = order[:k]
    return taken[scores[taken] > scores[order[k]]]


def reranked(
    base: NDArray[np.floating[Any]], items: NDArray[np.int64], log_probabilities: Sequence[float]
) -> NDArray[np.float64]:
    """Return float64 [n_items]: ``items`` on top by log-probability, the others as they were.

    Equal scores stay equal, minus infinity stays.
    """
    scores = np.full(len(base), -np.inf)
    finite = base > -np.inf
    _, ranks = np.unique(-base[finite], return_inverse=True)
    scores[finite] = -1.0 - ranks / max(1, len(base))  # in [-2, -1]
    # strictly rising in the log-probability, and between 0 and 1
    scores[items] = 1.0 / (1.0 - np.minimum(np.asarray(log_probabilities, dtype=np.float64), 0.0))
    return scores


class TextScorer:
    """Log-probabilities of many texts after one prompt, in one pass.

    The texts are laid out as a prefix tree behind the prompt: a position sees the prompt and its
    own beginnings alone, so what texts share is read once.
    """

    def __init__(self, backbone: Backbone) -> None:
        self._backbone = backbone

    def log_probabilities(
        self, prompt: Sequence[int], texts: Sequence[Sequence[int]]
    ) -> list[float]:
        """Return the sum of log-probabilities of each text's tokens, natural logarithm.

        Raises:
            MethodError: the model's logits are not finite.
        """
        import torch

        from methods.calrec.masks import attention_mask

        if not texts:
            return []
        parents, tokens, paths = _laid_out(texts)
        n, m = len(prompt), len(tokens)
        ancestors = np.zeros((m, m), dtype=bool)
        depth = np.zeros(m, dtype=np.int64)
        for node, parent in enumerate(parents):
            if parent >= 0:
                ancestors[node] = ancestors[parent]
                depth[node] = depth[parent] + 1
            ancestors[node, node] = True
        visible = np.zeros((n + m, n + m), dtype=bool)
        visible[:n, :n] = np.tril(np.ones((n, n), dtype=bool))
        visible[n:, :n], visible[n:, n:] = True, ancestors
        places = np.concatenate([np.arange(n), n + depth])
        backbone, device = self._backbone, self._backbone.device
        positions = torch.from_numpy(places).to(device)[None]
        seen = torch.from_numpy(visible).to(device)[None]
        distances = positions[:, :, None] - positions[:, None, :]
        backbone.model.eval()
        with torch.inference_mode(), generation_precision(device):
            logits = backbone.model(
                input_ids=torch.tensor([[*prompt, *tokens]], device=device),
                attention_mask=attention_mask(backbone.model, seen, distances),
                position_ids=positions,
                use_cache=False,
                logits_to_keep=m + 1,
            ).logits[0].float()  # fmt: skip
            # row 0 is the prompt's last position: a child of the root is predicted there
            before = torch.tensor([parent + 1 for parent in parents], device=device)
            steps = logits[before, torch.tensor(tokens, device=device)]
            steps = (steps - logits.logsumexp(1)[before]).double().cpu().numpy()
        if not np.isfinite(steps).all():
            raise MethodError("calrec's model gave logits that are NaN or infinite in reranking")
        return [float(steps[path].sum()) for path in paths]


def _laid_out(
    texts: Sequence[Sequence[int]],
) -> tuple[list[int], list[int], list[list[int]]]:
    """Return each node's parent (-1 for the root) and token, parents first; and texts' nodes."""
    index: dict[tuple[int, int], int] = {}
    parents: list[int] = []
    tokens: list[int] = []
    paths = []
    for text in texts:
        node, path = -1, []
        for token in text:
            found = index.setdefault((node, token), len(tokens))
            if found == len(tokens):
                parents.append(node)
                tokens.append(token)
            node = found
            path.append(node)
        paths.append(path)
    return parents, tokens, paths


class Reranker:
    """Scores users by another method's best items, ordered by CALRec's model.

    Args:
        proposer: the fitted other method.
        scorer: of texts.
        n_items: the catalogue's size.
        top_k: how many items are reordered.
        folder: where scores are kept, for a run that is stopped; None keeps nothing.
    """

    def __init__(
        self, proposer: Method, scorer: TextScorer, n_items: int, top_k: int,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        self._proposer, self._scorer, self._folder = proposer, scorer, folder
        self._all, self._top_k = np.arange(n_items, dtype=np.int32), top_k

    def scores(
        self, histories: Histories, prompts: Sequence[Sequence[int]], items: Any
    ) -> NDArray[np.float64]:
        """Return float64 [n_users, n_items].

        Args:
            histories: the users.
            prompts: one per user.
            items: index -> tokens of the item's text, the ending token included.
        """
        parts = []
        for start in range(0, len(histories), USERS_PER_FILE):
            rows = np.arange(start, min(start + USERS_PER_FILE, len(histories)))
            part = histories.select(rows)
            path = None if self._folder is None else self._folder / name_of(part, ".npy")
            if path is not None and path.exists():
                parts.append(_kept(path, (len(part), len(self._all))))
                continue
            found = self._scores(part, prompts[start : start + USERS_PER_FILE], items)
            if path is not None:
                with atomic_write(path) as stream:
                    np.save(stream, found)
            parts.append(found)
        return np.concatenate(parts) if parts else np.empty((0, len(self._all)))

    def _scores(
        self, histories: Histories, prompts: Sequence[Sequence[int]], items: Any
    ) -> NDArray[np.float64]:
        proposed = self._proposer.score(histories, self._all)
        found = np.empty(proposed.shape)
        for row, prompt in enumerate(prompts):
            chosen = best(proposed[row], self._top_k)
            texts = [tuple(items(int(index))) for index in chosen]
            # equal texts are scored once, and so tie
            distinct = list(dict.fromkeys(texts))
            scored = dict(
                zip(distinct, self._scorer.log_probabilities(prompt, distinct), strict=True)
            ) if distinct else {}  # fmt: skip
            found[row] = reranked(proposed[row], chosen, [scored[text] for text in texts])
        return found


def _kept(path: Path, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return scores that an earlier run kept.

    Raises:
        MethodError: the file is damaged.
    """
    try:
        found = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise MethodError(
            f"calrec cannot read the scores reranked earlier, {path} ({type(error).__name__}): "
            "delete the file to rerank anew"
        ) from error
    if found.shape != shape or found.dtype != np.float64:
        raise MethodError(f"calrec: {path} holds scores of other users or items; delete it")
    return np.asarray(found)
