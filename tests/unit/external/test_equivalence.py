"""Lists with scores rank like a dense matrix in which what is not listed has -inf."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from harness.external.content import ScoredItems
from harness.external.held_out import HeldOut, Names
from harness.external.ranking import rank_matrix, rank_scored
from harness.ranking import rank_targets

# few different scores, so that ties are common; what is not listed is drawn like a score
DRAWN = st.sampled_from([-np.inf, -np.inf, -1.5, -0.0, 0.0, 0.5, 2.0, np.inf])


@st.composite
def worlds(draw):
    n_users, n_items = draw(st.integers(1, 5)), draw(st.integers(1, 13))
    scores = draw(arrays.arrays(np.float64, (n_users, n_items), elements=DRAWN))
    targets = draw(arrays.arrays(np.int32, n_users, elements=st.integers(0, n_items - 1)))
    names = [tuple(f"{kind}{n:02d}" for n in range(count))
             for kind, count in (("u", n_users), ("i", n_items))]  # fmt: skip
    return scores, HeldOut(Names("user", names[0]), Names("item", names[1]), targets)


def _assert_equal(found, expected):
    assert np.array_equal(found.optimistic, expected.optimistic)
    assert np.array_equal(found.pessimistic, expected.pessimistic)
    assert np.array_equal(found.top, expected.top)


@given(world=worlds(), seed=st.integers(0, 99), explicit=st.booleans(), placed=st.booleans())
def test_listed_scores_rank_like_a_dense_matrix(world, seed, explicit, placed):
    scores, held_out = world
    users, items = np.nonzero(np.ones_like(scores) if explicit else scores > -np.inf)
    order = np.random.default_rng(seed).permutation(len(users))
    users, items = users[order], items[order]
    values, positions = scores[users, items], None
    if placed:
        positions = np.empty(len(users), np.int64)
        for user in range(len(scores)):
            mine = np.flatnonzero(users == user)
            positions[mine[np.argsort(-values[mine], kind="stable")]] = np.arange(1, len(mine) + 1)
    found = rank_scored(ScoredItems(users, items, values, positions), held_out)
    _assert_equal(found.ranks, rank_targets(scores, held_out.targets))
    assert found.mean_list_length == (scores > -np.inf).sum() / len(scores)


@given(world=worlds(), seed=st.integers(0, 99), block=st.integers(1, 5))
def test_a_shuffled_matrix_in_blocks_ranks_like_the_whole(world, seed, block):
    scores, held_out = world
    generator = np.random.default_rng(seed)
    users, items = (generator.permutation(n) for n in scores.shape)
    shuffled = scores[users][:, items]
    blocks = (shuffled[at : at + block] for at in range(0, len(users), block))
    found = rank_matrix(blocks, users, items, held_out)
    _assert_equal(found.ranks, rank_targets(scores, held_out.targets))
