"""The event table: order, duplicates, the user filter and the user sample.

Events are kept in an embedded database (DuckDB) on disk, which sorts and joins within a fixed
amount of memory, whatever the number of events, on all threads. Every order is a total one (user,
time, place in the file), so the result depends on neither memory nor threads.
"""

from __future__ import annotations

import hashlib
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.card import UserSample
from harness.data.event_batches import EventBatch, OrderedEvents, arrow_table
from harness.environment import numeric_threads

MEMORY_MB = 800
"""What the database may take before it uses the disk; ids and results come on top."""

_ROWS_AT_ONCE = 60_000  # the database takes many rows at once far more quickly than few

_IS_REPEAT = {
    "consecutive": (
        "item = lag(item) OVER earlier AND time = lag(time) OVER earlier AND "
        "rating = lag(rating) OVER earlier AND text = lag(text) OVER earlier"
    ),
    "global": (
        "row_number() OVER (PARTITION BY user_code, item, time, rating, text ORDER BY place) > 1"
    ),
}
"""SQL that tells a duplicate.

``consecutive`` is the paper's rule (section 4, "User Sequence Deduplication"): the same item,
review text, rating and time as the same user's event before. A run of equal events keeps its
first, so comparing with the event before or with the last one kept comes to the same. ``global``
is a variant: equal to any earlier event of the user.
"""


