"""Paired comparisons of two methods over the same users, and of several data sets.

The place of the public names; ``harness.statistics`` holds what they are made of.
"""

from harness.statistics.across import AcrossDatasets, Alternative, across_datasets
from harness.statistics.families import Correction, adjusted
from harness.statistics.means import MeanTest, mean_test
from harness.statistics.paired import PairedTests, paired_tests

__all__ = [
    "AcrossDatasets",
    "Alternative",
    "Correction",
    "MeanTest",
    "PairedTests",
    "across_datasets",
    "adjusted",
    "mean_test",
    "paired_tests",
]
