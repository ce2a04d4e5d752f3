"""Lines of text files, plain or gzipped, and the typed values in them, with exact errors."""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

from harness.errors import DataError
from harness.progress import Progress

_BAR_STEP = 1000  # lines between two movements of the bar: moving it costs more than a line
_INT64 = 2**63


def fault(path: Path, line: int, what: str) -> NoReturn:
    """Raise DataError for one line of one file."""
    raise DataError(f"{path}, line {line}: {what}")


def read_lines(path: Path, label: str, progress: Progress) -> Iterator[tuple[int, str]]:
    """Yield (line number from 1, line without its end) of a UTF-8 file, skipping blank lines.

    Lines end at a line feed only: other separators of Unicode occur within texts.

    Raises:
        DataError: the file cannot be read, is truncated, or is not UTF-8; names file and line.
    """
    number = 0
    with progress.bar(label, unit="lines") as bar:
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
                for number, raw in enumerate(stream, 1):
                    line = raw.decode().rstrip("\r\n")
                    if line.strip():
                        yield number, line
                    if number % _BAR_STEP == 0:
                        bar.advance(_BAR_STEP)
        except UnicodeDecodeError as error:
            fault(path, number, f"not UTF-8: {error.reason} at byte {error.start} of the line")
        except EOFError:
            fault(path, number + 1, "the file ends in the middle (truncated); fetch it again")
        except (gzip.BadGzipFile, zlib.error) as error:
            fault(path, number + 1, f"damaged gzip data ({error}); fetch the file again")
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror or error}") from error
        bar.advance(number % _BAR_STEP)


def read_objects(
    path: Path, label: str, progress: Progress
) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a file with one JSON object per line.

    Raises:
        DataError: as `read_lines`, and for a line that is not JSON or not an object.
    """
    for number, line in read_lines(path, label, progress):
        try:
            value = json.loads(line)
        except (ValueError, RecursionError) as error:
            fault(path, number, f"not valid JSON: {error}")
        if not isinstance(value, dict):
            fault(path, number, f"must hold a JSON object, found {type(value).__name__}")
        yield number, value


def identifier(value: Any, name: str, path: Path, line: int) -> str:
    """Return a raw id: a string, not blank, that UTF-8 can hold."""
    if value is None:
        fault(path, line, f"the field {name!r} is missing")
    if not isinstance(value, str):
        fault(path, line, f"{name!r} must be a string, found {_shown(value)}")
    if not value.strip():
        fault(path, line, f"{name!r} is empty")
    try:
        value.encode()
    except UnicodeEncodeError:
        fault(path, line, f"{name!r} holds half a character (a lone surrogate)")
    return value


def number(value: Any, name: str, path: Path, line: int) -> float:
    """Return a finite number."""
    if value is None:
        fault(path, line, f"the field {name!r} is missing")
    if isinstance(value, bool) or not isinstance(value, int | float):
        fault(path, line, f"{name!r} must be a number, found {_shown(value)}")
    if abs(value) >= _INT64 or not math.isfinite(value):
        fault(path, line, f"{name!r} must be a finite number, found {_shown(value)}")
    return float(value)


def seconds(value: Any, name: str, path: Path, line: int) -> int:
    """Return a time in whole seconds."""
    time = number(value, name, path, line)
    if not time.is_integer():
        fault(path, line, f"{name!r} must be in whole seconds, found {_shown(value)}")
    return int(value)


def _shown(value: Any) -> str:
    """Return a value's type and its beginning: enough to find it, not a page of text."""
    return f"{type(value).__name__} {str(value)[:40]!r}"
