"""The embedded backbone ``tiny``: a small Llama from random weights, with its own tokeniser.

The tokeniser is a byte-level BPE learnt from the catalogue's item texts. Merges may cross spaces,
so that what every text repeats (labels, years, genres) becomes one token; the fixed prompt
strings are single tokens of their own. Both shorten sequences several times, which is what a
model without pre-training can afford to gain from.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from methods.calrec.prompts import Template

END_OF_SEQUENCE = "<|end|>"
PADDING = "<|pad|>"


def train_tokenizer(
    item_texts: Sequence[str], templates: Sequence[Template], vocabulary: int
) -> Any:
    """Learn a byte-level BPE tokeniser from item texts.

    Args:
        item_texts: the catalogue's texts.
        templates: the prompt strings, which become single tokens.
        vocabulary: the largest number of tokens, the 256 bytes included.

    Returns:
        A ``PreTrainedTokenizerFast``; any text survives encoding and decoding unchanged.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    # use_regex=False: a whole text is one "word", so merges may cross its spaces
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - 2,
        min_frequency=2,
        show_progress=False,
        special_tokens=[PADDING, END_OF_SEQUENCE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    texts = sorted(set(item_texts))
    tokenizer.train_from_iterator([templates[0].item(text) for text in texts], trainer, len(texts))
    tokenizer.add_tokens(
        [
            AddedToken(piece, normalized=False, special=False)
            for piece in dict.fromkeys(
                piece for template in templates for piece in (template.opening, template.closing)
            )
        ]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token=END_OF_SEQUENCE,
        pad_token=PADDING,
        clean_up_tokenization_spaces=False,
    )


def build_model(
    *, vocabulary: int, width: int, layers: int, heads: int, positions: int, seed: int
) -> Any:
    """Return a ``LlamaForCausalLM`` with seeded random weights and tied embeddings, float32."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=positions,
        tie_word_embeddings=True,
        # the usual 0.02 suits states some 30 times as wide; from it a narrow model hardly starts
        initializer_range=width**-0.5,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config).float()
