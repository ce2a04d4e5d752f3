"""Text features: a vector for every item, from an encoder that is not trained (METHODS 5.1).

Each distinct text is encoded once, and the vectors are kept where all methods and runs find them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from harness import source
from harness.environment import numeric_threads
from harness.errors import DataError, MethodError
from harness.files import canonical_json, sha256_text
from harness.histories import IntArray
from harness.method import RunContext, SourceDomain, TrainingData, text_groups
from harness.settings import setting
from methods._attributes import chosen
from methods._embedding import (
    AUTO,
    BFLOAT16,
    CLS,
    FLOAT32,
    MEAN,
    Vectors,
    chosen_precision,
    encoder_vectors,
    lsa_vectors,
)
from methods._kept_vectors import kept, random_numbers_kept
from methods._location import SAFETENSORS, Location, located
from methods._pretrained import configuration_of, transformer_of

TF_IDF = "tf-idf"
ATTRIBUTES, TEMPLATE = "attributes", "template"
USUAL = ("title", "category", "brand")
"""UniSRec's, in its order."""
TOO_LONG = 2000
"""Characters from which UniSRec takes a value for a page gone astray, and leaves it out."""

WEIGHT_FILES = (".bin", SAFETENSORS)
ADVICE = (
    "name a local folder (save_pretrained's, or a download of sentence-transformers), or take "
    f"encoder={TF_IDF}, which needs no weights"
)

_Work = tuple[str, Mapping[str, Any], Callable[[], Vectors]]
"""Vectors to be made: by what, for the record; all that decides them; how."""


@dataclass(frozen=True)
class TextSettings:
    """How items' texts become vectors; a base of the settings of methods that read such."""

    encoder: str = setting(
        "bert-base-uncased",
        "what encodes item texts: a Hugging Face hub id, a folder of save_pretrained or of "
        f"sentence-transformers, or `{TF_IDF}`: latent semantic analysis of the catalogue's own "
        "texts, which needs no weights",
    )
    pooling: str = setting(
        CLS,
        "what stands for a text: cls: the last state of its first token; mean: the mean of the "
        "last states of all its tokens, which suits sentence encoders and language models",
        choices=(CLS, MEAN),
    )
    text: str = setting(
        ATTRIBUTES,
        "what is read of an item: attributes: the values of text_attributes, each ending in a full "
        "stop, without their names; template: the text as the data set renders it",
        choices=(ATTRIBUTES, TEMPLATE),
    )
    text_attributes: str | None = setting(
        None,
        "names of the attributes in an item's text, with commas, in this order; none: those of "
        "title, category and brand that the data set has, or all its own where it has none of them",
    )
    encoder_tokens: int = setting(
        512, "tokens of a text at most, or fewer where the encoder has no more positions", minimum=3
    )
    encoder_precision: str = setting(
        AUTO,
        "of the encoder's products; auto: bfloat16 on a GPU with instructions for it, else float32",
        choices=(AUTO, FLOAT32, BFLOAT16),
    )
    lsa_width: int = setting(
        128, f"width of {TF_IDF}'s vectors; a small catalogue has narrower ones", minimum=1
    )


@dataclass(frozen=True, eq=False)
class ItemVectors:
    """A catalogue's vectors, one for each distinct text.

    Attributes:
        vectors: float32 [n_distinct, width]; zeros for the empty text.
        group: int64 [n_items], the row of each item; items with one text share one row.
        n_without_text: items whose text is empty.
        source: what the vectors are of, in one line for the record.
    """

    vectors: Vectors
    group: IntArray
    n_without_text: int
    source: str

    @property
    def width(self) -> int:
        """The length of a vector."""
        return int(self.vectors.shape[1])

    def table(self) -> Vectors:
        """Return float32 [n_items, width], every item's vector."""
        return self.vectors[self.group]


def external_inputs(settings: TextSettings, owner: str) -> Mapping[str, str]:
    """Return which encoder the settings name, for `Method.external_inputs`; {} for tf-idf.

    Raises:
        UsageError: there is no such folder, and the name is no hub id.
    """
    if settings.encoder == TF_IDF:
        return {}
    return {"encoder": _encoder(settings, owner).identity(WEIGHT_FILES)}


def item_vectors(
    data: TrainingData | SourceDomain,
    settings: TextSettings,
    context: RunContext,
    word_drop: float = 0.0,
    *,
    owner: str,
) -> ItemVectors:
    """Return the vectors of a catalogue's texts, encoded or found where they were kept.

    Python's, numpy's and torch's random numbers are left as they were.

    Args:
        data: whose items; the method's card must declare what ``settings.text`` reads.
        settings: what is read, and by which encoder.
        context: of the run.
        word_drop: the chance of each word to be left out, of pre-training's second vectors
            (METHODS 5.1); drawn once for a text and a chance. `ItemVectors.group` is that of 0,
            and so is tf-idf's space.
        owner: the method's name, for messages.

    Raises:
        UsageError: a setting names an attribute or encoder that does not exist.
        DataError: the encoder cannot be loaded.
        MethodError: no item has any text.
    """
    texts, what = _texts(data, settings, owner)
    distinct, group = text_groups(texts)
    n_without = sum(not text for text in texts)
    name = data.dataset if isinstance(data, TrainingData) else data.name
    if n_without == len(texts):
        other = ATTRIBUTES if settings.text == TEMPLATE else TEMPLATE
        raise MethodError(
            f"{owner}: no item of {name} has any text ({what}); set {owner}.text_attributes to "
            f"attributes that have values, or {owner}.text={other}"
        )
    if n_without and not word_drop:
        context.progress.say(
            f"{owner}: {n_without} of {len(texts)} items of {name} have no text; their vectors "
            "are zero"
        )
    rows = [row for row, text in enumerate(distinct) if text]
    with random_numbers_kept():
        found, by = _encoded([distinct[row] for row in rows], settings, context, word_drop, owner)
    vectors = np.zeros((len(distinct), found.shape[1]), dtype=np.float32)
    vectors[rows] = found
    return ItemVectors(vectors, group, n_without, f"{by}, of {what}")


