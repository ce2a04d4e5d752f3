"""Writer of Parquet files: all interactions with their part of the split, and the items."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.prepared import PreparedData
from harness.files import atomic_write
from harness.progress import Progress
from harness.splits import Split

PARTS = ("train", "validation", "test")
_BLOCK_ROWS = 2**18  # rows held in memory at a time, and the rows of a Parquet row group
# stated, so that the bytes do not change with pyarrow's defaults
_PARQUET = {
    "version": "2.6",
    "data_page_version": "1.0",
    "compression": "zstd",
    "compression_level": 3,
    "use_dictionary": True,
    "write_statistics": True,
}

LOADING = """\
Load: `pandas.read_parquet("interactions.parquet")` has user_id, item_id, position, part (train,
validation, test) and, where there are times, timestamp (seconds since 1970, UTC); `items.parquet`
has item_id and text."""
"""What a README says on reading the files: plain Markdown."""


def write_tables(folder: Path, data: PreparedData, split: Split, progress: Progress) -> list[str]:
    """Write ``interactions.parquet`` and ``items.parquet``; return their names.

    Args:
        folder: exists.
        data: what to write.
        split: of ``data.sequences``.
        progress: shows a bar per file.

    Raises:
        OSError: the disk is full or not writable.
    """
    import pyarrow as pa

    events = {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "position": pa.int32(),
        "timestamp": pa.int64(),
        "part": pa.string(),
    }
    if data.sequences.timestamps is None:
        del events["timestamp"]
    items = {"item_id": pa.string(), "text": pa.string()}

    def item_rows(start: int, stop: int) -> dict[str, Any]:
        return {"item_id": data.item_ids[start:stop], "text": data.item_texts[start:stop]}

    tables = {
        "interactions.parquet": (events, len(data.sequences.items), _event_rows(data, split)),
        "items.parquet": (items, len(data.item_ids), item_rows),
    }
    for name, (columns, n_rows, rows) in tables.items():
        _write_table(folder / name, columns, n_rows, rows, progress)
    return list(tables)


def _event_rows(data: PreparedData, split: Split) -> Callable[[int, int], dict[str, Any]]:
    """Return a function from a range of events to their columns."""
    import pyarrow as pa

    sequences, train_lengths = data.sequences, split.train.lengths
    user_ids, item_ids = pa.array(data.user_ids, pa.string()), pa.array(data.item_ids, pa.string())
    parts = pa.array(PARTS, pa.string())

    def rows(start: int, stop: int) -> dict[str, Any]:
        events = np.arange(start, stop)
        owners = np.searchsorted(sequences.offsets, events, side="right") - 1
        positions = events - sequences.offsets[owners]
        # behind a user's training part stands the validation item, behind that the test item
        part_indices = np.clip(positions - train_lengths[owners] + 1, 0, 2)
        columns = {
            "user_id": user_ids.take(pa.array(sequences.users[owners])),
            "item_id": item_ids.take(pa.array(sequences.items[start:stop])),
            "position": positions.astype(np.int32),
            "part": parts.take(pa.array(part_indices)),
        }
        if sequences.timestamps is not None:
            columns["timestamp"] = sequences.timestamps[start:stop]
        return columns

    return rows


def _write_table(
    path: Path,
    columns: dict[str, Any],
    n_rows: int,
    rows: Callable[[int, int], dict[str, Any]],
    progress: Progress,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(list(columns.items()))
    with (
        progress.bar(path.name, n_rows, unit="rows") as bar,
        atomic_write(path) as stream,
        pq.ParquetWriter(stream, schema, **_PARQUET) as writer,
    ):
        for start, stop in _blocks(n_rows):
            writer.write_table(pa.table(rows(start, stop), schema=schema))
            bar.advance(stop - start)


def _blocks(n_rows: int) -> Iterator[tuple[int, int]]:
    for start in range(0, n_rows, _BLOCK_ROWS):
        yield start, min(start + _BLOCK_ROWS, n_rows)
