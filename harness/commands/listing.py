"""``list``: what methods and data sets there are, and what a method can be told."""

from __future__ import annotations

import argparse
import dataclasses
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

if TYPE_CHECKING:
    from harness.data.mixture_card import MixtureCard


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("list", help="list methods or data sets")
    parser.add_argument("what", choices=("methods", "datasets"))
    parser.add_argument("name", nargs="?", help="one method or data set, in detail")
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Print the list, or one entry in detail."""
    if options.what == "methods":
        print(_one_method(options.name) if options.name else _methods())
    else:
        print(_one_dataset(options.name) if options.name else _datasets())
    return 0


def _methods() -> str:
    from harness.registry import all_methods

    rows = [
        (entry.name, card.title, " + ".join(sorted(card.inputs)), ", ".join(card.presets))
        for entry in all_methods()
        for card in [entry.method.card]
    ]
    return tabulate(rows, ["method", "title", "inputs", "presets"])


def _one_method(name: str) -> str:
    from harness.registry import check_preset, load_method

    base, _, preset = name.partition(":")
    entry = load_method(base)
    check_preset(entry, preset)
    method = entry.method
    settings = [
        (field.name, field.default, field.metadata.get("doc", ""))
        for field in dataclasses.fields(method.Settings)
    ]
    presets = [
        (preset, ", ".join(f"{key}={value}" for key, value in values.items()))
        for preset, values in method.card.presets.items()
    ]
    parts = [
        f"{method.card.title}. {method.card.paper}.",
        tabulate(settings, ["setting", "default", "what it does"], maxcolwidths=[None, 24, 90]),
        tabulate(presets, ["preset", "settings"], maxcolwidths=[None, 90]) if presets else "",
    ]
    return "\n\n".join(part for part in parts if part)


def _datasets() -> str:
    from harness.data.cards import card_names, load_card
    from harness.data.mixture import load_mixture_card, mixture_names

    cards = [load_card(name) for name in card_names()]
    rows = [(card.name, card.title, card.licence) for card in cards]
    mixtures = [load_mixture_card(name) for name in mixture_names()]
    rows += [
        (card.name, card.title, f"mixture of {len(card.parts)} data sets") for card in mixtures
    ]
    return tabulate(rows, ["data set", "title", "licence"], maxcolwidths=[None, 40, 60])


def _one_dataset(name: str) -> str:
    from harness.data.cards import load_card
    from harness.data.mixture import load_mixture_card, names_mixture

    if names_mixture(name):
        return _one_mixture(load_mixture_card(name))
    card = load_card(name)
    protocol = ", ".join(f"{key}={value}" for key, value in card.protocol.facts().items())
    text = ", ".join(f"{part.label} ({part.words} words)" for part in card.text.attributes)
    text = text or card.text.verbatim or "none"
    files = "\n".join(
        f"{role}: {file.path}{' ' + file.urls[0] if file.urls else ''}"
        for role, file in card.source.files.items()
    )
    rows = [
        ("title", card.title), ("source", card.url), ("files", files), ("licence", card.licence),
        ("citation", card.citation), ("redistributable", card.redistributable),
        ("protocol", protocol), ("text", text), ("verb", card.verb), ("notes", card.notes),
    ]  # fmt: skip
    return tabulate(rows, tablefmt="plain", maxcolwidths=[None, 90])


def _one_mixture(card: MixtureCard) -> str:
    parts = [
        (part.dataset, part.training, "selects the checkpoint" if part.selection else "")
        for part in card.parts
    ]
    facts = [("title", card.title), ("exponent", card.exponent), ("notes", card.notes)]
    return "\n\n".join(
        [
            tabulate(facts, tablefmt="plain", maxcolwidths=[None, 90]),
            tabulate(parts, ["data set", "training events", ""]),
        ]
    )
