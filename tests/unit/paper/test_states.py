"""How a measured value stands to a printed one, on the edges."""

from __future__ import annotations

import pytest

from harness.paper.states import state


@pytest.mark.parametrize(
    ("published", "low", "high", "expected"),
    [
        (0.0555, 0.0500, 0.0600, "agrees"),
        (0.0555, 0.05555, 0.0600, "agrees"),  # 0.05555 may be what was rounded to 0.0555
        (0.0555, 0.0500, 0.05545, "agrees"),
        (0.0555, 0.0556, 0.0600, "near"),
        (0.0500, 0.0540, 0.0560, "near"),  # 0.0550 is 10 % above, to the dot
        (0.0500, 0.0440, 0.0460, "near"),
        (0.0500, 0.0541, 0.0561, "differs"),
        (0.0500, 0.0450, 0.0640, "agrees"),  # 9 % above
        (0.0500, 0.0450, 0.0660, "agrees (wide)"),  # 11 % above
        (0.0500, 0.0100, 0.1600, "agrees (wide)"),  # 70 % above
        (0.0003, 0.0001, 0.00059, "agrees"),  # 0.000345 rounds to it
        (0.0500, 0.0439, 0.0459, "differs"),
        (0.0036, 0.0, 0.0, "differs"),
        (0.0, 0.0, 0.0, "agrees"),
        (0.0, 0.001, 0.003, "differs"),
    ],
)
def test_a_state_follows_from_the_published_value_and_the_interval(published, low, high, expected):
    assert state(published, (low + high) / 2, (low, high), 4) == expected


@pytest.mark.parametrize(
    ("published", "measured", "digits", "expected"),
    [
        (9461, 9461, 0, "agrees"),
        (9461, 9462, 0, "near"),
        (9461, 8515, 0, "near"),  # 9461 - 946.1 is 8514.9
        (9461, 8514, 0, "differs"),
        (7.04, 7.0449, 2, "agrees"),
        (7.04, 7.0451, 2, "near"),
        (0.0013, 0.00135, 4, "agrees"),
        (0.0013, 0.00136, 4, "near"),
        (0.0013, 0.0015, 4, "differs"),
        (-36, -36.4, 0, "agrees"),
        (-36, -32.41, 0, "near"),
        (-36, -32.3, 0, "differs"),
        (-36, 36.0, 0, "differs"),
    ],
)
def test_without_an_interval_a_value_agrees_to_its_printed_digits(
    published, measured, digits, expected
):
    assert state(published, measured, None, digits) == expected
