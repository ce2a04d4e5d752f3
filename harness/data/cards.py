"""Finding and loading data set cards.

A card is a TOML file that says what a data set is, where its files lie and how it is prepared.
The project ships some (the folder ``datasets/`` of a checkout, the package ``harness.cards`` of an
installed wheel); a user's own is named by its path. A shipped file whose name begins with an
underscore is no card but what others extend (``extends = "_name"``); one with a table [mixture]
names several data sets (`harness.data.mixture`).
"""

from __future__ import annotations

import importlib.resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.data.card import DatasetCard
from harness.data.card_parsing import parse_card
from harness.data.mixture_card import is_mixture
from harness.errors import UsageError, did_you_mean

__all__ = ["DatasetCard", "card_names", "load_card", "shipped_files"]

CHECKOUT = Path(__file__).resolve().parents[2]


def card_names() -> list[str]:
    """Return the names of the shipped data sets, sorted."""
    return [
        name for name, file in sorted(shipped_files().items()) if not is_mixture(file.read_bytes())
    ]


def shipped_files() -> dict[str, Traversable]:
    """Return the shipped cards, of data sets and of mixtures, by name."""
    return {name: file for name, file in _shipped().items() if not name.startswith("_")}


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
        return _parsed(path.read_bytes(), path.name, path.resolve().parent)
    shipped = shipped_files()
    if name_or_path not in shipped:
        suggestion = did_you_mean(name_or_path, card_names())
        raise UsageError(
            f"unknown data set {name_or_path!r}: {suggestion} (or the path of a .toml card)"
        )
    file = shipped[name_or_path]
    return _parsed(file.read_bytes(), file.name, CHECKOUT)


def _parsed(content: bytes, file_name: str, anchor: Path) -> DatasetCard:
    if is_mixture(content):
        raise UsageError(
            f"{file_name} is a mixture of several data sets, not one; the commands that take "
            "it are `data prepare`, `data fetch` and `list datasets`"
        )
    bases = {name: file.read_bytes() for name, file in _shipped().items() if name.startswith("_")}
    return parse_card(content, file_name, anchor, bases)


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
