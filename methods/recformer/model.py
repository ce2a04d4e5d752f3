"""The network: transformers' Longformer with two more embeddings, and a quicker attention.

A token's embedding is the sum of word, position, kind (`methods.recformer.tokens`) and item
position. Attention is local, except that the first token attends to all and all attend to it.
There is no pooling layer.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn
from torch.nn.functional import dropout, linear, scaled_dot_product_attention
from transformers import LongformerConfig, LongformerModel

from methods.recformer.settings import FIRST, QUICK
from methods.recformer.tokens import N_TYPES, Padded


class Recformer(nn.Module):
    """Reads token sequences, gives a state for each token and a vector for each sequence.

    Args:
        config: of the Longformer; ``attention_window`` holds one number, ``type_vocab_size`` must
            be `N_TYPES`.
        max_items: items of a history at most; the item-position table has one row more, 0 for
            the first token, and its last row is shared by the oldest item and padding.
        pooling: "first" or "mean".
        attention: "quick" or "sliding".

    Raises:
        ValueError: the configuration does not have `N_TYPES` token types.
    """

    def __init__(
        self, config: LongformerConfig, max_items: int, pooling: str = FIRST, attention: str = QUICK
    ) -> None:
        super().__init__()
        if config.type_vocab_size != N_TYPES:
            raise ValueError(f"Recformer needs {N_TYPES} token types, not {config.type_vocab_size}")
        self.longformer: Any = LongformerModel(config, add_pooling_layer=False)
        self.item_positions = nn.Embedding(max_items + 1, config.hidden_size)
        nn.init.normal_(self.item_positions.weight, std=config.initializer_range)
        self.config, self.pooling, self.attention = config, pooling, attention
        self.window = _window(config)

    @property
    def width(self) -> int:
        """Columns of a state."""
        return int(self.config.hidden_size)

    @property
    def max_positions(self) -> int:
        """Tokens of a sequence at most."""
        return int(self.config.max_position_embeddings - self.config.pad_token_id - 1)

    def set_attention_dropout(self, share: float) -> None:
        """Drop another share of attention weights while training than the configuration says."""
        for layer in self.longformer.encoder.layer:
            layer.attention.self.dropout = share

    def forward(self, batch: Padded) -> torch.Tensor:
        """Return the vectors of a batch of sequences, float [n, width]."""
        return self.pool(self.states(batch), batch)

    def states(self, batch: Padded) -> torch.Tensor:
        """Return the state of every token, float [n, width of the batch, width]."""
        device = self.item_positions.weight.device
        ids, types, items = (
            torch.from_numpy(part).to(device) for part in (batch.ids, batch.types, batch.items)
        )
        columns = torch.arange(ids.shape[1], device=device)
        real = columns < torch.from_numpy(batch.lengths).to(device)[:, None]
        pad = self.config.pad_token_id
        positions = torch.where(real, columns + pad + 1, pad)
        words = self.longformer.embeddings.word_embeddings(ids) + self.item_positions(items)
        if self.attention == QUICK:
            embedded = self.longformer.embeddings(
                inputs_embeds=words, token_type_ids=types, position_ids=positions
            )
            return self._quick(embedded, real)
        return self._sliding(words, types, positions, real)

    def pool(self, states: torch.Tensor, batch: Padded) -> torch.Tensor:
        """Return one vector for each sequence, float [n, width]."""
        if self.pooling == FIRST:
            return states[:, 0]
        lengths = torch.from_numpy(batch.lengths).to(states.device)
        real = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        return (states * real[..., None]).sum(1) / lengths[:, None].to(states.dtype)

    def _sliding(
        self, words: torch.Tensor, types: torch.Tensor, positions: torch.Tensor, real: torch.Tensor
    ) -> torch.Tensor:
        """Return states by transformers' own attention, which wants a multiple of the window."""
        n_tokens = words.shape[1]
        more = -n_tokens % self.window
        pad = self.config.pad_token_id
        first = torch.zeros_like(types)
        first[:, 0] = 1
        outputs = self.longformer(
            inputs_embeds=nn.functional.pad(words, (0, 0, 0, more)),
            token_type_ids=nn.functional.pad(types, (0, more)),
            position_ids=nn.functional.pad(positions, (0, more), value=pad),
            attention_mask=nn.functional.pad(real.long(), (0, more)),
            global_attention_mask=nn.functional.pad(first, (0, more)),
        )
        states: torch.Tensor = outputs.last_hidden_state[:, :n_tokens]
        return states

    def _quick(self, states: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Return states by attention in blocks, or over all tokens where that is less work."""
        blocks = states.shape[1] > 2 * self.window
        mask = block_mask(real, self.window) if blocks else local_mask(real, self.window)
        local = block_attention if blocks else dense_attention
        for layer in self.longformer.encoder.layer:
            attention = layer.attention.self
            attended = local(attention, states, mask, self.window)
            first = first_token(attention, states, real)
            attended = torch.cat([first[:, None], attended[:, 1:]], dim=1)
            states = layer.ff_chunk(layer.attention.output(attended, states))
        return states


# ---- local attention -----------------------------------------------------------------------------


def local_mask(real: torch.Tensor, window: int) -> torch.Tensor:
    """Return which token may attend to which, bool [n, 1, tokens, tokens]; rows are those who do.

    Args:
        real: bool [n, tokens], False for padding.
        window: tokens that local attention reaches, half of them on either side.
    """
    columns = torch.arange(real.shape[1], device=real.device)
    distance = (columns[:, None] - columns[None, :]).abs()
    near = (distance <= window // 2) | (columns == 0)
    # padding attends to itself, for a row without any would be no number; nobody reads it
    mask = (near & real[:, None, :]) | (distance == 0)
    return mask[:, None]


def dense_attention(
    attention: Any, states: torch.Tensor, mask: torch.Tensor, window: int
) -> torch.Tensor:
    """Return local attention of all tokens, float [n, tokens, width]; the first row is no use.

    Args:
        attention: a ``LongformerSelfAttention``, whose projections are used.
        states: float [n, tokens, width].
        mask: from `local_mask`.
        window: not needed here.
    """
    query, key, value = _projected(attention, states)
    return _joined(_attend(attention, query, key, value, mask))


def block_mask(real: torch.Tensor, window: int) -> torch.Tensor:
    """Return which key each query of a block may attend to, bool [n * blocks, 1, window, keys].

    A block of ``window`` queries sees the first token and then ``2 * window`` tokens, from half a
    window before it to half a window after it.
    """
    n_rows, n_tokens = real.shape
    half, n_blocks = window // 2, -(-n_tokens // window)
    around = nn.functional.pad(real, (half, n_blocks * window - n_tokens + half))
    seen = around.unfold(1, 2 * window, window)  # [n, blocks, 2 * window]
    query = torch.arange(window, device=real.device)
    key = torch.arange(2 * window, device=real.device)
    distance = key[None, :] - half - query[:, None]
    near = (distance.abs() <= half) & seen[:, :, None, :]
    # the first token is seen by all as a key of its own, and so not once more nearby
    near[:, 0, :, half] = False
    # a query of padding attends to the first token alone; nobody reads it
    first = torch.ones(n_rows, n_blocks, window, 1, dtype=torch.bool, device=real.device)
    return torch.cat([first, near], dim=-1).flatten(0, 1)[:, None]


def block_attention(
    attention: Any, states: torch.Tensor, mask: torch.Tensor, window: int
) -> torch.Tensor:
    """Return local attention, its work in proportion to the number of tokens.

    Args:
        attention: a ``LongformerSelfAttention``, whose projections are used.
        states: float [n, tokens, width].
        mask: from `block_mask`.
        window: tokens that local attention reaches.
    """
    n_rows, n_tokens, _ = states.shape
    half, n_blocks = window // 2, -(-n_tokens // window)
    more = n_blocks * window - n_tokens
    query, key, value = _projected(attention, states)
    heads, size = query.shape[1], query.shape[3]
    query = nn.functional.pad(query, (0, 0, 0, more))
    query = query.view(n_rows, heads, n_blocks, window, size).transpose(1, 2).flatten(0, 1)

    def seen(vectors: torch.Tensor) -> torch.Tensor:
        around = nn.functional.pad(vectors, (0, 0, half, more + half))
        near = around.unfold(2, 2 * window, window).permute(0, 2, 1, 4, 3)
        first = vectors[:, None, :, :1].expand(-1, n_blocks, -1, -1, -1)
        return torch.cat([first, near], dim=3).flatten(0, 1)

    attended = _attend(attention, query, seen(key), seen(value), mask)
    attended = attended.view(n_rows, n_blocks, heads, window, size).transpose(1, 2)
    return _joined(attended.reshape(n_rows, heads, n_blocks * window, size)[:, :, :n_tokens])


def _projected(attention: Any, states: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Return queries, keys and values, float [n, heads, tokens, size of a head] each."""
    n_rows, n_tokens, _ = states.shape
    return tuple(
        project(states).view(n_rows, n_tokens, attention.num_heads, -1).transpose(1, 2)
        for project in (attention.query, attention.key, attention.value)
    )


def _attend(attention: Any, query: Any, key: Any, value: Any, mask: Any) -> torch.Tensor:
    p = attention.dropout if attention.training else 0.0
    return scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=p)


