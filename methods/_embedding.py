"""Vectors of texts: by a pretrained encoder as it is, or by latent semantic analysis of the texts.

Both are functions of their arguments alone; `methods._text` says what is encoded and keeps it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError, MethodError
from harness.progress import Bar
from methods._location import Location
from methods._pretrained import configuration_of, model_of, tokenizer_of

Vectors = NDArray[np.float32]

CLS, MEAN = "cls", "mean"
AUTO, FLOAT32, BFLOAT16 = "auto", "float32", "bfloat16"

TOKENS_AT_ONCE = 8192
"""Tokens in one pass, padding included; bounds memory."""
TEXTS_AT_ONCE = 1024
"""Texts tokenised at once; what the tokeniser returns is many times their size."""
WORD = r"\w+"
LEAST_SHARE = 1e-6
"""Of the largest singular value: directions below it are rounding."""


# ---- a pretrained encoder ------------------------------------------------------------------------


def chosen_precision(precision: str, device: str) -> str:
    """Return "float32" or "bfloat16" for a value of the setting.

    "auto" takes bfloat16 only on a GPU with instructions for it, so that all CPUs agree.
    """
    if precision != AUTO:
        return precision
    if device != "cuda":
        return FLOAT32
    import torch

    # the first generation that has them; torch also counts the older ones that emulate them
    return BFLOAT16 if torch.cuda.get_device_capability() >= (8, 0) else FLOAT32


def encoder_vectors(
    texts: Sequence[str], location: Location, pooling: str, most_tokens: int, precision: str,
    device: str, bar: Bar,
) -> Vectors:  # fmt: skip
    """Return float32 [n_texts, width], one vector a text, of the last hidden states.

    Texts with the same tokens are encoded once, and so get the same vector bit for bit. A text
    without any token, special ones included, gets zeros. What spells a special token is text.

    Args:
        texts: what to encode.
        location: of the encoder, for transformers' ``AutoModel``; of an encoder-decoder its
            encoder serves.
        pooling: "cls": the state of the first token; "mean": the mean over all tokens that are
            not padding, those that the tokeniser adds included.
        most_tokens: longer texts are cut at the end, and so are those beyond the model's positions.
        precision: "float32" or "bfloat16", of products; vectors are float32 either way.
        device: "cpu" or "cuda".
        bar: counts texts.

    Raises:
        DataError: the encoder cannot be loaded, or a vector is not finite.
    """
    import torch

    model, positions = _loaded(location)
    pipeline = tokenizer_of(location).backend_tokenizer
    _check_size(pipeline, model, location)
    sequences = _token_sequences(texts, pipeline, min(most_tokens, positions or most_tokens))
    index: dict[tuple[int, ...], int] = {}
    group = [index.setdefault(sequence, len(index)) for sequence in sequences]
    counts = np.bincount(group, minlength=len(index))
    distinct = list(index)
    padding = max(0, model.config.get_text_config().pad_token_id or 0)  # some say -1 for none
    model = model.to(device)
    vectors = np.zeros((len(distinct), _width(model)), dtype=np.float32)
    with (
        torch.inference_mode(),
        torch.autocast(device, dtype=torch.bfloat16, enabled=precision == BFLOAT16),
    ):
        for rows in _batches([len(sequence) for sequence in distinct]):
            batch = [distinct[row] for row in rows]
            vectors[rows] = _pooled(model, batch, padding, pooling, device)
            bar.advance(int(counts[rows].sum()))
    if not np.isfinite(vectors).all():
        raise DataError(
            f"{location.said}: some of its vectors hold NaN or infinity (products in {precision}); "
            "its weights may be damaged: fetch them anew, or name another encoder"
        )
    return vectors[group]


def _loaded(location: Location) -> tuple[Any, int | None]:
    """Return the encoder and how many tokens it has positions for; None where that is open."""
    from transformers import AutoModel

    config = configuration_of(location)
    # poolers work on the states that are read here, and decoders behind them
    unneeded = ("pooler.", "decoder.") if config.is_encoder_decoder else ("pooler.",)
    model, _ = model_of(location, AutoModel, unneeded)
    if config.is_encoder_decoder:
        model = model.get_encoder()
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    table = getattr(getattr(model, "embeddings", None), "position_embeddings", None)
    if positions and (reserved := getattr(table, "padding_idx", None)) is not None:
        positions -= reserved + 1  # RoBERTa's kin count positions from behind the padding token
    return model, positions


def _check_size(pipeline: Any, model: Any, location: Location) -> None:
    """Raise DataError where the tokeniser may give a token that the model does not know."""
    size = 1 + max(pipeline.get_vocab().values())
    rows = model.get_input_embeddings().num_embeddings
    if size > rows:
        raise DataError(
            f"{location.said}: the tokeniser has {size} tokens, the model {rows} embeddings; the "
            "two do not belong together"
        )


def _width(model: Any) -> int:
    return int(model.config.get_text_config().hidden_size)


def _token_sequences(
    texts: Sequence[str], pipeline: Any, most_tokens: int
) -> Iterator[tuple[int, ...]]:
    """Yield each text's token ids, with the special tokens that the tokeniser adds."""
    pipeline.no_padding()
    pipeline.enable_truncation(most_tokens, direction="right")
    pipeline.encode_special_tokens = True  # which means: those in a text are like any other text
    for first in range(0, len(texts), TEXTS_AT_ONCE):
        for encoding in pipeline.encode_batch(list(texts[first : first + TEXTS_AT_ONCE])):
            yield tuple(encoding.ids)


