"""Validation of a data set card: from TOML to a `DatasetCard`, or an error that names the key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from harness.data.card import (
    CLEANINGS,
    COUNTS,
    DEDUPS,
    KINDS_WITH_FIELDS,
    SOURCE_FILES,
    TABLE_1_FIGURES,
    TIME_UNITS,
    DatasetCard,
    ItemAttribute,
    Protocol,
    Source,
    SourceFile,
    TextAttribute,
    TextRules,
    UserSample,
    attributes_of_text,
    data_hash,
)
from harness.data.table import Table
from harness.errors import DataError, did_you_mean
from harness.files import canonical_json, sha256_text


def parse_card(
    content: bytes, file_name: str, anchor: Path, bases: Mapping[str, bytes] | None = None
) -> DatasetCard:
    """Validate a card's bytes.

    Args:
        content: the file.
        file_name: for messages; it must be the card's name with ``.toml``.
        anchor: what the card's relative folders start from.
        bases: what ``extends`` may name, by file name without ``.toml``.

    Raises:
        DataError: not UTF-8, not TOML (with the position), or not what a card must hold.
    """
    values = parse_toml(content, file_name)
    if "extends" in values:
        values = _extended(values, file_name, bases or {})
    table = Table(values, f"card {file_name}")
    source = _source(table.table("source"), anchor)
    text = _text(table.table("text")) if "text" in table else TextRules((), "unknown")
    attributes = _item_attributes(table) or attributes_of_text(text)
    protocol = _protocol(table.table("protocol"))
    card = DatasetCard(
        name=card_name(table, file_name),
        title=table.text("title"),
        licence=table.text("licence"),
        citation=table.text("citation"),
        url=table.text("url"),
        notes=table.text("notes", ""),
        redistributable=table.flag("redistributable"),
        verb=table.text("verb"),
        source=source,
        text=text,
        attributes=attributes,
        protocol=protocol,
        expected=_expected(table.table("expected", optional=True)),
        paper=_paper(table.table("paper", optional=True)),
        paper_lir=_paper_lir(table.table("paper_lir", optional=True)),
        method_settings=_method_settings(table.table("settings", optional=True)),
        hash=sha256_text(canonical_json(_printable(values))),
        data_hash=data_hash(source, text, attributes, protocol),
    )
    table.finish()
    check_together(card, f"card {file_name}")
    return card


def parse_toml(content: bytes, file_name: str) -> dict[str, Any]:
    """Return a card's tables.

    Raises:
        DataError: not UTF-8, or not TOML; names the position.
    """
    try:
        return tomllib.loads(content.decode())
    except UnicodeDecodeError as error:
        raise DataError(f"card {file_name}: not UTF-8 at byte {error.start}") from error
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"card {file_name}: not valid TOML: {error}") from error


def _extended(values: dict[str, Any], file_name: str, bases: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the values on top of those of the base that they name under ``extends``."""
    name = values["extends"]
    if not isinstance(name, str) or name not in bases:
        raise DataError(
            f"card {file_name}: 'extends' names {name!r}, which is no base: "
            f"{did_you_mean(str(name), bases)}"
        )
    own = {key: value for key, value in values.items() if key != "extends"}
    return _merged(parse_toml(bases[name], f"{name}.toml"), own)


