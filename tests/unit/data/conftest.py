"""Small cards with their source files, written by the tests themselves."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from harness.progress import Progress

TEXT = """\
[text]
items_without_text = "{policy}"
[[text.attributes]]
label = "Title"
field = "title"
words = 4
cleaning = "html"
[[text.attributes]]
label = "Price"
field = "price"
words = 2
cleaning = "price"
"""
FIELDS = """\
[source.fields]
user = "user_id"
item = "item_id"
rating = "rating"
time = "timestamp"
"""
HEAD = """\
name = "{name}"
title = "A small data set"
licence = "none needed"
citation = "nobody"
url = "https://example.org"
redistributable = true
verb = "bought"
"""


def lines(rows: Iterable[Any]) -> bytes:
    """Return JSON lines; a row that is a string already stands as it is."""
    return "".join(
        (row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows
    ).encode()


@pytest.fixture
def write_card(tmp_path: Path) -> Callable[..., str]:
    """Write source files and a card for them; returns the card's path."""

    def write(
        kind: str = "tidy-jsonl",
        *,
        name: str = "small",
        events: bytes | None = None,
        items: bytes | None = None,
        suffix: str = ".jsonl",
        dedup: str = "none",
        minimum: int = 3,
        policy: str = "error",
        protocol: str = "",
        extra: str = "",
        location: str = 'folder_default = "."',
    ) -> str:
        source = f'[source]\nkind = "{kind}"\n{location}\n'
        if kind == "recbole-atomic":
            source += FIELDS
        for role, content in (("events", events), ("items", items)):
            if content is None:
                continue
            stored = gzip.compress(content, mtime=0) if suffix.endswith(".gz") else content
            (tmp_path / f"{role}{suffix}").write_bytes(stored)
            source += f'[source.files.{role}]\npath = "{role}{suffix}"\n'
            source += f'sha256 = "{hashlib.sha256(stored).hexdigest()}"\n'
        rules = f'dedup = "{dedup}"\nmin_user_events = {minimum}\nsplit = "leave-one-out"\n'
        parts = [HEAD.format(name=name), source, TEXT.format(policy=policy)]
        parts += ["[protocol]\n", rules, protocol, "\n", extra]
        path = tmp_path / f"{name}.toml"
        path.write_text("".join(parts), encoding="utf-8")
        return str(path)

    return write


@pytest.fixture
def tidy_card(write_card: Callable[..., str]) -> Callable[..., str]:
    """Write a tidy card with three items and two users, or with the parts given."""

    def write(items: Any = None, users: Any = None, **options: Any) -> str:
        if items is None:
            items = [
                {"item": "b", "title": "Blue &amp; bold", "price": "$2"},
                {"item": "a", "title": "Apple", "price": None},
                {"item": "c", "title": "one two three four five", "price": ".css{}"},
            ]
        if users is None:
            users = [{"user": "v", "items": ["a", "b", "c"]}, {"user": "u", "items": list("bbca")}]
        return write_card(events=lines(users), items=lines(items), **options)

    return write


@pytest.fixture
def review_card(write_card: Callable[..., str]) -> Callable[..., str]:
    """Write a card over raw reviews given as (user, item, text, rating, time), no metadata."""

    def write(rows: Any, **options: Any) -> str:
        names = ("reviewerID", "asin", "reviewText", "overall", "unixReviewTime")
        events = [
            dict(zip(names, row, strict=True)) if isinstance(row, tuple) else row for row in rows
        ]
        given = {"dedup": "consecutive", "policy": "unknown", **options}
        return write_card("amazon-2018", events=lines(events), **given)

    return write


@pytest.fixture
def silent() -> Progress:
    return Progress(shown=False)
