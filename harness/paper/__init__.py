"""The paper's tables 1 to 8 beside ours, cell by cell.

`reproduction_page` is the published page; `cells_of_dataset` and `compare` give the cells
themselves, each a `Cell`: what is printed, ours with its interval, state and protocol difference.
"""

from __future__ import annotations

from pathlib import Path

from harness.paper.cells import Cell, Measurement
from harness.paper.comparison import cells_of_dataset, compare
from harness.paper.facts import facts_present
from harness.paper.report import PlainTable, page, plain_tables

__all__ = [
    "Cell",
    "Measurement",
    "PlainTable",
    "cells_of_dataset",
    "compare",
    "facts_present",
    "plain_tables",
    "reproduction_page",
]


def reproduction_page(records_root: Path) -> str:
    """Return the whole report as a markdown page, the same for the same records.

    Args:
        records_root: the folder of published records, usually ``leaderboards/records``: one folder
            for each data set. Data sets that the paper does not have are not looked at.

    Raises:
        DataError: records, ranks or the paper's facts are absent or damaged.
        HarnessError: seeds of one row have different users.
    """
    return page(compare(records_root))
