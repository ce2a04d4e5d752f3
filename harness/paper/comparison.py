"""The whole comparison: facts and records become a list of cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from harness.data.prepared import PreparedData
from harness.paper.averages import average_cells
from harness.paper.cells import Cell
from harness.paper.facts import Fact, load_facts
from harness.paper.layouts import AVERAGE, PAPER_DATASETS
from harness.paper.measuring import Measured, dataset_cells
from harness.paper.names import DATASETS, EXPRESSIONS, NO_DEDUP, Expression
from harness.paper.rows import DatasetRows, read_rows


def compare(
    folder: Path,
    *,
    damaged: Literal["left out", "refused"] = "refused",
    datasets: Sequence[str] | None = None,
    tables: Iterable[int] | None = None,
    prepared: Mapping[str, PreparedData] | None = None,
    expressions: tuple[Expression, ...] = EXPRESSIONS,
) -> tuple[Cell, ...]:
    """Return every cell of the paper's tables, ours where it was measured.

    Each published value is there at least once: of several data sets of ours with the paper's name
    those stand that have something in its table, else the first.

    Args:
        folder: a run folder, or the folder ``records`` of published ones.
        damaged: what becomes of records that cannot be read.
        datasets: ours; None for all that the paper has.
        tables: None for all.
        prepared: our data set -> its prepared data, for the words and duplicates of table 1.
        expressions: which rows stand for what.

    Raises:
        DataError: the facts are absent or damaged, or ranks are, or records that are refused, or
            the records of a data set differ in split or protocol.
        HarnessError: seeds of one row have different users.
    """
    chosen = list(DATASETS if datasets is None else datasets)
    wanted = None if tables is None else set(tables)
    facts = [fact for fact in load_facts() if wanted is None or fact.table in wanted]
    measured = Measured(_read(folder, chosen, damaged, expressions), expressions, prepared or {})
    cells: list[Cell] = []
    for table in dict.fromkeys(fact.table for fact in facts):
        mine = [fact for fact in facts if fact.table == table]
        for paper in PAPER_DATASETS:
            names = [name for name in chosen if DATASETS[name] == paper]
            cells += _of_one_name(names, mine, measured)
        cells += average_cells(mine, measured)
    return tuple(cells)


def cells_of_dataset(folder: Path, dataset: str) -> tuple[Cell, ...]:
    """Return the paper's cells of one data set of ours; none where the paper does not have it.

    Args:
        folder: as in `compare`; damaged records are refused.
        dataset: its name here, such as ``scientific``.

    Raises:
        DataError, HarnessError: as `compare`.
    """
    if dataset not in DATASETS:
        return ()
    cells = compare(folder, datasets=[dataset])
    return tuple(cell for cell in cells if cell.dataset != AVERAGE)


def _read(
    folder: Path,
    datasets: Iterable[str],
    damaged: Literal["left out", "refused"],
    expressions: tuple[Expression, ...],
) -> dict[str, DatasetRows]:
    """Return what was measured on data sets and on their variants without dedup."""
    names = [name for dataset in datasets for name in (dataset, dataset + NO_DEDUP)]
    found = {name: read_rows(folder / name, damaged, expressions) for name in names}
    return {name: rows for name, rows in found.items() if rows is not None}


def _of_one_name(names: Sequence[str], facts: Sequence[Fact], measured: Measured) -> list[Cell]:
    """Return one table's cells of the data sets of ours that bear one name of the paper."""
    sections = [dataset_cells(name, facts, measured) for name in names]
    told = [cells for cells in sections if any(cell.measured for cell in cells)]
    return [cell for cells in told or sections[:1] for cell in cells]
