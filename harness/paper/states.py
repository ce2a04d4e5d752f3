"""How a measured value stands to a printed one."""

from __future__ import annotations

from typing import Literal, get_args

State = Literal["agrees", "agrees (wide)", "near", "differs"]
STATES: tuple[State, ...] = get_args(State)
NOT_MEASURED = "not measured"

NEAR = 0.1
"""Share of the published value within which a measured one is near."""

_EDGE = 1e-12  # binary fractions must not decide at the very edge


def state(
    published: float, measured: float, interval: tuple[float, float] | None, digits: int
) -> State:
    """Tell how a measured value stands to a printed one.

    It agrees where the published value, to its printed digits, lies in the interval; without an
    interval, where the measured value rounds to it. It is near within a tenth of the published
    value. Where it agrees and is not near, the interval alone, wider than that band, lets it: that
    is said.

    Args:
        published: as printed.
        measured: ours.
        interval: its ends, or None.
        digits: decimals of the published value, which lies within half of the last of them of
            what it was rounded from.
    """
    low, high = interval or (measured, measured)
    rounding = 0.5 * 10.0**-digits * (1 + _EDGE) + _EDGE
    apart = abs(measured - published)
    near = apart <= NEAR * abs(published) + _EDGE
    if low - rounding <= published <= high + rounding:
        return "agrees" if near or apart <= rounding else "agrees (wide)"
    return "near" if near else "differs"
