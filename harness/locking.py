"""Holding a folder alone, and waiting while another process does."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from harness.files import exclusive_lock
from harness.progress import Progress

_WAIT_S = 0.2


@contextlib.contextmanager
def alone(folder: Path, waiting: str, progress: Progress) -> Iterator[None]:
    """Wait until no other process holds a folder, then hold it until the block ends.

    Its lock file lies beside the folder, which may therefore be renamed, replaced or absent.

    Args:
        folder: what is held.
        waiting: what is said, once, where another process holds it.
        progress: says it.

    Raises:
        OSError: the lock file cannot be made.
    """
    said = False
    while True:
        with exclusive_lock(folder.with_name(f".{folder.name}.lock")) as held:
            if held:
                yield
                return
        if not said:
            progress.say(waiting)
            said = True
        time.sleep(_WAIT_S)
