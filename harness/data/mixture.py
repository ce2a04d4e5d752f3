"""A stage-I mixture: several data sets trained on together, each drawn at its own rate.

Stage I tunes one model on all categories at once (paper, section 3.3). Which events of a data set
it may see depends on what that data set is for (section 4): all of them, all but the last, which
then selects the checkpoint, or, where it is evaluated later, items 1 to n-2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations, permutations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.data.cards import CHECKOUT, shipped_files
from harness.data.leaks import leak_of
from harness.data.mixture_card import HELD_OUT, MixtureCard, MixturePart, is_mixture, parse_mixture
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError, did_you_mean
from harness.files import canonical_json, sha256_text
from harness.histories import Histories

DESCRIPTION = ("data set", "rule", "users", "too short", "events", "probability, %")
"""The columns of `describe`."""

_EVALUATED = HELD_OUT["leave-one-out"]
_DRAWS = 0x57A6E1
"""Keeps these draws apart from others that are keyed by (seed, step)."""


@dataclass(frozen=True, eq=False)
class PreparedPart:
    """One data set of a mixture, with the events that it gives to training.

    Attributes:
        data: the whole prepared data set; item texts are read from here.
        rule: a key of `HELD_OUT`.
        training: the users who can be drawn; ``users`` holds their index in ``data``. With
            timestamps where ``data`` has them.
        selection_targets: int32, for each row of ``training`` the event that follows it, which
            selects the checkpoint; None where this part does not select.
        users_too_short: how many users are left out, since fewer than two events of theirs may be
            trained on: one cannot be both history and target.
        probability: that a drawn user comes from this part.
    """

    data: PreparedData
    rule: str
    training: Histories
    selection_targets: NDArray[np.int32] | None
    users_too_short: int
    probability: float


@dataclass(frozen=True, eq=False)
class Mixture:
    """The prepared parts of a mixture, in its card's order.

    Attributes:
        content_hash: SHA-256 of what decides the training data and how often each is drawn: the
            parts' content hashes, rules and selection, and the exponent.
    """

    card: MixtureCard
    parts: tuple[PreparedPart, ...]
    content_hash: str

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """float64 [n_parts], proportional to the number of users who can be drawn ** exponent."""
        return np.array([part.probability for part in self.parts])

    @property
    def selection(self) -> PreparedPart | None:
        """The part that selects the checkpoint, or None."""
        return next((part for part in self.parts if part.selection_targets is not None), None)

    def draw(self, seed: int, step: int, size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Draw the users of one training step, with replacement (paper, section 3.3).

        First a part by `probabilities`, then a user of it uniformly. The draw depends on (seed,
        step) alone, so a run that was interrupted goes on as it would have.

        Args:
            seed: of the run, from 0.
            step: of training, from 0.
            size: how many users.

        Returns:
            int64 [size] indices of parts, and int64 [size] rows of those parts' ``training``.
        """
        generator = np.random.default_rng(np.random.SeedSequence([seed, step, _DRAWS]))
        # without the last sum, which may round to less than 1, no draw falls beyond the last part
        bounds = np.cumsum(self.probabilities)[:-1]
        parts = np.searchsorted(bounds, generator.random(size), side="right").astype(np.int64)
        users = np.array([len(part.training) for part in self.parts], dtype=np.int64)
        return parts, generator.integers(0, users[parts], dtype=np.int64)

    def refuse_leaks(self, target: PreparedData) -> None:
        """Refuse to train before an evaluation on ``target`` if its held-out items would be seen.

        Raises:
            DataError: a part holds the same data set (content, source file or card name) and may
                train on more of it than items 1 to n-2.
        """
        for number, part in enumerate(self.parts, 1):
            leak = leak_of(part.data, part.rule, target, _EVALUATED)
            if leak is not None:
                raise DataError(
                    f"mixture {self.card.name}: part number {number}, {part.data.card.name}, may "
                    f"train on validation or test items of {target.card.name}: {leak}; or take "
                    "the part out of the mixture"
                )


def mixture_names() -> list[str]:
    """Return the names of the shipped mixtures, sorted."""
    return sorted(name for name, file in shipped_files().items() if is_mixture(file.read_bytes()))


def names_mixture(name_or_path: str) -> bool:
    """Return whether a name or path is that of a mixture; False where nothing has it."""
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        return path.is_file() and is_mixture(path.read_bytes())
    return name_or_path in mixture_names()


def load_mixture_card(name_or_path: str) -> MixtureCard:
    """Return a shipped mixture by its name, or the one in a file whose name ends in ``.toml``.

    Raises:
        UsageError: no such mixture.
        DataError: it is malformed; the message names the file and the position or key.
    """
    if name_or_path.endswith(".toml"):
        path = Path(name_or_path)
        if not path.is_file():
            raise UsageError(f"no mixture at {path}: {_way_out(name_or_path)}")
        return parse_mixture(path.read_bytes(), path.name, path.resolve().parent)
    if name_or_path not in mixture_names():
        raise UsageError(f"unknown mixture {name_or_path!r}: {_way_out(name_or_path)}")
    file = shipped_files()[name_or_path]
    return parse_mixture(file.read_bytes(), file.name, CHECKOUT / "datasets")


