"""What pages need of a split: the sample, the slices, the file, and every damage to it."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import DataError
from harness.progress import Progress
from harness.slices import slices_of
from harness.split_facts import SAMPLED_USERS, read_split_facts, split_facts, write_split_facts
from harness.splits import leave_one_out, split_hash
from tests.toys import write_card


@pytest.fixture
def data(tmp_path):
    card = load_card(str(write_card(tmp_path / "data")))
    return prepare(card, tmp_path / "cache", Progress(shown=False))


def test_the_sample_is_drawn_by_the_splits_hash_and_holds_what_the_split_says(data):
    facts = split_facts(data)
    assert facts.users == split_facts(data).users
    assert len(facts.users) == SAMPLED_USERS
    assert [user.user for user in facts.users] == sorted({user.user for user in facts.users})
    split = leave_one_out(data.sequences)
    for user in facts.users:
        assert user.target == split.test_targets[user.user]
        history = split.test_histories[user.user]
        assert user.history == tuple(history[-10:].tolist())
        assert user.n_events == len(history)


def test_what_is_written_is_read_again(tmp_path, data):
    facts, path = split_facts(data), tmp_path / "split.json"
    write_split_facts(path, facts)
    found = read_split_facts(path, split_hash(data.content_hash))
    assert found.users == facts.users
    assert (found.split_hash, found.n_users, found.n_items) == (
        facts.split_hash, facts.n_users, facts.n_items,
    )  # fmt: skip
    for one, two, third in zip(found.slices, facts.slices, slices_of(data), strict=True):
        assert (one.name, one.what) == (two.name, two.what) == (third.name, third.what)
        assert np.array_equal(one.members, two.members)
        assert np.array_equal(one.members, third.members)


def test_the_file_holds_indices_only(tmp_path, data):
    path = tmp_path / "split.json"
    write_split_facts(path, split_facts(data))
    text = path.read_text()
    for secret in (*data.item_texts, *data.item_ids, *data.user_ids):
        assert f'"{secret}"' not in text


def _edited(**changes):
    return lambda value: {**value, **changes}


def _edited_user(**changes):
    """Return an edit of the first sampled user."""
    return lambda value: {
        **value, "users": [{**value["users"][0], **changes}, *value["users"][1:]]
    }  # fmt: skip


def _padding_set(value):
    """Return the facts with a bit set beyond the last user of the first slice."""
    first, *others = value["slices"]
    packed = bytearray(base64.b64decode(first["members"]))
    assert value["n_users"] % 8, "no bits are left over; give the toy another number of users"
    packed[-1] |= 1
    first = {**first, "members": base64.b64encode(bytes(packed)).decode()}
    return {**value, "slices": [first, *others]}


DAMAGE = {
    "true for the format": _edited(format=True),
    "a key of no meaning": _edited(more=1),
    "users that are no list": _edited(users={}),
    "users in another order": lambda value: {**value, "users": value["users"][::-1]},
    "a user twice": lambda value: {**value, "users": [value["users"][0], *value["users"]]},
    "a slice twice": lambda value: {**value, "slices": value["slices"] * 2},
    "an empty history": _edited_user(history=[], n_events=0),
    "more items than events": _edited_user(n_events=1, history=[0, 1]),
    "fewer items than events": _edited_user(n_events=9, history=[0, 1]),
    "members beyond the last user": _padding_set,
    "format": _edited(format=2),
    "no users": lambda value: {k: v for k, v in value.items() if k != "users"},
    "a list": lambda value: [value],
    "an item beyond the catalogue": _edited(n_items=1),
    "a user beyond the split": _edited(n_users=1),
    "members of other users": _edited(
        slices=[{"name": "a", "what": "b", "members": "AA=="}], n_users=99
    ),
    "members that are no base64": _edited(slices=[{"name": "a", "what": "b", "members": "é"}]),
    "a number for a name": _edited(slices=[{"name": 1, "what": "b", "members": "AAAAAA=="}]),
    "true for a number": _edited(n_items=True),
    "a negative number": _edited(n_items=-3),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_with_what_to_do(tmp_path, data, damage):
    path = tmp_path / "split.json"
    write_split_facts(path, split_facts(data))
    path.write_text(json.dumps(DAMAGE[damage](json.loads(path.read_text()))))
    with pytest.raises(DataError, match=r"split\.json: damaged .*publish again"):
        read_split_facts(path, split_hash(data.content_hash))


def test_another_split_and_no_file_at_all(tmp_path, data):
    path = tmp_path / "split.json"
    with pytest.raises(DataError, match="cannot be read"):
        read_split_facts(path, "0" * 64)
    write_split_facts(path, split_facts(data))
    with pytest.raises(DataError, match="the records are of 0000"):
        read_split_facts(path, "0" * 64)
    path.write_text("{")
    with pytest.raises(DataError, match="damaged"):
        read_split_facts(path, "0" * 64)
