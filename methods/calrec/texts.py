"""Generated texts on disk: one JSON line per user, in small files that are each whole or absent.

A file is named by the users and histories that it answers, so a run that was stopped, or another
one that retrieves otherwise from the same texts, finds what is there and writes only the rest.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from harness.errors import MethodError
from harness.files import atomic_write
from harness.histories import Histories
from harness.progress import Bar
from methods.calrec.retrieval import GeneratedText
from methods.calrec.writing import Writer, Written

USERS_PER_FILE = {"cpu": 64, "cuda": 1024}
"""What a stopped generation loses at most; a GPU wants many users at once."""


def name_of(histories: Histories, ending: str = ".jsonl") -> str:
    """Return the file's name for some users with their histories."""
    digest = hashlib.sha256(b"calrec texts, form 1")
    for part in (histories.users, histories.items, histories.offsets):
        digest.update(part.astype("<i8").tobytes())
    return f"{digest.hexdigest()[:24]}{ending}"


def write_texts(path: Path, histories: Histories, written: list[Written]) -> None:
    """Write what was generated for some users."""
    with atomic_write(path) as stream:
        for user, found in zip(histories.users.tolist(), written, strict=True):
            line = {
                "user": user,
                "texts": [sample.text for sample in found.texts],
                "log_probabilities": [sample.log_probability for sample in found.texts],
                "tokens": found.n_tokens,
                "cut_off": found.cut_off,
            }
            stream.write(json.dumps(line, ensure_ascii=False).encode() + b"\n")


def read_texts(path: Path, histories: Histories) -> list[Written] | None:
    """Return what `write_texts` wrote for these users; None where there is no such file.

    Raises:
        MethodError: the file is damaged, or of other users.
    """
    if not path.exists():
        return None
    found = parsed(path)
    if [user for user, _ in found] != histories.users.tolist():
        raise _unreadable(path, "it is of other users")
    return [written for _, written in found]


def parsed(path: Path) -> list[tuple[int, Written]]:
    """Return the users of a file, in its order, and what was written for each.

    Raises:
        MethodError: the file is damaged.
    """
    try:
        # bytes end lines at line feeds alone, text also at characters that a model may write
        return [_written(json.loads(line)) for line in path.read_bytes().splitlines()]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise _unreadable(path, type(error).__name__) from error


def _unreadable(path: Path, reason: str) -> MethodError:
    return MethodError(
        f"calrec cannot read the texts generated earlier, {path} ({reason}): delete the file to "
        "generate them anew"
    )


@dataclass(frozen=True)
class WrittenPart:
    """What was written for some users, in their order, and whether an earlier run did it."""

    histories: Histories
    written: list[Written]
    reused: bool


def written_in_parts(
    writer: Writer, histories: Histories, n_samples: int, decoding: str, folder: Path,
    bar: Bar | None = None,
) -> Iterator[WrittenPart]:  # fmt: skip
    """Yield all users' texts, part by part, in order; parts that ``folder`` holds are read.

    Raises:
        MethodError: the model's logits are not finite, or a file is damaged.
    """
    size = USERS_PER_FILE[writer.device]
    for start in range(0, len(histories), size):
        part = histories.select(np.arange(start, min(start + size, len(histories))))
        path = folder / name_of(part)
        found = read_texts(path, part)
        reused = found is not None
        if found is None:
            rows: dict[int, Written] = {}
            for row, written in writer.write(part, n_samples, decoding):
                rows[row] = written
                if bar is not None:
                    bar.advance()
            found = [rows[row] for row in range(len(part))]
            write_texts(path, part, found)
        elif bar is not None:
            bar.advance(len(part))
        yield WrittenPart(part, found, reused)


def _written(line: dict[str, object]) -> tuple[int, Written]:
    texts, scores = line["texts"], line["log_probabilities"]
    if not (isinstance(texts, list) and isinstance(scores, list)):
        raise TypeError("no lists")
    found = [GeneratedText(str(t), float(s)) for t, s in zip(texts, scores, strict=True)]
    counts = int(str(line["tokens"])), int(str(line["cut_off"]))
    return int(str(line["user"])), Written(found, *counts)
