"""What every reader is given."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from harness.data.card import DatasetCard
from harness.data.readers.faults import Faults
from harness.progress import Progress


@dataclass(frozen=True)
class Reading:
    """The files of one card, being read.

    Attributes:
        card: the data set.
        paths: of its source files, by role.
        faults: counts the faulty lines and stops at the limit.
        progress: shows the bars.
    """

    card: DatasetCard
    paths: dict[str, Path]
    faults: Faults
    progress: Progress

    def label(self, what: str) -> str:
        """Return the label of a bar."""
        return f"{self.card.name}: {what}"
