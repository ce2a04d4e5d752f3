"""Folders that all runs share, for by-products such as a checkpoint that serves several boards."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.files import canonical_json, sha256_text
from harness.locking import alone
from harness.progress import Progress

FOLDER = "pretrained"
"""Where they lie in the cache folder."""


@dataclass(frozen=True)
class SharedFolders:
    """The shared folders of one method, as one run sees them.

    Attributes:
        root: the folder that they lie in; it need not exist.
        method: the method's name, with which theirs begin.
        identity: what decides their content besides the key (code, external inputs, device): with
            another identity, a key means another folder.
    """

    root: Path
    method: str
    identity: str

    def folder(self, key: str) -> Path:
        """Return the folder of a key, made where it is absent.

        Raises:
            OSError: it cannot be made.
        """
        folder = self._place(key)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def alone(self, key: str, progress: Progress) -> Iterator[Path]:
        """Hold the folder of a key until the block ends; wait for a process that holds it.

        Raises:
            OSError: it, or its lock, cannot be made.
        """
        place = self._place(key)
        with alone(place, f"waiting for another process that uses {place.name}", progress):
            yield self.folder(key)

    def _place(self, key: str) -> Path:
        digest = sha256_text(canonical_json([self.identity, key]))
        return self.root / f"{self.method}-{digest[:16]}"
