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
ALL_METHODS = "_all"
"""What begins the folders that belong to no method; no method's name starts with an underscore."""


@dataclass(frozen=True)
class SharedFolders:
    """The shared folders of one method, and those of all methods, as one run sees them.

    Attributes:
        root: the folder that they lie in; it need not exist.
        method: the method's name, with which theirs begin.
        identity: what decides their content besides the key (code, external inputs, device): with
            another identity, a key means another folder. Folders for all methods depend on
            neither method nor identity: their key says all that decides their content.
    """

    root: Path
    method: str
    identity: str

    def folder(self, key: str, for_all_methods: bool = False) -> Path:
        """Return the folder of a key, made where it is absent.

        Raises:
            OSError: it cannot be made.
        """
        folder = self._place(key, for_all_methods)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    @contextlib.contextmanager
    def alone(self, key: str, progress: Progress, for_all_methods: bool = False) -> Iterator[Path]:
        """Hold the folder of a key until the block ends; wait for a process that holds it.

        Raises:
            OSError: it, or its lock, cannot be made.
        """
        place = self._place(key, for_all_methods)
        with alone(place, f"waiting for another process that uses {place.name}", progress):
            yield self.folder(key, for_all_methods)

    def _place(self, key: str, for_all_methods: bool) -> Path:
        owner = ALL_METHODS if for_all_methods else self.method
        digest = sha256_text(canonical_json([key] if for_all_methods else [self.identity, key]))
        return self.root / f"{owner}-{digest[:16]}"
