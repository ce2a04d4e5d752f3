"""``data``: fetch, import, prepare, look at and export data sets; one module per action."""

from __future__ import annotations

from typing import Any

from harness.commands.data import duplicates, export, fetch, importing, prepare, stats

ACTIONS = (prepare, stats, duplicates, fetch, importing, export)


def add_parser(parsers: Any) -> None:
    """Declare the command and its actions."""
    parser = parsers.add_parser("data", help="fetch, import, prepare, look at, export data sets")
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for action in ACTIONS:
        action.add_parser(actions)
