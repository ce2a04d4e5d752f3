"""How long every paired test of two methods takes, beside scipy's bootstrap, in one run.

    python -m benchmarks.paired_tests [--users 50000] [--resamples 10000] [--peer-users 5000]

Two made-up methods: ranks of a heavy-tailed kind, of which the second's are a noisy copy of the
first's. NDCG@10 of them has few distinct differences, MRR over the full list thousands; both are
tested with one seed, and the MRR with three. ``scipy.stats.bootstrap`` (vectorised, in batches of
10 million numbers, percentile interval) does the bootstrap alone, on ``--peer-users`` users; its
seconds are scaled up by the ratio of users, since its work is proportional to them. One thread.
Exit code 1 where all tests of all three together take more than 10 seconds.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - one thread: decided before numpy is imported

from harness.metrics import Metric  # noqa: E402
from harness.stats import paired_tests  # noqa: E402

WANTED_S = 10.0
N_ITEMS = 20_000


def made_up_ranks(n_users: int, n_seeds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ranks of two methods, each int64 [n_seeds, n_users], about log-uniform."""
    rng = np.random.default_rng(seed)
    easy = rng.uniform(0.0, np.log(N_ITEMS), n_users)
    ranks = [
        np.exp(easy + shift + rng.normal(0.0, 1.0, (n_seeds, n_users))) for shift in (0.0, 0.02)
    ]
    first, second = (np.clip(np.rint(one), 1, N_ITEMS).astype(np.int64) for one in ranks)
    return first, second


def ours_s(metric: Metric, n_users: int, n_seeds: int, resamples: int) -> tuple[float, int]:
    """Return the seconds of all tests, and how many distinct differences the users have."""
    ranks = made_up_ranks(n_users, n_seeds, seed=1)
    first, second = (metric.values(one) for one in ranks)
    start = time.perf_counter()
    paired_tests(first, second, resamples=resamples)
    seconds = time.perf_counter() - start
    return seconds, len(np.unique((first - second).mean(axis=0)))


def scipy_bootstrap_s(metric: Metric, n_users: int, resamples: int) -> float:
    """Return the seconds of scipy's bootstrap of the mean difference, nothing else."""
    from scipy import stats

    first, second = (metric.values(one[0]) for one in made_up_ranks(n_users, 1, seed=1))
    start = time.perf_counter()
    stats.bootstrap(
        (first - second,),
        np.mean,
        n_resamples=resamples,
        batch=max(1, 10_000_000 // n_users),
        vectorized=True,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return time.perf_counter() - start


def main() -> int:
    """Print the seconds of each and whether the target is met."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=50_000)
    parser.add_argument("--resamples", type=int, default=10_000)
    parser.add_argument("--peer-users", type=int, default=5_000)
    options = parser.parse_args()
    ndcg, mrr = Metric("NDCG", 10), Metric("MRR")
    paired_tests(np.arange(3.0), np.zeros(3), resamples=10)  # imports scipy
    total = 0.0
    print(f"two methods, {options.users:,} users, {options.resamples:,} resamples; seconds")
    for metric, n_seeds in ((ndcg, 1), (mrr, 1), (mrr, 3)):
        seconds, distinct = ours_s(metric, options.users, n_seeds, options.resamples)
        total += seconds
        print(
            f"  all tests, {metric.name}, {n_seeds} seed(s), {distinct:,} distinct: {seconds:.2f}"
        )
    peer = scipy_bootstrap_s(mrr, options.peer_users, options.resamples)
    scaled = peer * options.users / options.peer_users
    print(
        f"  scipy.stats.bootstrap alone, MRR, 1 seed: {scaled:.2f}, scaled from {peer:.2f} with "
        f"{options.peer_users:,} users"
    )
    print(f"together {total:.2f} s, wanted at most {WANTED_S:g} s")
    return 0 if total <= WANTED_S else 1


if __name__ == "__main__":
    sys.exit(main())
