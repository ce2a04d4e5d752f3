"""Variants of a data set: another rule for duplicates, no texts, or a test of fewer users.

A variant has a name of its own, so that its records never stand among those of the data set.
"""

from __future__ import annotations

from dataclasses import replace

from harness.data.card import DatasetCard, Protocol, Source, TextRules, UserSample, data_hash
from harness.data.card_parsing import check_together
from harness.files import canonical_json, sha256_text

TEST_SEED = 0

_BEFORE_DEDUP = {"events_read", "users_read"}
_OF_TEXTS = {"items_without_text", "distinct_texts", "faulty_lines"}


def variant(
    card: DatasetCard,
    *,
    dedup: str | None = None,
    without_texts: bool = False,
    test_users: int | None = None,
    fault_limit: int | None = None,
) -> DatasetCard:
    """Return the card of a variant, or the card itself where nothing differs.

    Args:
        card: the data set.
        dedup: "consecutive", "global" or "none", in place of the card's own rule.
        without_texts: leave out item texts, and the file that they come from.
        test_users: test a sample of so many users (seed 0), and train on all as ever.
        fault_limit: how many faulty lines may be left out, in place of the card's own limit. It
            changes neither the name nor, as long as the run does not stop, the result.

    Raises:
        DataError: the source lacks a field that the rule compares.
    """
    if fault_limit is not None:
        # the share would let more pass
        source = replace(card.source, fault_limit=fault_limit, fault_share=0.0)
        card = replace(card, source=source)
    if dedup is not None and dedup != card.protocol.dedup:
        expected = {name: n for name, n in card.expected.items() if name in _BEFORE_DEDUP}
        protocol = replace(card.protocol, dedup=dedup)
        where = f"data set {card.name}"  # as the user wrote it
        card = _changed(card, f"dedup-{dedup}", card.source, card.text, protocol, expected)
        check_together(card, where)
    if without_texts and card.text:
        files = {role: file for role, file in card.source.files.items() if role != "items"}
        source = replace(card.source, files=files)
        expected = {name: n for name, n in card.expected.items() if name not in _OF_TEXTS}
        text = TextRules((), "unknown")
        card = _changed(card, "without-texts", source, text, card.protocol, expected)
    if test_users is not None:
        protocol = replace(card.protocol, test_sample=UserSample(test_users, None, TEST_SEED))
        change, expected = f"test-{test_users}", dict(card.expected)
        card = _changed(card, change, card.source, card.text, protocol, expected)
    return card


def _changed(
    card: DatasetCard,
    change: str,
    source: Source,
    text: TextRules,
    protocol: Protocol,
    expected: dict[str, int],
) -> DatasetCard:
    attributes = card.attributes if text else ()
    return replace(
        card,
        name=f"{card.name}-{change}",
        title=f"{card.title}, {change.replace('-', ' ')}",
        source=source,
        text=text,
        protocol=protocol,
        expected=expected,
        paper={},
        paper_lir={},
        hash=sha256_text(canonical_json([card.hash, change])),
        attributes=attributes,
        data_hash=data_hash(source, text, attributes, protocol),
    )
