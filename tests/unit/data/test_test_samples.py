"""A test of a sample of users: who they are, what they change and what they leave as it is."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.data.variants import variant
from harness.errors import DataError
from harness.progress import Progress
from harness.slices import slices_of
from harness.splits import leave_one_out, split_data, split_hash

SMALL = Path(__file__).parents[2] / "end_to_end" / "ml-100k-small.toml"


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> tuple:
    """The data set whole, and its variant with twenty test users."""
    card, cache = load_card(str(SMALL)), tmp_path_factory.mktemp("cache")
    silent = Progress(shown=False)
    return tuple(prepare(one, cache, silent) for one in (card, variant(card, test_users=20)))


def test_the_sample_is_tested_and_all_are_trained_on(both: tuple) -> None:
    whole, sampled = (split_data(data) for data in both)
    assert len(sampled.test_targets) == len(sampled.test_histories) == 20
    np.testing.assert_array_equal(sampled.train.items, whole.train.items)
    np.testing.assert_array_equal(sampled.validation_targets, whole.validation_targets)
    rows = [whole.test_histories.users.tolist().index(u) for u in sampled.test_histories.users]
    assert rows == sorted(set(rows))
    np.testing.assert_array_equal(sampled.test_targets, whole.test_targets[rows])
    for row, history in zip(rows, sampled.test_histories, strict=True):
        np.testing.assert_array_equal(history, whole.test_histories[row])


def test_it_is_the_same_in_every_call_and_has_a_name_and_a_hash_of_its_own(both: tuple) -> None:
    whole, sampled = both
    again = split_data(sampled).test_histories.users
    np.testing.assert_array_equal(split_data(sampled).test_histories.users, again)
    assert sampled.card.name == f"{whole.card.name}-test-20"
    assert split_hash(sampled.content_hash) != split_hash(whole.content_hash)
    assert "test_sample" not in whole.card.protocol.facts()
    assert sampled.card.protocol.facts()["test_sample"]["count"] == 20


def test_more_users_than_there_are_means_all(both: tuple) -> None:
    data = both[0]
    many = dataclasses.replace(data, card=variant(data.card, test_users=10**6))
    np.testing.assert_array_equal(
        split_data(many).test_targets, leave_one_out(data.sequences).test_targets
    )


def test_slices_are_of_the_tested_users(both: tuple) -> None:
    whole, sampled = (slices_of(data) for data in both)
    assert [one.name for one in whole] == [one.name for one in sampled]
    assert {len(one.members) for one in sampled} == {20}


def test_files_from_elsewhere_are_refused(both: tuple) -> None:
    from harness.external.held_out import HeldOut

    with pytest.raises(DataError, match="leave out --test-users"):
        HeldOut.of(both[1])


def test_facts_of_the_split_are_kept_and_users_beyond_the_data_set_are_refused(
    both: tuple, tmp_path: Path
) -> None:
    from harness.split_facts import read_split_facts, split_facts, write_split_facts

    data, path = both[1], tmp_path / "split.json"
    facts = split_facts(data)
    write_split_facts(path, facts)
    found = read_split_facts(path, facts.split_hash)
    assert (found.users, found.n_users) == (facts.users, 20)
    assert found.n_all_users == len(data.sequences)
    # one of the tested users' indices goes beyond their number
    assert max(user.user for user in found.users) >= 20
    for n_all in (found.users[-1].user, 19):
        write_split_facts(path, dataclasses.replace(facts, n_all_users=n_all))
        with pytest.raises(DataError, match="damaged"):
            read_split_facts(path, facts.split_hash)
