"""Files of ``torch.save`` read without running anything that they name.

Such a file is a zip of raw numbers and of one pickle that says how they belong together. A pickle
may name any callable of any package, and the released checkpoint does hold an object (RecBole's
configuration) which torch will not load without trusting the file. Here nothing is looked up: a
handful of names stand for this module's own classes, all others for one inert class, whose objects
swallow whatever is done to them. Numbers are read when asked for, and only within their record.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from harness.errors import DataError

ZIP_START = b"PK\x03\x04"
PICKLE_START = b"\x80"
DESCRIPTION, NUMBERS, BYTE_ORDER = "data.pkl", "data", "byteorder"

MOST_BYTES = 1 << 34
"""Of a file; a released checkpoint takes some ten megabytes."""
MOST_PICKLE_BYTES = 1 << 26
MOST_MEMO = 1 << 24
"""Of the pickle's numbered values: a greater number would have memory made for all below it."""
MOST_TUPLES = 1 << 15
"""In the pickle, four for a tensor; the hash of tuples in tuples would overrun Python's stack."""
MOST_DIMENSIONS = 16

STORAGES = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
"""Torch's names of storages -> what a number in them is, and its bytes."""
BYTES_OF = dict(STORAGES.values())

_NUMBERED = frozenset({"PUT", "BINPUT", "LONG_BINPUT"})
_TUPLES = frozenset({"TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_REGISTRY = frozenset({"EXT1", "EXT2", "EXT4"})


class UnreadableError(ValueError):
    """A file that is damaged, or that no ``torch.save`` wrote."""


class Inert:
    """What stands for every class and function that is not known: it does nothing, ever."""

    __slots__ = ()

    def __new__(cls, *_: Any, **__: Any) -> Inert:
        """Return an object, whatever is given."""
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    def __call__(self, *_: Any, **__: Any) -> Inert:
        """Return the object itself, whatever is given."""
        return self

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    @staticmethod
    def _swallow(*_: Any) -> None:
        pass

    __setstate__ = append = extend = add = _swallow


class Entries(dict[Any, Any]):
    """What stands for an ordered dict; it has no attributes that a file could set."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class Storage(NamedTuple):
    """One record of raw numbers; a tuple, which a pickle cannot change once it is made.

    Attributes:
        name: of the record in the zip.
        kind: of its numbers, by torch's name, such as "float32".
        n_numbers: in the record.
    """

    name: str
    kind: str
    n_numbers: int


class Stored(NamedTuple):
    """A tensor that has not been read; it lies within its storage, or is empty.

    Attributes:
        storage: where its numbers are.
        offset: of its first number.
        shape: as torch counts it.
        strides: likewise.
    """

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Rebuild:
    """What stands for torch's two functions that make tensors; a file cannot change it."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        pass


class _RebuildTensor(_Rebuild):
    """Makes a `Stored` of a storage, an offset, a shape and strides."""

    __slots__ = ()

    def __call__(self, storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Stored:
        """Return the tensor.

        Raises:
            UnreadableError: it is not within its storage, or larger.
        """
        if not isinstance(storage, Storage):
            raise UnreadableError("a tensor names no storage of numbers")
        shape, strides = _numbers(shape), _numbers(strides)
        if len(shape) != len(strides) or len(shape) > MOST_DIMENSIONS:
            raise UnreadableError(
                f"a tensor has {len(shape)} dimensions and {len(strides)} strides"
            )
        if not all(0 <= _whole(number) <= MOST_BYTES for number in (offset, *shape, *strides)):
            raise UnreadableError(
                "a tensor's size, stride or offset is below 0 or beyond all bounds"
            )
        size = math.prod(shape)
        last = offset + sum((n - 1) * stride for n, stride in zip(shape, strides, strict=True))
        if size and max(size, last + 1) > storage.n_numbers:
            raise UnreadableError(f"a tensor of shape {list(shape)} reaches beyond its storage")
        return Stored(storage, offset, shape, strides)


class _RebuildParameter(_Rebuild):
    """Makes the tensor itself of a parameter."""

    __slots__ = ()

    def __call__(self, tensor: Any, *_: Any) -> Any:
        """Return the tensor."""
        return tensor


def _numbers(values: Any) -> tuple[Any, ...]:
    if not isinstance(values, tuple | list):
        raise UnreadableError("a tensor's shape and strides are no lists of numbers")
    return tuple(values)


def _whole(number: Any) -> int:
    if type(number) is not int:
        raise UnreadableError(f"a {type(number).__name__} stands where a whole number is expected")
    return number


class _Unpickler(pickle.Unpickler):
    """Builds plain containers, numbers, texts, `Stored` tensors and `Inert` objects; no more."""

    def __init__(self, content: bytes, archive: Archive) -> None:
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self._archive = archive

    def find_class(self, module: str, name: str, /) -> Any:
        """Return what stands for a name; nothing is imported or looked up."""
        match module, name:
            case "collections", "OrderedDict":
                return Entries
            case "torch._utils", "_rebuild_tensor_v2":
                return _RebuildTensor()
            case "torch._utils", "_rebuild_parameter":
                return _RebuildParameter()
            case "torch", _ if name in STORAGES:
                return STORAGES[name][0]
        return Inert

    def persistent_load(self, pid: Any) -> Storage:
        """Return the storage that a pickle refers to, whose record is there and as long as said.

        Raises:
            UnreadableError: it refers to something else.
        """
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage":
            raise UnreadableError("it refers to something that is no storage of numbers")
        _, kind, key, _, n_numbers = pid
        if not isinstance(kind, str) or kind not in BYTES_OF:
            raise UnreadableError("a storage has numbers of a kind that is not known")
        if not isinstance(key, str) or not (key.isascii() and key.isdecimal()):
            raise UnreadableError("a storage's record has another name than a number")
        return self._archive.storage(key, kind, _whole(n_numbers))


class Archive:
    """An open file of ``torch.save``; see `opened`."""

    def __init__(self, records: zipfile.ZipFile, n_bytes: int) -> None:
        self._zip = records
        self._records = _checked_records(records, n_bytes)
        self._prefix = self._only_prefix()
        self._read: dict[str, bytearray] = {}
        order = self._records.get(self._prefix + BYTE_ORDER)
        said = b"little" if order is None else self._content(order, 16)
        if said != b"little" or sys.byteorder != "little":
            raise UnreadableError(
                f"its numbers are in the byte order {said.decode(errors='replace')!r} and this "
                f"machine's is {sys.byteorder!r}; both must be 'little'"
            )

    def unpickled(self) -> Any:
        """Return what was saved, with `Stored` for tensors and `Inert` for objects."""
        record = self._records[self._prefix + DESCRIPTION]
        content = self._content(record, MOST_PICKLE_BYTES)
        _check_pickle(content)
        return _Unpickler(content, self).load()

    def storage(self, key: str, kind: str, n_numbers: int) -> Storage:
        """Return the storage of a record.

        Raises:
            UnreadableError: there is no such record, or it is not as long.
        """
        name = f"{self._prefix}{NUMBERS}/{key}"
        found = self._records[name].file_size if name in self._records else None
        if n_numbers < 0 or found != n_numbers * BYTES_OF[kind]:
            raise UnreadableError(
                f"the record {NUMBERS}/{key} has {'no' if found is None else found} bytes, and "
                f"{n_numbers} numbers of {kind} are said to be in it"
            )
        return Storage(name, kind, n_numbers)

    def tensor(self, stored: Stored) -> Any:
        """Read a tensor; tensors of one storage share their memory."""
        import torch

        storage, kind = stored.storage, getattr(torch, stored.storage.kind)
        if 0 in stored.shape:
            return torch.empty(stored.shape, dtype=kind)
        if storage.name not in self._read:
            self._read[storage.name] = bytearray(self._zip.read(storage.name))
        flat = torch.frombuffer(self._read[storage.name], dtype=kind)
        return flat.as_strided(stored.shape, stored.strides, stored.offset)

    def _only_prefix(self) -> str:
        """Return the folder that all is in, with its slash."""
        found = [name for name in self._records if name.rpartition("/")[2] == DESCRIPTION]
        if len(found) != 1 or found[0].count("/") != 1:
            raise UnreadableError(f"it holds {len(found)} records FOLDER/{DESCRIPTION}, not one")
        return found[0].removesuffix(DESCRIPTION)

    def _content(self, record: zipfile.ZipInfo, most: int) -> bytes:
        if record.file_size > most:
            raise UnreadableError(f"its record {record.filename!r} has {record.file_size} bytes")
        return self._zip.read(record)


@contextmanager
def opened(path: Path, said: str) -> Iterator[Archive]:
    """Open a file of ``torch.save``; whatever is wrong with it is raised as a DataError.

    Args:
        path: of the file.
        said: how messages begin.

    Raises:
        DataError: the file is damaged, of torch's older format, or holds what cannot be.
    """
    _check_start(path, said)
    try:
        with zipfile.ZipFile(path) as records:
            yield Archive(records, path.stat().st_size)
    except DataError:
        raise
    except Exception as error:  # pickle and zipfile raise many kinds for files made to confuse
        reason = str(error) if isinstance(error, UnreadableError) else repr(error)[:200]
        raise DataError(
            f"{said} cannot be read: {reason}; the file is damaged, or was not written by "
            "torch.save: fetch it again"
        ) from error


def _check_start(path: Path, said: str) -> None:
    try:
        with path.open("rb") as stream:
            start = stream.read(len(ZIP_START))
    except OSError as error:
        raise DataError(f"{said} cannot be read: {error}; name a readable file") from error
    if start == ZIP_START:
        return
    if start.startswith(PICKLE_START):
        raise DataError(
            f"{said} is in the format that torch wrote before version 1.6, which is not read; "
            "where you trust the file, load it with torch and save its state_dict anew, with "
            "torch.save or as .safetensors"
        )
    raise DataError(
        f"{said} begins with {start!r}, which is no file of torch.save; name one, or a file that "
        "ends in .safetensors"
    )


def _checked_records(records: zipfile.ZipFile, n_bytes: int) -> dict[str, zipfile.ZipInfo]:
    """Return the records by name: as they are stored, no more than the file has bytes for.

    Raises:
        UnreadableError: a record is packed or encrypted, two have one name, or they overlap.
    """
    found: dict[str, zipfile.ZipInfo] = {}
    for record in records.infolist():
        # what torch.save writes is never packed: what is packed could unfold to any size
        if record.compress_type != zipfile.ZIP_STORED or record.flag_bits & 1:
            raise UnreadableError(f"its record {record.filename!r} is packed or encrypted")
        if record.file_size != record.compress_size or record.filename in found:
            raise UnreadableError(
                f"its record {record.filename!r} is there twice, or of no clear size"
            )
        found[record.filename] = record
    total = sum(record.file_size for record in found.values())
    if total > min(n_bytes, MOST_BYTES):
        raise UnreadableError(
            f"its records have {total} bytes, more than the file ({n_bytes}) or than is read at "
            f"most ({MOST_BYTES})"
        )
    return found


def _check_pickle(content: bytes) -> None:
    """Look through a pickle's operations before any is done.

    Raises:
        UnreadableError: they ask for great amounts of memory or depth, or for Python's registry of
            classes.
    """
    n_tuples = 0
    for operation, argument, _ in pickletools.genops(content):
        n_tuples += operation.name in _TUPLES
        if operation.name in _REGISTRY:
            raise UnreadableError("its pickle asks for a registered class")
        if operation.name in _NUMBERED and not 0 <= argument < MOST_MEMO:
            raise UnreadableError(f"its pickle counts its values up to {argument}")
        if n_tuples > MOST_TUPLES:
            raise UnreadableError(f"its pickle holds more than {MOST_TUPLES} tuples")
