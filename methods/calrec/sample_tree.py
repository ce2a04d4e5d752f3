"""The samples of a batch of users as they grow: a tree of beginnings below each prompt.

The samples of one user share their beginnings: the prompt, and often the first tokens of a text.
The prompt is read once; at each step every distinct beginning is read once, as one more position
of the user's single row, and may attend to the prompt and to its own ancestors alone. That is exact
(each position sees just what it would see in a row of its own) and needs neither copies of the
prompt's cache nor any reading of equal beginnings twice. Finished samples leave the tree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from methods.calrec.backbone import Backbone
from methods.calrec.masks import attention_mask, left_padded
from methods.calrec.trie import Ids, Trie, TrieWalk


class LogitsError(Exception):
    """The model's logits are no distribution, for the prompt of the index ``prompt``."""

    def __init__(self, prompt: int) -> None:
        super().__init__(prompt)
        self.prompt = prompt


@dataclass(frozen=True)
class Sample:
    """One generated text.

    Attributes:
        ids: its tokens, the stop token included where there is one.
        log_probability: sum over these of the log-probability under the model as it is, not under
            the tempered one.
        stopped: False where the length limit cut the text off.
        n_drawn: how many of the tokens were drawn; the rest of a text that is certain is not.
    """

    ids: tuple[int, ...]
    log_probability: float
    stopped: bool
    n_drawn: int


