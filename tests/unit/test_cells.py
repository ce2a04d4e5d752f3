"""One cell: blocks of users put back in order, scores held against the contract, memory, costs."""

from __future__ import annotations

import json
import tracemalloc
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import cells
from harness.cells import CellInput, Validation, checked_scores, execute, rank_users
from harness.environment import peak_memory_bytes, reset_peak_memory
from harness.errors import MethodError
from harness.histories import Histories
from harness.method import Input, Method, MethodCard
from harness.metrics import SELECTION_METRIC, mean
from harness.progress import Progress, SilentBar
from harness.ranking import rank_targets
from harness.splits import leave_one_out


@dataclass(frozen=True)
class NoSettings:
    """Nothing to set."""


class Drawn(Method):
    """Scores that depend on the user alone; keeps what it was given."""

    card = MethodCard(title="Drawn", paper="-", inputs=frozenset({Input.ITEM_IDS}))
    Settings = NoSettings
    dtype = np.float64

    def fit(self, data, context):
        context.log(value=np.float32(0.5))

    def score(self, histories, candidates):
        self.blocks = [*getattr(self, "blocks", []), histories]
        rows = [
            np.random.default_rng([5, user]).random(len(candidates)) for user in histories.users
        ]
        return np.array(rows, dtype=self.dtype).reshape(len(histories), len(candidates))

    def describe(self):
        return {"parameters": np.int64(3)}


def _with_card(**changes):
    class Changed(Drawn):
        card = replace(Drawn.card, **changes)

    return Changed(NoSettings())


def _histories(lengths, n_items=50):
    generator = np.random.default_rng(0)
    return Histories.from_lists([generator.integers(0, n_items, length) for length in lengths])


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    block=st.integers(1, 13),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_ranks_do_not_depend_on_blocks_and_come_back_in_order(lengths, block, dtype):
    method = _with_card(users_per_block=block)
    method.dtype = dtype
    histories = _histories(lengths)
    targets = np.arange(len(lengths), dtype=np.int32)
    ranks = rank_users(method, histories, targets, 50, SilentBar())
    whole = rank_targets(Drawn.score(method, histories, np.arange(50)), targets)
    for name in ("optimistic", "pessimistic", "top"):
        assert np.array_equal(getattr(ranks, name), getattr(whole, name))
    given_lengths = [len(items) for part in method.blocks[:-1] for items in part]
    assert given_lengths == sorted(lengths, reverse=True)  # the longest first
    assert all(len(part) <= block for part in method.blocks[:-1])


def test_blocks_shrink_for_large_catalogues(monkeypatch):
    monkeypatch.setattr(cells, "SCORE_BLOCK_BYTES", 8 * 50 * 3)
    method = _with_card(users_per_block=100)
    rank_users(method, _histories([2] * 7), np.zeros(7, np.int32), 50, SilentBar())
    assert [len(block) for block in method.blocks] == [3, 3, 1]
    monkeypatch.setattr(cells, "SCORE_BLOCK_BYTES", 1)
    rank_users(method, _histories([2] * 2), np.zeros(2, np.int32), 50, SilentBar())
    assert [len(block) for block in method.blocks[3:]] == [1, 1]


def test_every_user_counts_once_on_the_bar():
    class Counting(SilentBar):
        n = 0

        def advance(self, n=1):
            self.n += n

    bar = Counting()
    rank_users(_with_card(users_per_block=4), _histories([1] * 10), np.zeros(10, np.int32), 50, bar)
    assert bar.n == 10


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((2, 3), np.float16), "found float16"), (np.zeros((2, 3), int), "found int64"),
        (np.zeros((2, 3), ">f8"), "found >f8"), (np.zeros((3, 2)), r"found \(3, 2\)"),
        (np.zeros(3), r"found \(3,\)"), ([[0.0] * 3] * 2, "found list"), (None, "found NoneType"),
        (np.zeros((2, 3), object), "found object"),
    ],
)  # fmt: skip
def test_scores_that_break_the_contract(scores, message):
    method = Drawn(NoSettings())
    method.score = lambda histories, candidates: scores
    with pytest.raises(MethodError, match=message):
        checked_scores(method, _histories([1, 1]), np.arange(3, dtype=np.int32))


def test_inputs_of_score_are_read_only():
    method = Drawn(NoSettings())

    def score(histories, candidates):
        for array in (candidates, histories.items, histories.offsets, histories.users):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1
        return np.zeros((len(histories), len(candidates)))

    method.score = score
    rank_users(method, _histories([2]), np.zeros(1, np.int32), 5, SilentBar())


