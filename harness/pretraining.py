"""Pre-training on a mixture, as a run plans it: what it decides, and why a cell cannot do it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness.data.card import DatasetCard
from harness.data.mixture import Mixture, load_mixture_card, prepare_mixture
from harness.data.prepared import PreparedData
from harness.errors import DataError, HarnessError
from harness.files import canonical_json, sha256_text
from harness.method import Input, Method

NOT_PREPARED = "not prepared"
"""What stands for the content of a mixture that cannot be had."""


class PreparedMixtures:
    """The mixtures of one run, each prepared once, when a cell first asks for it."""

    def __init__(self, prepare: Callable[[str], PreparedData]) -> None:
        """Keep how one data set is prepared, by what `harness.data.cards.load_card` takes."""
        self._prepare = prepare
        self._found: dict[str, Mixture | DataError] = {}

    def named(self, name_or_path: str) -> Mixture:
        """Return a mixture by its name or its card's path.

        Raises:
            UsageError: no such mixture, or a part names no data set.
            DataError: it is malformed or a part cannot be prepared; the same one in every call.
        """
        if name_or_path not in self._found:
            try:
                found = prepare_mixture(load_mixture_card(name_or_path), self._prepare)
                self._found[name_or_path] = found
            except DataError as error:  # not to be tried again for every cell
                self._found[name_or_path] = error
        found_or_error = self._found[name_or_path]
        if isinstance(found_or_error, DataError):
            raise found_or_error
        return found_or_error


@dataclass(frozen=True, eq=False)
class Pretraining:
    """What a cell's method pre-trains on.

    Attributes:
        mixture: None where the method names none, or where it cannot be prepared.
        external: what it adds to the run id: the content of the mixture, the verbs of its parts
            and, for methods that read them, the attributes of their items.
        obstacle: why the cell cannot run, or None.
    """

    mixture: Mixture | None = None
    external: Mapping[str, str] = field(default_factory=dict)
    obstacle: str | None = None


def plan_pretraining(
    method: type[Method], settings: Any, target: PreparedData, mixtures: PreparedMixtures | None
) -> Pretraining:
    """Prepare what a method wants to pre-train on before an evaluation on ``target``.

    Args:
        method: the method.
        settings: its resolved settings.
        target: the data set that it is evaluated on.
        mixtures: of the run; None where none can be prepared.

    Raises:
        UsageError: the method names a mixture that does not exist, or one with such a part.
        HarnessError: it names a mixture, and ``mixtures`` is None.
    """
    named = method.mixture(settings)
    if named is None:
        return Pretraining()
    if mixtures is None:
        raise HarnessError(
            f"{method.card.title} pre-trains on the mixture {named}, which this command does not "
            "prepare; use `run`"
        )
    try:
        mixture = mixtures.named(named)
    except DataError as error:
        return Pretraining(external={"mixture": NOT_PREPARED}, obstacle=str(error))
    return Pretraining(mixture, _external(method, mixture), _obstacle(method, mixture, target))


def lacking_input(method: type[Method], card: DatasetCard) -> str | None:
    """Return which declared input a data set does not have, as a clause that names it, or None."""
    if Input.ITEM_TEXT in method.card.inputs and not card.text:
        return f"reads item texts, and {card.name} has none"
    if Input.ITEM_ATTRIBUTES in method.card.inputs and not card.attributes:
        return f"reads item attributes, and {card.name} has none"
    return None


def mixture_facts(mixture: Mixture) -> dict[str, Any]:
    """Return what a record keeps of a mixture."""
    return {
        "name": mixture.card.name,
        "title": mixture.card.title,
        "content_hash": mixture.content_hash,
        "exponent": mixture.card.exponent,
        "parts": [
            {
                "dataset": part.data.card.name,
                "content_hash": part.data.content_hash,
                "training": part.rule,
                "selection": part.selection_targets is not None,
                "n_users": len(part.training),
                "n_events": len(part.training.items),
                "probability": part.probability,
            }
            for part in mixture.parts
        ],
    }


def _external(method: type[Method], mixture: Mixture) -> dict[str, str]:
    external = {
        "mixture": f"sha256:{mixture.content_hash}",
        # read by prompts, and no part of what is prepared
        "mixture verbs": ", ".join(part.data.card.verb for part in mixture.parts),
    }
    if Input.ITEM_ATTRIBUTES in method.card.inputs:
        digests = [part.data.attributes_hash for part in mixture.parts]
        external["mixture attributes"] = f"sha256:{sha256_text(canonical_json(digests))}"
    return external


def _obstacle(method: type[Method], mixture: Mixture, target: PreparedData) -> str | None:
    for number, part in enumerate(mixture.parts, 1):
        lacking = lacking_input(method, part.data.card)
        if lacking is not None:
            return f"{lacking}, which is part number {number} of the mixture {mixture.card.name}"
    try:
        mixture.refuse_leaks(target)
    except DataError as error:
        return str(error)
    return None
