"""Exporting a prepared data set, so that others can use the identical leave-one-out split.

An export is a folder named like the data set: the files of its form, a ``README.md``, and
``split.json`` (hashes, counts, licence), written last.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from harness.data.atomic_files import check_writable, loading, write_atomic_files
from harness.data.parquet_files import LOADING, write_tables
from harness.data.prepared import PreparedData
from harness.environment import package_version
from harness.errors import DataError, UsageError, did_you_mean
from harness.files import sha256_file, write_json, write_text
from harness.progress import Progress
from harness.splits import Split, split_data, split_hash

FORMS = ("recbole", "parquet")
DESCRIPTION = "split.json"

_README = "README.md"


def export(
    data: PreparedData, folder: Path, form: str, progress: Progress, *, max_history: int = 50
) -> list[Path]:
    """Write ``data`` and its split into a new folder, named like the data set, in ``folder``.

    The same data gives the same bytes. The folder appears whole or not at all; an export of the
    same content that stands there already is replaced.

    Args:
        data: what to write.
        folder: created where it does not exist.
        form: one of `FORMS`. ``recbole``: atomic files with the split as ``benchmark_filename``
            takes it; ``parquet``: ``interactions.parquet`` and ``items.parquet``.
        progress: shows a bar per file.
        max_history: ``recbole`` only: histories are cut to their newest that many items.

    Returns:
        The files written, `DESCRIPTION` last.

    Raises:
        UsageError: an unknown form, or a history of no item.
        DataError: something else stands where the export belongs; an id or a text that the form
            cannot hold; a user with fewer than three events.
        OSError: the disk is full or not writable; nothing half-written is left.
    """
    _check_choices(form, max_history)
    target = folder / data.card.name
    _check_replaceable(target, data)
    split = split_data(data)
    if form == "recbole":
        check_writable(data)
    folder.mkdir(parents=True, exist_ok=True)
    # a name of its own: two processes may export at once, and either leaves a whole folder
    workspace = Path(tempfile.mkdtemp(dir=folder, prefix=f".{target.name}.", suffix=".exporting"))
    try:
        building = workspace / target.name
        building.mkdir()
        names = _write(building, data, split, form, max_history, progress)
        _check_replaceable(target, data)  # again: writing may have taken minutes
        _put_in_place(building, target, workspace / "former")
    finally:
        shutil.rmtree(workspace, ignore_errors=True)
    return [target / name for name in names]


def _check_choices(form: str, max_history: int) -> None:
    if form not in FORMS:
        raise UsageError(f"no form of export is called {form!r}: {did_you_mean(form, FORMS)}")
    if max_history < 1:
        raise UsageError(f"max_history must be at least 1 item, found {max_history}")


def _write(
    folder: Path,
    data: PreparedData,
    split: Split,
    form: str,
    max_history: int,
    progress: Progress,
) -> list[str]:
    """Write all files of an export; return their names in the order of writing."""
    shown = progress.prefixed(data.card.name)
    if form == "recbole":
        names = write_atomic_files(folder, data, split, max_history, shown)
        how_to_load = loading(data.card.name, max_history)
    else:
        names = write_tables(folder, data, split, shown)
        how_to_load = LOADING
    write_text(folder / _README, _readme(data, how_to_load))
    names.append(_README)
    description = _description(data, form) | {
        "files": {name: sha256_file(folder / name) for name in names}
    }
    if form == "recbole":
        description["max_history"] = max_history
    write_json(folder / DESCRIPTION, description)
    return [*names, DESCRIPTION]


def _description(data: PreparedData, form: str) -> dict[str, Any]:
    card = data.card
    return {
        "dataset": card.name,
        "title": card.title,
        "licence": card.licence,
        "citation": card.citation,
        "url": card.url,
        "redistributable": card.redistributable,
        "form": form,
        "protocol": card.protocol.facts(),
        "content_hash": data.content_hash,
        "split_hash": split_hash(data.content_hash),
        "counts": dict(data.counts),
        "users": len(data.user_ids),
        "items": len(data.item_ids),
        "events": len(data.sequences.items),
        "harness_version": package_version("sequential-harness"),
    }


# ---- the folder ----------------------------------------------------------------------------------


def _check_replaceable(target: Path, data: PreparedData) -> None:
    """Refuse to replace anything but a whole export of the same content."""
    if not os.path.lexists(target):
        return
    way_out = "move it away or export into another folder"
    try:
        found = json.loads((target / DESCRIPTION).read_text(encoding="utf-8"))
        content, files = found["content_hash"], {*found["files"], DESCRIPTION}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{target} exists, and no {DESCRIPTION} in it says that it is an export; {way_out}"
        ) from error
    if content != data.content_hash:
        raise DataError(
            f"{target} holds an export of other content (content hash {content}, this one has "
            f"{data.content_hash}); {way_out}"
        )
    # such as item embeddings that someone put beside the atomic files
    foreign = sorted({path.name for path in target.iterdir()} - files)
    if foreign:
        raise DataError(
            f"{target} holds {foreign[0]!r}, which the export did not write and replacing it "
            f"would delete; {way_out}"
        )


def _put_in_place(building: Path, target: Path, former: Path) -> None:
    """Rename ``building`` to ``target``; where that fails, a former export stands again."""
    try:
        if os.path.lexists(target):
            target.rename(former)
        building.rename(target)
    except BaseException:
        if os.path.lexists(former) and not os.path.lexists(target):
            former.rename(target)
        raise


# ---- README.md -----------------------------------------------------------------------------------


def _readme(data: PreparedData, how_to_load: str) -> str:
    card = data.card
    title, licence, citation = (
        " ".join(text.split()) for text in (card.title, card.licence, card.citation)
    )
    warning = (
        ""
        if card.redistributable
        else "\n**The card does not allow publishing the texts of the items.**\n"
    )
    return f"""\
# {title} ({card.name}), leave-one-out

Exported by sequential-harness, so that others can use the identical split.
{len(data.user_ids):,} users, {len(data.item_ids):,} items, {len(data.sequences.items):,} events; \
`{DESCRIPTION}` has hashes, counts and protocol.

Split: a user's last event is for the test, the one before it for validation, all before for
training. At test time the validation event belongs to the history. All items are candidates.

Order: a user's events stand oldest first, and `position` counts them from 0. Times are no
substitute: data may have none, and events of equal time keep an order of their own.

{how_to_load}

Licence: {licence}
{warning}
Citation: {citation}
"""