def _batches(lengths: Sequence[int]) -> Iterator[NDArray[np.int64]]:
    """Yield rows of similar lengths, the longest first (memory peaks early); no empty ones."""
    counted = np.array(lengths, dtype=np.int64)
    order = np.argsort(-counted, kind="stable")
    order = order[counted[order] > 0]
    start = 0
    while start < len(order):
        rows = max(1, TOKENS_AT_ONCE // int(counted[order[start]]))
        yield order[start : start + rows]
        start += rows


def _pooled(
    model: Any, batch: Sequence[tuple[int, ...]], padding: int, pooling: str, device: str
) -> Vectors:
    """Return float32 [n, width], the vectors of sequences with at least one token each."""
    import torch

    lengths = torch.tensor([len(sequence) for sequence in batch])
    width = int(lengths.max())
    # padding stands on the right also for models that generate: their first token must be at 0
    ids = torch.tensor([[*row, *[padding] * (width - len(row))] for row in batch])
    mask = torch.arange(width) < lengths[:, None]
    ids, mask = ids.to(device), mask.to(device)
    states = model(input_ids=ids, attention_mask=mask.long()).last_hidden_state.float()
    if pooling == CLS:
        pooled = states[:, 0]
    else:
        real = mask[:, :, None]
        pooled = (states * real).sum(dim=1) / real.sum(dim=1)
    found: Vectors = pooled.cpu().numpy()
    return found


# ---- latent semantic analysis --------------------------------------------------------------------


def lsa_vectors(texts: Sequence[str], catalogue: Sequence[str], most: int) -> Vectors:
    """Return float32 [n_texts, width]: tf-idf of words, in the main directions of a catalogue.

    The width is ``most``, or less where the catalogue has fewer texts, words or directions. The
    longer a vector, the more of its text the directions hold; texts without a known word get zeros.

    Args:
        texts: what to encode.
        catalogue: distinct texts that the directions are found from.
        most: directions at most.

    Raises:
        MethodError: no text of the catalogue holds a word.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.utils.extmath import randomized_svd

    vectorizer = TfidfVectorizer(token_pattern=WORD)
    try:
        known = vectorizer.fit_transform(catalogue)
    except ValueError as error:  # an empty vocabulary
        raise MethodError(
            f"tf-idf found no word in {len(catalogue)} texts; name a pretrained encoder, or other "
            "texts"
        ) from error
    # what TruncatedSVD is made of, which itself refuses a catalogue of one word
    _, strength, directions = randomized_svd(known, min(most, *known.shape), random_state=0)
    directions = directions[strength > LEAST_SHARE * strength.max()]
    vectors: Vectors = (vectorizer.transform(texts) @ _signed(directions).T).astype(np.float32)
    return vectors


def _signed(directions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn each direction so that its largest entry is positive; either sign is a solution."""
    largest = np.abs(directions).argmax(axis=1, keepdims=True)
    signed: NDArray[np.float64] = directions * np.sign(
        np.take_along_axis(directions, largest, axis=1)
    )
    return signed
