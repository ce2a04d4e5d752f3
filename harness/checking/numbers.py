"""Gains, intervals and tests over users and seeds, corrections: derived here anew."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import betainc, digamma, gammaincc, gammaln

from harness.checking.leaves import NEARLY_EQUAL, Span, ends, span

Numbers = NDArray[np.float64]
Ranks = NDArray[np.int64]

# ---- gains ---------------------------------------------------------------------------------------


@cache
def metric_parts(name: str) -> tuple[str, float]:
    """Return the kind of a metric and the last rank that counts, such as ("NDCG", 10).

    Raises:
        ValueError: there is no such metric.
    """
    kind, at, last = name.partition("@")
    known = kind in ("NDCG", "Recall", "MRR") and (at or kind == "MRR")
    if not known or (at and not re.fullmatch("[1-9][0-9]*", last)):
        raise ValueError(f"no metric {name!r}; metrics are NDCG@K, Recall@K, MRR and MRR@K")
    return kind, float(last) if at else math.inf


def gain(metric: str, rank: int) -> float:
    """Return what a rank is worth; nothing where the target was not ranked (0)."""
    kind, last = metric_parts(metric)
    if rank < 1 or rank > last:
        return 0.0
    if kind == "NDCG":
        return math.log(2) / math.log(rank + 1)
    return 1.0 if kind == "Recall" else 1 / rank


def gain_of_tie(metric: str, low: int, high: int) -> float:
    """Return the mean gain of a target that is as likely at each rank from low to high."""
    if low == high:
        return gain(metric, low)
    kind, last = metric_parts(metric)
    end = int(min(high, last))
    if end < low:
        return 0.0
    if kind == "NDCG":
        total = math.fsum(gain(metric, rank) for rank in range(low, end + 1))
    elif kind == "Recall":
        total = float(end - low + 1)
    else:  # the harmonic numbers are digamma, but for a constant
        total = float(digamma(end + 1) - digamma(low))
    return total / (high - low + 1)


def gains(metric: str, low: Ranks, high: Ranks, bound: str) -> Numbers:
    """Return float64 [n_users]: each user's value; every different tie is looked at once."""
    values = _plain_gains(metric, high if bound == "pessimistic" else low)
    tied = np.flatnonzero(low != high)
    if bound == "expected" and len(tied):
        pairs, places = np.unique(np.stack([low, high])[:, tied], axis=1, return_inverse=True)
        found = [gain_of_tie(metric, a, b) for a, b in pairs.T.tolist()]
        values[tied] = np.array(found)[places.ravel()]
    return values


def _plain_gains(metric: str, ranks: Ranks) -> Numbers:
    kind, last = metric_parts(metric)
    counted = (ranks >= 1) & (ranks <= last)
    values = np.zeros(len(ranks))
    if kind == "NDCG":
        values[counted] = math.log(2) / np.log(ranks[counted] + 1.0)
    else:
        values[counted] = 1.0 if kind == "Recall" else 1.0 / ranks[counted]
    return values


def mean(values: Numbers) -> float:
    """Return a mean with one rounding."""
    return math.fsum(values.tolist()) / len(values)


def average(values: Sequence[float]) -> float:
    """Return the mean of a few values, added in their order."""
    total = 0.0
    for value in values:
        total += value
    return total / len(values)


def winner(means: Mapping[str, Sequence[float]], stated: object) -> str:
    """Return the label of the largest average, of equal ones the first.

    ``stated`` is taken where its average is as large but for rounding, and not of the same values:
    what rounds otherwise elsewhere may be equal or in the other order there.
    """
    first = max(means, key=lambda label: average(means[label]))
    if not isinstance(stated, str) or stated not in means:
        return first
    distance = average(means[first]) - average(means[stated])
    open_ = distance <= NEARLY_EQUAL and list(means[stated]) != list(means[first])
    return stated if open_ else first


# ---- tests over users and seeds ------------------------------------------------------------------


