"""How quick BM25 is beside its two peers, in one run on one thread.

    python -m benchmarks.bm25 [--items 10000] [--data scientific]

Every variant returns the scores of all items for the text of an item, the way LIR asks:

- ``rank_bm25``, whose bits ours must have (checked here for every query that it is given);
- ours, one query in a call and many in a call;
- ``bm25s`` with its ``robertson`` idf, the variant closest to Okapi's (it leaves out the constant
  factor k1 + 1 and gives words in more than half of the documents no floor, so that it scores
  other numbers), by its numpy and its numba scorer, in float32 (its default) and float64.

Cutting the query into words is part of what is timed, on all sides. One variant more gives bm25s
the words' numbers, looked up beforehand, which is the least that it can be asked to do; ours is
compared with whichever of them is quickest. Exit code 1 where a target is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - one thread: decided before numpy is imported

from methods._bm25 import BM25, words_of  # noqa: E402

WANTED_TIMES_RANK_BM25 = 200.0
WANTED_TIMES_BM25S = 0.8


def synthetic_catalogue(n_items: int, seed: int) -> list[str]:
    """Return item texts of the template's shape: four labels, some 23 words, a Zipf vocabulary."""
    rng = np.random.default_rng(seed)
    weights = 1.0 / (np.arange(25_000) + 5.0)
    weights /= weights.sum()
    title_lengths = rng.integers(6, 22, n_items)
    titles = np.split(
        rng.choice(len(weights), title_lengths.sum(), p=weights), np.cumsum(title_lengths)[:-1]
    )
    categories = [f"Section{number} & Things{number % 7}" for number in range(20)]
    category = rng.choice(20, n_items, p=np.arange(20, 0, -1) / 210)
    brand = np.minimum(rng.zipf(1.4, n_items), 2000)
    dollars = rng.integers(1, 150, n_items)
    return [
        f"Title: {' '.join(f'word{word}' for word in titles[item])}. "
        f"Category: {categories[category[item]]}. Brand: Maker{brand[item]} Co. "
        f"Price: ${dollars[item]}.99."
        for item in range(n_items)
    ]


def prepared_catalogue(dataset: str) -> list[str]:
    """Return the item texts of a data set that has a card."""
    from harness.data.cards import load_card
    from harness.data.prepare import prepare
    from harness.progress import Progress

    with tempfile.TemporaryDirectory() as cache:
        return list(prepare(load_card(dataset), Path(cache), Progress(shown=False)).item_texts)


def bm25s_variants(items: list[str]) -> dict[str, Callable[[list[str]], object]]:
    """Return functions that score all of the given queries with bm25s."""
    import bm25s

    tokens = [words_of(text) for text in items]
    variants: dict[str, Callable[[list[str]], object]] = {}
    for backend in ("numpy", "numba"):
        for dtype in ("float32", "float64"):
            index = bm25s.BM25(k1=1.5, b=0.75, method="robertson", dtype=dtype, backend=backend)
            index.index(tokens, show_progress=False)
            variants[f"bm25s {backend} {dtype}"] = lambda queries, index=index: [
                index.get_scores(words_of(query)) for query in queries
            ]
            if backend == "numba":
                numbers = {text: index.get_tokens_ids(words_of(text)) for text in items}
                variants[f"bm25s {backend} {dtype}, words numbered beforehand"] = (
                    lambda queries, index=index, numbers=numbers: [
                        index.get_scores_from_ids(numbers[query]) for query in queries
                    ]
                )
    return variants


def seconds_per_query(
    variants: dict[str, tuple[Callable[[list[str]], object], list[str]]], rounds: int
) -> dict[str, float]:
    """Time the variants in turn, ``rounds`` times over, and return each one's median.

    Counts CPU seconds of this process, which runs on one thread: what else the machine does then
    matters less.
    """
    measured: dict[str, list[float]] = {name: [] for name in variants}
    for run, queries in variants.values():
        run(queries[:2])  # compiles, and touches the memory
    for _ in range(rounds):
        for name, (run, queries) in variants.items():
            start = time.process_time()
            run(queries)
            measured[name].append((time.process_time() - start) / len(queries))
    return {name: float(np.median(times)) for name, times in measured.items()}


def main() -> int:
    """Measure, print the table and both ratios, and say whether the targets are met."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--items", type=int, default=10_000, help="size of the made-up catalogue")
    parser.add_argument("--data", help="take the item texts of this data set instead")
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--slow-queries", type=int, default=20, help="queries for rank_bm25")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    from rank_bm25 import BM25Okapi

    items = (
        prepared_catalogue(arguments.data)
        if arguments.data
        else synthetic_catalogue(arguments.items, arguments.seed)
    )
    rng = np.random.default_rng(arguments.seed)
    queries = [items[item] for item in rng.integers(0, len(items), arguments.queries)]
    few = queries[: arguments.slow_queries]

    start = time.process_time()
    ours = BM25(items)
    build_s = time.process_time() - start
    peer = BM25Okapi([words_of(text) for text in items])
    n_words = sum(len(words_of(text)) for text in items)
    print(
        f"{len(items):,} items, {n_words / len(items):.2f} words an item, "
        f"{ours.n_words:,} word types; index built in {build_s:.2f} s"
    )
    equal = all(ours.scores(q).tobytes() == peer.get_scores(words_of(q)).tobytes() for q in few)
    print(f"bits equal to rank_bm25 on {len(few)} queries: {'yes' if equal else 'NO'}")

    one, many = "ours", "ours, 32 queries in a call"
    times = seconds_per_query(
        {
            "rank_bm25": (lambda texts: [peer.get_scores(words_of(text)) for text in texts], few),
            one: (lambda texts: [ours.scores(text) for text in texts], queries),
            many: (
                lambda texts: [
                    ours.score_many(texts[i : i + 32]) for i in range(0, len(texts), 32)
                ],
                queries,
            ),
            **{name: (run, queries) for name, run in bm25s_variants(items).items()},
        },
        arguments.rounds,
    )
    for name, seconds in times.items():
        print(f"{name:52} {1000 * seconds:9.4f} ms/query  {times[one] / seconds:7.3f} x our speed")

    quickest = min((name for name in times if name.startswith("bm25s")), key=times.__getitem__)
    against_rank, against_bm25s = times["rank_bm25"] / times[one], times[quickest] / times[one]
    print(
        f"ours / rank_bm25: {against_rank:.0f} times the speed "
        f"(wanted {WANTED_TIMES_RANK_BM25:.0f})"
    )
    print(
        f"ours / {quickest}: {against_bm25s:.2f} times the speed (wanted {WANTED_TIMES_BM25S:.1f})"
    )
    met = against_rank >= WANTED_TIMES_RANK_BM25 and against_bm25s >= WANTED_TIMES_BM25S
    return 0 if equal and met else 1


if __name__ == "__main__":
    sys.exit(main())
