"""Keeps what pages need of a split beside its records: written by ``run``, published with them."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from harness.data.cards import card_names, load_card
from harness.data.prepare import prepare
from harness.data.prepared import PreparedData
from harness.errors import HarnessError
from harness.progress import Progress
from harness.split_facts import (
    SPLIT_FILE,
    SplitFacts,
    read_split_facts,
    split_facts,
    split_of,
    write_split_facts,
)
from harness.splits import split_hash


def keep_beside_runs(out: Path, data: PreparedData) -> None:
    """Write ``split.json`` into a data set's part of a run folder, unless it is there already."""
    path = out / data.card.name / SPLIT_FILE
    if _read(path, split_hash(data.content_hash)) is None:
        write_split_facts(path, split_facts(data))


def publish_split_facts(
    folder: Path, dataset: str, wanted: str, beside: Iterable[Path], cache: Path
) -> None:
    """Write ``split.json`` of a data set's published records, unless it is there already.

    Taken from a run folder or, failing that, from the data. Without either the pages go without
    slices and without a sample of users; a warning says so. What is there goes only for a
    replacement, or where it is of another split.

    Args:
        folder: ``records/DATASET`` of the published folder.
        dataset: its name.
        wanted: the split's hash.
        beside: files that ``run`` may have left, of the records that are published.
        cache: where prepared data sets are kept.
    """
    path = folder / SPLIT_FILE
    if _read(path, wanted) is not None:
        return
    facts = next((found for one in beside if (found := _read(one, wanted)) is not None), None)
    if facts is not None and not texts_allowed(dataset):
        facts = replace(facts, texts=None)
    try:
        facts = facts or split_facts(_prepared(dataset, wanted, cache))
    except HarnessError as error:
        _drop_of_another_split(path, wanted)
        warnings.warn(f"{dataset}: pages without slices and sample of users: {error}", stacklevel=2)
        return
    write_split_facts(path, facts)


def texts_allowed(dataset: str) -> bool:
    """Return whether items' texts of a data set may be published, as far as is known here.

    A shipped card decides. Of a data set with a card of the user's own, what ``run`` has left
    beside its records was written by that card's leave.
    """
    return dataset not in card_names() or load_card(dataset).redistributable


def _drop_of_another_split(path: Path, wanted: str) -> None:
    """Delete facts that are whole and of an earlier split; damaged ones stay, to be looked at."""
    try:
        stale = split_of(path) != wanted
    except HarnessError:
        return
    if stale:
        path.unlink()


def _read(path: Path, wanted: str) -> SplitFacts | None:
    try:
        return read_split_facts(path, wanted)
    except HarnessError:
        return None


def _prepared(dataset: str, wanted: str, cache: Path) -> PreparedData:
    """Return the data set of a shipped card.

    Raises:
        HarnessError: no such card, its data are absent, or they have another split.
    """
    data = prepare(load_card(dataset), cache, Progress(shown=False))
    found = split_hash(data.content_hash)
    if found != wanted:
        raise HarnessError(f"the data at hand have the split {found}, the records {wanted}")
    return data
