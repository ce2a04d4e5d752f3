"""The texts of all items of a data set, and what is to be said of items that have none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.data.card import DatasetCard
from harness.data.text import has_text, item_text
from harness.errors import DataError
from harness.progress import Progress

_SHOWN = 5


@dataclass(frozen=True)
class ItemTexts:
    """What `item_texts` returns.

    Attributes:
        texts: of every item, in the order asked for.
        n_without: how many items have no text of their own.
        report: lines that say which these are; empty where there is none.
    """

    texts: tuple[str, ...]
    n_without: int
    report: tuple[str, ...]


def item_texts(
    card: DatasetCard,
    items: Mapping[str, Mapping[str, Any]],
    item_ids: Sequence[str],
    progress: Progress,
) -> ItemTexts:
    """Return the text of every item.

    Args:
        card: the data set.
        items: the raw fields by item id, of the items that have a line.
        item_ids: the items wanted.
        progress: shows a bar.

    Raises:
        DataError: an item has no text and the card forbids it, or more items than its limit.
    """
    if not card.text:
        return ItemTexts(("",) * len(item_ids), len(item_ids), ())
    texts: list[str] = []
    no_line: list[str] = []
    no_value: list[str] = []
    with progress.bar(f"{card.name}: texts", total=len(item_ids), unit="items") as bar:
        for item in item_ids:
            values = items.get(item, {})
            if not has_text(values, card.text):
                (no_value if item in items else no_line).append(item)
            texts.append(item_text(values, card.text))
            bar.advance()
    _check(card, len(item_ids), no_line, no_value)
    # without a file of items it goes without saying
    report = _report(card, no_line, no_value) if "items" in card.source.files else ()
    return ItemTexts(tuple(texts), len(no_line) + len(no_value), report)


def _check(card: DatasetCard, n_items: int, no_line: list[str], no_value: list[str]) -> None:
    n_without, limit = len(no_line) + len(no_value), card.text.without_text_limit
    if not n_without or "items" not in card.source.files:
        return
    what = f"data set {card.name}: {'; '.join(_report(card, no_line, no_value))}"
    if card.text.items_without_text == "error":
        raise DataError(
            f"{what}: complete the file (and the card's sha256), or set "
            'items_without_text = "unknown" under [text] in the card to render it as Unknown'
        )
    if len(no_line) == n_items:
        raise DataError(f"{what}: its ids are others; is it the file of this data set?")
    if n_without > limit * n_items:
        raise DataError(
            f"{what}: that is {100 * n_without / n_items:.1f} % of {n_items}, more than the limit "
            f"of {100 * limit:g} %: is it the file of this data set? If so, raise "
            "without_text_limit under [text] in the card, or leave texts out (--without-texts)"
        )


def _report(card: DatasetCard, no_line: list[str], no_value: list[str]) -> tuple[str, ...]:
    where = f" in {card.source.files['items'].path}"
    kinds = (("no line", no_line), ("no attribute with a value", no_value))
    return tuple(
        f"{len(items)} item{'s' if len(items) > 1 else ''} without text: {kind}{where}, "
        f"such as {', '.join(map(repr, items[:_SHOWN]))}"
        for kind, items in kinds
        if items
    )
