"""Reader for folders processed for UniSRec: RecBole's atomic files with a history in each line.

``NAME.train.inter`` holds every prefix of a user's training part with its next item, the longest
first, histories cut to their newest 50; ``NAME.valid.inter`` and ``NAME.test.inter`` hold one line
a user. The whole sequences are put together again and every line is compared with them, so a
folder that was split in another way is refused. ``NAME.item2index`` and ``NAME.user2index``, where
there are any, say the raw id of each index. Item texts come from a file that the card names: atomic
(``item_id:token text:token_seq``, with raw ids or with indices), or JSON lines with ``asin`` or
``item``, such as Amazon's own.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from harness.data.events import EventTable
from harness.data.readers.atomic import each_row
from harness.data.readers.faults import Faults, Place, fault
from harness.data.readers.items import ItemRows
from harness.data.readers.lines import each_line, identifier, object_of, read_blocks, text_of
from harness.data.readers.reading import Reading
from harness.data.readers.sequences import RawIds, append_sequences, whole_sequences
from harness.errors import DataError
from harness.progress import Progress

_COLUMNS = {"user_id", "item_id_list", "item_id"}


class _Step(NamedTuple):
    """One line: a history and the item that follows it."""

    place: Place
    user: str
    history: list[str]
    target: str


def read_events(reading: Reading, events: EventTable) -> None:
    """Append every user's sequence: training part, validation item, test item.

    Raises:
        DataError: naming file and line; a line contradicts the user's others.
    """
    steps = {
        role: list(
            each_row(
                reading.paths[role],
                _COLUMNS,
                reading.label(role),
                _step,
                reading.faults,
                reading.progress,
            )
        )
        for role in ("train", "validation", "test")
    }
    # a history may be cut to its newest items, to the same number everywhere
    width = max((len(step.history) for part in steps.values() for step in part), default=0)
    train = _training_parts(steps["train"], width)
    validation, test = _by_user(steps["validation"]), _by_user(steps["test"])
    for user, step in validation.items():
        if len(step.history) == 1:  # of so short a training part, the training file has no line
            train.setdefault(user, step.history)
        _check_history(step, train.get(user, []), width)
    targets = {user: step.target for user, step in validation.items()}
    for user, step in test.items():
        if user in targets:
            _check_history(step, [*train[user], targets[user]], width)
    sequences = whole_sequences(
        train, targets, {user: step.target for user, step in test.items()}, reading.paths
    )
    append_sequences(
        events, sequences, _index(reading.paths, "user_index"), _index(reading.paths, "item_index")
    )


def _step(place: Place, row: Mapping[str, str]) -> _Step:
    history = [sys.intern(item) for item in row["item_id_list"].split()]  # they occur often
    if not history:
        fault(place, "the history is empty")
    return _Step(
        place,
        identifier(row["user_id"], "user_id", place),
        history,
        identifier(row["item_id"], "item_id", place),
    )


def _training_parts(steps: list[_Step], width: int) -> dict[str, list[str]]:
    lines_of: dict[str, list[_Step]] = {}
    for step in steps:
        lines_of.setdefault(step.user, []).append(step)
    parts = {}
    for user, lines in lines_of.items():
        if len(lines[0].history) < len(lines[-1].history):
            lines.reverse()  # written the other way round
        # the first item, and after it every target
        part = [lines[-1].history[0], *(step.target for step in reversed(lines))]
        for place, step in enumerate(reversed(lines), 1):
            _check_history(step, part[:place], width)
        parts[user] = part
    return parts


def _check_history(step: _Step, known: list[str], width: int) -> None:
    """Check that a line's history is what is known to come before its target, or its newest."""
    shown = len(step.history)
    if step.history != known[-shown:] or shown not in (len(known), width):
        raise DataError(
            f"{step.place}: the history of user {step.user!r} is not what the user's other lines "
            "say; the folder is not a leave-one-out split with every prefix in its training file"
        )


def _by_user(steps: list[_Step]) -> dict[str, _Step]:
    """Return the line of each user, who has one only."""
    lines: dict[str, _Step] = {}
    for step in steps:
        first = lines.setdefault(step.user, step)
        if first is not step:
            raise DataError(
                f"{step.place}: user {step.user!r} has line {first.place.which} already; the "
                "folder is not a leave-one-out split"
            )
    return lines


def _index(paths: dict[str, Path], role: str) -> RawIds:
    """Return raw ids by index, from lines of ``raw id TAB index``, where there is such a file."""
    if role not in paths:
        return RawIds()
    path = paths[role]

    def pair(place: Place, raw: bytes) -> tuple[str, str]:
        cells = text_of(raw, place).split("\t")
        if len(cells) != 2:
            fault(place, f"expected a raw id, a tab and an index, found {len(cells)} cells")
        return identifier(cells[0], "raw id", place), identifier(cells[1], "index", place)

    blocks = read_blocks(path, role, Progress(shown=False))
    return RawIds(each_line(blocks, pair, Faults(0)), path)


def _names_indices(path: Path, raw_ids: RawIds) -> bool:
    """Return whether a file of items names them by index: whether more of its ids are indices."""

    def name(place: Place, row: Mapping[str, str]) -> str:
        return row["item_id"]

    ignored = Faults(sys.maxsize)  # counted when the file is read for its texts
    as_raw_ids, as_indices = raw_ids.count(
        each_row(path, {"item_id"}, path.name, name, ignored, Progress(shown=False))
    )
    return as_indices > as_raw_ids


def read_items(reading: Reading, items: ItemRows) -> None:
    """Read the wanted items.

    Raises:
        DataError: naming file and line.
    """
    path, label = reading.paths["items"], reading.label("items")
    if ".json" not in path.name:
        raw_ids = _index(reading.paths, "item_index")
        by_index = _names_indices(path, raw_ids)

        def parse_row(place: Place, row: Mapping[str, str]) -> None:
            found = identifier(row["item_id"], "item_id", place)
            if by_index and found not in raw_ids:  # as an item that occurs nowhere
                return
            items.add(raw_ids[found] if by_index else found, row, place)

        for _ in each_row(
            path, {"item_id", *items.kept}, label, parse_row, reading.faults, reading.progress
        ):
            pass
        return

    def parse_object(place: Place, raw: bytes) -> None:
        values = object_of(raw, place, literals=True)
        name = "asin" if "asin" in values else "item"
        items.add(identifier(values.get(name), name, place), values, place)

    for _ in each_line(read_blocks(path, label, reading.progress), parse_object, reading.faults):
        pass
