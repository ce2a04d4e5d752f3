"""What a data set card holds, once validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness.files import canonical_json, sha256_text

#: for every source kind: the files it must have, and those it may have
SOURCE_FILES: dict[str, tuple[set[str], set[str]]] = {
    "recbole-atomic": ({"events", "items"}, set()),
    "tidy-jsonl": ({"events", "items"}, set()),
    "amazon-2018": ({"events"}, {"items"}),
    "table": ({"events"}, {"items"}),
    "unisrec": ({"train", "validation", "test"}, {"items", "item_index", "user_index"}),
    "recformer": ({"train", "validation", "test", "items", "item_index"}, {"user_index"}),
}
#: kinds whose columns the card names under [source.fields]
KINDS_WITH_FIELDS = ("recbole-atomic", "table")
TIME_UNITS = {"s": 1, "ms": 1000}
DEDUPS = ("consecutive", "global", "none")
CLEANINGS = ("plain", "html", "price", "main-category")
COUNTS = (
    "events_read",
    "faulty_lines",
    "duplicates_dropped",
    "users_read",
    "users_dropped",
    "users_not_sampled",
    "users",
    "items",
    "events",
    "items_without_text",
    "distinct_texts",
    "consecutive_repeats",
)
TABLE_1_FIGURES = (
    "users",
    "duplicates_percent",
    "items",
    "purchases",
    "items_per_user",
    "purchases_per_item",
    "density",
    "words_per_item",
    "word_vocabulary",
    "average_word_frequency",
)
"""The columns of the paper's table 1, in its order."""


@dataclass(frozen=True)
class SourceFile:
    """One source file.

    Attributes:
        path: inside the source's folder; a folder that holds the file itself will do too.
        sha256: of its bytes; None where nobody states it. Then the digest found is kept with the
            prepared data, and a file that changes is noticed.
        urls: where it is published, mirrors after the first; empty where it cannot be fetched.
    """

    path: str
    sha256: str | None
    urls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where the raw files lie and how to read them.

    Attributes:
        kind: the reader, a key of `SOURCE_FILES`.
        files: by role ("events", "items").
        fields: for ``recbole-atomic`` and ``table``: the column of each of user, item, rating,
            time, text.
        time_unit: for ``table``: what its numbers of time count, "s" or "ms".
        fault_limit: how many faulty lines are left out, counted and reported, before the run stops.
        fault_share: the share of the lines read so far that may be faulty in any case.
        package: an installed package that holds the files, or None.
        folder_env: the environment variable that names their folder otherwise, or None.
        folder_default: the folder where that variable is not set, relative to ``anchor``.
        anchor: the checkout for a shipped card, the card's own folder for a user's.
    """

    kind: str
    files: Mapping[str, SourceFile]
    fields: Mapping[str, str]
    package: str | None
    folder_env: str | None
    folder_default: str | None
    anchor: Path
    time_unit: str = "s"
    fault_limit: int = 0
    fault_share: float = 0.0


@dataclass(frozen=True)
class TextAttribute:
    """One attribute of the item text: ``{label}: {value}.``, cut to a number of words."""

    label: str
    field: str
    words: int
    cleaning: str


@dataclass(frozen=True)
class TextRules:
    """How an item becomes text, and what to do with one that has none ("error", "unknown").

    Attributes:
        attributes: the template's parts; empty where there are no texts, or they stand ready.
        items_without_text: "error", or "unknown" to render what is missing as ``Unknown``.
        verbatim: the source field that holds the whole text ready made, or None.
        without_text_limit: the share of items without any text of their own that is too much.
    """

    attributes: tuple[TextAttribute, ...]
    items_without_text: str
    verbatim: str | None = None
    without_text_limit: float = 1.0

    @property
    def fields(self) -> tuple[str, ...]:
        """The source fields that the text is made of."""
        ready = (self.verbatim,) if self.verbatim else ()
        return (*ready, *(attribute.field for attribute in self.attributes))

    def __bool__(self) -> bool:
        """Whether items have texts at all."""
        return bool(self.fields)


@dataclass(frozen=True)
class ItemAttribute:
    """One attribute of an item by itself, for methods that do not read the rendered text.

    Attributes:
        name: what methods know it by, and use as its key: "title", "brand".
        field: the source field.
        cleaning: one of `CLEANINGS`.
    """

    name: str
    field: str
    cleaning: str


@dataclass(frozen=True)
class UserSample:
    """A sample of users, drawn after dedup and filter: a count or a fraction, and the seed."""

    count: int | None
    fraction: float | None
    seed: int


@dataclass(frozen=True)
class Protocol:
    """What is dropped and how the rest is split (paper, section 4; the filter is inferred).

    Attributes:
        test_sample: the users who are tested, where not all are; they are trained on all the same,
            and so are the others.
    """

    dedup: str
    min_user_events: int
    split: str
    user_sample: UserSample | None
    test_sample: UserSample | None = None

    def facts(self) -> dict[str, Any]:
        """Return the rules as plain values; a test of all users goes without saying."""
        values = asdict(self)
        if self.test_sample is None:
            del values["test_sample"]
        return values


@dataclass(frozen=True)
class DatasetCard:
    """A validated card.

    Attributes:
        hash: SHA-256 of the whole card's canonical content.
        data_hash: SHA-256 of what determines the prepared data: digests of the source files,
            reader, text rules, protocol. A changed title or setting leaves it as it is.
        attributes: of each item, apart from its text; those of the text where the card names none.
        redistributable: whether pages with item texts may be published.
        verb: the past participle in prompts: "bought", "watched".
        expected: counts that the prepared data set must have.
        paper: the paper's own figures for this data set, by the names of `table1_row`: for
            comparison, never enforced.
        method_settings: by method, the settings that this data set asks for.
    """

    name: str
    title: str
    licence: str
    citation: str
    url: str
    notes: str
    redistributable: bool
    verb: str
    source: Source
    text: TextRules
    attributes: tuple[ItemAttribute, ...]
    protocol: Protocol
    expected: Mapping[str, int]
    paper: Mapping[str, float]
    paper_lir: Mapping[str, tuple[float, float]]
    method_settings: Mapping[str, Mapping[str, Any]]
    hash: str
    data_hash: str


def attributes_of_text(text: TextRules) -> tuple[ItemAttribute, ...]:
    """Return the attributes that a text is made of, by the template's labels in lower case.

    As they are where lower case would make two of them one.
    """
    if text.verbatim is not None:
        return (ItemAttribute("text", text.verbatim, "plain"),)
    labels = [part.label for part in text.attributes]
    lower = [label.lower() for label in labels]
    names = lower if len(set(lower)) == len(lower) else labels
    return tuple(
        ItemAttribute(name.replace(",", " "), part.field, part.cleaning)
        for name, part in zip(names, text.attributes, strict=True)
    )


def data_hash(
    source: Source, text: TextRules, attributes: tuple[ItemAttribute, ...], protocol: Protocol
) -> str:
    """Return the digest of what determines the prepared data, as far as a card can know it."""
    content = {
        "kind": source.kind,
        "files": {role: file.sha256 for role, file in source.files.items()},
        "fields": dict(source.fields),
        "time_unit": source.time_unit,
        "text": asdict(text),
        "attributes": [asdict(attribute) for attribute in attributes],
        "protocol": protocol.facts(),
    }
    return sha256_text(canonical_json(content))
