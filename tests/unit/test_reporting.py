"""What a method may say of itself, and what is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest

from harness.errors import MethodError
from harness.reporting import log_line, plain_report


def test_a_log_line_is_strict_json():
    line = log_line({"epoch": 1, "loss": np.array(0.5), "best": float("nan"), "stage": "tuning"})
    assert json.loads(line) == {"epoch": 1, "loss": 0.5, "best": None, "stage": "tuning"}


@pytest.mark.parametrize("value", ["Title: x. " * 9, "two\nlines", [1, 2], {"a": 1}, object()])
def test_texts_and_structures_stay_out_of_the_fit_log(value):
    with pytest.raises(MethodError, match="'kept' is a"):
        log_line({"kept": value})


def test_numbers_of_numpy_become_plain_in_a_report():
    report = plain_report({"parameters": np.int64(3), "shares": np.arange(2) / 2, "note": "a|<b"})
    assert report == {"parameters": 3, "shares": [0.0, 0.5], "note": "a  b"}


@pytest.mark.parametrize(
    "report",
    [
        {"parameters": "many"}, {"parameters": [1]}, {"parameters": 1.5}, {"parameters": True},
        {"note": "a\n| x | y |"}, {"note": 3}, {"share": float("nan")},
        {"what": {1}},
    ],
)  # fmt: skip
def test_a_report_that_would_break_a_board_is_refused(report):
    with pytest.raises(MethodError, match=r"describe\(\)"):
        plain_report(report)