class SampleTree:
    """The samples of a batch of B users, R each, as they grow token by token.

    Attributes (torch tensors, Q nodes per user at the present level, K keys in the cache):
        node: int64 [B, R], the node of the present level at which each sample stands.
        visible: bool [B, Q, K], which cached positions each node of the level may attend to.
        active: bool [B, R], samples that have not stopped.

    Users whose samples have all stopped leave these arrays and the cache now and then; what was
    sampled for all users at first stays in ``_tokens``, ``_n_tokens`` and ``_scores``, where
    ``_places`` int64 [B] says which rows those still there have.
    """

    def __init__(
        self,
        backbone: Backbone,
        prompts: Sequence[Sequence[int]],
        uniforms: Sequence[NDArray[np.float64]],
        trie: Trie | None = None,
    ) -> None:
        import torch
        from transformers import DynamicCache

        self._backbone = backbone
        device = backbone.device
        self._uniforms = torch.from_numpy(np.stack(uniforms)).to(device)
        users, samples, self._max_new = self._uniforms.shape
        ids, present = left_padded(prompts, backbone.eos_id)
        self._lengths = torch.tensor([len(prompt) for prompt in prompts], device=device)
        self._cache = DynamicCache()
        self._stops = torch.tensor(backbone.stop_ids, device=device)
        self._ids = torch.from_numpy(ids).to(device)
        self.visible = torch.from_numpy(present).to(device)[:, None, :]
        self._positions = (self.visible[:, 0].long().cumsum(1) - 1).clamp(min=0)
        self.node = torch.zeros(users, samples, dtype=torch.int64, device=device)
        self.active = torch.ones(users, samples, dtype=torch.bool, device=device)
        self._tokens = torch.zeros(users, samples, self._max_new, dtype=torch.int64, device=device)
        self._n_tokens = torch.zeros(users, samples, dtype=torch.int64, device=device)
        self._scores = torch.zeros(users, samples, dtype=torch.float64, device=device)
        self._running = torch.ones_like(self.active)
        self._places = torch.arange(users, device=device)
        self._walk = None if trie is None else TrieWalk(trie, users, samples)
        self._whole: list[list[Ids | None]] = [[None] * samples for _ in range(users)]

    def grown(self, temperature: float) -> list[list[Sample]]:
        """Grow all samples to their ends and return them, user by user."""
        logits = self._read_prompts()
        for step in range(self._max_new):
            tokens = self._extended(logits, step, temperature)
            if step + 1 == self._max_new or not bool(self.active.any()):
                break
            logits = self._read_level(self._without_finished_users(tokens), step)
        return self._samples()

    def _read_prompts(self) -> Any:
        """Fill the cache with the prompts; returns logits [B, 1, V] of the token after each."""
        present = self.visible[:, 0].long()
        return self._backbone.model(
            input_ids=self._ids,
            attention_mask=present,
            position_ids=self._positions,
            past_key_values=self._cache,
            use_cache=True,
            logits_to_keep=1,
        ).logits

    def _extended(self, logits: Any, step: int, temperature: float) -> Any:
        """Draw a token for every active sample, count its score; returns int64 [B, R]."""
        logits, table = logits.float(), None
        if self._walk is not None:
            self._normaliser(logits)  # of all tokens: a broken model shows there
            logits, table = self._walk.restricted(logits, self.node, self.active)
        normaliser = self._normaliser(logits)
        tokens = draw(logits, self.node, self._uniforms[:, :, step], temperature)
        users = self.node.new_tensor(range(len(self.node)))[:, None]
        gained = logits[users, self.node, tokens] - normaliser
        if table is not None:
            tokens = table[users, self.node, tokens]
        self._tokens[self._places, :, step] = tokens
        self._n_tokens[self._places] += self.active
        self._scores[self._places] += gained.where(self.active, gained.new_zeros(())).double()
        self.active = self.active & ~self._ended(tokens)
        self._running[self._places] = self.active
        return tokens

    def _normaliser(self, logits: Any) -> Any:
        """Return [B, R], the log of the sum that turns logits into probabilities, if it is finite.

        A single NaN or positive infinity among the logits, or no finite one at all, shows in it.
        """
        normaliser = logits.logsumexp(2).gather(1, self.node)
        broken = (self.active & ~normaliser.isfinite()).any(1)
        if bool(broken.any()):
            raise LogitsError(int(self._places[broken][0]))
        return normaliser

    def _without_finished_users(self, tokens: Any) -> Any:
        """Drop users without active samples once half are such; returns the others' ``tokens``.

        Not at every step, because the cache is copied: a few users with long texts would else
        drag all others along to the length limit.
        """
        kept = self.active.any(1).nonzero()[:, 0]
        if 2 * len(kept) > len(self.active):
            return tokens
        self._cache.batch_select_indices(kept)
        self._uniforms, self._lengths = self._uniforms[kept], self._lengths[kept]
        self.node, self.visible = self.node[kept], self.visible[kept]
        self._positions = self._positions[kept]
        if self._walk is not None:
            self._keep_whole_texts()
            self._walk.select(kept)
        self.active, self._places = self.active[kept], self._places[kept]
        return tokens[kept]

    def _ended(self, tokens: Any) -> Any:
        """Return bool [B, R], which of the samples end with these tokens."""
        import torch

        if self._walk is not None:
            return self._walk.moved(tokens, self.active)
        return torch.isin(tokens, self._stops)

    def _keep_whole_texts(self) -> None:
        """Keep the texts that are certain, before their users leave the arrays."""
        if self._walk is not None:
            for place, texts in zip(self._places.tolist(), self._walk.texts(), strict=True):
                self._whole[place] = texts

    def _read_level(self, tokens: Any, step: int) -> Any:
        """Put each distinct beginning into the tree and read it; returns logits [B, Q, V]."""
        import torch

        parents, level_tokens = self._new_nodes(tokens)
        users, width = parents.shape
        own = torch.eye(width, dtype=torch.bool, device=parents.device).expand(users, -1, -1)
        index = parents[:, :, None].expand(-1, -1, self.visible.shape[2])
        self.visible = torch.cat([self.visible.gather(1, index), own], dim=2)
        positions = (self._lengths[:, None] + step).expand(-1, width)
        self._positions = torch.cat([self._positions, positions], dim=1)
        distances = positions[:, :, None] - self._positions[:, None, :]
        return self._backbone.model(
            input_ids=level_tokens,
            attention_mask=attention_mask(self._backbone.model, self.visible, distances),
            position_ids=positions,
            past_key_values=self._cache,
            use_cache=True,
        ).logits

    def _new_nodes(self, tokens: Any) -> tuple[Any, Any]:
        """Make a node of every distinct (node, token) of active samples, and move `node` there.

        Returns parents and tokens of the new level, both int64 [B, Q]; users with fewer nodes
        than Q are filled up with copies of node 0 that no sample stands at.
        """
        import torch

        active = self.active.cpu().numpy()
        node, drawn = self.node.cpu().numpy(), tokens.cpu().numpy()
        vocabulary = int(drawn.max()) + 1
        keys = node * vocabulary + drawn
        levels = []
        moved = np.zeros_like(node)
        for user, rows in enumerate(active):
            distinct, places = np.unique(keys[user, rows], return_inverse=True)
            moved[user, rows] = places
            levels.append(distinct)
        width = max(map(len, levels))
        table = np.zeros((len(levels), width), dtype=np.int64)
        for user, distinct in enumerate(levels):
            table[user, : len(distinct)] = distinct
        device = tokens.device
        self.node = torch.from_numpy(moved).to(device)
        parents, level_tokens = np.divmod(table, vocabulary)
        return torch.from_numpy(parents).to(device), torch.from_numpy(level_tokens).to(device)

    def _samples(self) -> list[list[Sample]]:
        self._keep_whole_texts()
        tokens, counts = self._tokens.tolist(), self._n_tokens.tolist()
        scores, running = self._scores.tolist(), self._running.tolist()
        return [
            [
                Sample(tuple(ids[:count]) if whole is None else whole, score, not unstopped, count)
                for ids, count, score, unstopped, whole in zip(*rows, strict=True)
            ]
            for rows in zip(tokens, counts, scores, running, self._whole, strict=True)
        ]


def draw(logits: Any, node: Any, uniforms: Any, temperature: float) -> Any:
    """Draw one token per sample by inverting the cumulative distribution.

    Args:
        logits: floating [B, Q, V].
        node: int64 [B, R], which of the Q distributions a sample draws from.
        uniforms: float64 [B, R] in [0, 1).
        temperature: see `generate`.

    Returns:
        int64 [B, R]; a token of probability 0 is never drawn.
    """
    import torch

    if temperature == 0:
        return logits.argmax(2).gather(1, node)
    cumulative = (logits / temperature).softmax(2).cumsum(2, dtype=torch.float64)
    # every sample's number is looked up in all of its user's distributions and one look-up is
    # kept: cheaper than a copy of its distribution for every sample
    wanted = uniforms[:, None, :].expand(-1, logits.shape[1], -1) * cumulative[:, :, -1:]
    found = torch.searchsorted(cumulative, wanted.contiguous(), right=True)
    return found.gather(1, node[:, None, :])[:, 0].clamp(max=logits.shape[2] - 1)
