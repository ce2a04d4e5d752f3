"""Transfers over HTTP into a partial file, such that each can go on where the last one ended."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.data.answers import (
    BrokenOffError,
    RefusedError,
    answer_to,
    body_bytes,
    in_words,
    is_chunked,
    shown,
)
from harness.files import write_json
from harness.progress import Progress

if TYPE_CHECKING:
    from urllib3.response import BaseHTTPResponse

_BLOCK_BYTES = 1 << 16
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")
_END = re.compile(r"bytes \*/([0-9]{1,18})")


@dataclass(frozen=True)
class Notes:
    """Which version of which url a partial file is the beginning of.

    ``etag`` and ``last_modified`` are kept only where they are strong validators, that is, where
    equal ones mean equal bytes. ``total`` is the announced length in bytes.
    """

    url: str
    etag: str | None = None
    last_modified: str | None = None
    total: int | None = None

    @property
    def validator(self) -> str | None:
        """Return what to send as If-Range."""
        return self.etag or self.last_modified

    def agrees(self, other: Notes) -> bool:
        """Return whether the validators leave open that both mean the same version."""
        if self.etag and other.etag:
            return self.etag == other.etag
        if self.last_modified and other.last_modified:
            return self.last_modified == other.last_modified
        return True


class PartialFile:
    """The bytes of ``target`` that have arrived, in ``TARGET.part``, with notes beside them.

    ``inherited`` counts the bytes that were there at the start and have not been given up since.
    """

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f"{target.name}.part")
        self._notes_path = target.with_name(f"{target.name}.part.json")
        self.notes = _read_notes(self._notes_path)
        self.inherited = self.length if self.notes else 0

    @property
    def length(self) -> int:
        """Return the number of bytes that are there."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def trusted_notes(self, url: str, digest_known: bool) -> Notes | None:
        """Return the notes if ``url`` may go on with the bytes that are there.

        Two of three must hold: it is the url they came from; the server can tell whether it still
        has the same version; a mixture of two versions would be found by its digest.
        """
        notes = self.notes
        if notes is None or not self.length:
            return None
        grounds = (notes.url == shown(url), notes.validator is not None, digest_known)
        return notes if sum(grounds) >= 2 else None

    def note(self, notes: Notes) -> None:
        """Replace the notes, keep the bytes."""
        self.notes = notes
        write_json(self._notes_path, asdict(notes))

    def clear(self) -> None:
        """Give up bytes and notes; bytes first, so that a kill leaves none with another's notes."""
        self.path.unlink(missing_ok=True)
        self._notes_path.unlink(missing_ok=True)
        self.notes, self.inherited = None, 0

    def finish(self) -> None:
        """Flush the bytes to disk and rename them to the target's name."""
        with self.path.open("rb+") as stream:
            os.fsync(stream.fileno())
        self.path.replace(self.target)
        self._notes_path.unlink(missing_ok=True)


