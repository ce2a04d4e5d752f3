"""The raw item table that readers fill: only the fields which the card's text rules name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.data.readers.lines import fault
from harness.errors import DataError, did_you_mean


class ItemRows:
    """Collects items line by line; an id may come again only with the same content."""

    def __init__(self, fields: tuple[str, ...], path: Path) -> None:
        self._fields = fields
        self._path = path
        self._items: dict[str, dict[str, Any]] = {}
        self._lines: dict[str, int] = {}
        self._names_seen: set[str] = set()
        self.repeated = 0

    def add(self, item: str, values: Mapping[str, Any], line: int) -> None:
        """Keep one item's fields.

        Raises:
            DataError: a field of the wrong type, or a second line that says something else.
        """
        self._names_seen.update(values)
        kept = {field: self._checked(values.get(field), field, line) for field in self._fields}
        if item in self._items:
            if self._items[item] != kept:
                fault(
                    self._path,
                    line,
                    f"item {item!r} stands in line {self._lines[item]} with other content; "
                    "keep one of the two lines",
                )
            self.repeated += 1
            return
        self._items[item], self._lines[item] = kept, line

    def finish(self) -> dict[str, dict[str, Any]]:
        """Return the fields by item id.

        Raises:
            DataError: there is no item, or no line has one of the fields.
        """
        if not self._items:
            raise DataError(f"{self._path}: the catalogue is empty: no line holds an item")
        for field in self._fields:
            if field not in self._names_seen:
                known = did_you_mean(field, self._names_seen)
                raise DataError(
                    f"{self._path}: no item has the field {field!r} that the card's [text] asks "
                    f"for: {known}"
                )
        return self._items

    def _checked(self, value: Any, field: str, line: int) -> Any:
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, bool) or not isinstance(part, str | int | float | None):
                fault(
                    self._path,
                    line,
                    f"{field!r} must be text, a number or a list of these, "
                    f"found {type(part).__name__}",
                )
        return value
