"""Cards for data that users have already: from files and a few words to what a card says."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.data.readers import atomic, table_rows, tables
from harness.errors import DataError, UsageError, did_you_mean
from harness.files import sha256_file

GUESSES = {
    "user": ("user_id", "user", "userid", "uid", "reviewerid", "customer_id"),
    "item": ("item_id", "item", "itemid", "iid", "asin", "parent_asin", "product_id", "movieid"),
    "time": ("timestamp", "time", "unixreviewtime", "ts", "date", "datetime"),
    "rating": ("rating", "overall", "score", "stars"),
    "text": ("reviewtext", "review_text", "review"),
}
"""Names by which the columns of interactions are known where the user names none, lower case."""

TEXT_GUESSES = ("title", "name", "category", "categories", "main_cat", "brand", "price", "genres")
"""Columns of items that make the text where the user names none, in this order."""

_LONG_FIELDS = ("title", "name", "movie_title")


@dataclass(frozen=True)
class Description:
    """What the user says about the data; what is None is guessed or has a plain default."""

    name: str
    title: str | None = None
    licence: str = "not stated"
    citation: str = "none"
    url: str = "not stated"
    verb: str = "bought"
    redistributable: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    text_fields: Sequence[str] = ()
    ready_text: str | None = None
    time_unit: str | None = None
    dedup: str | None = None
    min_user_events: int | None = None


def from_tables(said: Description, interactions: Path, items: Path | None) -> dict[str, Any]:
    """Return the card of a table of interactions and, where there is one, a table of items.

    Raises:
        UsageError: a column that is needed cannot be told, or is not there.
        DataError: a file is no table.
    """
    columns = _columns(said, table_rows.column_names(_existing(interactions)), interactions)
    files = {"events": interactions} | ({"items": items} if items else {})
    text = None
    if items is not None:
        text = _text(said, table_rows.column_names(_existing(items)), columns["item"])
    else:
        _check_no_text(said)
    time_unit = said.time_unit or "s"
    if said.time_unit is None and "time" in columns:
        # dates often tell more than seconds, which counts for the order
        time_unit = "ms" if tables.holds_dates(interactions, columns["time"]) else "s"
    return _card(said, "table", files, text, columns, least_events=5, time_unit=time_unit)


def from_recbole(said: Description, folder: Path) -> dict[str, Any]:
    """Return the card of a folder of RecBole's atomic files: NAME.inter and NAME.item.

    Raises:
        UsageError: a column that is needed cannot be told, or is not there.
        DataError: a file is missing or has no header.
    """
    events = _only(folder, "*.inter", without=(".train.inter", ".valid.inter", ".test.inter"))
    items = _existing(events.with_suffix(".item"))
    columns = _columns(said, atomic.column_names(events), events)
    text = _text(said, atomic.column_names(items), columns["item"])
    files = {"events": events, "items": items}
    return _card(said, "recbole-atomic", files, text, columns, least_events=5)


def from_unisrec(said: Description, folder: Path, items: Path | None) -> dict[str, Any]:
    """Return the card of a folder processed for UniSRec.

    Raises:
        UsageError: the texts' columns cannot be told.
        DataError: a file is missing.
    """
    train = _only(folder, "*.train.inter")
    stem = train.name.removesuffix(".train.inter")
    files = {
        "train": train,
        "validation": _existing(folder / f"{stem}.valid.inter"),
        "test": _existing(folder / f"{stem}.test.inter"),
    }
    for role, suffix in (("item_index", "item2index"), ("user_index", "user2index")):
        if (folder / f"{stem}.{suffix}").is_file():
            files[role] = folder / f"{stem}.{suffix}"
    text_file = items or next(
        (path for suffix in ("text", "item") if (path := folder / f"{stem}.{suffix}").is_file()),
        None,
    )
    text = None
    if text_file is not None:
        files["items"] = _existing(text_file)
        if ".json" in text_file.name:
            text = _attributes(said.text_fields or ("title", "category", "brand"))
        else:
            text = _text(said, atomic.column_names(text_file), "item_id")
    else:
        _check_no_text(said)
    return _card(said, "unisrec", files, text, {}, least_events=3)


def from_recformer(said: Description, folder: Path) -> dict[str, Any]:
    """Return the card of a folder processed for Recformer.

    Raises:
        DataError: a file is missing.
    """
    names = {
        "train": "train.json",
        "validation": "val.json",
        "test": "test.json",
        "items": "meta_data.json",
        "item_index": "smap.json",
    }
    files = {role: _existing(folder / name) for role, name in names.items()}
    if (folder / "umap.json").is_file():
        files["user_index"] = folder / "umap.json"
    text = _attributes(said.text_fields or ("title", "brand", "category"))
    return _card(said, "recformer", files, text, {}, least_events=3)


# ---- parts -------------------------------------------------------------------------------------


def _card(
    said: Description,
    kind: str,
    files: Mapping[str, Path],
    text: dict[str, Any] | None,
    columns: Mapping[str, str],
    least_events: int,
    time_unit: str = "s",
) -> dict[str, Any]:
    folder = Path(os.path.commonpath([path.resolve().parent for path in files.values()]))
    source: dict[str, Any] = {"kind": kind, "folder_default": str(folder)}
    if columns:
        source["fields"] = dict(columns)
    if time_unit != "s":
        source["time_unit"] = time_unit
    source["files"] = {
        role: {
            "path": path.resolve().relative_to(folder).as_posix(),
            "sha256": sha256_file(path),
        }
        for role, path in files.items()
    }
    tells_duplicates = {"text", "rating", "time"} <= set(columns)
    return {
        "name": said.name,
        "title": said.title or said.name,
        "licence": said.licence,
        "citation": said.citation,
        "url": said.url,
        "redistributable": said.redistributable,
        "verb": said.verb,
        "source": source,
        **({} if text is None else {"text": {"items_without_text": "unknown", **text}}),
        "protocol": {
            "dedup": said.dedup or ("consecutive" if tells_duplicates else "none"),
            "min_user_events": (
                least_events if said.min_user_events is None else said.min_user_events
            ),
            "split": "leave-one-out",
        },
    }


def _columns(said: Description, names: list[str], path: Path) -> dict[str, str]:
    """Return the column of each role: the one named, or one with a name that is usual."""
    columns = {}
    for role, usual in GUESSES.items():
        named = said.columns.get(role)
        if named is not None and named not in names:
            raise UsageError(f"{path} has no column {named!r}: {did_you_mean(named, names)}")
        found = named or next((name for name in names if name.lower() in usual), None)
        if found is not None:
            columns[role] = found
        elif role in ("user", "item"):
            raise UsageError(
                f"{path}: which column is the {role}? Say --{role}-column; there are "
                f"{', '.join(names)}"
            )
    return columns


def _text(said: Description, names: list[str], id_column: str) -> dict[str, Any]:
    if id_column not in names:
        raise UsageError(
            f"the items have no column {id_column!r}, by which the interactions name them: "
            f"{did_you_mean(id_column, names)}"
        )
    if said.ready_text is not None:
        if said.ready_text not in names:
            raise UsageError(
                f"the items have no column {said.ready_text!r}: "
                f"{did_you_mean(said.ready_text, names)}"
            )
        return {"verbatim": said.ready_text}
    for name in said.text_fields:
        if name not in names:
            raise UsageError(f"the items have no column {name!r}: {did_you_mean(name, names)}")
    by_lower = {name.lower(): name for name in names if name != id_column}
    fields = list(said.text_fields) or [by_lower[g] for g in TEXT_GUESSES if g in by_lower]
    if not fields and "text" in by_lower:
        return {"verbatim": by_lower["text"]}
    if not fields:
        raise UsageError(
            "which columns of the items make their text? Say --text A,B (or --ready-text A); "
            f"there are {', '.join(names)}"
        )
    return _attributes(fields)


def _check_no_text(said: Description) -> None:
    """Refuse columns of a text without the file that they are columns of."""
    if said.text_fields or said.ready_text:
        raise UsageError("which file holds the items, with the columns of their text? Say --items")


def _attributes(fields: Sequence[str]) -> dict[str, Any]:
    return {
        "attributes": [
            {
                "label": field.replace("_", " ").capitalize(),
                "field": field,
                "words": 25 if field.lower() in _LONG_FIELDS else 15,
                "cleaning": "html",
            }
            for field in fields
        ]
    }


def _only(folder: Path, pattern: str, without: tuple[str, ...] = ()) -> Path:
    found = [path for path in sorted(folder.glob(pattern)) if not path.name.endswith(without)]
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise DataError(f"{folder}: expected one file {pattern}, found {names}")
    return found[0]


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DataError(f"no such file: {path}")
    return path
