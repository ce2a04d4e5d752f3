"""What Recformer is to know of a tokeniser, whatever its kind."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from methods.recformer.tokens import Vocabulary

BYTE_SPACE = "Ġ"  # how byte-level tokenisers write a space
# worse than any text's own pieces, so that a special token is never the best way to read one
UNLIKELY = -1000.0


def vocabulary_of(tokenizer: Any, config: Any, said: str) -> Vocabulary:
    """Find out a tokeniser's habits.

    The tokeniser itself is left as it is; its pipeline is copied, and the copy made to neither cut
    nor fill up nor find special tokens in a text.

    Args:
        tokenizer: a ``PreTrainedTokenizerFast``.
        config: the model's configuration: its embeddings and its padding token.
        said: how messages begin.

    Raises:
        DataError: no token begins a sequence, the tokeniser has more tokens than the model has
            embeddings, or it finds special tokens in texts whatever it is told.
    """
    size = 1 + max(tokenizer.get_vocab().values(), default=-1)
    if size > config.vocab_size:
        raise DataError(
            f"{said}: the tokeniser has {size} tokens, the model {config.vocab_size} embeddings; "
            "the two do not belong together"
        )
    first_id = tokenizer.cls_token_id
    if first_id is None:
        first_id = tokenizer.bos_token_id
    if first_id is None:
        raise DataError(
            f"{said}: its tokeniser names no token that begins a sequence; set cls_token or "
            "bos_token in the tokeniser's files"
        )
    pipeline = plain_pipeline(tokenizer)
    _check_special(tokenizer, pipeline, said)

    return Vocabulary(
        tokenise=PlainTokeniser(pipeline),
        first_id=first_id,
        # positions are counted from the model's, and padding is masked whatever its id
        pad_id=config.pad_token_id,
        mask_id=tokenizer.mask_token_id,
        size=size,
        starts_word=starts_word(tokenizer, size),
    )


@dataclass(frozen=True)
class PlainTokeniser:
    """Text -> ids; a class rather than a function within another, so that it can be pickled."""

    pipeline: Any

    def __call__(self, text: str) -> list[int]:
        """Return the ids of a text, without special tokens."""
        ids: list[int] = self.pipeline.encode(text, add_special_tokens=False).ids
        return ids


def plain_pipeline(tokenizer: Any) -> Any:
    """Return a copy of a tokeniser's ``tokenizers.Tokenizer`` that reads every text as text."""
    from tokenizers import Tokenizer

    described = json.loads(tokenizer.backend_tokenizer.to_str())
    described["truncation"] = described["padding"] = None
    if described["model"]["type"] == "Unigram":
        _make_unlikely(described["model"]["vocab"], set(tokenizer.all_special_tokens))
    pipeline = Tokenizer.from_str(json.dumps(described))
    pipeline.encode_special_tokens = True  # which means: like any other text
    return pipeline


def _make_unlikely(pieces: list[list[Any]], special: set[str]) -> None:
    """Let no text be read as a special piece.

    Unigram models hold special tokens among their pieces, with the best score of all, and would
    find them in a text by themselves.
    """
    for piece in pieces:
        if piece[0] in special:
            piece[1] = UNLIKELY


def _check_special(tokenizer: Any, pipeline: Any, said: str) -> None:
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    for token in tokenizer.all_special_tokens:
        if special & set(pipeline.encode(f"a {token} b", add_special_tokens=False).ids):
            raise DataError(
                f"{said}: its tokeniser reads the text {token!r} as a special token, which item "
                "texts must not be able to write; use one that splits it"
            )


def starts_word(tokenizer: Any, size: int) -> NDArray[np.bool_]:
    """Return which tokens begin a word, bool [size].

    WordPiece marks the tokens that do not (``##``). Byte-level and sentencepiece tokenisers mark
    those that do, by the space before them (``Ġ``, ``▁``); there the first token of a text may
    begin a word without a mark, which is for the caller to know. Without any mark, each token is
    taken for a word.
    """
    described = json.loads(tokenizer.backend_tokenizer.to_str())
    begins = np.ones(size, dtype=np.bool_)
    continuing = described["model"].get("continuing_subword_prefix")
    space = None if continuing else _space_mark(described)
    special = set(tokenizer.all_special_ids)
    for token, index in tokenizer.get_vocab().items():
        if index in special:
            continue
        if continuing:
            begins[index] = not token.startswith(continuing)
        elif space:
            begins[index] = token.startswith(space)
    return begins


def _space_mark(described: dict[str, Any]) -> str | None:
    """Return what a tokeniser writes for a space, found in its description."""
    for name in ("pre_tokenizer", "decoder"):
        step = described[name] or {}
        for part in (step, *step.get("pretokenizers", ()), *step.get("decoders", ())):
            if part.get("type") == "ByteLevel":
                return BYTE_SPACE
            if part.get("type") == "Metaspace":
                return str(part["replacement"])
    return None
