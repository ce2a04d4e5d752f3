"""The raw item table that readers fill: the wanted items, the fields of text and attributes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from harness.data.readers.faults import Place, fault
from harness.errors import DataError, did_you_mean


class ItemRows:
    """Collects items line by line. An id that comes again with the same content is counted.

    Args:
        fields: the source fields of the text.
        path: the file, for messages.
        wanted: the ids to keep; lines of other items are passed over.
        others: fields to keep besides, which a line, and a file of JSON lines, need not have.

    Attributes:
        kept: the fields of either kind.
        values: the fields by item id; an item without a line is absent.
        repeated: lines that repeat an earlier one, as far as the fields go.
    """

    def __init__(
        self, fields: tuple[str, ...], path: Path, wanted: Set[str], others: tuple[str, ...] = ()
    ) -> None:
        self.fields = fields
        self.kept = (*fields, *others)
        self.values: dict[str, dict[str, Any]] = {}
        self.repeated = 0
        self._path = path
        self._wanted = wanted
        self._places: dict[str, Place] = {}
        self._any_line = False
        self._found: set[str] = set()
        self._other_names: set[str] = set()

    def add(self, item: str, values: Mapping[str, Any], place: Place) -> None:
        """Keep one item's fields, if it is wanted.

        Raises:
            LineFault: a field of the wrong type, or a second line that says something else. Of
                two such lines the same one is kept, whichever comes first.
        """
        self._any_line = True
        if len(self._found) < len(self.fields):  # for a message; not worth looking at every line
            self._found.update(field for field in self.fields if field in values)
            self._other_names.update(values)
        if item not in self._wanted:
            return
        kept = {field: self._checked(values.get(field), field, place) for field in self.kept}
        former = self.values.setdefault(item, kept)
        if former is kept:
            self._places[item] = place
        elif former == kept:
            self.repeated += 1
        else:
            # by their content, so that the order of the lines does not matter
            if _canonical(kept) < _canonical(former):
                self.values[item] = kept
            first = self._places[item]
            what = (
                f"item {item!r} stands in {first.unit} {first.which} with other content; one of "
                "the two is kept"
            )
            fault(place, what, "two lines for one item")

    def check(self) -> None:
        """Check the file as a whole, after its last line.

        Raises:
            DataError: it has no item, or no line of it has one of the fields.
        """
        if not self._any_line:
            raise DataError(f"{self._path}: the catalogue is empty: no line holds an item")
        for field in self.fields:
            if field not in self._found:
                known = did_you_mean(field, self._other_names)
                raise DataError(
                    f"{self._path}: no item has the field {field!r} that the card's [text] asks "
                    f"for: {known}"
                )

    def _checked(self, value: Any, field: str, place: Place) -> Any:
        parts = value if isinstance(value, list) else [value]
        for part in parts:
            if isinstance(part, bool) or not isinstance(part, str | int | float | None):
                what = f"{field!r} must be text, a number or a list of these, "
                fault(place, what + f"found {type(part).__name__}")
        return value


def _canonical(values: Mapping[str, Any]) -> str:
    return json.dumps(values, sort_keys=True)
