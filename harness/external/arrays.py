"""Arrays of an npz file: a matrix of scores, a matrix of ranked items, or ranks."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from harness.external.content import ScoredItems, StatedRanks, check_coverage, check_once
from harness.external.held_out import HeldOut, Names
from harness.external.ranking import Ranked, rank_matrix, rank_scored, rank_stated
from harness.external.tables import SPLIT_KEY
from harness.external.wording import quoted, reason_of
from harness.histories import FloatArray

BLOCK_BYTES = 64 << 20
"""How much of a matrix of scores is in memory at a time."""


def npz_split_hash(path: Path) -> str | None:
    """Return the split hash that an npz file names, or None.

    Raises:
        DataError: it cannot be read.
    """
    shapes = _shapes(path)
    if SPLIT_KEY not in shapes:
        return None
    (stated,) = _read(path, (SPLIT_KEY,)).values()
    if stated.ndim or stated.dtype.kind not in "US":
        raise DataError(
            f"the array {SPLIT_KEY} must be a text without dimensions, found {stated.dtype} "
            f"{stated.shape}"
        )
    value = stated.item()
    return (value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)).strip()


def rank_npz(path: Path, held_out: HeldOut) -> Ranked:
    """Read an npz file and rank the targets.

    Raises:
        DataError: damaged, of no kind, wrong shapes or types, unknown, missing or repeated users.
    """
    shapes = _shapes(path)
    lists = [name for name in ("items", "item_index") if len(shapes.get(name, ())) == 2]
    if len(lists) == 1:
        return _rank_lists(path, lists[0], held_out)
    if "scores" in shapes and not lists:
        return _rank_scores(path, held_out)
    if {"optimistic", "pessimistic"} <= set(shapes) or "rank" in shapes:
        return _rank_stated(path, held_out)
    raise DataError(
        f"its arrays are {', '.join(map(quoted, shapes)) or 'none'}, which is none of the kinds "
        "that can be read: scores [n_users, n_items]; items or item_index [n_users, k]; "
        "optimistic and pessimistic, or rank, [n_users]"
    )


# ---- the kinds -----------------------------------------------------------------------------------


def _rank_scores(path: Path, held_out: HeldOut) -> Ranked:
    arrays = _read(path, ("users", "user_index", "items", "item_index"))
    users = _rows(arrays, held_out)
    items = _named(arrays, "item", held_out.items)
    if items is None:
        items = np.arange(len(held_out.items))
    if len(np.unique(items)) < len(items):
        raise DataError("an item names two columns of scores; give each item one column")
    return rank_matrix(_score_blocks(path, (len(users), len(items))), users, items, held_out)


def _rank_lists(path: Path, name: str, held_out: HeldOut) -> Ranked:
    """Rank lists: the filled entries of a matrix, as one long table."""
    arrays = _read(path, ("users", "user_index", name, "scores"))
    users, lists = _rows(arrays, held_out), arrays[name]
    if len(lists) != len(users):
        raise DataError(f"{name} {lists.shape} must have a row for each of {len(users):,} users")
    filled = _filled(lists)
    scores = arrays.get("scores")
    if scores is not None and (scores.shape != lists.shape or scores.dtype.kind != "f"):
        raise DataError(
            f"scores must be floats of the shape {lists.shape} of {name}, found {scores.dtype} "
            f"{scores.shape}"
        )
    found = ScoredItems(
        users=np.repeat(users, filled.sum(axis=1)),
        items=_indices(lists[filled], name, held_out.items),
        scores=None if scores is None else scores[filled].astype(np.float64),
        positions=np.nonzero(filled)[1] + 1,
    )
    return rank_scored(found, held_out)


def _filled(lists: NDArray[Any]) -> NDArray[np.bool_]:
    """Return bool [n_users, k], false for padding, which must stand last.

    Raises:
        DataError: an item behind padding.
    """
    filled = np.asarray(lists != ("" if lists.dtype.kind == "U" else -1))
    holes = np.flatnonzero((filled[:, 1:] & ~filled[:, :-1]).any(axis=1))
    if len(holes):
        raise DataError(
            f"row {holes[0]:,} has an item behind padding; fill each list from the front"
        )
    return filled


def _rank_stated(path: Path, held_out: HeldOut) -> Ranked:
    names = ("optimistic", "pessimistic", "rank")
    arrays = _read(path, ("users", "user_index", *names))
    stated = [arrays[name] for name in names if name in arrays]
    if len(stated) != (1 if "rank" in arrays else 2):
        raise DataError("it holds rank beside optimistic or pessimistic; keep one or the other")
    users = _rows(arrays, held_out)
    for ranks in stated:
        if ranks.shape != users.shape or ranks.dtype.kind not in "iu":
            raise DataError(
                f"ranks must be whole numbers of the shape {users.shape}, found {ranks.dtype} "
                f"{ranks.shape}"
            )
    low, high = stated[0].astype(np.int64), stated[-1].astype(np.int64)
    return rank_stated(StatedRanks(users, low, high), held_out)


# ---- names ---------------------------------------------------------------------------------------


def _rows(arrays: Mapping[str, NDArray[Any]], held_out: HeldOut) -> NDArray[np.int64]:
    """Return the user of each row; all test users, each once."""
    users = _named(arrays, "user", held_out.users)
    if users is None:
        return np.arange(len(held_out.users))
    check_coverage(users, held_out)
    check_once(users, held_out)
    return users


def _named(
    arrays: Mapping[str, NDArray[Any]], role: str, names: Names
) -> NDArray[np.int64] | None:  # fmt: skip
    """Return the indices that ``users``, ``user_index`` and so on name; None without any."""
    given = [name for name in (f"{role}s", f"{role}_index") if name in arrays]
    if not given:
        return None
    if len(given) == 2 or arrays[given[0]].ndim != 1:
        raise DataError(
            f"{' and '.join(given)} must be one array of one dimension that names each {role}"
        )
    return _indices(arrays[given[0]], given[0], names)


def _indices(values: NDArray[Any], name: str, names: Names) -> NDArray[np.int64]:
    """Return indices for ids or indices: texts are ids, whole numbers are indices.

    Raises:
        DataError: unknown ones, other types, or whole numbers that could as well be ids.
    """
    by_index = name.endswith("_index")
    if values.dtype.kind == "U" and not by_index:
        import pyarrow as pa

        return names.indices_of_ids(pa.chunked_array([pa.array(values)]))
    if values.dtype.kind not in "iu":
        wanted = "whole numbers" if by_index else "texts or whole numbers"
        raise DataError(f"the array {name} must hold {wanted}, found {values.dtype}")
    if names.are_numerals and not by_index:
        raise DataError(
            f"the array {name} holds whole numbers, which could be ids of this data set or "
            f"indices; give ids as texts, or call the array {names.role}_index"
        )
    return names.checked_indices(values)


# ---- the file ------------------------------------------------------------------------------------


def _read(path: Path, wanted: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    """Return those of the wanted arrays that are there."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in wanted if name in stored.files}
    except Exception as error:  # damage surfaces as almost any error of zipfile and zlib
        raise _unreadable(error) from error