def _merged(base: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return both; tables are merged, any other value of ``own`` takes the place of the base's."""
    merged = dict(base)
    for key, value in own.items():
        former = merged.get(key)
        both_tables = isinstance(former, dict) and isinstance(value, dict)
        merged[key] = _merged(former, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def card_name(table: Table, file_name: str) -> str:
    """Return a card's name, which must be that of its file: cards are found by file name."""
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
    fields = _fields(table.table("fields")) if kind in KINDS_WITH_FIELDS else {}
    files = _files(table.table("files"), *SOURCE_FILES[kind])
    time_unit = table.choice("time_unit", list(TIME_UNITS), "s") if kind == "table" else "s"
    fault_limit = table.whole("fault_limit", minimum=0, default=0)
    fault_share = table.fraction("fault_share") if "fault_share" in table else 0.0
    table.finish()
    return Source(
        kind=kind,
        files=files,
        fields=fields,
        package=package,
        folder_env=folder_env,
        folder_default=folder_default,
        anchor=anchor,
        time_unit=time_unit,
        fault_limit=fault_limit,
        fault_share=fault_share,
    )


def _files(table: Table, required: set[str], optional: set[str]) -> dict[str, SourceFile]:
    files = {}
    for role in sorted(required | optional):
        if role in optional and role not in table:
            continue
        entry = table.table(role)
        files[role] = SourceFile(_inside(entry), _digest(entry), _urls(entry))
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


def _digest(table: Table) -> str | None:
    """Return the digest; a file without one can change, so what was found is kept beside it."""
    digest = table.text("sha256", "")
    if digest and not re.fullmatch(r"[0-9a-f]{64}", digest):
        raise table.fault("sha256", f"must be 64 lower-case hexadecimal digits, found {digest!r}")
    return digest or None


def _urls(table: Table) -> tuple[str, ...]:
    urls = table.texts("urls")
    for url in urls:
        if not url.startswith(("https://", "http://")):
            raise table.fault("urls", f"must begin with https:// or http://, found {url!r}")
    return urls


def _fields(table: Table) -> dict[str, str]:
    fields = {role: table.text(role) for role in ("user", "item")}
    optional = {role: table.text(role, "") for role in ("rating", "time", "text")}
    table.finish()
    return fields | {role: name for role, name in optional.items() if name}


def _text(table: Table) -> TextRules:
    policy = table.choice("items_without_text", ("error", "unknown"), "error")
    verbatim = table.text("verbatim", "") or None
    if verbatim is not None and "attributes" in table:
        raise DataError(f"{table.where}: give either 'verbatim' or 'attributes'")
    ready = verbatim is not None
    attributes = tuple(_attribute(entry) for entry in table.tables("attributes", optional=ready))
    limit = table.fraction("without_text_limit") if "without_text_limit" in table else 1.0
    labels = [attribute.label for attribute in attributes]
    if len(set(labels)) < len(labels):
        raise DataError(f"{table.where}: two attributes have the same label, found {labels}")
    table.finish()
    return TextRules(attributes, policy, verbatim, limit)


def _attribute(table: Table) -> TextAttribute:
    attribute = TextAttribute(
        label=table.text("label"),
        field=table.text("field"),
        words=table.whole("words", minimum=1),
        cleaning=table.choice("cleaning", CLEANINGS),
    )
    table.finish()
    return attribute


def _item_attributes(table: Table) -> tuple[ItemAttribute, ...]:
    attributes = tuple(
        _item_attribute(entry) for entry in table.tables("attributes", optional=True)
    )
    names = [attribute.name for attribute in attributes]
    if len(set(names)) < len(names):
        raise DataError(f"{table.where}: two [[attributes]] have the same name, found {names}")
    return attributes


def _item_attribute(table: Table) -> ItemAttribute:
    name = table.text("name")
    if "," in name or not name.isprintable():
        raise table.fault("name", f"must be one line without a comma, found {name!r}")
    attribute = ItemAttribute(
        name=name,
        field=table.text("field"),
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
        test_sample=_user_sample(table.table("test_sample")) if "test_sample" in table else None,
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


def _paper(table: Table) -> dict[str, float]:
    figures = {name: table.figure(name) for name in TABLE_1_FIGURES if name in table}
    table.finish()
    return figures


def _paper_lir(table: Table) -> dict[str, tuple[float, float]]:
    values = {metric: table.figures(metric, 2) for metric in sorted(table.keys())}
    table.finish()
    return {metric: (without, deduplicated) for metric, (without, deduplicated) in values.items()}


def _method_settings(table: Table) -> dict[str, dict[str, Any]]:
    return {name: table.table(name).plain_values() for name in sorted(table.keys())}


def _printable(value: Any) -> Any:
    """Return a TOML value as JSON can hold it; what it cannot hold is refused elsewhere."""
    if isinstance(value, dict):
        return {key: _printable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_printable(part) for part in value]
    return value if isinstance(value, str | bool | int) else str(value)


def check_together(card: DatasetCard, where: str) -> None:
    """Refuse a card whose parts contradict each other: dedup without the fields it compares."""
    lacking = _fields_lacking_for_dedup(card.source)
    if card.protocol.dedup != "none" and lacking:
        raise DataError(
            f"{where}: dedup = {card.protocol.dedup!r} compares review text, rating and time, but "
            f'this source has no {" and no ".join(lacking)}: say dedup = "none"'
        )
    if card.attributes != attributes_of_text(card.text) and "items" not in card.source.files:
        raise DataError(f"{where}: [[attributes]] need [source.files.items] to come from")
    if "items" not in card.source.files and card.text and card.text.items_without_text == "error":
        raise DataError(
            f"{where}: without an items file no item has text: add [source.files.items], or say "
            'items_without_text = "unknown"'
        )


def _fields_lacking_for_dedup(source: Source) -> list[str]:
    """Return which of the compared fields the source cannot have."""
    if source.kind == "amazon-2018":
        return []  # the reader's own columns
    return [field for field in ("text", "rating", "time") if field not in source.fields]
