"""Plots of one data set's part of a board, each an SVG element that may stand in a page as it is.

All are pure: the same values give the same bytes. Labels are shortened and escaped. Colours are
CSS variables, which `PALETTE_CSS` defines. ``prefix`` begins every id within a plot, so that
several can stand in one page.
"""

from harness.report.plots.costs import cost_against_quality
from harness.report.plots.curves import recall_curves
from harness.report.plots.palette import PALETTE_CSS
from harness.report.plots.ranks import critical_difference, groups_of, mean_ranks
from harness.report.plots.slicing import slice_values
from harness.report.plots.training import training_curves
from harness.report.plots.values import metric_intervals, tie_gaps

__all__ = [
    "PALETTE_CSS",
    "cost_against_quality",
    "critical_difference",
    "groups_of",
    "mean_ranks",
    "metric_intervals",
    "recall_curves",
    "slice_values",
    "tie_gaps",
    "training_curves",
]
