"""The table that ``data duplicates`` prints has the layout of the paper's table 7."""

from __future__ import annotations

import pytest

from harness.commands.data.duplicates import COLUMNS_WIDE, METRICS, table_7
from harness.data.cards import load_card

SCIENTIFIC = [
    "LIR                w/o dedup                             w/ dedup (change)",
    "(opt)              NDCG@10  Recall@1  Recall@10  MRR     NDCG@10        Recall@1       "
    "Recall@10          MRR",
    "-----------------  -------  --------  ---------  ------  -------------  -------------  "
    "-----------------  -------------",
    "amazon-scientific  0.1000   0.0500    0.0000     0.2000  0.0500 (-50%)  0.0500 (+0%)   "
    "0.0000 (not told)  0.3000 (+50%)",
    "paper              0.0880   0.0355    0.1381     0.0745  0.0565 (-36%)  0.0142 (-60%)  "
    "0.1005 (-27%)      0.0461 (-38%)",
]
CHANGES = {
    "scientific": (-36, -60, -27, -38),
    "instruments": (-37, -87, -14, -46),
    "arts": (-53, -87, -41, -58),
    "office": (-48, -87, -33, -54),
    "games": (-58, -95, -41, -61),
    "pet": (-43, -70, -37, -45),
}
"""As the paper prints them."""


def of(*values):
    return dict(zip(METRICS, values, strict=True))


def test_the_layout():
    ours = of((0.1, 0.05), (0.05, 0.05), (0, 0), (0.2, 0.3))
    rows = [("amazon-scientific", ours), ("paper", load_card("amazon-scientific").paper_lir)]
    found = table_7(rows).splitlines()
    assert found == SCIENTIFIC


@pytest.mark.parametrize("name", CHANGES)
def test_the_papers_changes_come_out_as_the_paper_prints_them(name):
    line = table_7([("paper", load_card(f"amazon-{name}").paper_lir)]).splitlines()[-1]
    for change in CHANGES[name]:
        assert f"({change}%)" in line


@pytest.mark.parametrize("without", [0.0, 0.5])
@pytest.mark.parametrize("name", ["a", "amazon-magazine-subscriptions-dedup-global", "x" * 70])
def test_it_fits_a_terminal_and_the_whole_name_stands_there(name, without):
    text = table_7([(name, of(*[(without, 0.5)] * 4)), ("paper", of(*[(0.5, 0.25)] * 4))])
    lines = text.splitlines()
    assert max(map(len, lines)) <= COLUMNS_WIDE
    width = len(lines[2].split()[0])
    assert "".join(line[:width].strip() for line in lines[3:-1]) == name


def test_a_change_from_nothing_is_not_told():
    text = table_7([("a", of((0.0, 0.1), (0.0, 0.0), (0.2, 0.0), (0.2, 0.1999)))])
    for value in ("0.1000 (not told)", "0.0000 (not told)", "0.0000 (-100%)", "0.1999 (+0%)"):
        assert value in text


def test_a_metric_that_a_paper_does_not_tell_is_left_out():
    assert table_7([("paper", {"MRR": (0.2, 0.1)})]).splitlines()[-1].split() == [
        "paper", "0.2000", "0.1000", "(-50%)",
    ]  # fmt: skip
