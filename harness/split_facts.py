"""What a board's pages need of a split: who is in which slice, and some users to look at.

Published beside the records as ``split.json``, so that pages can be made and checked where the data
are not at hand. It holds indices only, never a raw id; and items' texts only of data whose card
says that they may be published (``redistributable``).
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.prepared import PreparedData
from harness.errors import DataError
from harness.files import write_text
from harness.slices import Slice, slices_of
from harness.splits import split_data, split_hash

FORMAT = 1
SPLIT_FILE = "split.json"
SAMPLED_USERS = 12
SHOWN_HISTORY = 10


@dataclass(frozen=True)
class SampledUser:
    """A test user whose recommendations a page shows.

    Attributes:
        user: index in the prepared data set.
        n_events: length of the test history.
        history: its last items, oldest first, up to `SHOWN_HISTORY`.
        target: the held-out item.
    """

    user: int
    n_events: int
    history: tuple[int, ...]
    target: int


@dataclass(frozen=True)
class SplitFacts:
    """See the module.

    Attributes:
        split_hash: of the split.
        n_users: of the split.
        n_items: of the catalogue.
        users: the sample, by rising index.
        slices: of all users, in the order of the prepared data set.
        texts: of every item, by index; None where they may not be published.
        n_all_users: of the data set, where only a sample is tested; None where all are.
    """

    split_hash: str
    n_users: int
    n_items: int
    users: tuple[SampledUser, ...]
    slices: tuple[Slice, ...]
    texts: tuple[str, ...] | None = None
    n_all_users: int | None = None


def split_facts(data: PreparedData) -> SplitFacts:
    """Return the facts of a prepared data set's split; the sample depends on its hash alone.

    Raises:
        DataError: a user has fewer than three events.
    """
    split = split_data(data)
    identity = split_hash(data.content_hash)
    n_users = len(split.test_targets)
    generator = np.random.default_rng(int(identity[:16], 16))
    rows = np.sort(generator.choice(n_users, size=min(SAMPLED_USERS, n_users), replace=False))
    users = tuple(
        SampledUser(
            user=int(split.test_histories.users[row]),
            n_events=len(split.test_histories[row]),
            history=tuple(split.test_histories[row][-SHOWN_HISTORY:].tolist()),
            target=int(split.test_targets[row]),
        )
        for row in rows.tolist()
    )
    texts = data.item_texts if data.card.redistributable else None
    n_all = len(data.sequences) if data.card.protocol.test_sample is not None else None
    return SplitFacts(identity, n_users, len(data.item_ids), users, slices_of(data), texts, n_all)


# ---- the file ------------------------------------------------------------------------------------


def write_split_facts(path: Path, facts: SplitFacts) -> None:
    """Write the facts as JSON, atomically; members of slices as packed bits in base64."""
    value: dict[str, Any] = {
        "format": FORMAT,
        "split_hash": facts.split_hash,
        "n_users": facts.n_users,
        "n_items": facts.n_items,
        "users": [
            {
                "user": user.user, "n_events": user.n_events, "history": list(user.history),
                "target": user.target,
            }
            for user in facts.users
        ],
        "slices": [
            {"name": part.name, "what": part.what, "members": _packed(part.members)}
            for part in facts.slices
        ],
    }  # fmt: skip
    if facts.texts is not None:
        value["texts"] = list(facts.texts)
    if facts.n_all_users is not None:
        value["n_all_users"] = facts.n_all_users
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_split_facts(path: Path, expected: str) -> SplitFacts:
    """Read the facts of a split.

    Args:
        path: the file.
        expected: the hash of the split that they must be of.

    Raises:
        DataError: missing, damaged, or of another split.
    """
    facts = _read(path)
    if facts.split_hash != expected:
        raise DataError(
            f"{path}: is of the split {facts.split_hash}, the records are of {expected}; delete it "
            "and publish again where the data are"
        )
    return facts


def split_of(path: Path) -> str:
    """Return the hash of the split whose facts a file holds.

    Raises:
        DataError: missing or damaged.
    """
    return _read(path).split_hash


def _read(path: Path) -> SplitFacts:
    try:
        return _facts(json.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, TypeError, KeyError, AttributeError, binascii.Error) as error:
        raise DataError(
            f"{path}: damaged ({type(error).__name__}: {error}); delete it and publish again where "
            "the data are"
        ) from error


def _facts(value: dict[str, Any]) -> SplitFacts:
    optional = tuple(name for name in ("texts", "n_all_users") if name in value)
    _check_keys(value, ("format", "split_hash", "n_users", "n_items", "users", "slices", *optional))
    if _whole(value["format"]) != FORMAT:
        raise ValueError(f"format {value['format']!r}, not {FORMAT}")
    n_users, n_items = _whole(value["n_users"]), _whole(value["n_items"])
    n_all_users = _whole(value["n_all_users"]) if "n_all_users" in value else None
    if n_all_users is not None and n_all_users < n_users:
        raise ValueError(f"{n_users} of {n_all_users} users are tested")
    bound = n_users if n_all_users is None else n_all_users
    users = tuple(_user(one, bound, n_items) for one in _list(value["users"]))
    slices = tuple(_slice(one, n_users) for one in _list(value["slices"]))
    if any(one.user >= two.user for one, two in pairwise(users)):
        raise ValueError("users are not by rising index")
    if len({part.name for part in slices}) < len(slices):
        raise ValueError("two slices have one name")
    texts = tuple(map(_text, _list(value["texts"]))) if "texts" in value else None
    if texts is not None and len(texts) != n_items:
        raise ValueError(f"{len(texts)} texts of {n_items} items")
    return SplitFacts(
        _text(value["split_hash"]), n_users, n_items, users, slices, texts, n_all_users
    )


def _user(value: dict[str, Any], n_users: int, n_items: int) -> SampledUser:
    _check_keys(value, ("user", "n_events", "history", "target"))
    history = tuple(_whole(item, n_items) for item in _list(value["history"]))
    n_events = _whole(value["n_events"])
    if len(history) != min(n_events, SHOWN_HISTORY) or not history:
        raise ValueError(f"{len(history)} items of a history of {n_events} events")
    user, target = _whole(value["user"], n_users), _whole(value["target"], n_items)
    return SampledUser(user, n_events, history, target)


def _slice(value: dict[str, Any], n_users: int) -> Slice:
    _check_keys(value, ("name", "what", "members"))
    packed = base64.b64decode(value["members"], validate=True)
    if len(packed) != -(-n_users // 8):
        raise ValueError(f"members of {value['name']!r} are not of {n_users} users")
    bits = np.unpackbits(np.frombuffer(packed, np.uint8))
    if bits[n_users:].any():
        raise ValueError(f"members of {value['name']!r} go beyond {n_users} users")
    return Slice(_text(value["name"]), _text(value["what"]), bits[:n_users].astype(np.bool_))


def _packed(members: NDArray[np.bool_]) -> str:
    return base64.b64encode(np.packbits(members).tobytes()).decode("ascii")


def _check_keys(value: dict[str, Any], names: tuple[str, ...]) -> None:
    if value.keys() != set(names):
        raise ValueError(f"parts {', '.join(sorted(value))}, not {', '.join(sorted(names))}")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _whole(value: Any, below: int | None = None) -> int:
    if type(value) is not int or value < 0 or (below is not None and value >= below):
        raise ValueError(f"{value!r} is no whole number from 0{f' below {below}' if below else ''}")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
