"""Progress bars: one interface, shown on a terminal's standard error or kept silent."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import Any, Protocol

from tqdm import tqdm


class Bar(Protocol):
    """One running piece of work."""

    def advance(self, n: int = 1) -> None:
        """Count ``n`` more units as done."""

    def note(self, text: str) -> None:
        """Show a short text behind the bar, such as the current loss."""


class Progress:
    """Makes progress bars; ``Progress(shown=False)`` makes silent ones."""

    def __init__(self, shown: bool = True, prefix: str = "") -> None:
        self.shown = shown
        self.prefix = prefix

    def prefixed(self, text: str) -> Progress:
        """Return one whose bars are labelled ``text: label``, such as the cell's name."""
        return Progress(self.shown, f"{self.prefix}{text}: ")

    @contextlib.contextmanager
    def bar(self, label: str, total: int | None = None, unit: str = "it") -> Iterator[Bar]:
        """Show a bar named ``label`` until the block ends; ``total`` counts ``unit``s."""
        if not self.shown:
            yield SilentBar()
            return
        name = f"{self.prefix}{label}"
        shown: tqdm[Any] = tqdm(total=total, desc=name, unit=f" {unit}", file=sys.stderr)
        with shown:
            yield _TqdmBar(shown)

    def say(self, text: str) -> None:
        """Print one line without tearing a running bar."""
        if self.shown:
            tqdm.write(text, file=sys.stderr)

    def warn(self, text: str) -> None:
        """Print one line as `say` does, also where nothing else is shown: why something failed."""
        tqdm.write(text, file=sys.stderr)


class SilentBar:
    """A bar that shows nothing."""

    def advance(self, n: int = 1) -> None:
        """Count nothing."""

    def note(self, text: str) -> None:
        """Show nothing."""


class _TqdmBar:
    def __init__(self, shown: tqdm[Any]) -> None:
        self._shown = shown

    def advance(self, n: int = 1) -> None:
        self._shown.update(n)

    def note(self, text: str) -> None:
        self._shown.set_postfix_str(text, refresh=False)
