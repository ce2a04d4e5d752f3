"""How sure a mean over users and seeds is: a test and an interval that keep their level.

Two or three seeds say next to nothing of how much seeds vary, so a t-test with degrees of freedom
by Satterthwaite's formula rejects far too often: at level .05 up to .12 of the time, at .001 up to
.06 (`tests/unit/test_level.py` simulates both). Generalized p-values (Tsui and Weerahandi, 1989)
and intervals (Weerahandi, 1993) average over all that the variance of seeds may be instead.

With A the mean square of users and B, E those of seeds and residual, each over n_users * n_seeds, a
mean m has the variance V(q) = A + max(0, (n_seeds - 1) B / q - E), in which q has a chi-square
distribution with n_seeds - 1 degrees of freedom. Its p-value is the mean over q of the two-sided
chance that Student's t with n_users - 1 degrees of freedom exceeds |m| / sqrt(V(q)). One seed, or
seeds that do not differ, leave the paired t-test. A and E stand for their expectations: they have
users' degrees of freedom, and t allows for that of A.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from harness.statistics.layouts import MeanSquares

_Values = NDArray[np.float64]

# log q runs over this range: below it lies less than e-17 of the distribution, above it nothing
_LOWEST, _HIGHEST = -80.0, 8.0
_PANEL, _NODES = 2.0, 16
"""Gauss-Legendre panels: 16 nodes to 2 units of log q give p-values to 1e-11 of their size."""
_HALVINGS = 36


class Uncertainty:
    """The test and the interval of a mean whose mean squares are given.

    Args:
        squares: from `harness.statistics.layouts.mean_squares`.
    """

    def __init__(self, squares: MeanSquares) -> None:
        size = squares.n_users * squares.n_seeds
        users, seeds, residual = (
            part / size for part in (squares.users, squares.seeds, squares.residual)
        )
        self._freedom = squares.n_users - 1
        self._variances, self._weights = _mixture(users, seeds, residual, squares.n_seeds - 1)

    @property
    def exists(self) -> bool:
        """Whether anything varies at all; without variance there is no test and no interval."""
        return bool(self._variances.max() > 0.0)

    def p_value(self, mean: float) -> float:
        """Return the two-sided p-value of the hypothesis that the mean is 0.

        Raises:
            ValueError: nothing varies.
        """
        from scipy import special

        if not self.exists:
            raise ValueError("nothing varies, so there is no test")
        if mean == 0.0:
            return 1.0
        with np.errstate(divide="ignore"):
            t = abs(mean) / np.sqrt(self._variances)
        p = float(np.dot(self._weights, 2.0 * special.stdtr(self._freedom, -t)))
        return min(1.0, p)

    def half_width(self, confidence: float) -> float:
        """Return half the width of the interval: the mean whose p-value is 1 - confidence.

        Raises:
            ValueError: nothing varies.
        """
        from scipy import optimize, special

        if not self.exists:
            raise ValueError("nothing varies, so there is no interval")
        alpha = 1.0 - confidence
        quantile = float(special.stdtrit(self._freedom, 1.0 - alpha / 2.0))
        least = quantile * math.sqrt(float(self._variances.min()))
        if len(self._variances) == 1:
            return least
        if least > 0.0 and self.p_value(least) <= alpha:  # seeds add nothing that can be told
            return least
        low = least or 1e-3 * math.sqrt(float(np.dot(self._weights, self._variances)))
        while self.p_value(low) < alpha:
            low /= 2.0
        high = 2.0 * low
        while self.p_value(high) > alpha:
            high *= 2.0
        found = optimize.brentq(
            lambda mean: math.log(self.p_value(mean) / alpha), low, high, xtol=1e-14 * high,
            rtol=1e-13,
        )  # fmt: skip
        return float(found)


def _mixture(users: float, seeds: float, residual: float, freedom: int) -> tuple[_Values, _Values]:
    """Return variances of the mean and how likely each is, float64 [n] both."""
    if freedom == 0 or seeds == 0.0:
        return np.array([users]), np.array([1.0])
    from scipy import special

    # from here on the seeds' share is 0; at a bend of V, panels must end
    bend = math.log(freedom * seeds / residual) if residual > 0.0 else math.inf
    logs, widths = _quadrature(min(bend, _HIGHEST))
    q = np.exp(logs)
    # the density of log q
    log_density = (
        freedom / 2.0 * (logs - math.log(2.0)) - q / 2.0 - float(special.gammaln(freedom / 2.0))
    )
    variances = users + np.maximum(0.0, freedom * seeds / q - residual)
    rest = float(special.chdtrc(freedom, math.exp(bend))) if bend < _HIGHEST else 0.0
    return np.append(variances, users), np.append(widths * np.exp(log_density), rest)


def _quadrature(end: float) -> tuple[_Values, _Values]:
    """Return nodes and weights over the range of log q up to ``end``.

    Panels halve towards the end: where users hardly vary, V falls to next to nothing there, and
    chances, which go by its root, bend sharply.
    """
    start = min(_LOWEST, end - 2.0 * _PANEL)
    nodes, weights = _legendre()
    even = np.linspace(start, end - _PANEL, math.ceil((end - start) / _PANEL))
    edges = np.concatenate([even, end - _PANEL * 0.5 ** np.arange(1, _HALVINGS), [end]])
    half = np.diff(edges)[:, None] / 2.0
    middle = (edges[:-1] + edges[1:])[:, None] / 2.0
    return (middle + half * nodes).ravel(), (half * weights).ravel()


@cache
def _legendre() -> tuple[_Values, _Values]:
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    return nodes, weights
