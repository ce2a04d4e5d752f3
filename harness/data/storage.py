"""A prepared data set on disk: three Parquet files, and a manifest written last.

``items.parquet`` (id, text, attributes), ``users.parquet`` (id, events), ``events.parquet`` (user,
item and, where there are times, timestamp), ``manifest.json`` (digests, counts, hashes). Without a
manifest a folder is unfinished.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.card import DatasetCard
from harness.data.prepared import PreparedData, content_hash
from harness.data.sources import FoundFile
from harness.errors import DataError
from harness.files import (
    atomic_write,
    canonical_json,
    sha256_file,
    sha256_text,
    write_json,
)
from harness.histories import Histories

MANIFEST = "manifest.json"
_ATTRIBUTE = "attribute: "
_TABLES = ("items.parquet", "users.parquet", "events.parquet")


def store(
    folder: Path, data: PreparedData, preparation: str, sources: Mapping[str, FoundFile]
) -> None:
    """Write ``data`` into ``folder``, the manifest last.

    Args:
        folder: created where it does not exist.
        data: what to write.
        preparation: a digest of the preparing code.
        sources: the source files as they were found, by role.

    Raises:
        OSError: the disk is full or not writable; no manifest is left then.
    """
    lengths = data.sequences.lengths
    events: dict[str, Any] = {
        "user": np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
        "item": data.sequences.items,
    }
    if data.sequences.timestamps is not None:
        events["timestamp"] = data.sequences.timestamps
    attributes = {_ATTRIBUTE + name: values for name, values in data.item_attributes.items()}
    _write_table(
        folder / "items.parquet", {"id": data.item_ids, "text": data.item_texts, **attributes}
    )
    _write_table(folder / "users.parquet", {"id": data.user_ids, "events": lengths})
    _write_table(folder / "events.parquet", events)
    manifest: dict[str, Any] = {
        "dataset": data.card.name,
        "data_hash": data.card.data_hash,
        "preparation": preparation,
        "content_hash": data.content_hash,
        "counts": dict(data.counts),
        "sources": {role: asdict(file) for role, file in sources.items()},
        "fault_report": list(data.fault_report),
        "files": {name: sha256_file(folder / name) for name in _TABLES},
    }
    write_json(folder / MANIFEST, {**manifest, "manifest_hash": _hash(manifest)})


def load(folder: Path, card: DatasetCard) -> PreparedData:
    """Read a finished folder and verify all of it.

    Raises:
        DataError: a file is missing or was changed, or the content is not what its hash says.
    """
    manifest = _manifest(folder / MANIFEST)
    for name in _TABLES:
        _verify_file(folder / name, manifest["files"].get(name))
    items = _read_table(folder / "items.parquet")
    users = _read_table(folder / "users.parquet")
    sequences = _sequences(folder / "events.parquet", users["events"].to_numpy())
    ids, texts = tuple(items["id"].to_pylist()), tuple(items["text"].to_pylist())
    attributes = {
        name.removeprefix(_ATTRIBUTE): tuple(items[name].to_pylist())
        for name in items.column_names
        if name.startswith(_ATTRIBUTE)
    }
    user_ids = tuple(users["id"].to_pylist())
    found = content_hash(ids, texts, user_ids, sequences, card.protocol)
    if found != manifest["content_hash"]:
        raise _damaged(folder, f"content hash expected {manifest['content_hash']}, found {found}")
    return PreparedData(
        card,
        ids,
        texts,
        user_ids,
        sequences,
        manifest["counts"],
        found,
        tuple(manifest["fault_report"]),
        {role: file["sha256"] for role, file in manifest["sources"].items()},
        attributes,
    )


def stored_sources(folder: Path) -> dict[str, FoundFile]:
    """Return the source files that a finished folder was made from, by role.

    Raises:
        DataError: the manifest is damaged.
    """
    sources = _manifest(folder / MANIFEST)["sources"]
    return {role: FoundFile(**file) for role, file in sources.items()}


def _write_table(path: Path, columns: dict[str, Any]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with atomic_write(path) as stream:
        pq.write_table(
            pa.table({name: pa.array(values) for name, values in columns.items()}), stream
        )


def _read_table(path: Path) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # not `read_table`: its scanner may still hold the file in a thread of its own when Python
        # ends, which aborts the process
        with pq.ParquetFile(path) as file:
            return file.read()
    except (OSError, pa.ArrowException) as error:
        raise _damaged(path, str(error)) from error


def _sequences(path: Path, lengths: Any) -> Histories:
    events = _read_table(path)
    times = events["timestamp"].to_numpy() if "timestamp" in events.column_names else None
    return Histories(
        users=np.arange(len(lengths), dtype=np.int64),
        items=np.array(events["item"].to_numpy(), dtype=np.int32),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        timestamps=None if times is None else np.array(times, dtype=np.int64),
    )


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        written = manifest.pop("manifest_hash")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise _damaged(path, f"not a manifest ({error})") from error
    if written != _hash(manifest):
        raise _damaged(path, "it was edited after it was written")
    return dict(manifest)


def _verify_file(path: Path, expected: str | None) -> None:
    if not path.is_file():
        raise _damaged(path, "it is missing")
    found = sha256_file(path)
    if found != expected:
        raise _damaged(path, f"sha256 expected {expected}, found {found}")


def _hash(manifest: dict[str, Any]) -> str:
    return sha256_text(canonical_json(manifest))


def _damaged(path: Path, what: str) -> DataError:
    return DataError(
        f"prepared data is damaged: {path}: {what}; build it anew with `data prepare --refresh`"
    )