# ---- texts ---------------------------------------------------------------------------------------


def _texts(
    data: TrainingData | SourceDomain, settings: TextSettings, owner: str
) -> tuple[list[str], str]:
    """Return every item's text, empty where it has none, and what it is made of, in words."""
    if settings.text == TEMPLATE:
        return [text.strip() for text in data.item_texts], "the rendered text"
    attributes = data.item_attributes
    if not attributes:
        raise MethodError(
            f"{owner} reads item attributes, and the data set has none; for its rendered text set "
            f"{owner}.text={TEMPLATE}"
        )
    names = chosen(attributes, settings.text_attributes, USUAL, owner, "text_attributes")
    columns = zip(*(attributes[name] for name in names), strict=True)
    texts = [" ".join(filter(None, map(_sentence, values))) for values in columns]
    return texts, ", ".join(names)


def _sentence(value: str) -> str:
    """Return an attribute's value with one full stop at its end, as UniSRec writes it."""
    words = " ".join(value.replace('"', "").split()).rstrip(". ")
    return f"{words}." if words and len(words) + 1 < TOO_LONG else ""


def _with_words_dropped(text: str, chance: float) -> str:
    """Return a text without some of its words; which ones depends on text and chance alone."""
    if not chance:
        return text
    words = text.split()
    seed = int(sha256_text(canonical_json([text, float(chance)])), 16)
    kept = np.random.default_rng(seed).random(len(words)) >= chance
    return " ".join(word for word, keep in zip(words, kept, strict=True) if keep)


# ---- encoders ------------------------------------------------------------------------------------


def _encoded(
    texts: list[str], settings: TextSettings, context: RunContext, word_drop: float, owner: str
) -> tuple[Vectors, str]:
    """Return float32 [n_texts, width] and what made them; ``texts`` are distinct, none empty."""
    read, group = text_groups([_with_words_dropped(text, word_drop) for text in texts])
    if settings.encoder == TF_IDF:
        by, facts, make = _analysis(read, texts, settings)
    else:
        by, facts, make = _encoding(read, settings, context, owner)
    code = source.digest(["methods._embedding", "methods._pretrained"])
    facts = {**facts, "texts": read, "word_drop": word_drop, "code": code}
    return kept(facts, make, len(read), context, owner)[group], by


def _analysis(read: list[str], catalogue: list[str], settings: TextSettings) -> _Work:
    facts = {
        "encoder": TF_IDF,
        "catalogue": catalogue,
        "width": settings.lsa_width,
        "versions": _versions("scikit-learn", "scipy", "numpy"),
    }
    return TF_IDF, facts, partial(lsa_vectors, read, catalogue, settings.lsa_width)


def _encoding(read: list[str], settings: TextSettings, context: RunContext, owner: str) -> _Work:
    location, device = _encoder(settings, owner), context.device
    precision = chosen_precision(settings.encoder_precision, device)

    def make() -> Vectors:
        with _advised(), context.progress.bar(f"{owner}: item texts", len(read), "texts") as bar:
            return encoder_vectors(
                read, location, settings.pooling, settings.encoder_tokens, precision, device, bar
            )

    facts = {
        "encoder": _identity(location),
        "pooling": settings.pooling,
        "tokens": settings.encoder_tokens,
        "precision": precision,
        "device": device,
        "threads": numeric_threads(),
        "versions": _versions("torch", "transformers", "tokenizers"),
    }
    # a path of this machine says nothing to the reader of a record
    name = location.name if location.is_hub_id else Path(location.name).expanduser().resolve().name
    return f"{name} ({settings.pooling}, {precision})", facts, make


def _encoder(settings: TextSettings, owner: str) -> Location:
    """Find the encoder; of a sentence-transformers folder the part that is a transformer."""
    found = located(f"{owner}.encoder", transformer_of(settings.encoder), ADVICE)
    return replace(found, name=settings.encoder)


def _identity(location: Location) -> list[str]:
    """Return which weights an encoder has; of a hub id the commit, which is fetched for it.

    Raises:
        DataError: a hub id can be found neither in the cache nor on the hub.
    """
    if location.is_hub_id and location.revision() is None:
        with _advised():
            configuration_of(location)
    # a folder is what its files are, wherever it lies; hub ids without a commit would look alike
    return [location.where if location.is_hub_id else "", location.identity(WEIGHT_FILES)]


@contextlib.contextmanager
def _advised() -> Iterator[None]:
    """Say what else can be done where an encoder cannot be loaded."""
    try:
        yield
    except DataError as error:
        raise DataError(f"{error}; {ADVICE}") from error


def _versions(*packages: str) -> list[str]:
    return [version(package) for package in packages]
