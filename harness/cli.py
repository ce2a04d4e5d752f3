"""The command line: parses, dispatches to ``harness.commands``, turns errors into exit codes.

Exit codes: 0 all is well; 1 something failed (a cell, a check, a source file); 2 the command names
something that does not exist or cannot be; 130 stopped by Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from harness.commands import (
    compare,
    data,
    doctor,
    leaderboard,
    listing,
    report,
    reproduce,
    run,
    slices,
)
from harness.errors import HarnessError, UsageError
from harness.files import explain_os_error

COMMANDS = (run, leaderboard, compare, slices, report, reproduce, listing, data, doctor)


class _Parser(argparse.ArgumentParser):
    """Reports a wrong command line in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message} (see {self.prog} --help)\n")


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = _Parser(prog="python -m harness", description=__doc__.splitlines()[0])
    parsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(parsers)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads starve their neighbours
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    options = build_parser().parse_args(arguments)
    try:
        return int(options.execute(options))
    except UsageError as error:
        return _failed(error, 2)
    except HarnessError as error:
        return _failed(error, 1)
    except KeyboardInterrupt:
        print("\nstopped: finished cells are kept, run the same command to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a folder that cannot be written, a full disk
        return _failed(explain_os_error(error), 1)


def _failed(reason: object, code: int) -> int:
    """Print the reason in one line, whatever the message quotes; return the exit code."""
    print("error:", " ".join(str(reason).split()), file=sys.stderr)
    return code
