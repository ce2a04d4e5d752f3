"""Each clause of the contract can fail: a sound method passes all, and each fault is caught."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from harness.errors import MethodError
from harness.method import Input, Method, MethodCard, text_groups
from tests.contract import checks, worlds


@dataclass(frozen=True)
class NoSettings:
    pass


class Sound(Method):
    """Counts which text follows which; a small method without any fault."""

    card = MethodCard(
        "Sound", "made for this test", frozenset({Input.ITEM_TEXT}), ties_identical_texts=True
    )
    Settings = NoSettings

    def fit(self, data, context):
        texts, self.group = text_groups(data.item_texts)
        self.follows = np.zeros((len(texts), len(texts)))
        for history in data.histories:
            groups = self.group[history]
            np.add.at(self.follows, (groups[:-1], groups[1:]), 1.0)

    def score(self, histories, candidates):
        last = [self.group[history[-1]] if len(history) else 0 for history in histories]
        return self.follows[last][:, self.group[candidates]]


class WrongShape(Sound):
    def score(self, histories, candidates):
        return super().score(histories, candidates)[:, :-1]


class DependsOnTheBatch(Sound):
    def score(self, histories, candidates):
        return super().score(histories, candidates) + 0.01 * len(histories)


class DependsOnCandidateOrder(Sound):
    def score(self, histories, candidates):
        return super().score(histories, candidates) + np.arange(len(candidates)) * 1e-3


class WritesToItsInputs(Sound):
    def score(self, histories, candidates):
        scores = super().score(histories, candidates)
        candidates[:] = 0
        return scores


class IgnoresTheSeed(Sound):
    def fit(self, data, context):
        super().fit(data, context)
        self.follows += np.random.default_rng().random(self.follows.shape) * 1e-3


class FailsOnEmptyHistories(Sound):
    def score(self, histories, candidates):
        return self.follows[[self.group[history[-1]] for history in histories]][
            :, self.group[candidates]
        ]


class FailsOnOneItem(Sound):
    def score(self, histories, candidates):
        scores = super().score(histories, candidates)
        return (scores - scores.min()) / (scores.max() - scores.min())  # 0 / 0 for one item


class BreaksTies(Sound):
    def score(self, histories, candidates):
        return super().score(histories, candidates) + candidates * 1e-9


class KnowsTheTargets(Sound):
    """A leak: it was handed what is held out."""

    def score(self, histories, candidates):
        scores = super().score(histories, candidates)
        targets = worlds.noise().split.test_targets
        scores[np.arange(len(histories)), targets[histories.users % len(targets)]] += 100
        return scores


class LearnsNothing(Sound):
    def score(self, histories, candidates):
        return np.zeros((len(histories), len(candidates)))


class CannotBePickled(Sound):
    def fit(self, data, context):
        super().fit(data, context)
        self.key = lambda: None


FAULTS = [
    (WrongShape, checks.scores_have_the_shape),
    (DependsOnTheBatch, checks.batching_does_not_matter),
    (DependsOnCandidateOrder, checks.candidate_order_does_not_matter),
    (WritesToItsInputs, checks.inputs_stay_untouched),
    (IgnoresTheSeed, checks.same_seed_gives_same_scores),
    (FailsOnEmptyHistories, checks.odd_histories_are_scored),
    (FailsOnOneItem, checks.one_item_catalogue_is_ranked),
    (BreaksTies, checks.identical_texts_tie_exactly),
    (KnowsTheTargets, checks.noise_stays_at_chance),
    (LearnsNothing, checks.a_cycle_is_learnt),
    (CannotBePickled, checks.a_pickled_copy_scores_the_same),
]


@pytest.mark.parametrize("check", checks.applicable(Sound), ids=lambda check: check.__name__)
def test_a_sound_method_passes(check):
    check(Sound, worlds.fitted)


@pytest.mark.parametrize(("faulty", "check"), FAULTS, ids=lambda value: value.__name__)
def test_the_fault_is_caught(faulty, check):
    with (
        np.errstate(all="ignore"),
        pytest.raises((AssertionError, MethodError, IndexError, ValueError, AttributeError)),
    ):
        check(faulty, worlds.fitted)


def test_every_clause_has_a_planted_fault():
    assert {check for _, check in FAULTS} == set(checks.applicable(Sound))
