"""Strict reading of a TOML table: every key is known, typed and used, or the card is refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from harness.errors import DataError, did_you_mean

_ABSENT: Any = object()


class Table:
    """One table of a card. Ask for each key it may have, then call `finish`.

    Every reading method raises DataError, naming the card and the key, where the key is missing
    (unless a default is given) or its value has another type.
    """

    def __init__(self, values: Mapping[str, Any], where: str) -> None:
        self._values = values
        self._asked: set[str] = set()
        self.where = where

    def text(self, key: str, default: str = _ABSENT) -> str:
        """Return a string that is not blank (a default may be)."""
        value = self._typed(key, str, "a string", default)
        if not value.strip() and value is not default:
            raise self.fault(key, "must not be blank")
        return str(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of strings; an absent one reads as an empty one."""
        values = self._typed(key, list, "a list of strings", [])
        if not all(isinstance(value, str) and value.strip() for value in values):
            raise self.fault(key, f"must be a list of strings, found {values!r}")
        return tuple(values)

    def plain_list(self, key: str) -> list[Any]:
        """Return a list of anything, for the caller to check."""
        return list(self._typed(key, list, "a list", _ABSENT))

    def figure(self, key: str) -> float:
        """Return a finite number, whole or not."""
        value = self._values.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not _is_plain(value):
            raise self.fault(key, f"must be a finite number, found {value!r}")
        self._asked.add(key)
        return value

    def figures(self, key: str, n: int) -> tuple[float, ...]:
        """Return a list of ``n`` finite numbers."""
        values = self._typed(key, list, f"a list of {n} numbers", _ABSENT)
        numbers = [value for value in values if type(value) in (int, float) and _is_plain(value)]
        if len(values) != n or len(numbers) != n:
            raise self.fault(key, f"must be a list of {n} numbers, found {values!r}")
        return tuple(float(value) for value in numbers)

    def choice(self, key: str, choices: Sequence[str], default: str = _ABSENT) -> str:
        """Return a string that is one of ``choices``."""
        value = self.text(key, default)
        if value not in choices:
            raise self.fault(key, f"cannot be {value!r}: {did_you_mean(value, choices)}")
        return value

    def flag(self, key: str) -> bool:
        """Return true or false."""
        return bool(self._typed(key, bool, "true or false", _ABSENT))

    def whole(self, key: str, minimum: int, default: int = _ABSENT) -> int:
        """Return a whole number of at least ``minimum``."""
        value = int(self._typed(key, int, "a whole number", default))
        if value < minimum:
            raise self.fault(key, f"must be at least {minimum}, found {value}")
        return value

    def fraction(self, key: str) -> float:
        """Return a number above 0 and below 1."""
        value = float(self._typed(key, float, "a number with a decimal point", _ABSENT))
        if not 0 < value < 1:
            raise self.fault(key, f"must lie between 0 and 1, found {value}")
        return value

    def table(self, key: str, optional: bool = False) -> Table:
        """Return a table within this one; an absent optional table reads as an empty one."""
        values = self._typed(key, dict, "a table", {} if optional else _ABSENT)
        return Table(values, f"{self.where}, [{key}]")

    def tables(self, key: str, optional: bool = False) -> list[Table]:
        """Return an array of tables that is not empty, unless it is optional and absent."""
        values = self._typed(key, list, "an array of tables", [] if optional else _ABSENT)
        if optional and key not in self._values:
            return []
        if not values or not all(isinstance(value, dict) for value in values):
            raise self.fault(key, "must be an array of one or more tables")
        return [
            Table(value, f"{self.where}, [[{key}]] number {number}")
            for number, value in enumerate(values, 1)
        ]

    def plain_values(self) -> dict[str, Any]:
        """Return every entry of a table of free keys: strings, numbers, flags or lists of these."""
        for key, value in self._values.items():
            parts = value if isinstance(value, list) else [value]
            if not all(_is_plain(part) for part in parts):
                raise self.fault(key, "must be a string, a finite number, true, false or a list")
        self._asked.update(self._values)
        return dict(self._values)

    def keys(self) -> set[str]:
        """Return the keys present, for tables whose keys are free."""
        return set(self._values)

    def __contains__(self, key: str) -> bool:
        self._asked.add(key)
        return key in self._values

    def finish(self) -> None:
        """Refuse the table if it has a key that nothing asked for."""
        for key in self._values:
            if key not in self._asked:
                raise DataError(
                    f"{self.where}: unknown key {key!r}: {did_you_mean(key, self._asked)}"
                )

    def fault(self, key: str, what: str) -> DataError:
        """Return an error about one key, to be raised."""
        return DataError(f"{self.where}: {key!r} {what}")

    def _typed(self, key: str, kind: type, wanted: str, default: Any) -> Any:
        self._asked.add(key)
        value = self._values.get(key, default)
        if value is _ABSENT:
            raise DataError(f"{self.where}: the key {key!r} is missing; it must be {wanted}")
        # bool is a kind of int in Python, but not in a card
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise self.fault(key, f"must be {wanted}, found {value!r}")
        return value


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))
