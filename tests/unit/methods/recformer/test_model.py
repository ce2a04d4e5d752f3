"""The network: its attention against a dense reference, against transformers', and its parts."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from transformers import LongformerConfig

from methods.recformer.encoding import Encoder
from methods.recformer.model import Recformer, cosine_scores, normalised
from methods.recformer.settings import FIRST, MEAN, QUICK, SLIDING
from methods.recformer.tokens import Padded, Sequences, Vocabulary

WINDOW = 8
VOCABULARY = Vocabulary(lambda text: [], 2, 1, None, 50, np.ones(50, np.bool_))


def _network(window=WINDOW, layers=2, width=24, heads=3, dropout=0.0, **more):
    config = LongformerConfig(
        vocab_size=50, hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads,
        intermediate_size=32, max_position_embeddings=202, type_vocab_size=4, pad_token_id=1,
        attention_window=window, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout,
        initializer_range=0.3,
    )  # fmt: skip
    torch.manual_seed(0)
    model = Recformer(config, max_items=9, **more)
    for parameter in model.parameters():  # biases too
        torch.nn.init.normal_(parameter, std=0.3)
    return model.eval()


def _batch(lengths, seed=0):
    generator = np.random.default_rng(seed)
    shape = len(lengths), max(lengths)
    return Padded(
        generator.integers(3, 50, shape), generator.integers(0, 3, shape),
        generator.integers(0, 10, shape), np.array(lengths),
    )  # fmt: skip


def _real(batch):
    return torch.from_numpy(np.arange(batch.ids.shape[1]) < batch.lengths[:, None])


def _reference(model: Recformer, batch: Padded, row: int) -> torch.Tensor:
    """Return one row's states by definition: a loop over queries, each over its own keys."""
    n = int(batch.lengths[row])
    longformer = model.longformer
    ids, types, items = (torch.from_numpy(part[row, :n]) for part in
                         (batch.ids, batch.types, batch.items))  # fmt: skip
    embeddings = longformer.embeddings
    states = embeddings.LayerNorm(
        embeddings.word_embeddings(ids)
        + embeddings.position_embeddings(torch.arange(n) + model.config.pad_token_id + 1)
        + embeddings.token_type_embeddings(types)
        + model.item_positions(items)
    )
    for layer in longformer.encoder.layer:
        own = layer.attention.self
        size = own.head_dim
        rows = []
        for place in range(n):
            local = place > 0
            query = (own.query if local else own.query_global)(states[place])
            near = range(max(1, place - model.window // 2), min(n, place + model.window // 2 + 1))
            places = [0, *near] if local else list(range(n))
            keys = (own.key if local else own.key_global)(states[places])
            values = (own.value if local else own.value_global)(states[places])
            heads = []
            for head in range(own.num_heads):
                part = slice(head * size, (head + 1) * size)
                scores = keys[:, part] @ query[part] / math.sqrt(size)
                heads.append(scores.softmax(0) @ values[:, part])
            rows.append(torch.cat(heads))
        attended = layer.attention.output(torch.stack(rows), states)
        states = layer.output(layer.intermediate(attended), attended)
    return states


@pytest.mark.parametrize(("attention", "window"), [(QUICK, 2), (QUICK, 8), (SLIDING, 8)])
@pytest.mark.parametrize("lengths", [[1, 1], [5, 3], [16, 9], [17, 2], [40, 33, 1]])
def test_attention_is_what_its_definition_says(attention, window, lengths):
    model, batch = _network(window, attention=attention), _batch(lengths)
    with torch.no_grad():
        found = model.states(batch)
        for row, length in enumerate(lengths):
            expected = _reference(model, batch, row)
            assert torch.allclose(found[row, :length], expected, atol=1e-5), (row, length)


@pytest.mark.parametrize("window", [4, 8, 64])
@pytest.mark.parametrize("width", [8, 63, 64, 65, 130, 200])
def test_the_quick_attention_is_transformers_own(window, width):
    quick = _network(window, attention=QUICK)
    sliding = _network(window, attention=SLIDING)
    batch = _batch([width, max(1, width // 3), 1], seed=width)
    with torch.no_grad():
        one, two, real = quick.states(batch), sliding.states(batch), _real(batch)
    assert torch.allclose(one[real], two[real], atol=2e-5)


def test_gradients_are_transformers_own_too():
    batch = _batch([40, 21])
    gradients = []
    for attention in (QUICK, SLIDING):
        model = _network(attention=attention)
        normalised(model(batch)).sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, one in gradients[0].items():
        two = gradients[1][name]
        # a key's bias moves all scores alike: the quick one leaves it out, and its gradient is 0
        expected = torch.zeros_like(two) if one is None else one
        assert torch.allclose(expected, two, atol=1e-4), name
        assert one is not None or name.endswith("key_global.bias")


def test_dropout_is_applied_to_attention_of_either_kind():
    model, batch = _network(dropout=0.5), _batch([40, 21])
    model.config.hidden_dropout_prob = 0.0
    model.train()
    one, two = model.states(batch), model.states(batch)
    assert not torch.allclose(one[:, 0], two[:, 0])
    assert not torch.allclose(one[:, 1:], two[:, 1:])
    torch.manual_seed(1)
    three = model.states(batch)
    torch.manual_seed(1)
    assert torch.equal(three, model.states(batch))


def test_the_share_of_attention_weights_that_are_dropped_can_be_set():
    model, batch = _network(dropout=0.0), _batch([40, 21])
    model.train()
    assert torch.equal(model.states(batch), model.states(batch))
    model.set_attention_dropout(0.5)
    assert not torch.allclose(model.states(batch), model.states(batch))


def test_padding_changes_nothing():
    model = _network()
    batch = _batch([12, 12])
    wide = Padded(
        *(np.pad(part, ((0, 0), (0, 60)), constant_values=3) for part in
          (batch.ids, batch.types, batch.items)),
        batch.lengths,
    )  # fmt: skip
    with torch.no_grad():
        assert torch.allclose(model(batch), model(wide), atol=1e-6)


def test_pooling_takes_the_first_state_or_the_mean_of_the_real_ones():
    batch = _batch([7, 3])
    first, mean = _network(pooling=FIRST), _network(pooling=MEAN)
    with torch.no_grad():
        states = first.states(batch)
        assert torch.equal(first(batch), states[:, 0])
        expected = torch.stack([states[0, :7].mean(0), states[1, :3].mean(0)])
        assert torch.allclose(mean(batch), expected, atol=1e-6)


def test_item_positions_and_kinds_matter():
    model, batch = _network(), _batch([9])
    with torch.no_grad():
        before = model(batch)
        for part in ("types", "items"):
            changed = {**vars(batch), part: (getattr(batch, part) + 1) % 3}
            assert not torch.allclose(model(Padded(**changed)), before)


def test_cosines_are_divided_by_the_temperature():
    one, two = torch.tensor([[3.0, 4.0]]), normalised(torch.tensor([[4.0, 3.0], [0.0, 0.0]]))
    assert cosine_scores(one, two, 0.05).tolist()[0] == pytest.approx([24 / 25 / 0.05, 0.0])


def test_other_token_types_are_refused():
    with pytest.raises(ValueError, match="4 token types"):
        Recformer(LongformerConfig(type_vocab_size=1), max_items=3)


def test_vectors_come_in_the_order_of_the_sequences_whatever_the_batches():
    model = _network()
    generator = np.random.default_rng(2)
    lengths = generator.integers(1, 50, 23)
    parts = [
        tuple(generator.integers(low, high, length) for length in lengths)
        for low, high in ((3, 50), (0, 3), (0, 9))
    ]
    sequences = Sequences(*parts)
    model.train()
    small, large = (Encoder(model, VOCABULARY, tokens, "cpu") for tokens in (60, 10_000))
    one, two = small.vectors(sequences), large.vectors(sequences)
    assert model.training  # as it was
    assert torch.allclose(one, two, atol=1e-5)
    assert torch.allclose(one.norm(dim=1), torch.ones(23))
    alone = Encoder(model, VOCABULARY, 60, "cpu").vectors(Sequences(*(part[4:5] for part in parts)))
    assert torch.allclose(one[4:5], alone, atol=1e-5)
