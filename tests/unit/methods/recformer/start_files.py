"""Small encoders, tokenisers and checkpoints that the tests of Recformer's start weights write."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from methods.recformer.settings import Settings
from methods.recformer.tokens import N_TYPES, Padded
from methods.recformer.weights import Start, load_start

WORDS = ("red", "blue", "lamp", "chair", "title", "brand", "un", "##known", "##s", "mask", "cl")
ATTRIBUTES = {
    "title": ["Red Lamp", "Blue Lamp", "Old Kettle", "Red Lamp"],
    "brand": ["Acme", "Acme", "", "Unknown"],
}
ITEM_POSITIONS = "embeddings.item_position_embeddings.weight"
WIDTH, LAYERS, POSITIONS = 16, 2, 66


def settings_for(weights: Path | str, **values: Any) -> Settings:
    """Settings whose window covers every sequence of the tests."""
    quick: dict[str, Any] = {"max_tokens": 40, "attention_window": 96, "random_width": 16}
    return Settings(weights=str(weights), **(quick | values))


def start_of(weights: Path | str, seed: int = 0, **values: Any) -> Start:
    return load_start(settings_for(weights, **values), ATTRIBUTES, "cpu", seed)


# ---- tokenisers ----------------------------------------------------------------------------------


def wordpiece(pre_tokenizer: Any = None) -> Any:
    """A tokeniser like BERT's: padding is 0."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[", "]", ",", *WORDS]
    vocabulary = {token: index for index, token in enumerate(tokens)}
    inner = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    inner.normalizer = normalizers.BertNormalizer(lowercase=True)
    inner.pre_tokenizer = pre_tokenizer or pre_tokenizers.BertPreTokenizer()
    # as MiniLM's file has it: cut at a length, and fill up to it
    inner.enable_truncation(8)
    inner.enable_padding(length=8, pad_token="[PAD]")
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        pad_token="[PAD]", mask_token="[MASK]", model_max_length=8,
    )  # fmt: skip


def byte_level() -> Any:
    """A tokeniser like RoBERTa's: padding is 1, no space before a text."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = ["<s>", "<pad>", "</s>", "<unk>", *alphabet, "ed", "Ġr", "Ġred", "<mask>"]
    merges = [("e", "d"), ("Ġ", "r"), ("Ġr", "ed")]
    inner = Tokenizer(models.BPE({token: n for n, token in enumerate(tokens)}, merges))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        cls_token="<s>", sep_token="</s>", pad_token="<pad>",
        mask_token=AddedToken("<mask>", lstrip=True, special=True),
    )  # fmt: skip


def sentencepiece() -> Any:
    """A tokeniser like XLM-R's, whose special tokens are pieces with the best score."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    special = [(token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")]
    letters = [(letter, -9.0) for letter in "▁<>/abdeklmnoprsu"]
    inner = Tokenizer(models.Unigram([*special, *letters, ("▁red", -3.0)], unk_id=3))
    inner.pre_tokenizer, inner.decoder = pre_tokenizers.Metaspace(), decoders.Metaspace()
    return PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<s>", eos_token="</s>", unk_token="<unk>",
        cls_token="<s>", sep_token="</s>", pad_token="<pad>", mask_token="<mask>",
    )  # fmt: skip


# ---- folders -------------------------------------------------------------------------------------


def sizes(tokenizer: Any, **more: Any) -> dict[str, Any]:
    """Return what the configuration of a small encoder is made of."""
    quick = {
        "vocab_size": len(tokenizer), "hidden_size": WIDTH, "num_hidden_layers": LAYERS,
        "num_attention_heads": 2, "intermediate_size": 24, "max_position_embeddings": POSITIONS,
        # far from what weights start at, so that a part that is not copied shows
        "initializer_range": 0.3, "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.cls_token_id, "eos_token_id": tokenizer.sep_token_id,
    }  # fmt: skip
    return quick | more


def saved(folder: Path, model: Any, tokenizer: Any) -> Path:
    """Save a model with random biases and norms too, and its tokeniser."""
    import torch

    for weights in model.parameters():
        if weights.ndim == 1:
            weights.data.add_(0.2 * torch.randn_like(weights))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def saved_encoder(folder: Path, kind: str, **more: Any) -> Path:
    """Save a small random encoder of a kind that transformers knows."""
    import torch
    from transformers import AutoConfig, AutoModel

    tokenizer = byte_level() if "roberta" in kind or kind in {"longformer", "camembert"} else None
    tokenizer = tokenizer or wordpiece()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        model = AutoModel.from_config(AutoConfig.for_model(kind, **sizes(tokenizer, **more)))
        return saved(folder, model, tokenizer)


def longformer_folder(folder: Path, **more: Any) -> Path:
    return saved_encoder(
        folder, "longformer", **({"attention_window": 8, "type_vocab_size": 1} | more)
    )


def released_state(max_items: int = 50) -> dict[str, Any]:
    """Tensors by the keys of ``recformer_ckpt.bin``, of the sizes of `longformer_folder`."""
    import torch
    from transformers import LongformerConfig, LongformerModel

    config = LongformerConfig(**sizes(byte_level()), attention_window=8, type_vocab_size=N_TYPES)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        state = LongformerModel(config, add_pooling_layer=False).state_dict()
        state = {key: torch.randn_like(tensor) for key, tensor in state.items()}
        state[ITEM_POSITIONS] = torch.randn(max_items + 1, WIDTH)
    return state


def with_head(state: dict[str, Any]) -> dict[str, Any]:
    """The same by the keys of ``recformer_seqrec_ckpt.bin``."""
    import torch

    head = {
        "lm_head.dense.weight": torch.zeros(WIDTH, WIDTH),
        "lm_head.decoder.weight": torch.zeros(9, WIDTH),
        "lm_head.bias": torch.zeros(9),
    }
    return {f"longformer.{key}": tensor for key, tensor in state.items()} | head


# ---- traps ---------------------------------------------------------------------------------------


class Trap:
    """Would write a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.write_text, (self.path, "sprung"))


# ---- states --------------------------------------------------------------------------------------


def batch_of(start: Start, rows: Sequence[Sequence[int]]) -> Padded:
    """Return sequences of ids as a batch, the first token put before each, with all item kinds."""
    width = 1 + max(len(row) for row in rows)
    ids = np.full((len(rows), width), start.vocabulary.pad_id, dtype=np.int64)
    types, items = np.full_like(ids, N_TYPES - 1), np.zeros_like(ids)
    for place, row in enumerate(rows):
        ids[place, : len(row) + 1] = [start.vocabulary.first_id, *row]
        types[place, : len(row) + 1] = [0, *(1 + n % 2 for n in range(len(row)))]
        items[place, 1 : len(row) + 1] = 1 + np.arange(len(row)) // 3
    return Padded(ids, types, items, np.array([len(row) + 1 for row in rows]))


def states(start: Start, batch: Padded) -> Any:
    import torch

    with torch.no_grad():
        return start.model.states(batch)