@dataclass(frozen=True)
class Transfer:
    """How ``part`` is filled. ``digest_known``: the whole file will be compared with a digest."""

    part: PartialFile
    progress: Progress
    digest_known: bool
    timeout_s: float

    def run(self, url: str) -> None:
        """Bring the partial file to its full length, from where it stands if that is safe.

        Raises:
            BrokenOffError: another try may bring the rest; what has arrived is kept.
            RefusedError: this url does not give the file.
            OSError: the partial file could not be written.
        """
        notes = self.part.trusted_notes(url, self.digest_known)
        if notes is not None and self._goes_on(url, notes):
            return
        with answer_to(url, {}, self.timeout_s) as response:
            if response.status != 200:
                raise BrokenOffError(f"answered {response.status} to a request for the whole file")
            self._start_over(url, response)

    def _goes_on(self, url: str, notes: Notes) -> bool:
        """Ask for what is missing; False where the server has nothing that fits."""
        length = self.part.length
        if notes.total == length:
            return True
        headers = {"Range": f"bytes={length}-"}
        if notes.validator:
            headers["If-Range"] = notes.validator
        with answer_to(url, headers, self.timeout_s) as response:
            if response.status == 200:
                self._start_over(url, response)
                return True
            if response.status == 416:
                return _is_at_end(response, notes, length)
            total = _total_if_continued(response, notes, length)
            if total is None:
                return False
            self._refuse_encoding(response)
            self.part.note(replace(notes, total=total))
            self._append(response, total)
        return True

    def _start_over(self, url: str, response: BaseHTTPResponse) -> None:
        self._refuse_encoding(response)
        total = body_bytes(response)
        if total is None and not is_chunked(response) and not self.digest_known:
            raise RefusedError(
                "announces no length, and without a sha256 a broken connection would look like the "
                "end of the file; give its sha256"
            )
        self.part.clear()
        self.part.note(replace(_notes_from(shown(url), response), total=total))
        self._append(response, total)

    def _refuse_encoding(self, response: BaseHTTPResponse) -> None:
        encoding = response.headers.get("content-encoding", "identity").lower()
        # many servers call a .gz file gzip-encoded; its bytes are the file all the same
        if encoding != "identity" and self.part.target.suffix != ".gz":
            raise RefusedError(f"sends the file encoded as {encoding}, which was not asked for")

    def _append(self, response: BaseHTTPResponse, total: int | None) -> None:
        """Write the answer's body behind what is there, up to ``total`` bytes."""
        length = self.part.length
        bar = self.progress.bar(f"fetching {self.part.target.name}", total, "bytes")
        with self.part.path.open("ab") as stream, bar as running:
            running.advance(length)
            for block in _blocks(response):
                length += len(block)
                if total is not None and length > total:
                    # a server that miscounts may have miscounted before
                    stream.truncate(0)
                    raise BrokenOffError(f"sent more than the {total} bytes that it announced")
                stream.write(block)
                stream.flush()  # so that a kill costs nothing that has arrived
                running.advance(len(block))
        if total is not None and length < total:
            raise BrokenOffError(f"ended after {length} of {total} bytes")


def _blocks(response: BaseHTTPResponse) -> Iterator[bytes]:
    """Yield the body as it arrives; `read` would lose the start of a block that breaks off."""
    from urllib3.exceptions import HTTPError

    try:
        while block := response.read1(_BLOCK_BYTES, decode_content=False):
            yield block
    except HTTPError as error:
        raise BrokenOffError(in_words(error)) from error


def _is_at_end(response: BaseHTTPResponse, notes: Notes, length: int) -> bool:
    """Return whether the server has nothing to send because everything is there."""
    found = _END.fullmatch(response.headers.get("content-range", ""))
    total = int(found[1]) if found else notes.total
    return total == length and notes.agrees(_notes_from(notes.url, response))


def _total_if_continued(response: BaseHTTPResponse, notes: Notes, length: int) -> int | None:
    """Return the file's total length if the body is all that follows the first ``length`` bytes."""
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if not found or not notes.agrees(_notes_from(notes.url, response)):
        return None
    start, end, total = (int(number) for number in found.groups())
    is_rest = start == length < total == end + 1
    as_noted = notes.total in (None, total) and body_bytes(response) in (None, total - length)
    return total if is_rest and as_noted else None


def _notes_from(url: str, response: BaseHTTPResponse) -> Notes:
    etag, modified = (_plain(response.headers.get(name)) for name in ("etag", "last-modified"))
    if etag and not etag.startswith('"'):
        etag = None  # a weak one (W/"…") may stay while bytes change
    if modified and not _is_settled(modified, response.headers.get("date")):
        modified = None
    return Notes(url, etag, modified)


def _is_settled(modified: str, date: str | None) -> bool:
    """Return whether the file is older than a second, so that its next change alters the date."""
    try:
        return date is None or parsedate_to_datetime(modified) < parsedate_to_datetime(date)
    except (TypeError, ValueError):
        return False


def _read_notes(path: Path) -> Notes | None:
    """Return what an earlier call noted, or None where that is absent or damaged."""
    try:
        found: Any = json.loads(path.read_bytes())
        url, total = found["url"], found["total"]
        etag, modified = _plain(found["etag"]), _plain(found["last_modified"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    usable = isinstance(url, str) and (total is None or type(total) is int)
    return Notes(url, etag, modified, total) if usable else None


def _plain(text: object) -> str | None:
    """Return a header's value if it can be sent back as it is."""
    sendable = isinstance(text, str) and text.isascii() and text.isprintable()
    return str(text) if sendable and text else None
