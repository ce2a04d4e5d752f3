"""Reading the attributes out of an item's text: ``Title: … Category: … Brand: … Price: …``.

The catalogue's texts and those that a model writes are read by the same rule, so that equal ones
come out equal. The labels are found in the catalogue itself: a method is given texts, not the
template that made them.
"""

from __future__ import annotations

from collections.abc import Sequence


def labels_of(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the labels of a catalogue: words with a colon that every text has, in one order.

    Empty where the texts do not begin with one, such as free descriptions.
    """
    if not texts:
        return ()
    labels: list[str] = []
    # from the text with the fewest: a title may spell a label out of its place
    for label in dict.fromkeys(min((_words_with_colons(text) for text in texts), key=len)):
        if all(_ordered(text, [*labels, label]) for text in texts):
            labels.append(label)
    begins = bool(labels) and all(text.lstrip().startswith(labels[0]) for text in texts)
    return tuple(labels) if begins else ()


def _words_with_colons(text: str) -> list[str]:
    return [word for word in text.split() if len(word) > 1 and word.endswith(":")]


def _ordered(text: str, labels: Sequence[str]) -> bool:
    words = iter(text.split())
    return all(label in words for label in labels)  # each search goes on where the last one ended


def attributes(text: str, labels: Sequence[str]) -> tuple[str, ...] | None:
    """Return the values behind the labels, in lower case and with single spaces.

    A value ends where the next label first stands. Without labels the whole text is the one value.

    Returns:
        A value per label, possibly empty; None for a format error: the text does not begin with
        the first label, lacks one, or has them in another order.
    """
    words = text.split()
    if not labels:
        return (" ".join(words).lower(),) if words else None
    if not words or words[0] != labels[0]:
        return None
    values, place = [], 1
    for following in labels[1:]:
        if following not in words[place:]:
            return None
        end = words.index(following, place)
        values.append(" ".join(words[place:end]).lower())
        place = end + 1
    values.append(" ".join(words[place:]).lower())
    return tuple(values)


def first_attributes(texts: Sequence[str]) -> tuple[str, ...]:
    """Return each text's first attribute as it is spelt, the whole text where there is none."""
    labels = labels_of(texts)
    if not labels:
        return tuple(texts)
    found = []
    for text in texts:
        words = text.split()
        end = words.index(labels[1], 1) if len(labels) > 1 else len(words)
        found.append(" ".join(words[1:end]).removesuffix(".").strip() or text)
    return tuple(found)
