"""Masked language modelling: which tokens are hidden, and by what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from harness.errors import UsageError  # noqa: E402
from methods.recformer.masking import Head, check_mask, hidden, words_of  # noqa: E402
from methods.recformer.settings import Settings  # noqa: E402
from methods.recformer.tokens import ItemTokens, Sequences, Vocabulary  # noqa: E402
from methods.recformer.vocabulary import starts_word  # noqa: E402
from tests.unit.methods.recformer.start_files import wordpiece  # noqa: E402

FIRST, PAD, MASK, SIZE = 0, 1, 2, 50
BEGINS = np.arange(SIZE) % 2 == 1  # odd tokens begin a word, even ones go on with it


def vocabulary(mask: int | None = MASK) -> Vocabulary:
    return Vocabulary(lambda text: [], FIRST, PAD, mask, SIZE, BEGINS)


def sequences(*rows: list[tuple[int, int, int]]) -> Sequences:
    """Sequences of (id, kind, item), the first token put before each."""
    columns = [[np.array(part) for part in zip((FIRST, 0, 0), *row, strict=True)] for row in rows]
    return Sequences(*zip(*columns, strict=True))


def many(n_words: int = 20_000) -> Sequences:
    """A long sequence of words of two tokens."""
    return sequences([(3 + n % 2, 2, 1) for n in range(2 * n_words)])


def test_a_word_ends_at_a_mark_at_a_new_kind_at_a_new_item_and_at_a_new_sequence() -> None:
    row = [(4, 1, 1), (6, 1, 1), (8, 2, 1), (5, 2, 1), (6, 2, 1), (8, 2, 2)]
    found = words_of(sequences(row, [(6, 2, 1)]), vocabulary())
    assert found.tolist() == [-1, 0, 0, 1, 2, 2, 3, -1, 4]


def test_the_words_of_a_wordpiece_tokeniser() -> None:
    tokenizer = wordpiece()
    names = tokenizer.get_vocab()
    size = len(names)

    def tokenise(text: str) -> list[int]:
        return tokenizer(text, add_special_tokens=False, padding=False)["input_ids"]

    known = Vocabulary(tokenise, names["[CLS]"], 0, names["[MASK]"], size,
        starts_word(tokenizer, size))  # fmt: skip
    items = ItemTokens({"title": ["unknown lamps"]}, known, Settings())
    # <first> title un ##known lamp ##s
    assert words_of(items.items(), known).tolist() == [-1, 0, 1, 1, 2, 2]


def test_words_are_hidden_whole_and_the_first_token_never() -> None:
    found = hidden(many(), vocabulary(), 0.3, np.random.default_rng(0))
    assert not found.chosen[0][0]
    pairs = found.chosen[0][1:].reshape(-1, 2)
    assert (pairs[:, 0] == pairs[:, 1]).all()
    every = hidden(sequences([], [(3, 1, 1)]), vocabulary(), 1.0, np.random.default_rng(0))
    assert [row.tolist() for row in every.chosen] == [[False], [False, True]]
    assert every.n_chosen == 1
    assert every.sequences.ids[1][0] == FIRST


def test_shares_are_those_asked_for() -> None:
    found = hidden(many(), vocabulary(), 0.15, np.random.default_rng(1))
    chosen, before, after = found.chosen[0], found.wanted[0], found.sequences.ids[0]
    assert found.n_chosen == chosen.sum()
    assert chosen[1:].mean() == pytest.approx(0.15, abs=0.01)
    assert (after[~chosen] == before[~chosen]).all()
    masked, same = after[chosen] == MASK, after[chosen] == before[chosen]
    assert masked.mean() == pytest.approx(0.8, abs=0.02)
    # a drawn token is now and then the one that was there
    assert same.mean() == pytest.approx(0.1 + 0.1 / (SIZE - 3), abs=0.02)
    drawn = after[chosen][~masked & ~same]
    assert not set(drawn) & {FIRST, PAD, MASK}
    assert len(set(drawn)) > 40


def test_keys_are_hidden_like_values_and_the_model_is_not_told_by_kind_or_item() -> None:
    rows = sequences([(3, 1, 1), (5, 2, 1)], [(3, 1, 1)])
    found = hidden(rows, vocabulary(), 1.0, np.random.default_rng(0))
    assert [row.tolist() for row in found.chosen] == [[False, True, True], [False, True]]
    assert found.sequences.types == rows.types
    assert found.sequences.items == rows.items


def test_draws_depend_on_the_generator_alone() -> None:
    one, two, three = (
        hidden(many(100), vocabulary(), 0.5, np.random.default_rng(n)).sequences.ids[0]
        for n in (1, 1, 2)
    )
    assert (one == two).all()
    assert not (one == three).all()


def test_a_tokeniser_without_mask_is_refused() -> None:
    check_mask(vocabulary())
    with pytest.raises(UsageError, match=r"set recformer\.mlm_weight to 0"):
        check_mask(vocabulary(mask=None))
    with pytest.raises(ValueError, match="no mask"):
        hidden(many(3), replace(vocabulary(), mask_id=None), 0.5, np.random.default_rng(0))


def test_the_head_guesses_with_the_word_embeddings() -> None:
    from transformers import LongformerConfig

    config = LongformerConfig(hidden_size=4, vocab_size=6, num_attention_heads=1)
    head = Head(config)
    embeddings = torch.randn(6, 4, requires_grad=True)
    states = torch.randn(3, 4)
    head.bias.data += torch.arange(6)
    inner = torch.nn.functional.gelu(states @ head.dense.weight.T + head.dense.bias)
    expected = torch.nn.functional.layer_norm(inner, (4,), eps=config.layer_norm_eps)
    expected = expected @ embeddings.T + torch.arange(6)
    torch.testing.assert_close(head(states, embeddings), expected)
