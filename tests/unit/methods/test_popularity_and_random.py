"""The two methods that know nothing of a user."""

from __future__ import annotations

import numpy as np

from harness.histories import Histories
from methods.popularity import Popularity
from methods.random import Random
from tests.contract import worlds


def test_popularity_counts_training_events_only():
    sequences = Histories.from_lists([[0, 0, 1, 2, 3], [0, 1, 1, 3, 2]])
    world = worlds.World("counted", tuple(map(worlds.text_of, range(5))), sequences)
    made = worlds.fitted(Popularity, world)
    # the last two events of each user are held out: 0 0 1 and 0 1 1 remain
    scores = made.score(world.split.test_histories, world.candidates)
    assert scores.tolist() == [[3.0, 3.0, 0.0, 0.0, 0.0]] * 2


def test_random_depends_on_seed_and_user_alone():
    world = worlds.noise(n_users=20)
    first, second = (worlds.fitted(Random, world, seed) for seed in (0, 1))
    histories = world.split.test_histories
    scores = first.score(histories, world.candidates)
    assert not np.array_equal(scores, second.score(histories, world.candidates))
    assert np.array_equal(scores, first.score(world.split.train, world.candidates))
    assert len(np.unique(scores)) == scores.size
