"""What a data set card holds, once validated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: for every source kind: the files it must have, and those it may have
SOURCE_FILES = {
    "recbole-atomic": ({"events", "items"}, set()),
    "tidy-jsonl": ({"events", "items"}, set()),
    "amazon-2018": ({"events"}, {"items"}),
}
DEDUPS = ("consecutive", "global", "none")
CLEANINGS = ("plain", "html", "price", "main-category")
COUNTS = (
    "events_read",
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


@dataclass(frozen=True)
class SourceFile:
    """One source file: its path inside the source's folder, and the SHA-256 of its bytes."""

    path: str
    sha256: str


@dataclass(frozen=True)
class Source:
    """Where the raw files lie and how to read them.

    Attributes:
        kind: the reader, a key of `SOURCE_FILES`.
        files: by role ("events", "items").
        fields: for ``recbole-atomic``: the column of each of user, item, rating, time, text.
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


@dataclass(frozen=True)
class TextAttribute:
    """One attribute of the item text: ``{label}: {value}.``, cut to a number of words."""

    label: str
    field: str
    words: int
    cleaning: str


@dataclass(frozen=True)
class TextRules:
    """How an item becomes text, and what to do with one that has none ("error", "unknown")."""

    attributes: tuple[TextAttribute, ...]
    items_without_text: str

    @property
    def fields(self) -> tuple[str, ...]:
        """The source fields that the text is made of."""
        return tuple(attribute.field for attribute in self.attributes)


@dataclass(frozen=True)
class UserSample:
    """A sample of users, drawn after dedup and filter: a count or a fraction, and the seed."""

    count: int | None
    fraction: float | None
    seed: int


@dataclass(frozen=True)
class Protocol:
    """What is dropped and how the rest is split (paper, section 4; the filter is inferred)."""

    dedup: str
    min_user_events: int
    split: str
    user_sample: UserSample | None


@dataclass(frozen=True)
class DatasetCard:
    """A validated card.

    Attributes:
        hash: SHA-256 of the whole card's canonical content.
        data_hash: SHA-256 of what determines the prepared data: digests of the source files,
            reader, text rules, protocol. A changed title or setting leaves it as it is.
        redistributable: whether pages with item texts may be published.
        verb: the past participle in prompts: "bought", "watched".
        expected: counts that the prepared data set must have.
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
    protocol: Protocol
    expected: Mapping[str, int]
    method_settings: Mapping[str, Mapping[str, Any]]
    hash: str
    data_hash: str
