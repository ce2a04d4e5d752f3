"""The plots of one data set, each with a title and a sentence that says how to read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import networkx
import numpy as np

from harness.board.definition import metric_named
from harness.board.table import BoardTable, Section, Value
from harness.report import plots
from harness.report.contents import Cell, logs_of, user_values
from harness.slices import SliceRow


@dataclass(frozen=True)
class Picture:
    """A plot.

    Attributes:
        title: above it.
        told: how to read it.
        svg: the plot, markup that may stand in a page as it is.
    """

    title: str
    told: str
    svg: str


def pictures(
    table: BoardTable,
    section: Section,
    cells: Sequence[Cell],
    slices: Mapping[str, tuple[SliceRow, ...]],
    prefix: str,
) -> list[Picture]:
    """Return every plot for which there are numbers.

    Args:
        table: the board.
        section: one of its data sets.
        cells: the section's.
        slices: label -> the first metric in each slice; empty where the data were not at hand.
        prefix: makes ids within the plots different from those of other data sets.
    """
    rows = [row for row in section.rows if row.status == "ok"]
    if not rows:
        return []
    first = table.metrics[0]
    found = [
        Picture(
            "Metrics with intervals",
            "Pessimistic mean and its 95 % interval, over users and seeds.",
            plots.metric_intervals(section, table.metrics, prefix=f"{prefix}a"),
        ),
        Picture(
            "What ties are worth",
            "From the pessimistic to the optimistic mean: a metric that breaks ties in silence "
            "could print any value between.",
            plots.tie_gaps(section, table.metrics, prefix=f"{prefix}b"),
        ),
        Picture(
            "Recall at K",
            "Share of users whose target is among the first K; the band runs from pessimistic to "
            "optimistic.",
            plots.recall_curves(section, prefix=f"{prefix}c"),
        ),
        Picture(
            "Cost against quality",
            f"Seconds to fit and score (mean over seeds) against pessimistic {first}.",
            plots.cost_against_quality(section, first, prefix=f"{prefix}d"),
        ),
    ]
    # over the full list fewer users tie than among the first ten
    found += _ranks(section, cells, "MRR" if "MRR" in table.metrics else first, f"{prefix}e")
    found += _curves(cells, f"{prefix}f")
    found += _slices(slices, first, f"{prefix}g")
    return found


def _ranks(section: Section, cells: Sequence[Cell], metric: str, prefix: str) -> list[Picture]:
    labels = [row.label for row in section.rows if row.status == "ok"]
    if len(labels) < 2:
        return []
    chosen = metric_named(metric)
    values = {label: user_values(cells, label, chosen).mean(axis=0) for label in labels}
    drawn = plots.critical_difference(
        plots.mean_ranks(values),
        plots.groups_of(section, metric),
        f"Mean rank by {metric}",
        prefix=prefix,
    )
    told = (
        f"Rows ranked for each user by {metric} and averaged, 1 is best. Dots on one bar: rows "
        "that share a letter (all pairs of means, corrected together); a bar may pass one without "
        "a dot, which does not."
    )
    return [Picture("Critical differences", told, drawn)]


def over_datasets(table: BoardTable, prefix: str) -> Picture | None:
    """Return the mean ranks over data sets of the rows that all of them have, None without two.

    Args:
        table: the board.
        prefix: see `pictures`.
    """
    metric, sections = table.metrics[0], [part for part in table.sections if part.rows]
    means = [
        {row.label: row.values[metric] for row in section.rows if row.status == "ok"}
        for section in sections
    ]
    labels = [label for label in means[0] if all(label in part for part in means)] if means else []
    if len(sections) < 2 or len(labels) < 2:
        return None
    values = {label: np.array([part[label].pessimistic for part in means]) for label in labels}
    drawn = plots.critical_difference(
        plots.mean_ranks(values),
        _never_told_apart(labels, means),
        f"Mean rank over {len(sections)} data sets by {metric}",
        prefix=prefix,
    )
    told = (
        f"Rows ranked on each data set by pessimistic {metric} and averaged over data sets, 1 is "
        "best. Dots on one bar: rows that share a letter on every data set."
    )
    return Picture("Mean ranks over data sets", told, drawn)


def _never_told_apart(
    labels: Sequence[str], means: Iterable[Mapping[str, Value]]
) -> list[list[str]]:
    """Return the largest sets of rows of which any two share a letter on every data set."""
    sections = list(means)
    together = networkx.Graph()
    together.add_edges_from(
        (one, two)
        for one, two in combinations(labels, 2)
        if all(set(part[one].group) & set(part[two].group) for part in sections)
    )
    return sorted(sorted(found) for found in networkx.find_cliques(together))


def _curves(cells: Sequence[Cell], prefix: str) -> list[Picture]:
    drawn = plots.training_curves(logs_of(cells), prefix=prefix)
    told = "Losses and validation NDCG@10 as the fit log has them; a line for each seed."
    return [] if drawn is None else [Picture("Training", told, drawn)]


def _slices(
    slices: Mapping[str, tuple[SliceRow, ...]], metric: str, prefix: str
) -> list[Picture]:  # fmt: skip
    if not slices:
        return []
    drawn = plots.slice_values(slices, metric, prefix=prefix)
    told = f"Pessimistic {metric} of groups of users told from the split, with 95 % intervals."
    return [Picture("Slices", told, drawn)]