class EventTable:
    """Collects events batch by batch, then drops what the protocol drops, one step at a time.

    A context manager: its database is deleted at the end.

    Args:
        folder: where the database may stand; the system's place for temporary files by default.
        memory_mb: what the database may take, in megabytes.
    """

    def __init__(self, folder: Path | None = None, memory_mb: int = MEMORY_MB) -> None:
        import duckdb

        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        self._place = tempfile.TemporaryDirectory(dir=folder, prefix=".events-")
        try:
            self._base = duckdb.connect(
                str(Path(self._place.name) / "events.duckdb"),
                config={
                    "threads": numeric_threads(),
                    "memory_limit": f"{memory_mb}MB",
                    "temp_directory": str(Path(self._place.name) / "spill"),
                },
            )
            self._base.execute("SET enable_progress_bar = false")
            self._base.execute(
                "CREATE TABLE raw (place BIGINT, user_id VARCHAR, item_id VARCHAR, time BIGINT, "
                "rating DOUBLE, text UBIGINT)"
            )
        except duckdb.Error as error:
            self._place.cleanup()
            _raise_what_it_means(error)
            raise
        self._read = 0
        self._waiting: list[Any] = []  # Arrow tables
        self._n_waiting = 0
        # a thread of its own: the database lets go of Python's lock, so parsing goes on meanwhile
        self._writer = ThreadPoolExecutor(1, "event table")
        self._writing: Future[None] | None = None
        self._present: tuple[bool, ...] | None = None

    def __enter__(self) -> EventTable:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._writer.shutdown()
            self._base.close()
        finally:
            self._place.cleanup()
        _raise_what_it_means(error)

    # ---- filling ---------------------------------------------------------------------------------

    def append(self, batch: EventBatch) -> None:
        """Add events after those that are there.

        Raises:
            ValueError: the batch has other optional columns than those before it.
        """
        if not len(batch):
            return
        if self._present not in (None, batch.present):
            raise ValueError("all batches must have the same optional columns")
        self._present = batch.present
        self._waiting.append(arrow_table(batch, self._read))
        self._read += len(batch)
        self._n_waiting += len(batch)
        if self._n_waiting >= _ROWS_AT_ONCE:
            self._write()

    def _write(self) -> None:
        import pyarrow as pa

        self._finish_writing()
        if self._waiting:
            rows = pa.concat_tables(self._waiting)
            self._waiting, self._n_waiting = [], 0
            self._writing = self._writer.submit(self._insert, rows)

    def _insert(self, rows: Any) -> None:
        self._base.register("batch", rows)
        self._base.execute("INSERT INTO raw SELECT * REPLACE (hash(text) AS text) FROM batch")
        self._base.unregister("batch")

    def _finish_writing(self) -> None:
        """Wait for the rows under way; what went wrong with them is raised here."""
        if self._writing is not None:
            writing, self._writing = self._writing, None
            writing.result()

    @property
    def n_read(self) -> int:
        """How many events were appended."""
        return self._read

    def close_reading(self) -> None:
        """Give users and items their numbers, in the order of their ids."""
        self._write()
        self._finish_writing()
        for name in ("user", "item"):
            self._base.execute(
                f"CREATE TABLE {name}s AS SELECT {name}_id, "
                f"CAST(row_number() OVER (ORDER BY {name}_id) - 1 AS INTEGER) AS code "
                f"FROM (SELECT DISTINCT {name}_id FROM raw)"
            )
        self._base.execute(
            "CREATE TABLE events AS SELECT users.code AS user_code, items.code AS item, time, "
            "rating, text, place FROM raw JOIN users USING (user_id) JOIN items USING (item_id)"
        )
        self._base.execute("DROP TABLE raw")

    # ---- dropping --------------------------------------------------------------------------------

    def deduplicate(self, rule: str) -> None:
        """Drop duplicates by a rule: "consecutive", "global" or "none".

        Raises:
            ValueError: the source lacks a column that the rule compares.
        """
        if rule == "none":
            return
        if self._present is not None and not all(self._present):
            raise ValueError("duplicates are told by text, rating and time; one of them is absent")
        # a user's first event has none before it, so whether it repeats one is NULL
        self._replace(
            f"SELECT * EXCLUDE (is_repeat) FROM (SELECT *, {_IS_REPEAT[rule]} AS is_repeat "
            "FROM events WINDOW earlier AS (PARTITION BY user_code ORDER BY time, place)) "
            "WHERE is_repeat IS NOT TRUE"
        )

    def keep_users_with(self, minimum: int) -> None:
        """Drop every event of the users who have fewer than ``minimum`` events."""
        self._replace(
            "SELECT * FROM events WHERE user_code IN "
            f"(SELECT user_code FROM events GROUP BY user_code HAVING count(*) >= {minimum:d})"
        )

    def keep_sampled_users(self, sample: UserSample) -> None:
        """Keep a seeded sample of the users who still have events (paper: Office 50 %, Pet 20 %).

        Users are drawn in the order of SHA-256(seed, raw user id), which neither the order of
        lines nor the version of a random generator can change. A fraction is rounded to whole
        users, at least one; a count above the number of users keeps all.
        """
        import pyarrow as pa

        rows = self._base.execute(
            "SELECT user_id, code FROM users WHERE code IN (SELECT user_code FROM events)"
        ).fetchall()
        wanted = sample.count
        if wanted is None:
            wanted = max(1, round(len(rows) * (sample.fraction or 0.0)))
        drawn = sorted(rows, key=lambda row: _draw(sample.seed, row[0]))[:wanted]
        codes = pa.array([code for _, code in drawn], pa.int32())
        self._base.register("drawn", pa.table({"code": codes}))
        self._replace("SELECT * FROM events WHERE user_code IN (SELECT code FROM drawn)")
        self._base.unregister("drawn")

    def _replace(self, query: str) -> None:
        """Let a query over the events take their place."""
        self._base.execute(f"CREATE TABLE kept AS {query}")
        self._base.execute("DROP TABLE events")
        self._base.execute("ALTER TABLE kept RENAME TO events")

    # ---- results ---------------------------------------------------------------------------------

    @property
    def n_events(self) -> int:
        """How many events are left."""
        return self._number("SELECT count(*) FROM events")

    @property
    def n_users(self) -> int:
        """How many users still have events."""
        return self._number("SELECT count(DISTINCT user_code) FROM events")

    def _number(self, query: str) -> int:
        return int(self._base.execute(query).fetchall()[0][0])

    def ordered(self, units_per_second: int = 1) -> OrderedEvents:
        """Return the events that are left, in order, with dense numbers of users and items.

        Args:
            units_per_second: how many units of the times appended make a second. They order in
                their own unit; what is returned is in whole seconds, rounded down.
        """
        has_times = self._present is not None and self._present[0]
        columns = self._base.execute(
            f"SELECT user_code, item{', time' if has_times else ''} FROM events "
            "ORDER BY user_code, time, place"
        ).fetchnumpy()
        users, user_ids = self._dense(np.asarray(columns["user_code"]), "user")
        items, item_ids = self._dense(np.asarray(columns["item"]), "item")
        times = None
        if has_times:
            times = np.asarray(columns["time"], dtype=np.int64) // units_per_second
        return OrderedEvents(users, items, user_ids, item_ids, times)

    def _dense(self, codes: NDArray[Any], name: str) -> tuple[NDArray[np.int32], tuple[str, ...]]:
        """Return numbers without gaps, and the ids of those that occur, in the same order."""
        import pyarrow as pa

        ids = self._base.sql(f"SELECT {name}_id FROM {name}s ORDER BY code").to_arrow_table()[0]
        occurs = np.zeros(len(ids), dtype=bool)
        occurs[codes] = True
        dense = (np.cumsum(occurs) - 1).astype(np.int32)
        return dense[codes], tuple(ids.filter(pa.array(occurs)).to_pylist())


def _raise_what_it_means(error: BaseException | None) -> None:
    """Raise what an error of the database stands for, where that has a name of its own."""
    import duckdb

    # what the operating system refused, such as space on the disk: a commit that cannot be written
    # is a failed transaction, and what follows upon it a fatal error
    if isinstance(error, duckdb.OperationalError | duckdb.FatalException):
        reason = str(error).splitlines()[0]
        raise OSError(None, f"the event table cannot be written ({reason})") from error
    if type(error) is RuntimeError and str(error) == "Query interrupted":
        raise KeyboardInterrupt from error


def _draw(seed: int, user_id: str) -> str:
    return hashlib.sha256(f"{seed}\0{user_id}".encode()).hexdigest()
