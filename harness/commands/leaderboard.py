"""``leaderboard``: publish verified records, add one, or check what is published."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from harness.commands.options import add_out_option, default_cache, names
from harness.errors import UsageError


def add_parser(parsers: Any) -> None:
    """Declare the command."""
    parser = parsers.add_parser(
        "leaderboard", help="publish records as boards, check published numbers"
    )
    parser.add_argument(
        "action", nargs="?", choices=("publish", "add", "render"),
        help="publish: promote finished cells of the run folder into the leaderboards folder; "
        "add: publish single records, made anywhere; render: write the pages of all boards again",
    )  # fmt: skip
    parser.add_argument(
        "records", nargs="*", type=Path, metavar="RECORD",
        help="with add: folders of records, or their record.json",
    )  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="recompute every published number from stored ranks"
    )
    parser.add_argument(
        "--datasets",
        help="with publish: comma-separated data sets (default: all in the run folder)",
    )
    parser.add_argument("--boards", help="with --check: comma-separated boards (default: all)")
    parser.add_argument(
        "--root", type=Path, default=Path("leaderboards"), metavar="FOLDER",
        help="the folder of published boards (default: leaderboards)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-dirty", action="store_true", help="publish records made with uncommitted code"
    )
    parser.add_argument(
        "--cache", type=Path, default=None, metavar="FOLDER",
        help="where prepared data sets are kept: slices and sampled users come from them",
    )  # fmt: skip
    add_out_option(parser)
    parser.set_defaults(execute=execute)


def execute(options: argparse.Namespace) -> int:
    """Publish, add or check; 1 where a published number differs."""
    if options.action is None and not options.check:
        raise UsageError(
            "say `leaderboard publish`, `leaderboard add RECORD`, `leaderboard render` or "
            "`leaderboard --check`"
        )
    if (options.action == "add") != bool(options.records):
        raise UsageError("`leaderboard add` takes the folders of one or more records")
    for path in _written(options):
        print(f"written: {path}")
    return _check(options) if options.check else 0


def _written(options: argparse.Namespace) -> list[Path]:
    cache = options.cache or default_cache()
    if options.action == "publish":
        from harness.publish import publish

        chosen = names(options.datasets) if options.datasets else None
        return publish(options.out, chosen, options.root, options.allow_dirty, cache)
    if options.action == "add":
        from harness.publish import add

        return add(options.records, options.root, options.allow_dirty, cache)
    if options.action == "render":
        from harness.publish import render

        return render(options.root, cache)
    return []


def _check(options: argparse.Namespace) -> int:
    from harness.checking import boards_in
    from harness.publish import check
    from harness.site import check_common_pages

    chosen = names(options.boards) if options.boards else boards_in(options.root)
    if not chosen:
        print(f"{options.root} holds no board")
        return 1
    found = {name: check(options.root, name) for name in chosen}
    if not options.boards and not any(found.values()):
        found["pages of the folder"] = check_common_pages(options.root)
    for name, faults in found.items():
        print(f"{name}: {'ok' if not faults else f'{len(faults)} differences'}")
        for fault in faults:
            print(f"  {fault}")
    return 1 if any(found.values()) else 0