def _joined(heads: torch.Tensor) -> torch.Tensor:
    """Return [n, heads, tokens, size] as [n, tokens, width]."""
    return heads.transpose(1, 2).flatten(2)


# ---- global attention ----------------------------------------------------------------------------


def first_token(attention: Any, states: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return the first token's row of global attention, float [n, width].

    It has projections of its own, of which only one query is needed. So instead of projecting all
    tokens to keys and values, the query is taken to the tokens' own space, and their weighted mean
    is projected: the same sums in another order. A key's bias moves all scores of a head alike,
    which the softmax does not notice.
    """
    n_rows, _, width = states.shape
    heads, size = attention.num_heads, attention.head_dim
    p = attention.dropout if attention.training else 0.0
    query = attention.query_global(states[:, 0]).view(n_rows, heads, size) / math.sqrt(size)
    to_key = attention.key_global.weight.view(heads, size, width)
    sought = torch.einsum("nhs,hsw->nhw", query, to_key)
    scores = torch.einsum("nhw,ntw->nht", sought, states.to(sought.dtype))
    scores = scores.float().masked_fill(~real[:, None, :], -math.inf)
    weights = dropout(scores.softmax(-1), p=p, training=p > 0).to(states.dtype)
    means = torch.einsum("nht,ntw->nhw", weights, states)
    value = attention.value_global
    projected = torch.einsum("nhw,hsw->nhs", means, value.weight.view(heads, size, width))
    # dropout lets the weights add up to something other than 1
    bias = weights.sum(-1, keepdim=True) * value.bias.view(heads, size)
    return (projected + bias).reshape(n_rows, width)


# ---- scores --------------------------------------------------------------------------------------


def _window(config: LongformerConfig) -> int:
    window = config.attention_window
    return int(max(window) if isinstance(window, list) else window)


def cosine_scores(sequences: torch.Tensor, items: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the cosine of every sequence with every item over ``temperature``, float [n, m].

    Items are taken as they are; normalise them once (`normalised`).
    """
    return linear(normalised(sequences), items) / temperature


def normalised(vectors: torch.Tensor) -> torch.Tensor:
    """Return float32 vectors of length 1 (a zero vector stays one)."""
    return nn.functional.normalize(vectors.float(), dim=-1)
