"""Items as text: cleaning of raw values, word limits, the paper's template (section 3.1)."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from typing import Any

from harness.data.card import TextAttribute, TextRules

MISSING = "Unknown"

_IMAGE = re.compile(r"<img\b", re.IGNORECASE)
_ALT = re.compile(r"""\balt\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.IGNORECASE)


def item_text(values: Mapping[str, Any], rules: TextRules) -> str:
    """Return an item's text: ready made where the card says so, else by the template.

    An item without any text of its own reads ``Unknown`` where texts are ready made.
    """
    if rules.verbatim is not None:
        return cleaned(values.get(rules.verbatim), "plain") or MISSING
    return render(values, rules.attributes)


def has_text(values: Mapping[str, Any], rules: TextRules) -> bool:
    """Return whether an item has at least one value left after cleaning."""
    if rules.verbatim is not None:
        return bool(cleaned(values.get(rules.verbatim), "plain"))
    return any(cleaned(values.get(entry.field), entry.cleaning) for entry in rules.attributes)


def render(values: Mapping[str, Any], attributes: tuple[TextAttribute, ...]) -> str:
    """Return ``Title: …. Category: …. Brand: …. Price: ….`` with the card's own labels.

    Each value is cleaned, cut to its number of whitespace words and followed by a full stop
    (also where it ends in one); a missing value reads ``Unknown``.
    """
    parts = []
    for attribute in attributes:
        words = cleaned(values.get(attribute.field), attribute.cleaning).split()
        parts.append(f"{attribute.label}: {' '.join(words[: attribute.words]) or MISSING}.")
    return " ".join(parts)


def cleaned(value: Any, cleaning: str) -> str:
    """Return a raw value as one line of text, empty where it is missing.

    Lists are joined with a space, numbers printed, lone surrogates replaced. Cleanings:

    - ``plain``: runs of whitespace become one space.
    - ``html``: entities are resolved too (titles hold ``&amp;``).
    - ``price``: as ``html``; anything that does not start with ``$`` counts as missing, since the
      field at times holds style sheets.
    - ``main-category``: as ``html``; an ``<img …>`` tag is replaced by its alt text.
    """
    return _CLEANINGS[cleaning](_joined(value))


def _joined(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " ".join(filter(None, (_joined(part) for part in value)))
    # a lone surrogate is legal in JSON but cannot be written as UTF-8
    return str(value).encode("utf-8", "replace").decode()


def _plain(text: str) -> str:
    return " ".join(text.split())


def _html(text: str) -> str:
    return _plain(html.unescape(text))


def _price(text: str) -> str:
    price = _html(text)
    return price if price.startswith("$") else ""


def _main_category(text: str) -> str:
    if not _IMAGE.match(text.lstrip()):
        return _html(text)
    alt = _ALT.search(text)
    return _html(alt[1] or alt[2] or "") if alt else ""


_CLEANINGS: dict[str, Callable[[str], str]] = {
    "plain": _plain,
    "html": _html,
    "price": _price,
    "main-category": _main_category,
}
