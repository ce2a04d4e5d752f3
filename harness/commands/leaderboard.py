"""``leaderboard``: publish verified records, or check what is published."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.commands.options import add_out_option, names
from harness.errors import UsageError


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser("leaderboard", help="publish records, check published numbers")
    parser.add_argument(
        "action", nargs="?", choices=("publish",),
        help="promote finished cells of the run folder into the leaderboards folder",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="recompute every published number from stored ranks"
    )
    parser.add_argument("--datasets", help="comma-separated (default: all)")
    parser.add_argument(
        "--root", type=Path, default=Path("leaderboards"), metavar="FOLDER",
        help="the folder of published boards (default: leaderboards)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-dirty", action="store_true", help="publish records made with uncommitted code"
    )
    add_out_option(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Publish or check; 1 where a published number differs."""
    if options.action is None and not options.check:
        raise UsageError("say `leaderboard publish` or `leaderboard --check`")
    if options.action == "publish":
        from harness.publish import publish

        chosen = names(options.datasets) if options.datasets else None
        for page in publish(options.out, chosen, options.root, options.allow_dirty):
            print(f"published: {page}")
    return _check(options) if options.check else 0


def _check(options: argparse.Namespace) -> int:
    from harness.check import boards_in
    from harness.publish import check

    boards = names(options.datasets) if options.datasets else boards_in(options.root)
    if not boards:
        print(f"{options.root} holds no board")
        return 1
    faulty = 0
    for name in boards:
        faults = check(options.root, name)
        print(f"{name}: {'ok' if not faults else f'{len(faults)} differences'}")
        for fault in faults:
            print(f"  {fault}")
        faulty += bool(faults)
    return 1 if faulty else 0
