"""Writer of RecBole's atomic files: all interactions, the items, and the split already expanded.

Three files, ``train``, ``valid`` and ``test``, hold one row per (history, target). RecBole takes
them as they are (``benchmark_filename``), so that its own sorting and splitting have no say.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.prepared import PreparedData
from harness.errors import DataError
from harness.files import atomic_write, write_text
from harness.histories import Histories
from harness.progress import Progress
from harness.splits import Split

_BLOCK_LINES = 4096  # lines held in memory at a time
_EXPANDED = ("user_id:token", "item_id_list:token_seq", "item_id:token")
_MISSING = {
    "#N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN", "<NA>", "N/A", "NA",
    "NULL", "NaN", "None", "n/a", "nan", "null",
}  # fmt: skip
"""What pandas, with which RecBole reads, takes for a missing value."""
_PADDING = "[PAD]"  # RecBole's own name for its padding

_LOADING = """\
Load: give RecBole `{name}.yaml` among its config files. RecBole then takes `{name}.train.inter`
(every prefix of a user's training part), `{name}.valid.inter` and `{name}.test.inter` as they are,
their histories cut to the newest {max_history} items. To let RecBole split `{name}.inter` (all
events) itself, leave out `benchmark_filename` and `alias_of_item_id`, and load user_id, item_id and
position; `TIME_FIELD: position` keeps the harness's order. `{name}.item` holds the texts."""
_BUNDLED = "ml-100k"
_RENAME = """

RecBole looks for a data set called ml-100k in its own package only, wherever data_path points. So
give another name to this folder, to the beginnings of its files and to `dataset` in the settings;
or, in Python, set `config["data_path"]` to this folder after the config is made."""

_SETTINGS = """\
# RecBole's settings for the split in this folder. Add this file to config_files, and let data_path
# name the folder that holds this one.
dataset: "{name}"
field_separator: "\\t"
seq_separator: " "
USER_ID_FIELD: user_id
ITEM_ID_FIELD: item_id
TIME_FIELD: position
LIST_SUFFIX: _list
ITEM_LIST_LENGTH_FIELD: item_length
MAX_ITEM_LIST_LENGTH: {max_history}
benchmark_filename: [train, valid, test]
alias_of_item_id: [item_id_list]
load_col:
  inter: [user_id, item_id_list, item_id]
# all items are candidates, those of the history too
repeatable: true
eval_args:
  split: {{LS: valid_and_test}}
  order: TO
  mode: full
"""


def loading(name: str, max_history: int) -> str:
    """Return what a README says on reading the files: plain Markdown."""
    text = _LOADING.format(name=name, max_history=max_history)
    return text + _RENAME if name == _BUNDLED else text


def check_writable(data: PreparedData) -> None:
    """Refuse ids and texts that RecBole would not read back from atomic files as they are.

    Raises:
        DataError: naming the first such id or item.
    """
    for role, ids in (("user", data.user_ids), ("item", data.item_ids)):
        for found in ids:
            if reason := _id_fault(found):
                raise _unwritable(data, f"the {role} id {found!r} {reason}")
    for item, text in zip(data.item_ids, data.item_texts, strict=True):
        if reason := _text_fault(text):
            raise _unwritable(data, f"the text of item {item!r} {reason}")


def write_atomic_files(
    folder: Path, data: PreparedData, split: Split, max_history: int, progress: Progress
) -> list[str]:
    """Write data that passed `check_writable` into ``folder``; return the names of the files.

    Args:
        folder: exists.
        data: what to write.
        split: of ``data.sequences``.
        max_history: in the expanded files, histories are cut to their newest that many items.
        progress: shows a bar per file.

    Raises:
        OSError: the disk is full or not writable.
    """
    train, test = split.train, split.test_histories
    files = {
        "inter": (_event_columns(data), _event_lines(data)),
        "item": (("item_id:token", "text:token_seq"), _item_lines(data)),
        "train.inter": (_EXPANDED, _prefix_lines(data, train, max_history)),
        "valid.inter": (
            _EXPANDED,
            _target_lines(data, train, split.validation_targets, max_history),
        ),
        "test.inter": (_EXPANDED, _target_lines(data, test, split.test_targets, max_history)),
    }
    totals = {
        "inter": len(data.sequences.items),
        "item": len(data.item_ids),
        "train.inter": int(np.maximum(train.lengths - 1, 0).sum()),
        "valid.inter": len(train),
        "test.inter": len(test),
    }
    names = {suffix: f"{data.card.name}.{suffix}" for suffix in files}
    for suffix, (columns, lines) in files.items():
        path = folder / names[suffix]
        _write_lines(path, columns, lines, totals[suffix], progress)
    settings = f"{data.card.name}.yaml"
    write_text(folder / settings, _SETTINGS.format(name=data.card.name, max_history=max_history))
    return [*names.values(), settings]


def _write_lines(
    path: Path, columns: tuple[str, ...], lines: Iterator[str], total: int, progress: Progress
) -> None:
    with atomic_write(path) as stream, progress.bar(path.name, total, unit="lines") as bar:
        stream.write(("\t".join(columns) + "\n").encode())
        while block := list(islice(lines, _BLOCK_LINES)):
            stream.write("".join(block).encode())
            bar.advance(len(block))


# ---- lines ---------------------------------------------------------------------------------------


def _event_columns(data: PreparedData) -> tuple[str, ...]:
    times = () if data.sequences.timestamps is None else ("timestamp:float",)
    return ("user_id:token", "item_id:token", *times, "position:float")


def _event_lines(data: PreparedData) -> Iterator[str]:
    """Yield every event, by user, oldest first."""
    sequences = data.sequences
    for row, (user, items) in enumerate(_ids_by_user(data, sequences)):
        if sequences.timestamps is None:
            for position, item in enumerate(items):
                yield f"{user}\t{item}\t{position}\n"
            continue
        times = sequences.timestamps[sequences.offsets[row] : sequences.offsets[row + 1]].tolist()
        for position, (item, time) in enumerate(zip(items, times, strict=True)):
            yield f"{user}\t{item}\t{time}\t{position}\n"


def _item_lines(data: PreparedData) -> Iterator[str]:
    for item, text in zip(data.item_ids, data.item_texts, strict=True):
        yield f"{item}\t{text}\n"


def _prefix_lines(data: PreparedData, histories: Histories, max_history: int) -> Iterator[str]:
    """Yield every item but a user's first as a target, with the newest items before it."""
    for user, items in _ids_by_user(data, histories):
        # a history is a slice of the user's items, joined once: a join per row would take as long
        # as the rows are wide
        joined = " ".join(items)
        starts = list(accumulate((len(item) + 1 for item in items), initial=0))
        for target in range(1, len(items)):
            begin, end = starts[max(0, target - max_history)], starts[target] - 1
            yield f"{user}\t{joined[begin:end]}\t{items[target]}\n"


def _target_lines(
    data: PreparedData, histories: Histories, targets: NDArray[np.int32], max_history: int
) -> Iterator[str]:
    """Yield one target per user, with the newest items of the user's history."""
    pairs = zip(_ids_by_user(data, histories), targets.tolist(), strict=True)
    for (user, items), target in pairs:
        yield f"{user}\t{' '.join(items[-max_history:])}\t{data.item_ids[target]}\n"


def _ids_by_user(data: PreparedData, histories: Histories) -> Iterator[tuple[str, list[str]]]:
    """Yield (user id, item ids oldest first)."""
    for user, items in zip(histories.users.tolist(), histories, strict=True):
        yield data.user_ids[user], [data.item_ids[item] for item in items.tolist()]


# ---- what cannot be written ----------------------------------------------------------------------


def _id_fault(found: str) -> str | None:
    if found.split() != [found]:
        return "holds a blank, a tab or a line break, at which RecBole would cut it"
    if found.startswith('"'):
        return "begins with a quotation mark, which RecBole would take for that of a quoted cell"
    if found in _MISSING:
        return "is a word that RecBole would take for a missing value"
    if found == _PADDING:
        return "is RecBole's own name for padding"
    return None


def _text_fault(text: str) -> str | None:
    if any(character in text for character in "\t\n\r"):
        return "holds a tab or a line break, at which RecBole would cut it"
    if text.startswith('"'):
        return "begins with a quotation mark, which RecBole would take for that of a quoted cell"
    return None


def _unwritable(data: PreparedData, what: str) -> DataError:
    return DataError(
        f'data set {data.card.name}: {what}; export it in the form "parquet", which holds '
        "everything as it is"
    )
