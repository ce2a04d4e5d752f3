"""A board as JSON, the form that other programs read."""

from __future__ import annotations

import json
from typing import Any

from harness.board.table import BoardTable

FORMAT = 1

SIGNIFICANT_DIGITS = 9
"""Fewer than a float64 has: the last digits of sums and p-values depend on processor and library,
and a published file must come out the same everywhere."""


def rounded(value: Any) -> Any:
    """Return nested values with every float rounded to `SIGNIFICANT_DIGITS`."""
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    if isinstance(value, dict):
        return {key: rounded(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(part) for part in value]
    return value


def json_text(table: BoardTable) -> str:
    """Return the table's parts (`BoardTable`) as JSON, with the number of this format."""
    parts = {"format": FORMAT, **rounded(table.as_json())}
    return json.dumps(parts, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