# ---- memory --------------------------------------------------------------------------------------


class Broad(Drawn):
    """Cheap scores in blocks as large as the harness asks for."""

    card = replace(Drawn.card, users_per_block=10**6)

    def score(self, histories, candidates):
        column = histories.users.astype(self.dtype)[:, None]
        return (candidates.astype(self.dtype)[None, :] * 7919 + column) % 1013


def _rank_broadly(n_users, dtype):
    method = Broad(NoSettings())
    method.dtype = dtype
    histories = _histories([3] * n_users, n_items=40_000)
    targets = np.arange(n_users, dtype=np.int32)
    return rank_users(method, histories, targets, 40_000, SilentBar())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_memory_does_not_grow_with_users(dtype):
    _rank_broadly(10, dtype)  # compiles
    tracemalloc.start()
    ranks = _rank_broadly(1_000, dtype)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(ranks.optimistic) == 1_000
    # one block of 64 MiB, what the toy makes on the way to it, and the block before it: the whole
    # table would take 320 MB
    assert peak < 280e6


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_ten_thousand_users_by_forty_thousand_items_under_two_gigabytes(dtype):
    reset_peak_memory()
    before = peak_memory_bytes()
    ranks = _rank_broadly(10_000, dtype)
    peak = peak_memory_bytes()
    assert (ranks.pessimistic >= ranks.optimistic).all()
    assert ranks.optimistic.min() >= 1
    if peak is None or before is None:
        pytest.skip("the peak of resident memory is known on Linux only")
    assert peak < 2e9  # the whole process, libraries included
    assert peak - before < 0.5e9


# ---- validation and costs ------------------------------------------------------------------------


def _cell(method, seed=0, n_users=20):
    sequences = _histories([6] * n_users)
    return CellInput(method, "tiny", ("t",) * 50, "bought", leave_one_out(sequences), seed, "cpu")


def test_validation_is_the_pessimistic_metric_on_validation_items():
    method = Drawn(NoSettings())
    cell = _cell(method)
    scores = method.score(cell.split.train, np.arange(50))
    ranks = rank_targets(scores, cell.split.validation_targets)
    wanted = mean(SELECTION_METRIC.values(ranks.pessimistic))
    assert Validation(cell)(method, None) == wanted
    assert Validation(cell)(method, 20) == wanted
    tied = Drawn(NoSettings())
    tied.score = lambda histories, candidates: np.zeros((len(histories), len(candidates)))
    assert Validation(cell)(tied, None) == 0.0  # the optimistic value would be 1


def test_the_sample_is_the_same_in_every_call_and_cell_of_a_seed():
    def sampled(seed):
        method = Drawn(NoSettings())
        Validation(_cell(method, seed))(method, 5)
        return sorted(user for block in method.blocks for user in block.users.tolist())

    assert len(set(sampled(0))) == 5
    assert sampled(0) == sampled(0)
    assert sampled(0) != sampled(1)


def test_the_draw_of_the_sample_is_none_of_a_methods_own():
    taken = {
        tuple(np.random.default_rng([0, user, purpose]).integers(0, 2**62, 2))
        for user in range(50)
        for purpose in range(50)
    }
    draw = np.random.default_rng([0, *cells.VALIDATION_DRAW]).integers(0, 2**62, 2)
    assert tuple(draw) not in taken


def test_validation_says_how_many_users_it_took():
    method = Drawn(NoSettings())
    validation = Validation(_cell(method))
    assert validation.report() == {}
    for users in (5, None, 5):
        validation(method, users)
    assert validation.report()["validation_users"] == [5, 20]
    for users in (0, -1):
        with pytest.raises(MethodError, match="at least one user"):
            validation(method, users)


def test_a_cell_from_seed_to_ranks(tmp_path):
    log = tmp_path / "fit.jsonl"
    result = execute(_cell(Drawn(NoSettings())), tmp_path, log, Progress(shown=False))
    assert len(result.ranks.optimistic) == 20
    assert result.cost["parameters"] == 3
    assert result.cost["device"] == "cpu"
    assert result.cost["fit_s"] >= 0
    assert result.report == {}
    assert json.loads(log.read_text()) == {"value": 0.5}


def test_each_cell_is_seeded_anew(tmp_path):
    class Global(Drawn):
        def fit(self, data, context):
            self.draw = np.random.random()

    draws = []
    for seed in (0, 0, 1):
        method = Global(NoSettings())
        execute(_cell(method, seed), tmp_path, tmp_path / "log", Progress(shown=False))
        draws.append(method.draw)
    assert draws[0] == draws[1] != draws[2]
