"""Lines of text files, plain or gzipped, in blocks of bounded size, and the typed values in them.

A second thread reads and unpacks ahead: isal lets go of Python's lock, so that parsing goes on.
"""

from __future__ import annotations

import ast
import contextlib
import gzip
import json
import math
import queue
import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from harness.data.readers.faults import Faults, LineFault, Place, fault
from harness.errors import DataError
from harness.progress import Progress

BLOCK_BYTES = 1 << 20
_AHEAD = 3  # blocks read in advance
LINE_FEED = b"\n"
_LONGEST_LINE_BYTES = 32 << 20
_INT64 = 2**63
MILLISECONDS_FROM = 10**11  # in seconds that would be the year 5138

Value = TypeVar("Value")


@dataclass(frozen=True)
class Block:
    """Some whole lines of a file.

    Attributes:
        path: the file.
        first_line: the number of its first line, counted from 1.
        n_lines: how many line feeds it holds.
        content: the lines, each ended by a line feed (the file's last one perhaps not).
    """

    path: Path
    first_line: int
    n_lines: int
    content: bytes

    def lines(self) -> Iterator[tuple[Place, bytes]]:
        """Yield (place, line without its end), blank lines left out."""
        for line, raw in enumerate(self.content.split(b"\n"), self.first_line):
            if raw.strip():
                yield Place(self.path, line), raw.rstrip(b"\r")


def read_blocks(path: Path, label: str, progress: Progress) -> Generator[Block, None, None]:
    """Yield a file's blocks in order, read and unpacked ahead by a thread.

    Lines end at a line feed only: other separators of Unicode occur within texts.

    Raises:
        DataError: the file cannot be read, is truncated or damaged, or has an endless line.
    """
    with progress.bar(label, unit="lines") as bar:
        for block in _ahead(_blocks(path)):
            yield block
            bar.advance(block.n_lines)


def _blocks(path: Path) -> Iterator[Block]:
    line = 1
    try:
        with open_bytes(path) as stream:
            while content := stream.read(BLOCK_BYTES):
                if not content.endswith(b"\n"):
                    rest = stream.readline(_LONGEST_LINE_BYTES)
                    if len(rest) == _LONGEST_LINE_BYTES and not rest.endswith(b"\n"):
                        raise DataError(
                            f"{path}, line {line + content.count(LINE_FEED)}: longer than "
                            f"{_LONGEST_LINE_BYTES} bytes without an end; this is no file of lines"
                        )
                    content += rest
                n_lines = content.count(LINE_FEED)
                yield Block(path, line, n_lines, content)
                line += n_lines
    except EOFError:
        raise DataError(
            f"{path}, after line {line - 1}: the file ends in the middle (truncated); fetch it "
            "again"
        ) from None
    except damaged_gzip() as error:
        raise DataError(
            f"{path}, after line {line - 1}: damaged gzip data ({error}); fetch the file again"
        ) from error
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def damaged_gzip() -> tuple[type[Exception], ...]:
    """Return the errors that reading a damaged gzip file raises."""
    from isal import isal_zlib

    return gzip.BadGzipFile, cast("type[Exception]", isal_zlib.IsalError)


def open_bytes(path: Path) -> BinaryIO:
    """Open a file to read its bytes, those that a name ending in ``.gz`` says are packed."""
    from isal import igzip

    if path.suffix != ".gz":
        return path.open("rb")
    return cast("BinaryIO", igzip.IGzipFile(path, "rb"))  # type: ignore[no-untyped-call]


def _ahead(blocks: Iterator[Block]) -> Iterator[Block]:
    """Yield the blocks in order while a thread makes the next ones; errors come through."""
    waiting: queue.Queue[Block | BaseException | None] = queue.Queue(_AHEAD)
    stopped = threading.Event()

    def put(entry: Block | BaseException | None) -> bool:
        while not stopped.is_set():
            try:
                waiting.put(entry, timeout=0.1)
            except queue.Full:  # look again whether anybody still reads
                continue
            return True
        return False

    def run() -> None:
        try:
            for block in blocks:
                if not put(block):
                    return
            put(None)
        except BaseException as error:  # raised again by whoever reads the blocks
            put(error)

    thread = threading.Thread(target=run, name="reading ahead", daemon=True)
    thread.start()
    try:
        while (entry := waiting.get()) is not None:
            if isinstance(entry, BaseException):
                raise entry
            yield entry
    finally:
        stopped.set()
        thread.join()


