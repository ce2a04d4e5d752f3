"""What a test and an interval over users and seeds must be, by plain integration."""

from __future__ import annotations

import itertools

import numpy as np
from scipy import integrate, optimize, stats


def expected_p(values: np.ndarray, mean: float | None = None) -> float:
    """Return the generalized p-value of a mean (its own by default) of [n_seeds, n_users]."""
    n_seeds, n_users = values.shape
    grand, by_user, by_seed = values.mean(), values.mean(axis=0), values.mean(axis=1)
    users = n_seeds * by_user.var(ddof=1) / values.size
    left = values - by_user - by_seed[:, None] + grand
    sum_seeds = n_users * ((by_seed - grand) ** 2).sum() / values.size
    residual = (left**2).sum() / max(1, (n_seeds - 1) * (n_users - 1)) / values.size
    distance = abs(grand if mean is None else mean)

    def chance(variance):
        return 2 * stats.t.sf(distance / np.sqrt(variance), n_users - 1)

    if n_seeds == 1 or np.allclose(by_seed, grand, rtol=0, atol=1e-15):
        return chance(users)
    chi = stats.chi2(n_seeds - 1)
    bend = sum_seeds / residual if residual else np.inf

    def part(root):  # q = root^2, for the density of one degree of freedom has a pole at 0
        q = root**2
        return chance(users + sum_seeds / q - residual) * chi.pdf(q) * 2 * root if q else 0.0

    end = np.sqrt(min(bend, 200.0))
    edges = [0.0, *np.geomspace(end * 1e-6, end, 25)]
    inner = sum(
        integrate.quad(part, low, high, epsabs=0, epsrel=1e-9)[0]
        for low, high in itertools.pairwise(edges)
    )
    return inner + (chance(users) * chi.sf(bend) if users else 0.0)


def expected_half_width(values: np.ndarray) -> float:
    """Return half of the 95 % interval's width."""
    size = np.abs(values - values.mean()).max()
    found = optimize.brentq(
        lambda log: expected_p(values, np.exp(log)) - 0.05, np.log(size) - 12, np.log(size) + 8
    )
    return float(np.exp(found))
