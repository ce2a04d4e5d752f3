"""The data sets of a mixture as tokens, and the pairs that pre-training draws of them.

Every part of the mixture is trained on, the one that selects the checkpoint too, up to the events
that select it. In the original the selecting category is not trained on at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import SourceDomain
from methods.recformer.settings import Settings
from methods.recformer.tokens import ItemTokens, Sequences, Vocabulary, chosen_attributes

PRETRAINING = 1
"""Keeps the draws of pre-training apart from those of fine-tuning."""
EPOCH, STEP, VALIDATION = 0, 1, 2
"""Keep the draws within pre-training apart."""


@dataclass(frozen=True)
class Domain:
    """One data set of the mixture, ready to be read.

    Attributes:
        name: the data set's.
        items: its catalogue as tokens.
        histories: what may be trained on.
        selection_targets: int32 [n_users], or None where it does not select the checkpoint.
        probability: its share of the pairs.
    """

    name: str
    items: ItemTokens
    histories: Histories
    selection_targets: NDArray[np.int32] | None
    probability: float


@dataclass(frozen=True)
class Pairs:
    """Pairs of a history and the item that follows it, int64 [n] each.

    Attributes:
        domains: which domain a pair comes from.
        users: the row of that domain's histories.
        targets: the index of the item within the history; what precedes it is the other side.
    """

    domains: NDArray[np.int64]
    users: NDArray[np.int64]
    targets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.domains)

    def part(self, first: int, size: int) -> Pairs:
        """Return some pairs in a row."""
        rows = slice(first, first + size)
        return Pairs(self.domains[rows], self.users[rows], self.targets[rows])


# ---- attributes ----------------------------------------------------------------------------------


def domains_of(
    sources: Sequence[SourceDomain], vocabulary: Vocabulary, settings: Settings
) -> list[Domain]:
    """Return the domains as tokens.

    Raises:
        MethodError: a data set has no attribute, or no user has two events.
    """
    found = []
    for source in sources:
        readable = settings_for(source, settings)
        items = ItemTokens(source.item_attributes, vocabulary, readable)
        found.append(
            Domain(
                source.name, items, source.histories, source.selection_targets, source.probability
            )
        )
    if not any((domain.histories.lengths >= 2).any() for domain in found):
        raise MethodError(
            "recformer has nothing to pre-train on: no user of the mixture has two events that may "
            "be trained on; name another mixture in recformer.pretraining"
        )
    return found


def settings_for(source: SourceDomain, settings: Settings) -> Settings:
    """Return the settings with which a source is read.

    Attributes are named for the target, and a source need not have all of them: it is read by those
    that it has, and by its own usual ones where it has none of them.
    """
    names = [name for name in settings.attribute_names if name in source.item_attributes]
    return replace(settings, attributes=",".join(names) or None)


def catalogue_of(
    sources: Sequence[SourceDomain], settings: Settings
) -> tuple[dict[str, list[str]], Settings]:
    """Return what a tokeniser learns from: the values by attribute, and settings that read all.

    Of the sources alone, so that what is pre-trained serves every target.

    Raises:
        MethodError: a data set has no attribute.
    """
    values: dict[str, list[str]] = {}
    for source in sources:
        for name in chosen_attributes(source.item_attributes, settings_for(source, settings)):
            values.setdefault(name, []).extend(source.item_attributes[name])
    return values, replace(settings, attributes=",".join(values))


# ---- pairs ---------------------------------------------------------------------------------------


def drawn_pairs(domains: Sequence[Domain], seed: int, epoch: int) -> Pairs:
    """Draw the pairs of an epoch, as many as all domains have users, by (seed, epoch) alone.

    The domain is drawn with the mixture's probability, the user uniformly. (The original takes each
    user of each domain once; a mixture says itself how its parts are to be weighed.) The target is
    uniform in the later half, from index ⌊(L-1)/2⌋ to L-1, though never the first item, which
    nothing precedes.
    """
    generator = np.random.default_rng([seed, PRETRAINING, EPOCH, epoch])
    eligible = [np.flatnonzero(domain.histories.lengths >= 2) for domain in domains]
    weights = np.array([domain.probability for domain in domains])
    weights = weights * [len(users) > 0 for users in eligible]
    n_pairs = sum(map(len, eligible))
    chosen = generator.choice(len(domains), n_pairs, p=weights / weights.sum())
    users, lengths = np.zeros(n_pairs, np.int64), np.zeros(n_pairs, np.int64)
    for index, domain in enumerate(domains):
        of_it = chosen == index
        users[of_it] = generator.choice(eligible[index], of_it.sum()) if of_it.any() else 0
        lengths[of_it] = domain.histories.lengths[users[of_it]]
    targets = generator.integers(np.maximum(1, (lengths - 1) // 2), lengths)
    return Pairs(chosen.astype(np.int64), users, targets)


def sides_of(domains: Sequence[Domain], pairs: Pairs) -> tuple[Sequences, Sequences]:
    """Return the histories and the items of pairs as sequences, n of either."""
    histories, items = [], []
    for domain, user, target in zip(pairs.domains, pairs.users, pairs.targets, strict=True):
        tokens, history = domains[domain].items, domains[domain].histories[user]
        histories.append(tokens.histories(Histories.from_lists([history[:target]])))
        items.append(tokens.histories(Histories.from_lists([history[target : target + 1]])))
    return joined(histories), joined(items)


def joined(parts: Sequence[Sequences]) -> Sequences:
    """Return sequences one after another."""
    return Sequences(
        tuple(row for part in parts for row in part.ids),
        tuple(row for part in parts for row in part.types),
        tuple(row for part in parts for row in part.items),
    )


def equal_others(items: Sequences) -> NDArray[np.bool_]:
    """Return which other rows hold the same tokens, bool [n, n], the diagonal False.

    Such an item is no negative: its vector is that of the target.
    """
    index: dict[bytes, int] = {}
    keys = np.array([index.setdefault(ids.tobytes(), len(index)) for ids in items.ids])
    equal: NDArray[np.bool_] = keys[:, None] == keys[None, :]
    np.fill_diagonal(equal, False)
    return equal