def each_line(
    blocks: Generator[Block, None, None], parse: Callable[[Place, bytes], Value], faults: Faults
) -> Iterator[Value]:
    """Yield what ``parse`` makes of (place, line); faulty lines are left out and counted."""
    with contextlib.closing(blocks):  # at once, though an error may keep this frame alive
        for block in blocks:
            yield from parsed_lines(block, parse, faults)


def parsed_lines(
    block: Block, parse: Callable[[Place, bytes], Value], faults: Faults
) -> Iterator[Value]:
    """Yield what ``parse`` makes of one block's lines."""
    faults.count_lines(block.n_lines)
    for place, raw in block.lines():
        try:
            value = parse(place, raw)
        except LineFault as found:
            faults.add(found)
        else:
            yield value


# ---- values ------------------------------------------------------------------------------------


def text_of(raw: bytes, place: Place) -> str:
    """Return a line as text."""
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        fault(place, f"not UTF-8: {error.reason} at byte {error.start}", "not UTF-8")


def object_of(raw: bytes, place: Place, literals: bool = False) -> dict[str, Any]:
    """Return the JSON object that a line holds.

    Args:
        raw: the line.
        place: for messages.
        literals: whether the line may be a Python literal instead, as in older Amazon files; it is
            read by `ast.literal_eval`, which runs nothing.
    """
    text = text_of(raw, place)
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        value = _literal(text) if literals else None
        if value is None:
            kind = "not JSON" if not literals else "neither JSON nor a Python literal"
            fault(place, f"not valid JSON: {error}", kind)
    if not isinstance(value, dict):
        fault(place, f"must hold a JSON object, found {type(value).__name__}", "no object")
    return value


def _literal(text: str) -> Any:
    if not text.lstrip().startswith("{"):
        return None
    with warnings.catch_warnings():
        # an escape that Python does not know is in no literal that Python wrote
        warnings.simplefilter("error")
        try:
            return ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError, Warning):
            return None


def identifier(value: Any, name: str, place: Place) -> str:
    """Return a raw id: a string, not blank, that UTF-8 can hold."""
    if value is None:
        fault(place, f"the field {name!r} is missing", "missing field")
    if not isinstance(value, str):
        fault(place, f"{name!r} must be a string, found {_shown(value)}")
    if not value.strip():
        fault(place, f"{name!r} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        fault(place, f"{name!r} holds half a character (a lone surrogate)")
    return value


def number(value: Any, name: str, place: Place) -> float:
    """Return a finite number."""
    if value is None:
        fault(place, f"the field {name!r} is missing", "missing field")
    if isinstance(value, bool) or not isinstance(value, int | float):
        fault(place, f"{name!r} must be a number, found {_shown(value)}")
    if abs(value) >= _INT64 or not math.isfinite(value):
        fault(place, f"{name!r} must be a finite number, found {_shown(value)}")
    return float(value)


def seconds(value: Any, name: str, place: Place) -> int:
    """Return a time in whole seconds."""
    time = number(value, name, place)
    if not time.is_integer():
        fault(place, f"{name!r} must be in whole seconds, found {_shown(value)}")
    if abs(time) >= MILLISECONDS_FROM:
        fault(
            place,
            f"{name!r} must be in seconds since 1970, found {_shown(value)}, which looks like "
            "milliseconds",
            "time in milliseconds",
        )
    return int(value)


def number_in(cell: str, name: str, place: Place) -> float:
    """Return the number that a cell of a text table holds."""
    if not cell.strip():
        fault(place, f"{name!r} is empty", "missing field")
    try:
        value = float(cell)
    except ValueError:
        fault(place, f"{name!r} must be a number, found {cell[:40]!r}")
    return number(value, name, place)


def _shown(value: Any) -> str:
    """Return a value's type and its beginning: enough to find it, not a page of text."""
    return f"{type(value).__name__} {str(value)[:40]!r}"
