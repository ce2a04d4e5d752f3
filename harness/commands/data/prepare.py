"""``data prepare``: prepare and verify data sets and mixtures; print what was read and dropped."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tabulate import tabulate

from harness.commands.data.mixtures import prepare_parts
from harness.commands.data.preparing import Preparing, add_preparing_options
from harness.commands.options import chosen_card, names
from harness.errors import UsageError

if TYPE_CHECKING:
    from harness.data.prepared import PreparedData


def add_parser(actions: Any) -> None:
    """Declare the action."""
    parser = actions.add_parser("prepare", help="prepare and verify data sets or mixtures")
    add_preparing_options(parser)
    parser.add_argument(
        "--for", dest="evaluations", metavar="NAMES",
        help="mixtures: check that none trains on what an evaluation on these data sets (names or "
        "cards, comma-separated) holds out",
    )  # fmt: skip
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Prepare everything named; print the counts of each data set, the parts of each mixture."""
    from harness.data.mixture import names_mixture

    preparing = Preparing.asked_for(options)
    evaluations = _evaluations(options)
    for name in options.names:
        if names_mixture(name):
            for text in prepare_parts(name, options, preparing, evaluations):
                print(text)
        else:
            print(described(preparing.prepared(chosen_card(name, options))))
    return 0


def _evaluations(options: argparse.Namespace) -> list[str]:
    """Return the data sets under ``--for``.

    Raises:
        UsageError: it names none, or something is prepared that is no mixture.
    """
    from harness.data.mixture import names_mixture

    if options.evaluations is None:
        return []
    evaluations = names(options.evaluations)
    if not evaluations:
        raise UsageError("--for names no data set")
    for name in options.names:
        if not names_mixture(name):
            raise UsageError(f"--for goes with mixtures, and {name} is none")
    return evaluations


def described(data: PreparedData) -> str:
    """Return what was read and dropped, for the terminal."""
    rows: list[Sequence[object]] = [*data.counts.items()]
    share = data.duplicates_percent
    rows.append(("duplicates", "not looked for" if share is None else f"{share:.1f} % of events"))
    rows.append(("content hash", data.content_hash))
    lines = [data.card.name, tabulate(rows, tablefmt="plain", disable_numparse=True)]
    return "\n".join([*lines, *data.fault_report, ""])
