"""The columns of the paper's table 1, computed from a prepared data set."""

from __future__ import annotations

from typing import Any

from harness.data.prepared import PreparedData


def table1_row(data: PreparedData) -> dict[str, Any]:
    """Return one row of table 1.

    Words are whitespace tokens of the whole lower-cased template, attribute names and attached
    punctuation included; that is what reproduces the paper's own figures. Keys:

    - ``dataset``, ``users``, ``items``, ``purchases`` (after dedup, filter and sample);
    - ``duplicates_percent``: of the events read, before dedup; None where dedup is off;
    - ``items_per_user``, ``purchases_per_item``, ``density`` (purchases / (users x items));
    - ``words_per_item``, ``word_vocabulary`` (distinct words), ``average_word_frequency``.
    """
    n_words, types = 0, set()
    for text in data.item_texts:
        words = text.lower().split()
        n_words += len(words)
        types.update(words)
    vocabulary = len(types)
    users, items, purchases = len(data.user_ids), len(data.item_ids), len(data.sequences.items)
    return {
        "dataset": data.card.name,
        "users": users,
        "duplicates_percent": data.duplicates_percent,
        "items": items,
        "purchases": purchases,
        "items_per_user": purchases / users,
        "purchases_per_item": purchases / items,
        "density": purchases / (users * items),
        "words_per_item": n_words / items,
        "word_vocabulary": vocabulary,
        "average_word_frequency": n_words / vocabulary if vocabulary else None,
    }