def _way_out(name: str) -> str:
    return f"{did_you_mean(name, mixture_names())} (or give the path of a .toml mixture)"


def prepare_mixture(card: MixtureCard, prepare: Callable[[str], PreparedData]) -> Mixture:
    """Return the mixture with all its parts prepared.

    Args:
        card: the mixture.
        prepare: returns one prepared data set by what `harness.data.cards.load_card` takes; it is
            called once a part, after every part's card was seen to exist.

    Raises:
        UsageError: a part names no data set.
        DataError: a part is itself a mixture, two parts hold the same data, a part has no user
            who can be drawn, or the events that select the checkpoint would be trained on.
    """
    where = f"mixture {card.name}"
    for part in card.parts:
        _check_reference(part, where)
    prepared = [_prepare_part(part, prepare(part.reference), where) for part in card.parts]
    _check_apart(prepared, where)
    weights = np.array([len(part.training) for part in prepared], np.float64) ** card.exponent
    parts = tuple(
        replace(part, probability=float(probability))
        for part, probability in zip(prepared, weights / weights.sum(), strict=True)
    )
    return Mixture(card, parts, _content_hash(card.exponent, parts))


def describe(mixture: Mixture) -> list[list[str]]:
    """Return a row per part under the heads of `DESCRIPTION`.

    Users are those who can be drawn, without those whose part is too short for a history and a
    target; events are those that may be trained on.
    """
    return [
        [
            part.data.card.name,
            part.rule + (", selects" if part.selection_targets is not None else ""),
            f"{len(part.training):,}",
            f"{part.users_too_short:,}",
            f"{len(part.training.items):,}",
            f"{100 * part.probability:.2f}",
        ]
        for part in mixture.parts
    ]


def _check_reference(part: MixturePart, where: str) -> None:
    """Refuse a part that names no data set card, before an hour is spent on the other parts."""
    shipped = {name: file.read_bytes() for name, file in shipped_files().items()}
    content = shipped.get(part.reference)
    if part.reference.endswith(".toml") and Path(part.reference).is_file():
        content = Path(part.reference).read_bytes()
    if content is None:
        datasets = [name for name, found in shipped.items() if not is_mixture(found)]
        raise UsageError(
            f"{where}: unknown data set {part.dataset!r}: {did_you_mean(part.dataset, datasets)} "
            "(or a .toml card's path, from the mixture's folder)"
        )
    if is_mixture(content):
        raise DataError(
            f"{where}: {part.dataset!r} is a mixture, which cannot be part of another: name its "
            "data sets instead"
        )


def _prepare_part(part: MixturePart, data: PreparedData, where: str) -> PreparedPart:
    """Return a part without its probability, which depends on the others."""
    held_out = HELD_OUT[part.training]
    known = data.sequences
    rows = np.flatnonzero(known.lengths - held_out >= 2)
    if not len(rows):
        raise DataError(
            f"{where}: no user of {part.dataset!r} has the {held_out + 2} events that training = "
            f'"{part.training}" needs: take this part out, or correct its card'
        )
    too_short = len(known) - len(rows)
    kept = known.select(rows) if too_short else known  # `select` copies
    targets = kept.items[kept.offsets[1:] - held_out] if part.selection else None
    if targets is not None:
        targets.setflags(write=False)
    training = kept.without_last(held_out) if held_out else kept
    return PreparedPart(data, part.training, training, targets, too_short, 0.0)


def _check_apart(parts: list[PreparedPart], where: str) -> None:
    """Refuse parts that hold the same data, and parts that train on what another selects by."""
    numbered = list(enumerate(parts, 1))
    for (number, part), (other_number, other) in combinations(numbered, 2):
        name = other.data.card.name
        if part.data.card.name == name or part.data.content_hash == other.data.content_hash:
            raise DataError(
                f"{where}: parts number {number} and {other_number} hold the same data set, "
                f"{name}: keep one of them"
            )
    for (number, part), (_, selecting) in permutations(numbered, 2):
        if selecting.selection_targets is None:
            continue
        leak = leak_of(part.data, part.rule, selecting.data, HELD_OUT[selecting.rule])
        if leak is not None:
            raise DataError(
                f"{where}: part number {number}, {part.data.card.name}, may train on the events "
                f"of {selecting.data.card.name} that select the checkpoint: {leak}; or take "
                "either out"
            )


def _content_hash(exponent: float, parts: tuple[PreparedPart, ...]) -> str:
    content = {
        "form": "mixture, form 1",
        "exponent": exponent,
        "parts": [
            [part.data.content_hash, part.rule, part.selection_targets is not None]
            for part in parts
        ],
    }
    return sha256_text(canonical_json(content))