def _unreadable(error: Exception) -> DataError:
    return DataError(
        f"it cannot be read as npz: {reason_of(error)}; write plain arrays with numpy.savez"
    )


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return array -> shape, from their headers alone."""
    try:
        with zipfile.ZipFile(path) as archive:
            found = {}
            for member in archive.namelist():
                with archive.open(member) as stream:
                    found[member.removesuffix(".npy")] = _header(stream)[0]
            return found
    except Exception as error:
        raise _unreadable(error) from error


def _header(stream: Any) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return shape, whether columns stand together (Fortran's order), and type."""
    version = np.lib.format.read_magic(stream)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(stream)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(stream)
    raise ValueError(f"an array of the format {version}")


def _score_blocks(path: Path, shape: tuple[int, int]) -> Iterator[FloatArray]:
    """Yield the matrix of scores in blocks of rows.

    The whole of it is in memory only where it is stored column by column (Fortran's order).

    Raises:
        DataError: another shape or type, or a damaged file.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open("scores.npy") as stream:
            found, by_columns, kind = _header(stream)
            _check_matrix(found, kind, shape)
            whole = _rows_of_columns(stream, kind, shape) if by_columns else None
            n_rows = max(1, BLOCK_BYTES // (kind.itemsize * shape[1]))
            for start in range(0, shape[0], n_rows):
                rows = min(n_rows, shape[0] - start)
                block = (
                    _read_numbers(stream, kind, (rows, shape[1]))
                    if whole is None
                    else whole[start : start + rows]
                )
                yield block.astype(np.float32 if kind.itemsize <= 4 else np.float64)
            _check_end(stream)
    except DataError:
        raise
    except Exception as error:
        raise _unreadable(error) from error


def _read_numbers(stream: Any, kind: np.dtype[Any], shape: tuple[int, int]) -> FloatArray:
    content = stream.read(shape[0] * shape[1] * kind.itemsize)
    return np.frombuffer(content, kind).reshape(shape)


def _rows_of_columns(stream: Any, kind: np.dtype[Any], shape: tuple[int, int]) -> FloatArray:
    return _read_numbers(stream, kind, (shape[1], shape[0])).T


def _check_end(stream: Any) -> None:
    """Read up to the end, which is what checks the content's CRC."""
    if stream.read(1):
        raise ValueError("scores hold more than their header says")


def _check_matrix(found: tuple[int, ...], kind: np.dtype[Any], shape: tuple[int, int]) -> None:
    if kind.kind != "f" or kind.itemsize > 8:
        raise DataError(f"scores must be float16, float32 or float64, found {kind}")
    if found != shape:
        raise DataError(
            f"scores must have the shape {shape} (users, items), found {found}; name rows by the "
            "array users and columns by the array items where they are others"
        )
