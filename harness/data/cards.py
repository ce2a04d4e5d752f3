"""Finding and loading data set cards.

A card is a TOML file that says what a data set is, where its files lie and how it is prepared.
The project ships some (the folder ``datasets/`` of a checkout, the package ``harness.cards`` of an
installed wheel); a user's own is named by its path.
"""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.data.card import DatasetCard
from harness.data.card_parsing import parse_card
from harness.errors import UsageError, did_you_mean

__all__ = ["DatasetCard", "card_names", "load_card"]

CHECKOUT = Path(__file__).resolve().parents[2]


def card_names() -> list[str]:
    """Return the names of the shipped cards, sorted."""
    return sorted(_shipped())


def load_card(name_or_path: str) -> DatasetCard:
    """Return a shipped card by its name, or the card in a file whose name ends in ``.toml``.

    Raises:
        UsageError: no such card.
        DataError: the card is malformed; the message names the file and the position or key.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"no data set card at {path}: give a card's path, or {_known()}")
        return parse_card(path.read_bytes(), path.name, path.resolve().parent)
    shipped = _shipped()
    if name_or_path not in shipped:
        suggestion = did_you_mean(name_or_path, shipped)
        raise UsageError(
            f"unknown data set {name_or_path!r}: {suggestion} (or the path of a .toml card)"
        )
    file = shipped[name_or_path]
    return parse_card(file.read_bytes(), file.name, CHECKOUT)


def _known() -> str:
    return f"one of the shipped names: {', '.join(card_names())}"


def _shipped() -> dict[str, Traversable]:
    try:
        folder: Traversable = importlib.resources.files("harness.cards")
    except ModuleNotFoundError:
        folder = CHECKOUT / "datasets"
    if not folder.is_dir():
        return {}
    return {
        file.name.removesuffix(".toml"): file
        for file in folder.iterdir()
        if file.name.endswith(".toml")
    }