@dataclass(frozen=True)
class Student:
    """A mean over users and seeds; numbers are None where ``reason`` says why there are none."""

    mean: float | None
    low: float | Span | None = None
    high: float | Span | None = None
    p: float | Span | None = None
    effect: float | None = None
    reason: str | None = None


def steps(values: Numbers, scale: float) -> tuple[NDArray[np.int64], float]:
    """Return values as whole multiples of 2**-44 of the least power of two above the scale.

    What differs by less than half of that is equal. Whole numbers add up without rounding.
    """
    power = 1.0
    while power <= scale:
        power *= 2
    while power / 2 > scale > 0:
        power /= 2
    unit = power / 2**44
    return np.rint(values / unit).astype(np.int64), unit


def student(values: Numbers, scale: float) -> Student:
    """Return the mean of float64 [n_seeds, n_users], its 95 % interval and its two-sided test."""
    n_seeds, n_users = values.shape
    whole, unit = steps(values, scale)
    grand = math.fsum(whole.sum(axis=0).tolist()) * unit / values.size
    reason = _why_not(whole)
    if reason is not None:
        return Student(grand, reason=reason)
    squares = _squares(
        np.asarray(whole * unit - grand, np.float64), bool(np.ptp(whole.sum(axis=0)))
    )
    spread = _Spread(squares, n_seeds, n_users)
    if not spread.variances.any():
        return Student(grand, reason=f"all {n_users} users have the same value, {NOTHING}")
    half = spread.half_width()
    of_users = math.sqrt(squares[0] / (n_seeds * (n_users - 1)))  # of the users' means over seeds
    return Student(
        grand, grand - half, grand + half, spread.two_sided(grand),
        grand / of_users if of_users else None,
    )  # fmt: skip


NOTHING = "so there is no variance"


def _why_not(whole: NDArray[np.int64]) -> str | None:
    n_users = whole.shape[1]
    if n_users < 2:
        return "one user only, nothing can vary"
    if np.ptp(whole):
        return None
    what = "the same value" if whole.any() else "the value 0"
    return f"all {n_users} users have {what}, {NOTHING}"


def _squares(centred: Numbers, users_differ: bool) -> tuple[float, float, float]:
    """Return the sums of squares of users, of seeds, and of what neither explains.

    In a crossed layout with one value a cell the three add up to the whole sum of squares; the last
    is summed all the same, for what is left of a difference of large numbers is rounding.
    """
    n_seeds, n_users = centred.shape
    # summed without the linear algebra library, whose threads get in each other's way
    users = float((centred.sum(axis=0) ** 2).sum()) / n_seeds if users_differ else 0.0
    seeds = float((centred.sum(axis=1) ** 2).sum()) / n_users
    left = centred - centred.mean(axis=0) - centred.mean(axis=1, keepdims=True)
    return users, seeds, float((left**2).sum())


