"""Whether training on one data set may show what another one holds out.

Two data sets are known to be the same by their content, a shared source file, or their card's name.
The same category from other files under another name goes unseen: nothing links the two.
"""

from __future__ import annotations

from harness.data.mixture_card import HELD_OUT
from harness.data.prepared import PreparedData

_NO_EVENTS = ("items", "item_index", "user_index")
"""Roles of source files that hold no events."""
_DEDUP_STRICTNESS = {"none": 0, "consecutive": 1, "global": 2}
"""What a stricter dedup keeps, the laxer ones keep too."""


def leak_of(part: PreparedData, rule: str, target: PreparedData, held_out: int) -> str | None:
    """Return how training may see events of ``target`` that are held out, and the way out.

    Args:
        part: what is trained on.
        rule: how much of it, a key of `HELD_OUT`.
        target: what is held out from.
        held_out: how many of each user's last events.

    Returns:
        A clause for a message, or None where nothing says that both hold the same events.
    """
    kinship = _kinship(part, target)
    if kinship is None:
        return None
    if HELD_OUT[rule] < held_out:
        wanted = next(rule for rule, cut in HELD_OUT.items() if cut == held_out)
        return f'{kinship}, and training = "{rule}": say training = "{wanted}" there'
    if not _ends_alike(part, target):
        return (
            f"{kinship}, but the part reads it in another way or drops fewer duplicates, so its "
            "last events may be earlier ones than the target's: give both cards the same [source] "
            "and dedup"
        )
    return None


def _kinship(one: PreparedData, other: PreparedData) -> str | None:
    """Return in what two data sets are the same, or None where nothing says that they are."""
    if one.content_hash == other.content_hash:
        return "both have the same content"
    digests = _digests(other)
    for role, digest in one.source_digests.items():
        if digest in digests:
            return f"both are made from {one.card.source.files[role].path}"
    return "both cards have the same name" if one.card.name == other.card.name else None


def _ends_alike(part: PreparedData, target: PreparedData) -> bool:
    """Return False where cutting a part's last events may leave some of the target's last ones.

    Filters and samples of users change no user's sequence. Dedup does: where the part keeps a
    duplicate that the target drops, cutting as many events reaches less far back.
    """
    same_events = _digests(part, _NO_EVENTS) & _digests(target, _NO_EVENTS)
    if part.content_hash == target.content_hash or not same_events:
        return True  # the same, or from two files whose events cannot be set against each other
    sources = (part.card.source, target.card.source)
    readings = [(source.kind, source.fields, source.time_unit) for source in sources]
    part_dedup, target_dedup = (data.card.protocol.dedup for data in (part, target))
    return (
        readings[0] == readings[1]
        and _DEDUP_STRICTNESS[part_dedup] >= _DEDUP_STRICTNESS[target_dedup]
    )


def _digests(data: PreparedData, left_out: tuple[str, ...] = ()) -> set[str]:
    """Return the digests of the source files, some roles left out."""
    return {digest for role, digest in data.source_digests.items() if role not in left_out}
