"""Fetching a file: whole and verified under its final name, or not there at all."""

from __future__ import annotations

import contextlib
import gzip
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from harness.data.answers import BrokenOffError, RefusedError, shown
from harness.data.transfer import PartialFile, Transfer
from harness.errors import DataError
from harness.files import exclusive_lock, explain_os_error, sha256_file
from harness.progress import Progress

_LONGEST_WAIT_S = 60.0
_BLOCK_BYTES = 1 << 20


@dataclass(frozen=True)
class Fetched:
    """A file that is whole. ``kept``: it was there already, and nothing was requested.

    ``sha256`` is the digest of the whole file, in hexadecimal; ``resumed_from`` counts the bytes
    that an earlier call had left and this one went on from.
    """

    path: Path
    sha256: str
    n_bytes: int
    kept: bool
    resumed_from: int


class _UnfitError(Exception):
    """A file that is there is not the one that is meant, or is damaged."""


def fetch_file(
    urls: Sequence[str],
    target: Path,
    sha256: str | None,
    progress: Progress,
    *,
    attempts: int = 5,
    wait_s: float = 1.0,
    timeout_s: float = 30.0,
) -> Fetched:
    """Fetch ``target`` from the first of ``urls`` (mirrors of one file) that gives it whole.

    Bytes arrive in ``TARGET.part``; after a break, in this call or in a later one, only what is
    missing is requested. The file is compared with ``sha256`` where that is given, and one named
    ``.gz`` is decompressed as a check, before it gets its final name. A file that has neither is as
    long as its server announces, and no more is known of it. ``attempts`` counts tries in a row
    that bring nothing new, each after twice the wait before, from ``wait_s`` on; ``timeout_s``
    limits each silence of a server.

    Raises:
        DataError: no url gives the file (says why, for each), the file there is another one,
            another process is fetching it, or it cannot be written.
    """
    _check_urls(urls, target)
    wanted = sha256.lower() if sha256 else None
    try:
        if target.exists():
            return _kept(target, wanted, progress)
        with exclusive_lock(target.with_name(f".{target.name}.lock")) as held:
            if not held:
                raise DataError(
                    f"another process is fetching {target}; run the same command again when it "
                    "has finished"
                )
            if target.exists():  # the process that held the lock until now has fetched it
                return _kept(target, wanted, progress)
            part = PartialFile(target)
            transfer = Transfer(part, progress, wanted is not None, timeout_s)
            return _from_any(urls, transfer, wanted, _Patience(attempts, wait_s))
    except OSError as error:
        raise DataError(
            f"cannot read or write {target}: {explain_os_error(error)}"
            f"{_outlook(urls, target, wanted)}"
        ) from error


@dataclass(frozen=True)
class _Patience:
    """How often a broken transfer is tried again, and after which pause."""

    attempts: int
    wait_s: float

    def pause_s(self, failures: int, asked_s: float) -> float:
        """Return the wait after so many failures in a row; a server may ask for a longer one."""
        growing = self.wait_s * 2.0 ** min(failures - 1, 30)
        return min(max(growing, asked_s), _LONGEST_WAIT_S)


def _check_urls(urls: Sequence[str], target: Path) -> None:
    if not urls:
        raise DataError(f"no url is given for {target.name}; give at least one")
    for url in urls:
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and bool(parts.hostname)
            _ = parts.port  # raises where it is not a number
        except ValueError:
            known = False
        if not known:
            # in a malformed url anything before the last @ may be a password
            readable = shown(url).rpartition("@")[2]
            raise DataError(
                f"{target.name} cannot be fetched from {readable!r}: not an http or https url; "
                "correct it"
            )


def _kept(target: Path, wanted: str | None, progress: Progress) -> Fetched:
    """Return the file that is there, once it is known to be the one that is meant."""
    try:
        found = _verified(target, target.name, wanted, progress, unpack=wanted is None)
    except _UnfitError as error:
        raise DataError(f"{target} {error}; delete it to fetch it again") from error
    return Fetched(target, found, target.stat().st_size, kept=True, resumed_from=0)


def _from_any(
    urls: Sequence[str], transfer: Transfer, wanted: str | None, patience: _Patience
) -> Fetched:
    reasons = []
    for url in urls:
        try:
            return _from_one(url, transfer, wanted, patience)
        except (BrokenOffError, RefusedError, _UnfitError) as error:
            reasons.append(f"{shown(url)}: {error}")
    target = transfer.part.target
    raise DataError(
        f"{target.name} could not be fetched; {'; '.join(reasons)}; check the url and its sha256, "
        f"and the connection, then run the same command again"
        f"{_outlook(urls, target, wanted)}"
    )


def _from_one(url: str, transfer: Transfer, wanted: str | None, patience: _Patience) -> Fetched:
    """Fetch from one url; a file that proves to be unfit is fetched once more from its start."""
    part = transfer.part
    for is_last in (False, True):
        _persist(url, transfer, patience)
        try:
            found = _verified(part.path, part.target.name, wanted, transfer.progress, unpack=True)
        except _UnfitError as error:
            part.clear()
            if is_last:
                raise
            transfer.progress.say(f"{part.target.name} {error}; starting over")
        else:
            break
    n_bytes = part.length
    part.finish()
    return Fetched(part.target, found, n_bytes, kept=False, resumed_from=part.inherited)


def _persist(url: str, transfer: Transfer, patience: _Patience) -> None:
    """Try until the partial file is complete, or too many tries in a row brought nothing new."""
    part = transfer.part
    failures, longest = 0, part.length
    while True:
        try:
            transfer.run(url)
        except BrokenOffError as error:
            # against the longest ever: a server that always starts over must not be tried for ever
            failures = 1 if part.length > longest else failures + 1
            longest = max(longest, part.length)
            if failures >= patience.attempts:
                raise
            pause_s = patience.pause_s(failures, error.retry_after_s)
            transfer.progress.say(f"{part.target.name}: {error}; next try in {pause_s:.3g} s")
            time.sleep(pause_s)
        else:
            return


def _verified(
    path: Path, name: str, wanted: str | None, progress: Progress, *, unpack: bool
) -> str:
    """Return the digest of a file that is as it should be; ``name`` is its final name."""
    progress.say(f"{name}: checking")
    found = sha256_file(path)
    if wanted is not None and found != wanted:
        raise _UnfitError(f"is not the file that is meant: sha256 expected {wanted}, found {found}")
    if unpack and name.endswith(".gz"):
        _unpack(path)
    return found


def _unpack(path: Path) -> None:
    """Decompress every member of a gzip file, which compares each with its checksum."""
    from isal import igzip, isal_zlib

    if not path.stat().st_size:
        raise _UnfitError("is not a whole gzip file: it is empty")
    # isal says nothing of the type of the one, and the wrong thing of the other
    unpacked: Any = igzip.open
    damage: tuple[Any, ...] = (EOFError, gzip.BadGzipFile, isal_zlib.error)
    try:
        with unpacked(path) as stream:
            while stream.read(_BLOCK_BYTES):
                pass
    except damage as error:
        raise _UnfitError(f"is not a whole gzip file: {error}") from error


def _outlook(urls: Sequence[str], target: Path, wanted: str | None) -> str:
    """Return a clause on what the next call goes on from; empty where it starts anew."""
    part = None
    with contextlib.suppress(OSError):
        part = PartialFile(target)
    if part is None or not any(part.trusted_notes(url, wanted is not None) for url in urls):
        return ""
    return f"; it goes on from the {part.length} bytes that are there"
