"""The tests of a board: each row against one, and which rows cannot be told apart."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

import numpy as np

from harness.board.ranks import RankedRow
from harness.board.table import Comparison, Family
from harness.metrics import Bound, Metric
from harness.stats import MeanTest, adjusted, mean_test

NO_COMMON_SEED = "no seed in common"


def reference(rows: Sequence[RankedRow], metric: Metric, family: Family) -> RankedRow | None:
    """Return the row that a family holds the others against; None where it has no numbers.

    Of rows with equal means, the one whose label comes first is the best.
    """
    if family.against != "best":
        return next((row for row in rows if row.label == family.against), None)
    ordered = sorted(rows, key=lambda row: (-row.mean(metric, family.bound), row.label))
    return ordered[0] if ordered else None


def comparisons(
    rows: Sequence[RankedRow], metric: Metric, family: Family
) -> dict[str, Comparison]:  # fmt: skip
    """Return label -> the test of each row against the family's reference, corrected together.

    The reference itself is left out. Where it has no numbers here, every comparison says so.
    """
    held_against = reference(rows, metric, family)
    if held_against is None:
        reason = f"{family.against} has no numbers here"
        return {
            row.label: Comparison(family.against, (), None, None, None, None, None, None, reason)
            for row in rows
        }
    others = [row for row in rows if row is not held_against]
    tests = [tested(row, held_against, metric, family.bound) for row in others]
    corrected = adjusted([test.p_value for _, test in tests], family.correction)
    return {
        row.label: Comparison(
            against=held_against.label,
            seeds=seeds,
            difference=_number(test.mean),
            low=_number(test.low),
            high=_number(test.high),
            p_value=_number(test.p_value),
            adjusted=_number(p),
            effect_size=_number(test.effect_size),
            reason=test.reason,
        )
        for row, (seeds, test), p in zip(others, tests, corrected, strict=True)
    }


def tested(
    one: RankedRow, two: RankedRow, metric: Metric, bound: Bound
) -> tuple[tuple[int, ...], MeanTest]:
    """Return the seeds that both rows have, and the test of one minus two over these."""
    seeds = tuple(seed for seed in one.seeds if seed in two.seeds)
    if not seeds:
        nothing = math.nan
        return (), MeanTest(nothing, nothing, nothing, nothing, nothing, NO_COMMON_SEED)
    first, second = (row.of_seeds(seeds, metric, bound) for row in (one, two))
    scale = float(max(np.max(first), np.max(second)))
    return seeds, mean_test(first - second, scale=scale)


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


# ---- rows that cannot be told apart --------------------------------------------------------------


def groups(rows: Sequence[RankedRow], metric: Metric, family: Family) -> Mapping[str, str]:
    """Return label -> letters; two rows share one exactly where no test tells them apart.

    All pairs of rows are tested and corrected together, a family of its own. Letters are the
    maximal cliques of the pairs that are not told apart (a compact letter display), those of the
    best rows first.
    """
    import networkx

    graph = networkx.Graph()
    graph.add_nodes_from(range(len(rows)))
    graph.add_edges_from(_alike(rows, metric, family))
    means = [row.mean(metric, family.bound) for row in rows]
    order = {place: rank for rank, place in enumerate(np.argsort(-np.array(means), kind="stable"))}
    cliques = sorted(sorted(order[place] for place in clique) for clique in _cliques(graph))
    letters = {
        row.label: "".join(
            _letter(number) for number, clique in enumerate(cliques) if order[place] in clique
        )
        for place, row in enumerate(rows)
    }
    return letters if len(rows) > 1 else dict.fromkeys(letters, "")


def _cliques(graph: object) -> Iterator[list[int]]:
    import networkx

    yield from networkx.find_cliques(graph)


def _alike(
    rows: Sequence[RankedRow], metric: Metric, family: Family
) -> Iterator[tuple[int, int]]:  # fmt: skip
    """Yield the places of the pairs that are not told apart; an impossible test tells nothing."""
    pairs = list(combinations(range(len(rows)), 2))
    p_values = [tested(rows[a], rows[b], metric, family.bound)[1].p_value for a, b in pairs]
    for pair, p in zip(pairs, adjusted(p_values, family.correction), strict=True):
        if not p < family.level:
            yield pair


def _letter(number: int) -> str:
    letters = string.ascii_lowercase + string.ascii_uppercase
    return letters[number] if number < len(letters) else f"({number + 1})"
