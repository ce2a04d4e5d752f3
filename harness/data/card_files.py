"""The file of a card that the harness writes: checked beforehand, and never over another one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.data.card import DatasetCard
from harness.data.card_parsing import parse_card
from harness.errors import DataError, UsageError
from harness.files import write_text


def planned_card(card: Mapping[str, Any], path: Path) -> DatasetCard:
    """Return the card as it would be loaded from ``path``; nothing is written.

    Raises:
        UsageError: another card stands there, or what the user said makes no card.
    """
    text = _card_text(card, path)
    try:
        parsed = parse_card(text.encode(), path.name, path.resolve().parent)
    except DataError as error:
        raise UsageError(str(error)) from error
    if path.is_file() and path.read_bytes() != text.encode():
        raise UsageError(
            f"{path} stands there already and says something else: delete it, or choose another "
            "place (--card FILE)"
        )
    return parsed


def write_card(card: Mapping[str, Any], path: Path) -> None:
    """Write a card; one that stands there is left alone unless it says the same.

    Raises:
        UsageError: see `planned_card`.
    """
    planned_card(card, path)
    write_text(path, _card_text(card, path))


def _card_text(card: Mapping[str, Any], path: Path) -> str:
    """Return the card as TOML; data beside or below it are named from there, to move with it."""
    import tomli_w

    folder, here = Path(card["source"]["folder_default"]), path.resolve().parent
    if folder.is_relative_to(here):
        source = {**card["source"], "folder_default": folder.relative_to(here).as_posix()}
        card = {**card, "source": source}
    return tomli_w.dumps(card)
