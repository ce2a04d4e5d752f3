"""The HTML report of a board: one file that needs nothing else, and the index of several."""

from harness.report.page import index_page, report_page, without_plots

__all__ = ["index_page", "report_page", "without_plots"]
