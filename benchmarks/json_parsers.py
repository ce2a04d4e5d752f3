"""Which parser reads reviews: how quick each is, and what each makes of a faulty value.

    python -m benchmarks.json_parsers [--copies 40] [--rounds 3]

Candidates: msgspec (typed records, the one in use), DuckDB's ``read_json``, Polars'
``read_ndjson`` (where it is installed: ``pip install polars``), pyarrow's JSON reader, and
Python's own ``json``. Each makes the same five columns of the real reviews below
HARNESS_SHARED_DATA, some copies of them, unpacked beforehand. `literal` is
what `ast.literal_eval` needs for the same lines as Python writes them, a hundredth of them.
The second table gives each one line with one fault, and prints what it says the value is, or
``refused``. Reading must not make a rating of a text, or an id of a number.
"""

from __future__ import annotations

import argparse
import ast
import gzip
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

NAMES = ("reviewerID", "asin", "overall", "unixReviewTime", "reviewText")
GOOD = {"reviewerID": "u", "asin": "a", "overall": 5.0, "unixReviewTime": 1, "reviewText": "t"}
SMALL = 1000
"""Below so many bytes the rows are wanted as Python has them, above only in columns."""
FAULTS: dict[str, tuple[str, str]] = {
    "rating is a text": ("overall", '"5.0"'),
    "rating is true": ("overall", "true"),
    "rating is NaN": ("overall", "NaN"),
    "user is a number": ("reviewerID", "3"),
    "time is a fraction": ("unixReviewTime", "1.5"),
    "no item": ("asin", ""),
}


def by_msgspec(content: bytes, path: Path) -> list[tuple[Any, ...]]:
    """Read as `harness.data.readers.amazon` does, without its checks."""
    from harness.data.readers.amazon import _reviews_decoder

    rows = _reviews_decoder().decode_lines(content)
    return [
        (row.reviewerID, row.asin, row.overall, row.unixReviewTime, row.reviewText or "")
        for row in rows
    ]


def by_json(content: bytes, path: Path) -> list[tuple[Any, ...]]:
    """Python's own parser, a line at a time."""
    rows = []
    for line in content.splitlines():
        value = json.loads(line)
        rows.append((*(value[name] for name in NAMES[:4]), value.get("reviewText") or ""))
    return rows


def by_duckdb(content: bytes, path: Path) -> Any:
    """DuckDB reads the file itself, on as many threads as it likes."""
    import duckdb

    kinds = dict(zip(NAMES, ("VARCHAR", "VARCHAR", "DOUBLE", "BIGINT", "VARCHAR"), strict=True))
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in kinds.items())
    query = (
        "SELECT reviewerID, asin, overall, unixReviewTime, reviewText FROM "
        f"read_json('{path}', format = 'newline_delimited', columns = {{{columns}}})"
    )
    with duckdb.connect() as base:
        relation = base.sql(query)
        return relation.fetchall() if len(content) < SMALL else relation.to_arrow_table()


def by_polars(content: bytes, path: Path) -> Any:
    """Polars, with the columns it is to make."""
    import polars as pl

    kinds = (pl.String, pl.String, pl.Float64, pl.Int64, pl.String)
    frame = pl.read_ndjson(content, schema=dict(zip(NAMES, kinds, strict=True)))
    return frame.rows() if len(content) < SMALL else frame


def by_pyarrow(content: bytes, path: Path) -> Any:
    """Pyarrow, with the columns it is to make."""
    import pyarrow as pa
    import pyarrow.json as pj

    kinds = (pa.string(), pa.string(), pa.float64(), pa.int64(), pa.string())
    options = pj.ParseOptions(
        explicit_schema=pa.schema(zip(NAMES, kinds, strict=True)),
        unexpected_field_behavior="ignore",
    )
    table = pj.read_json(pa.BufferReader(content), parse_options=options)
    if len(content) < SMALL:
        return [tuple(row.values()) for row in table.to_pylist()]
    return table


def seconds_of_literals(content: bytes) -> float:
    """Return the seconds that Python literals of the same objects would take."""
    lines = [repr(json.loads(line)) for line in content.splitlines()[::100]]
    start = time.perf_counter()
    for line in lines:
        ast.literal_eval(line)
    return 100 * (time.perf_counter() - start)


PARSERS: dict[str, Callable[[bytes, Path], Any]] = {
    "msgspec": by_msgspec,
    "duckdb": by_duckdb,
    "polars": by_polars,
    "pyarrow": by_pyarrow,
    "json": by_json,
}


def main() -> int:
    """Print both tables."""
    from tabulate import tabulate

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    raw = Path(os.environ.get("HARNESS_SHARED_DATA", "../shared/data")) / "amazon2018_raw"
    if not raw.is_dir():
        print(f"absent data: no folder {raw} (set HARNESS_SHARED_DATA)")
        return 1
    lines = b"".join(gzip.decompress(path.read_bytes()) for path in sorted(raw.glob("*_5.json.gz")))
    parsers = {name: parse for name, parse in PARSERS.items() if find_spec(name)}
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "reviews.json"
        print(
            tabulate(
                _speeds(parsers, lines * options.copies, path, options.rounds),
                ["parser", "wall s", "CPU s", "of msgspec's wall"],
                floatfmt=".2f",
            )
        )
        print()
        rows = [
            [fault, *(_made_of(parse, *spoilt, path) for parse in parsers.values())]
            for fault, spoilt in FAULTS.items()
        ]
        print(tabulate(rows, ["fault", *parsers], disable_numparse=True))
    return 0


def _speeds(
    parsers: dict[str, Callable[[bytes, Path], Any]], content: bytes, path: Path, rounds: int
) -> list[list[Any]]:
    path.write_bytes(content)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in parsers}
    for _ in range(rounds):
        for name, parse in parsers.items():
            wall, cpu = time.perf_counter(), time.process_time()
            parse(content, path)
            taken[name].append((time.perf_counter() - wall, time.process_time() - cpu))
    medians = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)]
        for name, pairs in taken.items()
    }
    print(f"{content.count(chr(10).encode()):,} reviews, {len(content) / 1e6:,.0f} MB")
    rows = [[name, *pair, pair[0] / medians["msgspec"][0]] for name, pair in medians.items()]
    literal = seconds_of_literals(content)
    return [*rows, ["literal", literal, literal, literal / medians["msgspec"][0]]]


def _made_of(parse: Callable[[bytes, Path], Any], field: str, spoilt: str, path: Path) -> str:
    """Return what a parser takes the spoilt value for."""
    parts = [
        f'"{name}": {spoilt if name == field else json.dumps(value)}'
        for name, value in GOOD.items()
        if not (name == field and not spoilt)
    ]
    content = ("{" + ", ".join(parts) + "}\n").encode()
    path.write_bytes(content)
    try:
        rows = parse(content, path)
    except Exception:  # each library has errors of its own
        return "refused"
    return repr(rows[0][NAMES.index(field)]) if rows else "left out"


if __name__ == "__main__":
    sys.exit(main())