class _Spread:
    """All that the variance of the grand mean may be, and how likely each of it is.

    With a = n_seeds, b = n_users and the components s (of a cell), u (of users), v (of seeds), the
    mean squares expect U = s + a u, V = s + b v and R = s; the grand mean varies by
    u / b + v / a + s / (a b) = (E U + E V - E R) / (a b). U and R have so many degrees of freedom
    that they stand for their expectations. V has a - 1, so E V may be anything like (a - 1) V / q
    with q of chi-square a - 1; what is less than E R is no variance of seeds, and counts as E R.
    """

    def __init__(self, squares: tuple[float, float, float], a: int, b: int) -> None:
        users, seeds, rest = squares
        self.freedom = b - 1
        least = users / (b - 1) / (a * b)
        if a == 1 or seeds == 0:
            self.variances, self.shares = np.array([least]), np.array([1.0])
            return
        r = rest / ((a - 1) * (b - 1)) / (a * b)
        v = seeds / (a * b)  # (a - 1) times the mean square
        # below this q the seeds count; by the trapezoid rule in a variable in which both ends fall
        # doubly exponentially (Takahasi and Mori, 1974)
        end = min(v / r, 4000.0) if r > 0 else 4000.0
        x = np.arange(-4.2, 4.8, 0.01)
        down = np.exp(x - np.exp(-x))
        log_q = math.log(end) - down
        weight = 0.01 * down * (1 + np.exp(-x))
        density = np.exp(
            (a - 1) / 2 * (log_q - math.log(2)) - np.exp(log_q) / 2 - gammaln((a - 1) / 2)
        )
        self.variances = np.append(least + np.maximum(0, v / np.exp(log_q) - r), least)
        self.shares = np.append(weight * density, gammaincc((a - 1) / 2, end / 2))

    def two_sided(self, distance: float) -> float:
        """Return the chance of a mean that far from 0 on either side."""
        if distance == 0:
            return 1.0
        with np.errstate(divide="ignore", over="ignore"):
            t2 = distance**2 / self.variances
        chances = betainc(self.freedom / 2, 0.5, self.freedom / (self.freedom + t2))
        return min(1.0, float(np.sum(self.shares * chances)))

    def half_width(self) -> float:
        """Return the distance whose chance is 5 %, sought in its logarithm."""
        low = high = math.log(float(self.variances[np.argmax(self.shares)]) or 1e-30) / 2
        while self.two_sided(math.exp(low)) < 0.05:
            low -= 2
        while self.two_sided(math.exp(high)) > 0.05:
            high += 2
        return math.exp(
            brentq(lambda x: math.log(self.two_sided(math.exp(x)) / 0.05), low, high, xtol=1e-13)
        )


def two_sided(t: float, freedom: float) -> float:
    """Return the chance of a t that far from 0 on either side."""
    return float(betainc(freedom / 2, 0.5, freedom / (freedom + t * t)))


def over_datasets(found: Sequence[float]) -> tuple[float | None, float | None, str | None]:
    """Return the two-sided and the one-sided p-value of a mean difference, or why there is none."""
    n = len(found)
    if n < 2:
        return None, None, f"a t-test over data sets needs two of them, found {n}"
    if max(found) - min(found) <= 1e-12 * max(map(abs, found)):
        return (
            None,
            None,
            f"all {n} data sets have the same difference: no variance to test against",
        )
    centre = math.fsum(found) / n
    variance = math.fsum((one - centre) ** 2 for one in found) / (n - 1)
    p = two_sided(centre / math.sqrt(variance / n), n - 1)
    return p, p / 2 if centre > 0 else 1 - p / 2, None


# ---- many tests ----------------------------------------------------------------------------------


def corrected(p_values: Sequence[float | Span | None], method: str) -> list[float | Span | None]:
    """Return the p-values of a family, corrected; tests that were not made stay out of it."""
    made = [place for place, p in enumerate(p_values) if p is not None]
    pairs = [ends(p_values[place]) for place in made]
    low, high = (_stepwise([pair[side] for pair in pairs], method) for side in (0, 1))
    result: list[float | Span | None] = [None] * len(p_values)
    for place, a, b in zip(made, low, high, strict=True):
        result[place] = span([a, b])
    return result


def _stepwise(p_values: Sequence[float], method: str) -> list[float]:
    n = len(p_values)
    if method == "bonferroni":
        return [min(1.0, n * p) for p in p_values]
    order = sorted(range(n), key=lambda place: p_values[place])
    result, reached = [1.0] * n, 0.0
    if method == "holm":
        for already, place in enumerate(order):
            reached = max(reached, (n - already) * p_values[place])
            result[place] = min(1.0, reached)
        return result
    if method != "benjamini-hochberg":
        raise ValueError(f"no correction {method!r}")
    reached = 1.0
    for count in range(n, 0, -1):
        place = order[count - 1]
        reached = min(reached, n * p_values[place] / count)
        result[place] = reached
    return result
