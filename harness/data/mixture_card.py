"""The card of a mixture: which data sets stage I trains on together, and how much of each.

It lies beside the data set cards, as a TOML file that has a ``[mixture]`` table. Reading it loads
no other card: a mixture can be listed where its data sets cannot be had.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.data.card_parsing import card_name, parse_toml
from harness.data.table import Table
from harness.errors import DataError
from harness.files import canonical_json, sha256_text

#: for every rule: how many of a user's last events it keeps out of training (paper, section 4)
HELD_OUT = {"whole": 0, "all-but-last": 1, "leave-one-out": 2}


@dataclass(frozen=True)
class MixturePart:
    """One data set of a mixture.

    Attributes:
        dataset: as the card says it: a shipped name, or a path from the mixture's folder.
        reference: what `harness.data.cards.load_card` takes: that name, or the path resolved.
        training: which events are trained on, a key of `HELD_OUT`.
        selection: whether the first event that is held out selects the checkpoint.
    """

    dataset: str
    reference: str
    training: str
    selection: bool


@dataclass(frozen=True)
class MixtureCard:
    """A validated mixture.

    Attributes:
        exponent: a part is drawn with probability proportional to users ** exponent (paper,
            section 3.3: 0.3). 1 draws every user equally often, 0 every part.
        hash: SHA-256 of the card's canonical content; it does not depend on where the card lies.
    """

    name: str
    title: str
    notes: str
    exponent: float
    parts: tuple[MixturePart, ...]
    hash: str


def is_mixture(content: bytes) -> bool:
    """Return whether a card's bytes have a ``[mixture]`` table; False where they are no TOML."""
    try:
        values = parse_toml(content, "")
    except DataError:  # whoever reads it as a data set says what is wrong, and where
        return False
    return isinstance(values.get("mixture"), dict)


def parse_mixture(content: bytes, file_name: str, anchor: Path) -> MixtureCard:
    """Validate a mixture's bytes; ``anchor`` is the folder that paths in it start from.

    Raises:
        DataError: not UTF-8, not TOML (with the position), or not what a mixture must hold.
    """
    table = Table(parse_toml(content, file_name), f"mixture {file_name}")
    name = card_name(table, file_name)
    title, notes = table.text("title"), table.text("notes", "")
    mixture = table.table("mixture")
    exponent = _exponent(mixture)
    parts = tuple(_part(entry, anchor) for entry in mixture.tables("parts"))
    mixture.finish()
    table.finish()
    _check_together(parts, mixture.where)
    return MixtureCard(
        name=name,
        title=title,
        notes=notes,
        exponent=exponent,
        parts=parts,
        hash=_hash(name, title, notes, exponent, parts),
    )


def _exponent(table: Table) -> float:
    wanted = "a number from 0 to 1 (0.3 in the paper)"
    if "exponent" not in table:
        raise DataError(f"{table.where}: the key 'exponent' is missing; it must be {wanted}")
    exponent = table.figure("exponent")
    if not 0 <= exponent <= 1:
        raise table.fault("exponent", f"must be {wanted}, found {exponent}")
    return float(exponent)


def _part(table: Table, anchor: Path) -> MixturePart:
    dataset = table.text("dataset")
    if "\0" in dataset:  # no path may hold it, and resolving one that does fails
        raise table.fault("dataset", f"must be a card's name or path, found {dataset!r}")
    part = MixturePart(
        dataset=dataset,
        reference=str((anchor / dataset).resolve()) if dataset.endswith(".toml") else dataset,
        training=table.choice("training", list(HELD_OUT)),
        selection=table.flag("selection") if "selection" in table else False,
    )
    table.finish()
    if part.selection and not HELD_OUT[part.training]:
        raise table.fault(
            "selection",
            f'cannot be true with training = "{part.training}", which holds nothing out to select '
            'by: say training = "all-but-last" or drop the selection',
        )
    return part


def _check_together(parts: tuple[MixturePart, ...], where: str) -> None:
    """Refuse parts that contradict one another."""
    references = [part.reference for part in parts]
    for number, part in enumerate(parts, 1):
        first = references.index(part.reference) + 1
        if first < number:
            raise DataError(
                f"{where}: parts number {first} and {number} are the same data set, "
                f"{part.dataset!r}: keep one of them"
            )
    selecting = [part.dataset for part in parts if part.selection]
    if len(selecting) > 1:
        raise DataError(
            f"{where}: at most one part may have selection = true, found {', '.join(selecting)}: "
            "keep it in one of them"
        )


def _hash(
    name: str, title: str, notes: str, exponent: float, parts: tuple[MixturePart, ...]
) -> str:
    content = {
        "name": name,
        "title": title,
        "notes": notes,
        "exponent": exponent,
        "parts": [[part.dataset, part.training, part.selection] for part in parts],
    }
    return sha256_text(canonical_json(content))
