"""Mixtures, as ``data`` commands take them: all parts found first, and what they may train on."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from tabulate import tabulate

from harness.commands.options import chosen_card
from harness.errors import DataError, UsageError

if TYPE_CHECKING:
    from harness.commands.data.preparing import Preparing
    from harness.data.card import DatasetCard
    from harness.data.mixture import Mixture
    from harness.data.mixture_card import MixtureCard


def prepare_parts(
    name: str, options: argparse.Namespace, preparing: Preparing, evaluations: Sequence[str] = ()
) -> Iterator[str]:
    """Prepare a mixture, then what is evaluated after it; yield what there is to print.

    Args:
        name: of the mixture, or its card's path.
        options: the variant of every data set.
        preparing: how.
        evaluations: the data sets that a method trained on the mixture is to be evaluated on.

    Raises:
        UsageError: no such mixture, part or data set.
        DataError: files are missing (all data sets are named before any is prepared), a part
            cannot be prepared, or the mixture trains on what something else holds out.
    """
    from harness.data.mixture import load_mixture_card, prepare_mixture

    card = load_mixture_card(name)
    targets = {evaluation: chosen_card(evaluation, options) for evaluation in evaluations}
    _refuse_absent(name, {**_parts(card, options), **targets}, preparing)
    mixture = prepare_mixture(card, lambda part: preparing.prepared(chosen_card(part, options)))
    yield _described(mixture)
    for evaluation, target in targets.items():
        mixture.refuse_leaks(preparing.prepared(target))
        yield (
            f"safe for {evaluation}: {mixture.card.name} trains on no validation or test item "
            "that an evaluation there holds out"
        )


def _parts(card: MixtureCard, options: argparse.Namespace) -> dict[str, DatasetCard]:
    """Return the parts' cards, as far as there are any."""
    cards = {}
    for part in card.parts:
        with contextlib.suppress(UsageError):  # `prepare_mixture` says it with the mixture's name
            cards[part.dataset] = chosen_card(part.reference, options)
    return cards


def _refuse_absent(name: str, cards: dict[str, DatasetCard], preparing: Preparing) -> None:
    """Refuse to begin where the files of some data sets cannot be found.

    Raises:
        DataError: naming all of them.
    """
    found = {dataset: preparing.why_absent(card) for dataset, card in cards.items()}
    reasons = {dataset: reason for dataset, reason in found.items() if reason is not None}
    if reasons:
        raise DataError(
            f"mixture {name}: {len(reasons)} of {len(cards)} data sets lack source files: "
            f"{', '.join(reasons)}: fetch what has an address (`data fetch {name}`) or name the "
            f"folder that holds the files (--source FOLDER); the first one: "
            f"{next(iter(reasons.values()))}"
        )


def _described(mixture: Mixture) -> str:
    from harness.data.mixture import DESCRIPTION, describe

    table = tabulate(describe(mixture), DESCRIPTION, disable_numparse=True)
    return f"{mixture.card.name}\n{table}\ncontent hash  {mixture.content_hash}\n"
