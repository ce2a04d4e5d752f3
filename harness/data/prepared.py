"""The prepared data set: what every run reads, and the content hash that names it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from harness.data.card import DatasetCard, Protocol
from harness.files import canonical_json
from harness.histories import Histories


@dataclass(frozen=True)
class PreparedData:
    """A data set after dedup, filter and sample, in its fixed order.

    Attributes:
        card: the card it was made from.
        item_ids: raw ids, sorted as strings by code point; item index = position.
        item_texts: the rendered text of every item.
        user_ids: raw ids, sorted likewise; user index = position. So neither order depends on
            the order of lines, which decides only between events of equal time.
        sequences: all events of all users, oldest first; with timestamps where the source has
            them.
        counts: what was read, dropped and kept (the names of `harness.data.card.COUNTS`, and
            ``item_lines_repeated``).
        content_hash: see `content_hash`.
        fault_report: what was left out of the source files, in lines; empty where nothing was.
        item_attributes: by attribute's name the cleaned value of every item, empty where it has
            none. Not part of `content_hash`: most methods do not read them, and those that do have
            their digest in the run id (`attributes_hash`).
        source_digests: the SHA-256 of each source file as it was read, by role.
    """

    card: DatasetCard
    item_ids: tuple[str, ...]
    item_texts: tuple[str, ...]
    user_ids: tuple[str, ...]
    sequences: Histories
    counts: Mapping[str, int]
    content_hash: str
    fault_report: tuple[str, ...] = ()
    source_digests: Mapping[str, str] = field(default_factory=dict)
    item_attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def duplicates_percent(self) -> float | None:
        """The share of duplicates in the events read; None where they were not looked for."""
        if self.card.protocol.dedup == "none":
            return None  # 0 would claim that there are none
        return 100 * self.counts["duplicates_dropped"] / self.counts["events_read"]

    @cached_property
    def attributes_hash(self) -> str:
        """The SHA-256 of all attributes, in the card's order, in hexadecimal."""
        content = [[name, list(values)] for name, values in self.item_attributes.items()]
        return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def content_hash(
    item_ids: tuple[str, ...],
    item_texts: tuple[str, ...],
    user_ids: tuple[str, ...],
    sequences: Histories,
    protocol: Protocol,
) -> str:
    """Return the SHA-256 of ids, texts, sequences, timestamps and protocol, in hexadecimal.

    Made of canonical bytes (UTF-8 and little-endian integers, each part preceded by its length),
    so it does not depend on the file format, on library versions or on the machine.
    """
    digest = hashlib.sha256(b"prepared data, form 1")
    parts = [canonical_json(list(strings)).encode() for strings in (item_ids, item_texts, user_ids)]
    parts.append(canonical_json(protocol.facts()).encode())
    parts += [sequences.items.astype("<i4").tobytes(), sequences.offsets.astype("<i8").tobytes()]
    if sequences.timestamps is not None:
        parts.append(sequences.timestamps.astype("<i8").tobytes())
    for part in parts:
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)
    return digest.hexdigest()


def consecutive_repeats(sequences: Histories) -> int:
    """Return how many events have the same item as the same user's preceding event."""
    same = sequences.items[1:] == sequences.items[:-1]
    owner = np.repeat(np.arange(len(sequences)), sequences.lengths)
    return int((same & (owner[1:] == owner[:-1])).sum())
