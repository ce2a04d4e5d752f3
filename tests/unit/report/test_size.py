"""How large a report may become; how long it takes is measured by `benchmarks.board_report`."""

from __future__ import annotations

import pytest

from benchmarks import board_report


@pytest.mark.slow
def test_a_large_board_stays_within_its_bytes(tmp_path):
    options = board_report.parsed([])
    assert (options.methods, options.datasets, options.seeds) == (12, 6, 3)
    made = board_report.made_up(tmp_path, options)
    table = board_report.computed(made)
    assert [len(section.rows) for section in table.sections] == [12] * 6
    assert {len(row.seeds) for section in table.sections for row in section.rows} == {3}
    pages = {name: make() for name, make in board_report.reports(made, table).items()}
    sizes = {name: len(page.encode("utf-8")) for name, page in pages.items()}
    assert max(sizes.values()) < board_report.WANTED_BYTES, sizes
    for page in pages.values():
        assert page.count("<details id=") > 12 * 6 * 3  # cells and users: nothing was left out
