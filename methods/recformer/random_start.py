"""Random weights of a small size, with a tokeniser learnt from the catalogue."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from methods.recformer.model import Recformer
from methods.recformer.placement import built
from methods.recformer.settings import Settings
from methods.recformer.tokens import N_TYPES, chosen_attributes

FIRST_TOKEN, PADDING, MASK = "<s>", "<pad>", "<mask>"
INNER_PER_WIDTH = 4  # as in BERT


def random_start(
    settings: Settings, attributes: Mapping[str, Sequence[str]]
) -> tuple[Recformer, Any, str, list[str]]:
    """Return model, tokeniser, source and report; draws from torch's global numbers.

    Raises:
        UsageError: a setting names an attribute that the data set lacks.
        MethodError: the data set has no attribute.
    """
    tokenizer = learnt_tokenizer(attributes, settings)
    model = built(_config(tokenizer, settings), settings)
    source = f"random weights, {settings.random_layers} layers of {settings.random_width}"
    return model, tokenizer, source, [f"tokeniser: {len(tokenizer)} tokens learnt"]


def learnt_tokenizer(attributes: Mapping[str, Sequence[str]], settings: Settings) -> Any:
    """Learn a byte-level BPE tokeniser, whose tokens stay within words, from what is read.

    Returns:
        A ``PreTrainedTokenizerFast``. A text begins as if after a space, so that a word is the
        same token wherever it stands.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=settings.random_vocabulary,
        min_frequency=2,
        show_progress=False,
        special_tokens=[FIRST_TOKEN, PADDING, MASK],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
    )
    tokenizer.train_from_iterator(_texts(attributes, settings), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=FIRST_TOKEN,
        cls_token=FIRST_TOKEN,
        pad_token=PADDING,
        mask_token=MASK,
        clean_up_tokenization_spaces=False,
    )


def _texts(attributes: Mapping[str, Sequence[str]], settings: Settings) -> Iterator[str]:
    """Yield keys and values as often as they are read."""
    for name in chosen_attributes(attributes, settings):
        for value in attributes[name]:
            yield name
            yield value


def _config(tokenizer: Any, settings: Settings) -> Any:
    from transformers import LongformerConfig

    width = settings.random_width
    return LongformerConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=settings.random_layers,
        num_attention_heads=settings.random_heads,
        intermediate_size=INNER_PER_WIDTH * width,
        max_position_embeddings=tokenizer.pad_token_id + 1 + settings.max_tokens,
        type_vocab_size=N_TYPES,
        attention_window=settings.attention_window,
        layer_norm_eps=1e-5,
        # the usual 0.02 suits states ten times as wide; from it a narrow model hardly starts
        initializer_range=width**-0.5,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=None,
        sep_token_id=None,
    )
