"""The contract, a function for each clause. Each raises AssertionError where a method breaks it.

Network methods may differ by 1e-5 where padding or batching moves rounding. Methods that sample
texts may, besides, see a text change where a draw falls within that rounding of a boundary: up to
one user in ten may then differ.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np

from harness.cells import checked_scores
from harness.histories import Histories
from harness.method import Method
from harness.metrics import METRICS
from harness.ranking import rank_targets
from tests.contract import worlds

TOLERANCE = 1e-5
SAMPLED_SHARE = 0.9

Fit = Callable[[type[Method], worlds.World, int], Method]


def _same(method: type[Method], first: np.ndarray, second: np.ndarray) -> bool:
    """Whether scores agree for (nearly) all users, as the method's card allows."""
    rows = np.isclose(first, second, rtol=TOLERANCE, atol=TOLERANCE).all(axis=1)
    return bool(rows.mean() >= (SAMPLED_SHARE if method.card.sampled else 1.0))


def scores_have_the_shape(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic()
    made = fit(method, world, 0)
    scores = checked_scores(made, world.split.test_histories, world.candidates)
    assert not np.isnan(scores).any()
    assert not (scores == np.inf).any()


def batching_does_not_matter(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic()
    made = fit(method, world, 0)
    some = world.split.test_histories.select(np.arange(20))
    together = made.score(some, world.candidates)
    alone = [made.score(some.select(np.array([row])), world.candidates) for row in range(20)]
    assert _same(method, together, np.concatenate(alone))
    backwards = np.arange(20)[::-1]
    assert _same(method, together[::-1], made.score(some.select(backwards), world.candidates))


def candidate_order_does_not_matter(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic()
    made = fit(method, world, 0)
    histories = world.split.test_histories.select(np.arange(10))
    scores = made.score(histories, world.candidates)
    order = np.random.default_rng(1).permutation(world.candidates)
    assert np.array_equal(made.score(histories, order), scores[:, order])
    assert _same(method, made.score(histories, order[:3]), scores[:, order[:3]])


def inputs_stay_untouched(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic()
    before = (world.split.train.items.copy(), world.split.test_histories.items.copy())
    candidates = world.candidates
    made = fit(method, world, 0)
    made.score(world.split.test_histories, candidates)
    assert np.array_equal(world.split.train.items, before[0])
    assert np.array_equal(world.split.test_histories.items, before[1])
    assert np.array_equal(candidates, world.candidates)


def same_seed_gives_same_scores(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic(n_users=48)
    histories = world.split.test_histories.select(np.arange(10))
    first = worlds.fitted(method, world, 3).score(histories, world.candidates)
    second = worlds.fitted(method, world, 3).score(histories, world.candidates)
    assert np.array_equal(first, second)


def odd_histories_are_scored(method: type[Method], fit: Fit) -> None:
    """An empty history, a history with an item unseen in training, one far over any limit."""
    base = worlds.cyclic()
    world = worlds.World("cyclic-and-one", (*base.texts, worlds.text_of(30)), base.sequences)
    made = fit(method, world, 0)
    unseen = len(base.texts)
    odd = Histories.from_lists([[], [unseen], [0, unseen, 1], list(range(12)) * 30])
    scores = checked_scores(made, odd, world.candidates)
    assert not np.isnan(scores).any()


def one_item_catalogue_is_ranked(method: type[Method], fit: Fit) -> None:
    world = worlds.single_item()
    made = fit(method, world, 0)
    scores = checked_scores(made, world.split.test_histories, world.candidates)
    ranks = rank_targets(scores, world.split.test_targets)
    assert set(ranks.pessimistic.tolist()) <= {0, 1}


def identical_texts_tie_exactly(method: type[Method], fit: Fit) -> None:
    world = worlds.twins()
    scores = fit(method, world, 0).score(world.split.test_histories, world.candidates)
    assert np.array_equal(scores[:, 0::2], scores[:, 1::2])


def noise_stays_at_chance(method: type[Method], fit: Fit) -> None:
    world = worlds.noise()
    made = fit(method, world, 0)
    scores = made.score(world.split.test_histories, world.candidates)
    ranks = rank_targets(scores, world.split.test_targets)
    n_items, n_users = len(world.texts), len(world.split.test_targets)
    for metric in METRICS:
        gains = metric.values(np.arange(1, n_items + 1))
        deviation = gains.std() / np.sqrt(n_users)
        found = metric.expected(ranks.optimistic, ranks.pessimistic).mean()
        assert abs(found - gains.mean()) < 4.5 * deviation, (metric.name, found, gains.mean())


def a_cycle_is_learnt(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic()
    made = fit(method, world, 0)
    scores = made.score(world.split.test_histories, world.candidates)
    ranks = rank_targets(scores, world.split.test_targets)
    share = float((ranks.pessimistic == 1).mean())
    assert share >= 0.9, f"the next item of the cycle is first for {share:.0%} of the users only"


def a_pickled_copy_scores_the_same(method: type[Method], fit: Fit) -> None:
    world = worlds.cyclic()
    made = fit(method, world, 0)
    histories = world.split.test_histories.select(np.arange(10))
    copy = pickle.loads(pickle.dumps(made))
    original = made.score(histories, world.candidates)
    assert np.array_equal(copy.score(histories, world.candidates), original)


ALWAYS = (
    scores_have_the_shape,
    batching_does_not_matter,
    candidate_order_does_not_matter,
    inputs_stay_untouched,
    same_seed_gives_same_scores,
    odd_histories_are_scored,
    one_item_catalogue_is_ranked,
    noise_stays_at_chance,
    a_pickled_copy_scores_the_same,
)


def applicable(method: type[Method]) -> list[Callable[[type[Method], Fit], None]]:
    """The clauses that hold for a method, as its card declares."""
    checks = list(ALWAYS)
    if method.card.ties_identical_texts:
        checks.append(identical_texts_tie_exactly)
    if method.card.learns:
        checks.append(a_cycle_is_learnt)
    return checks
