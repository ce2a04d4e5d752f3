"""Three users, four items, and a way to read a file as a submission."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from harness.errors import DataError
from harness.external.held_out import HeldOut, Names
from harness.external.ranking import Ranked
from harness.external.reading import rank_submission
from harness.external.submission import Submission

USERS, ITEMS = ("a", "b", "c"), ("w", "x", "y", "z")
TARGETS = (1, 3, 0)  # a: x, b: z, c: w

Read = Callable[[Path], Ranked]


@pytest.fixture
def held_out() -> HeldOut:
    return HeldOut(Names("user", USERS), Names("item", ITEMS), np.array(TARGETS, np.int32))


@pytest.fixture
def read(held_out: HeldOut) -> Read:
    return lambda path: rank_submission(Submission("gru", 0, path), held_out)


@pytest.fixture
def text(tmp_path: Path, read: Read) -> Callable[..., Ranked]:
    """Write lines into a file and read it; blanks stand for the file's own delimiter."""

    def write(name: str, *lines: str) -> Ranked:
        path = tmp_path / name
        delimiter = {".csv": ",", ".tsv": "\t"}.get(path.suffix, " ")
        path.write_text("".join(line.replace(" ", delimiter) + "\n" for line in lines))
        return read(path)

    return write


@pytest.fixture
def arrays(tmp_path: Path, read: Read) -> Callable[..., Ranked]:
    """Write arrays into an npz file and read it."""

    def write(**parts: object) -> Ranked:
        path = tmp_path / "file.npz"
        np.savez(path, **parts)
        return read(path)

    return write


@pytest.fixture
def refused() -> Callable[..., None]:
    """Expect one printable line that names the submission and holds the given texts."""

    def check(call: Callable[[], object], *expected: str) -> None:
        with pytest.raises(DataError) as caught:
            call()
        message = str(caught.value)
        assert message.isprintable()
        assert message.startswith("--external gru: '")
        for part in expected:
            assert part in message

    return check
