"""What the readers of folders that others have processed share: sequences without times."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from harness.data.events import EventTable
from harness.data.readers.rows import EventRows
from harness.errors import DataError


class RawIds:
    """Raw ids by index, from a file that lists both; without one an index stands for itself.

    Args:
        pairs: (raw id, index).
        path: the file, or None where there is none.

    Raises:
        DataError: two raw ids have the same index, or two indices the same raw id.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = (), path: Path | None = None) -> None:
        self._path = path
        self._raw: dict[str, str] = {}
        self._indices: dict[str, str] = {}
        for raw, index in pairs:
            if self._raw.setdefault(index, raw) != raw:
                raise DataError(
                    f"{path}: {self._raw[index]!r} and {raw!r} have the same index {index!r}"
                )
            if self._indices.setdefault(raw, index) != index:
                raise DataError(
                    f"{path}: {raw!r} has two indices, {self._indices[raw]!r} and {index!r}"
                )

    def __getitem__(self, index: str) -> str:
        """Return the raw id of an index.

        Raises:
            DataError: the file does not list it.
        """
        if self._path is None:
            return index
        if index not in self._raw:
            raise DataError(f"{self._path}: no raw id has the index {index!r}, which occurs")
        return self._raw[index]

    def __contains__(self, index: str) -> bool:
        return self._path is None or index in self._raw

    def count(self, found: Iterable[str]) -> tuple[int, int]:
        """Return how many of some strings are raw ids, and how many are indices."""
        strings = set(found)
        return len(strings & self._indices.keys()), len(strings & self._raw.keys())


def append_sequences(
    events: EventTable, sequences: Mapping[str, list[str]], users: RawIds, items: RawIds
) -> None:
    """Append each user's events, oldest first.

    Args:
        events: the table.
        sequences: item indices by user index.
        users: their raw ids.
        items: their raw ids.

    Raises:
        DataError: an index without a raw id.
    """
    with EventRows(events) as rows:
        for user, indices in sequences.items():
            raw_user = users[user]
            for index in indices:
                rows.add(raw_user, items[index])


def whole_sequences(
    train: Mapping[str, list[str]],
    validation: Mapping[str, str],
    test: Mapping[str, str],
    paths: Mapping[str, Path],
) -> dict[str, list[str]]:
    """Return each user's training part, validation item and test item, one after the other.

    Only a user with too few events for a split may lack the last two.

    Args:
        train: items by user.
        validation: one item by user.
        test: likewise.
        paths: the file of each of these roles.

    Raises:
        DataError: the files are not those of a leave-one-out split; names file and user.
    """
    for user in (*validation, *test):
        for role, part in (("train", train), ("validation", validation), ("test", test)):
            if user not in part:
                raise DataError(
                    f"{paths[role]}: user {user!r} is absent, but held out in another file; the "
                    "folder is not a leave-one-out split"
                )
    sequences = {}
    for user, items in train.items():
        if user not in test and len(items) > 2:
            raise DataError(
                f"{paths['test']}: user {user!r} is absent, but has {len(items)} events for "
                "training; the folder is not a leave-one-out split"
            )
        sequences[user] = [*items, validation[user], test[user]] if user in test else [*items]
    return sequences
