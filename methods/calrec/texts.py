"""Generated texts on disk: one JSON line per user, in small files that are each whole or absent.

A file is named by the users and histories that it answers, so a run that was stopped, or another
one that retrieves otherwise from the same texts, finds what is there and writes only the rest.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from harness.errors import MethodError
from harness.files import atomic_write
from harness.histories import Histories
from methods.calrec.retrieval import GeneratedText
from methods.calrec.writing import Written


def name_of(histories: Histories) -> str:
    """Return the file's name for some users with their histories."""
    digest = hashlib.sha256(b"calrec texts, form 1")
    for part in (histories.users, histories.items, histories.offsets):
        digest.update(part.astype("<i8").tobytes())
    return f"{digest.hexdigest()[:24]}.jsonl"


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
    try:
        # bytes end lines at line feeds alone, text also at characters that a model may write
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        users = histories.users.tolist()
        return [_written(line, user) for line, user in zip(lines, users, strict=True)]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise MethodError(
            f"calrec cannot read the texts generated earlier, {path} ({type(error).__name__}): "
            "delete the file to generate them anew"
        ) from error


def _written(line: dict[str, object], user: int) -> Written:
    if line["user"] != user:
        raise ValueError("another user")
    texts, scores = line["texts"], line["log_probabilities"]
    if not (isinstance(texts, list) and isinstance(scores, list)):
        raise TypeError("no lists")
    found = [GeneratedText(str(t), float(s)) for t, s in zip(texts, scores, strict=True)]
    return Written(found, int(str(line["tokens"])), int(str(line["cut_off"])))
