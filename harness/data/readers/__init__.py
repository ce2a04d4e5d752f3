"""Readers: source files of one kind to an event table and an item table."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.data.card import DatasetCard
from harness.data.events import EventRows
from harness.progress import Progress

_MODULES = {"recbole-atomic": "atomic", "tidy-jsonl": "tidy", "amazon-2018": "amazon"}


@dataclass(frozen=True)
class RawData:
    """What a reader returns.

    Attributes:
        events: in file order.
        items: raw field values by item id; an item without a line is absent.
        item_lines_repeated: lines of the item file that repeat an earlier one word for word.
    """

    events: EventRows
    items: Mapping[str, Mapping[str, Any]]
    item_lines_repeated: int


def read_sources(card: DatasetCard, paths: dict[str, Path], progress: Progress) -> RawData:
    """Read a card's files with the reader of its kind.

    Raises:
        DataError: naming file and line.
    """
    module = importlib.import_module(f"harness.data.readers.{_MODULES[card.source.kind]}")
    raw: RawData = module.read(card, paths, progress)
    return raw
