"""Validation of a data set card: from TOML to a `DatasetCard`, or an error that names the key."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import Any

from harness.data.card import (
    CLEANINGS,
    COUNTS,
    DEDUPS,
    SOURCE_FILES,
    DatasetCard,
    Protocol,
    Source,
    SourceFile,
    TextAttribute,
    TextRules,
    UserSample,
)
from harness.data.table import Table
from harness.errors import DataError, did_you_mean
from harness.files import canonical_json, sha256_text


def parse_card(content: bytes, file_name: str, anchor: Path) -> DatasetCard:
    """Validate a card's bytes; ``anchor`` is what its relative folders start from.

    Raises:
        DataError: not UTF-8, not TOML (with the position), or not what a card must hold.
    """
    try:
        values = tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise DataError(f"card {file_name}: not UTF-8 at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"card {file_name}: not valid TOML: {error}") from error
    table = Table(values, f"card {file_name}")
    source = _source(table.table("source"), anchor)
    text = _text(table.table("text"))
    protocol = _protocol(table.table("protocol"))
    card = DatasetCard(
        name=_name(table, file_name),
        title=table.text("title"),
        licence=table.text("licence"),
        citation=table.text("citation"),
        url=table.text("url"),
        notes=table.text("notes", ""),
        redistributable=table.flag("redistributable"),
        verb=table.text("verb"),
        source=source,
        text=text,
        protocol=protocol,
        expected=_expected(table.table("expected", optional=True)),
        method_settings=_method_settings(table.table("settings", optional=True)),
        hash=sha256_text(canonical_json(_printable(values))),
        data_hash=_data_hash(source, text, protocol),
    )
    table.finish()
    _check_together(card, f"card {file_name}")
    return card


def _name(table: Table, file_name: str) -> str:
    name = table.text("name")
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", name):
        raise table.fault("name", f"may hold a-z, 0-9, dot, dash, underscore only, found {name!r}")
    if file_name != f"{name}.toml":
        raise table.fault("name", f"is {name!r}, so the file must be {name}.toml: rename either")
    return name


def _source(table: Table, anchor: Path) -> Source:
    kind = table.choice("kind", list(SOURCE_FILES))
    package = table.text("package", "") or None
    folder_env = table.text("folder_env", "") or None
    folder_default = table.text("folder_default", "") or None
    if (package is None) == (folder_env is None and folder_default is None):
        raise DataError(f"{table.where}: give either 'package' or 'folder_env', 'folder_default'")
    if package is not None and not package.isidentifier():
        raise table.fault("package", f"must be one importable name, found {package!r}")
    fields = _fields(table.table("fields")) if kind == "recbole-atomic" else {}
    files = _files(table.table("files"), *SOURCE_FILES[kind])
    table.finish()
    return Source(kind, files, fields, package, folder_env, folder_default, anchor)


def _files(table: Table, required: set[str], optional: set[str]) -> dict[str, SourceFile]:
    files = {}
    for role in sorted(required | optional):
        if role in optional and role not in table:
            continue
        entry = table.table(role)
        files[role] = SourceFile(_inside(entry), _digest(entry))
        entry.finish()
    table.finish()
    return files


def _inside(table: Table) -> str:
    """Return a path that stays inside its folder."""
    path = table.text("path")
    parts = PurePosixPath(path).parts
    if path.startswith("/") or ".." in parts or "\\" in path or ":" in path or "\0" in path:
        raise table.fault(
            "path", f"must stay inside its folder (relative, no '..'), found {path!r}"
        )
    return path


def _digest(table: Table) -> str:
    digest = table.text("sha256")
    if not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise table.fault("sha256", f"must be 64 lower-case hexadecimal digits, found {digest!r}")
    return digest


def _fields(table: Table) -> dict[str, str]:
    fields = {role: table.text(role) for role in ("user", "item")}
    optional = {role: table.text(role, "") for role in ("rating", "time", "text")}
    table.finish()
    return fields | {role: name for role, name in optional.items() if name}


def _text(table: Table) -> TextRules:
    policy = table.choice("items_without_text", ("error", "unknown"), "error")
    attributes = tuple(_attribute(entry) for entry in table.tables("attributes"))
    labels = [attribute.label for attribute in attributes]
    if len(set(labels)) < len(labels):
        raise DataError(f"{table.where}: two attributes have the same label, found {labels}")
    table.finish()
    return TextRules(attributes, policy)


def _attribute(table: Table) -> TextAttribute:
    attribute = TextAttribute(
        label=table.text("label"),
        field=table.text("field"),
        words=table.whole("words", minimum=1),
        cleaning=table.choice("cleaning", CLEANINGS),
    )
    table.finish()
    return attribute


def _protocol(table: Table) -> Protocol:
    protocol = Protocol(
        dedup=table.choice("dedup", DEDUPS),
        min_user_events=table.whole("min_user_events", minimum=3),  # leave-one-out needs three
        split=table.choice("split", ("leave-one-out",)),
        user_sample=_user_sample(table.table("user_sample")) if "user_sample" in table else None,
    )
    table.finish()
    return protocol


def _user_sample(table: Table) -> UserSample:
    if ("count" in table) == ("fraction" in table):
        raise DataError(f"{table.where}: give either 'count' or 'fraction'")
    sample = UserSample(
        count=table.whole("count", minimum=1) if "count" in table else None,
        fraction=table.fraction("fraction") if "fraction" in table else None,
        seed=table.whole("seed", minimum=0),
    )
    table.finish()
    return sample


def _expected(table: Table) -> dict[str, int]:
    expected = {name: table.whole(name, minimum=0) for name in COUNTS if name in table}
    for name in sorted(table.keys() - set(COUNTS)):
        raise DataError(f"{table.where}: unknown count {name!r}: {did_you_mean(name, COUNTS)}")
    return expected


def _method_settings(table: Table) -> dict[str, dict[str, Any]]:
    return {name: table.table(name).plain_values() for name in sorted(table.keys())}


def _data_hash(source: Source, text: TextRules, protocol: Protocol) -> str:
    content = {
        "kind": source.kind,
        "files": {role: file.sha256 for role, file in source.files.items()},
        "fields": dict(source.fields),
        "text": asdict(text),
        "protocol": asdict(protocol),
    }
    return sha256_text(canonical_json(content))


def _printable(value: Any) -> Any:
    """Return a TOML value as JSON can hold it; what it cannot hold is refused elsewhere."""
    if isinstance(value, dict):
        return {key: _printable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_printable(part) for part in value]
    return value if isinstance(value, str | bool | int) else str(value)


def _check_together(card: DatasetCard, where: str) -> None:
    """Refuse a card whose parts contradict each other: dedup without the fields it compares."""
    lacking = _fields_lacking_for_dedup(card.source)
    if card.protocol.dedup != "none" and lacking:
        raise DataError(
            f"{where}: dedup = {card.protocol.dedup!r} compares review text, rating and time, but "
            f'this source has no {" and no ".join(lacking)}: say dedup = "none"'
        )
    if "items" not in card.source.files and card.text.items_without_text == "error":
        raise DataError(
            f"{where}: without an items file no item has text: add [source.files.items], or say "
            'items_without_text = "unknown"'
        )


def _fields_lacking_for_dedup(source: Source) -> list[str]:
    """Return which of the compared fields the source cannot have."""
    if source.kind == "amazon-2018":
        return []
    return [field for field in ("text", "rating", "time") if field not in source.fields]
