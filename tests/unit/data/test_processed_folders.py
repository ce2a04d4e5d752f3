"""Folders that UniSRec's and Recformer's own scripts leave: what is read is what was split."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.data.card_files import write_card
from harness.data.card_writing import Description, from_recformer, from_unisrec
from harness.data.cards import load_card
from harness.data.prepare import build
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError
from harness.progress import Progress
from harness.splits import leave_one_out

Sequences = dict[str, list[str]]
DRAW = random.Random(7)
LENGTHS = (3, 4, 5, 8, 50, 51, 52, 53, 54, 103, 130)
SEQUENCES: Sequences = {
    f"u{n}": [f"i{DRAW.randrange(40)}" for _ in range(length)] for n, length in enumerate(LENGTHS)
}
FEW: Sequences = {"u": list("abcde"), "v": list("bca"), "w": list("ccc")}
HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"

Build = Callable[..., PreparedData]


def listed(data: PreparedData) -> Sequences:
    return {
        user: [data.item_ids[item] for item in items]
        for user, items in zip(data.user_ids, data.sequences, strict=True)
    }


def indices_of(sequences: Sequences) -> tuple[dict[str, str], dict[str, str]]:
    """Return an index for every user and item, as a text, numbered as they come."""
    users = {user: str(n) for n, user in enumerate(sequences)}
    items = dict.fromkeys(item for items in sequences.values() for item in items)
    return users, {item: str(n) for n, item in enumerate(items)}


# ---- UniSRec -------------------------------------------------------------------------------------


def write_unisrec(
    folder: Path,
    sequences: Sequences = FEW,
    *,
    width: int = 50,
    ascending: bool = False,
    indexed: bool = True,
    users_apart: bool = True,
) -> None:
    """Write the three files of a leave-one-out split, and those of the indices."""
    folder.mkdir(exist_ok=True)
    users, items = indices_of(sequences)
    if not indexed:
        users, items = {user: user for user in users}, {item: item for item in items}
    train, validation, test = [], [], []
    for user, raw_items in sequences.items():
        tokens = [items[item] for item in raw_items]

        def line(n: int, user: str = users[user], tokens: list[str] = tokens) -> str:
            return f"{user}\t{' '.join(tokens[:n][-width:])}\t{tokens[n]}\n"

        targets = range(len(tokens) - 3, 0, -1)
        train.append([line(n) for n in (reversed(targets) if ascending else targets)])
        validation.append(line(len(tokens) - 2))
        test.append(line(len(tokens) - 1))
    if users_apart:
        lines = [line for part in train for line in part]
    else:  # one line of each user in turn
        longest = max(map(len, train))
        lines = [part[n] for n in range(longest) for part in train if n < len(part)]
    for part, content in (("train", lines), ("valid", validation), ("test", test)):
        path = folder / f"books.{part}.inter"
        path.write_text(HEADER + "".join(content), encoding="utf-8")
    if indexed:
        for kind, pairs in (("user", users), ("item", items)):
            text = "".join(f"{raw}\t{index}\n" for raw, index in pairs.items())
            (folder / f"books.{kind}2index").write_text(text, encoding="utf-8")


@pytest.fixture
def unisrec(tmp_path: Path, silent: Progress) -> Build:
    """Build what the folder ``books`` holds."""

    def run(items: str | None = None, fault_limit: int = 0, **said: Any) -> PreparedData:
        described = Description("books", **said)
        card = from_unisrec(described, tmp_path / "books", items and tmp_path / "books" / items)
        card["source"]["fault_limit"] = fault_limit
        (tmp_path / "books.toml").unlink(missing_ok=True)
        write_card(card, tmp_path / "books.toml")
        return build(load_card(str(tmp_path / "books.toml")), silent)

    return run


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"indexed": False},
        {"ascending": True},
        {"users_apart": False},
        {"ascending": True, "users_apart": False},
        {"width": 1_000},
        {"width": 3},
        {"width": 2, "ascending": True},
    ],
    ids=str,
)
def test_a_unisrec_folder_gives_its_sequences_back(
    unisrec: Build, tmp_path: Path, options: dict[str, Any]
) -> None:
    write_unisrec(tmp_path / "books", SEQUENCES, **options)
    data = unisrec()
    assert listed(data) == SEQUENCES
    assert data.item_ids == tuple(sorted({i for items in SEQUENCES.values() for i in items}))
    assert data.counts["events_read"] == sum(LENGTHS)
    assert data.sequences.timestamps is None
    assert data.item_texts == ("",) * len(data.item_ids)
    split = leave_one_out(data.sequences)
    assert [data.item_ids[item] for item in split.test_targets] == [
        SEQUENCES[user][-1] for user in data.user_ids
    ]


def test_without_index_files_indices_are_the_ids(unisrec: Build, tmp_path: Path) -> None:
    write_unisrec(tmp_path / "books")
    for kind in ("user", "item"):
        (tmp_path / "books" / f"books.{kind}2index").unlink()
    assert listed(unisrec()) == {"0": list("01234"), "1": list("120"), "2": list("222")}


def test_users_whose_training_part_is_one_item(unisrec: Build, tmp_path: Path) -> None:
    short = {"u": list("abc"), "v": list("bbb")}
    write_unisrec(tmp_path / "books", short)
    assert (tmp_path / "books" / "books.train.inter").read_text() == HEADER
    assert listed(unisrec()) == short


def edit(path: Path, former: str, now: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count(former) == 1
    path.write_text(text.replace(former, now), encoding="utf-8")


# u: a b c d e are 0 1 2 3 4
TAMPERED = {
    "another history": ("train", "0\t0 1\t2\n", "0\t1 1\t2\n", "line 2: the history of user '0'"),
    "another first item": ("train", "0\t0\t1\n", "0\t3\t1\n", "line 2: the history of user '0'"),
    "another target": ("train", "0\t0\t1\n", "0\t0\t3\n", "line 2: the history of user '0'"),
    "the longest prefix is missing": ("train", "0\t0 1\t2\n", "", "line 2: the history of user"),
    "the first prefix is missing": ("train", "0\t0\t1\n", "", "line 2: the history of user '0'"),
    "all prefixes are missing": (
        "train",
        "0\t0 1\t2\n0\t0\t1\n",
        "",
        "valid.inter, line 2: the history of user '0'",
    ),
    "a history cut more than others": (
        "test",
        "0\t0 1 2 3\t4\n",
        "0\t2 3\t4\n",
        "test.inter, line 2: the history of user '0'",
    ),
    "another validation history": ("valid", "0\t0 1 2\t3\n", "0\t0 2 1\t3\n", "line 2: the hist"),
    "another validation item": (
        "valid",
        "0\t0 1 2\t3\n",
        "0\t0 1 2\t4\n",
        "test.inter, line 2: the history of user '0'",
    ),
    "no validation item": (
        "valid",
        "0\t0 1 2\t3\n",
        "",
        "valid.inter: user '0' is absent, but held out in another file",
    ),
    "no test item": ("test", "0\t0 1 2 3\t4\n", "", "test.inter: user '0' is absent, but held"),
    "two test lines": (
        "test",
        "0\t0 1 2 3\t4\n",
        "0\t0 1 2 3\t4\n0\t0 1 2 3 4\t1\n",
        "test.inter, line 3: user '0' has line 2 already",
    ),
    "two validation lines": (
        "valid",
        "0\t0 1 2\t3\n",
        "0\t0 1 2\t3\n0\t0 1 2\t3\n",
        "valid.inter, line 3: user '0' has line 2 already",
    ),
    "an empty history": ("test", "0\t0 1 2 3\t4\n", "0\t\t4\n", "line 2: the history is empty"),
    "no target": ("test", "0\t0 1 2 3\t4\n", "0\t0 1 2 3\t\n", "line 2: 'item_id' is empty"),
    "a cell too many": ("test", "3\t4\n", "3\t4\t4\n", "expected 3 tab-separated columns, found 4"),
    "another header": (
        "train",
        "item_id_list:token_seq",
        "item_ids:token_seq",
        "no column 'item_id_list', which the card names",
    ),
    "an unknown item": ("test", "0\t0 1 2 3\t4\n", "0\t0 1 2 3\t9\n", "index '9', which occurs"),
}


@pytest.mark.parametrize("what", TAMPERED)
def test_a_unisrec_folder_that_contradicts_itself(
    unisrec: Build, tmp_path: Path, what: str
) -> None:
    part, former, now, message = TAMPERED[what]
    write_unisrec(tmp_path / "books")
    assert listed(unisrec()) == FEW
    edit(tmp_path / "books" / f"books.{part}.inter", former, now)
    with pytest.raises(DataError) as caught:
        unisrec()
    assert message in str(caught.value)
    assert str(tmp_path / "books") in str(caught.value)


def test_a_user_for_training_alone_must_be_too_short_for_a_split(
    unisrec: Build, tmp_path: Path
) -> None:
    write_unisrec(tmp_path / "books")
    path = tmp_path / "books" / "books.train.inter"
    former = path.read_text(encoding="utf-8")
    path.write_text(f"{former}2\t0\t1\n")  # w has one item for training
    with pytest.raises(DataError, match=r"valid\.inter, line 4: the history of user '2'"):
        unisrec()
    (tmp_path / "books" / "books.user2index").open("a").write("x\t3\n")
    path.write_text(f"{former}3\t0\t1\n")
    assert listed(unisrec()) == FEW  # the filter drops who has two
    path.write_text(f"{former}3\t0 1\t2\n3\t0\t1\n")
    with pytest.raises(DataError, match=r"test\.inter: user '3' is absent, but has 3 events"):
        unisrec()


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("a\t0\nb\t0\n", "'a' and 'b' have the same index '0'"),
        ("a\t0\na\t1\n", "'a' has two indices, '0' and '1'"),
        ("a\t0\nb\t1\n", "no raw id has the index '2', which occurs"),
        ("a 0\n", "line 1: expected a raw id, a tab and an index, found 1 cells"),
        ("a\t0\t0\n", "line 1: expected a raw id, a tab and an index, found 3 cells"),
        ("a\t\n", "line 1: 'index' is empty"),
        ("\t0\n", "line 1: 'raw id' is empty"),
    ],
)
@pytest.mark.parametrize("kind", ["user", "item"])
def test_index_files_that_cannot_be(
    unisrec: Build, tmp_path: Path, kind: str, index: str, message: str
) -> None:
    write_unisrec(tmp_path / "books")
    (tmp_path / "books" / f"books.{kind}2index").write_text(index)
    with pytest.raises(DataError, match=rf"books\.{kind}2index.*{message}"):
        unisrec(fault_limit=9)


TEXTS = {"a": "A tale. Of  two", "b": "Bees: 12 lessons", "c": "C", "e": "Eels", "z": "Zoo"}
READ = ("A tale. Of two", "Bees: 12 lessons", "C", "Unknown", "Eels")


def write_texts(path: Path, names: dict[str, str]) -> None:
    lines = [f"{names[item]}\t{text}\n" for item, text in TEXTS.items() if item in names]
    path.write_text("item_id:token\ttext:token_seq\n" + "".join(lines), encoding="utf-8")


@pytest.mark.parametrize("by", ["raw id", "index"])
def test_ready_texts_are_taken_as_they_stand(unisrec: Build, tmp_path: Path, by: str) -> None:
    write_unisrec(tmp_path / "books")
    names = indices_of(FEW)[1] if by == "index" else {item: item for item in TEXTS}
    write_texts(tmp_path / "books" / "books.text", names)
    data = unisrec()
    assert data.item_ids == tuple("abcde")
    assert data.item_texts == READ
    assert data.counts["items_without_text"] == 1


@pytest.mark.parametrize("by", ["raw id", "index"])
def test_numbers_as_raw_ids_are_not_taken_for_indices(
    unisrec: Build, tmp_path: Path, by: str
) -> None:
    raw = dict(zip("abcde", ["3", "7", "2", "0", "5"], strict=True))
    sequences = {user: [raw[item] for item in items] for user, items in FEW.items()}
    write_unisrec(tmp_path / "books", sequences)
    indices = indices_of(sequences)[1]
    names = {item: indices[raw[item]] if by == "index" else raw[item] for item in "abce"}
    write_texts(tmp_path / "books" / "books.text", names)
    data = unisrec()
    assert listed(data) == sequences
    texts = dict(zip("abcde", READ, strict=True))
    assert dict(zip(data.item_ids, data.item_texts, strict=True)) == {
        raw[item]: texts[item] for item in raw
    }


def test_texts_from_json_lines(unisrec: Build, tmp_path: Path) -> None:
    write_unisrec(tmp_path / "books")
    rows = [
        {"asin": "a", "title": "Alpha &amp; more", "brand": "X", "category": ["One", "Two"]},
        {"asin": "q", "title": "occurs nowhere", "brand": "Y", "category": []},
        {"asin": "b", "title": "Beta", "price": "$1"},
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "books" / "meta.json").write_text(content)
    data = unisrec("meta.json", text_fields=("title", "category", "brand"))
    assert data.item_texts[:3] == (
        "Title: Alpha & more. Category: One Two. Brand: X.",
        "Title: Beta. Category: Unknown. Brand: Unknown.",
        "Title: Unknown. Category: Unknown. Brand: Unknown.",
    )
    (tmp_path / "books" / "meta.jsonl").write_text(content.replace("asin", "item"))
    assert unisrec("meta.jsonl", text_fields=("title",)).item_texts[1] == "Title: Beta."


def test_a_faulty_line_of_texts_is_counted_once(unisrec: Build, tmp_path: Path) -> None:
    write_unisrec(tmp_path / "books")
    path = tmp_path / "books" / "books.text"
    write_texts(path, {item: item for item in TEXTS})
    path.write_bytes(path.read_bytes() + b"d\t\xff\nd\n")
    with pytest.raises(DataError, match=r"books\.text, line 7: not UTF-8"):
        unisrec()
    data = unisrec(fault_limit=2)
    assert data.counts["faulty_lines"] == 2
    assert data.item_texts == READ


# ---- Recformer -----------------------------------------------------------------------------------

TOO_SHORT: Sequences = {"x": ["a", "q"], "y": ["r"]}
META: dict[str, dict[str, Any]] = {
    "a": {"title": "Alpha &amp; more", "brand": "X", "category": "One Two"},
    "b": {"title": "Beta", "brand": "", "category": "One"},
    "c": {"title": "Gamma", "brand": "Y", "category": ["Three", "Four"]},
    "i0": {"title": "The first of the long sequences", "brand": "I", "category": "None"},
    "z": {"title": "occurs nowhere", "brand": "Z", "category": "None"},
}


def write_recformer(
    folder: Path, sequences: Sequences = FEW, short: Sequences = TOO_SHORT, *, users: bool = True
) -> None:
    folder.mkdir(exist_ok=True)
    user_indices, item_indices = indices_of(sequences | short)
    parts: dict[str, dict[str, list[int]]] = {"train": {}, "val": {}, "test": {}}
    for user, items in (sequences | short).items():
        index, numbers = user_indices[user], [int(item_indices[item]) for item in items]
        if user in short:
            parts["train"][index] = numbers
            continue
        parts["train"][index] = numbers[:-2]
        parts["val"][index] = numbers[-2:-1]
        parts["test"][index] = numbers[-1:]
    contents: dict[str, Any] = {
        **parts,
        "smap": {item: int(index) for item, index in item_indices.items()},
        "meta_data": META,
    }
    if users:
        contents["umap"] = {user: int(index) for user, index in user_indices.items()}
    for name, content in contents.items():
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")


@pytest.fixture
def recformer(tmp_path: Path, silent: Progress) -> Build:
    """Build what the folder ``books`` holds."""

    def run(fault_limit: int = 0, **said: Any) -> PreparedData:
        card = from_recformer(Description("books", **said), tmp_path / "books")
        card["source"]["fault_limit"] = fault_limit
        (tmp_path / "books.toml").unlink(missing_ok=True)
        write_card(card, tmp_path / "books.toml")
        return build(load_card(str(tmp_path / "books.toml")), silent)

    return run


def test_a_recformer_folder_gives_its_sequences_back(recformer: Build, tmp_path: Path) -> None:
    write_recformer(tmp_path / "books", SEQUENCES)
    data = recformer()
    assert listed(data) == SEQUENCES
    assert data.counts["users_dropped"] == 2
    assert data.counts["events_read"] == sum(LENGTHS) + 3
    assert not {"q", "r", "z"} & set(data.item_ids)  # of dropped users, and of nobody


def test_without_umap_indices_name_the_users(recformer: Build, tmp_path: Path) -> None:
    write_recformer(tmp_path / "books", users=False)
    assert list(listed(recformer())) == ["0", "1", "2"]


def test_texts_from_meta_data(recformer: Build, tmp_path: Path) -> None:
    write_recformer(tmp_path / "books")
    data = recformer()
    assert data.item_ids == tuple("abcde")
    assert data.item_texts == (
        "Title: Alpha & more. Brand: X. Category: One Two.",
        "Title: Beta. Brand: Unknown. Category: One.",
        "Title: Gamma. Brand: Y. Category: Three Four.",
        "Title: Unknown. Brand: Unknown. Category: Unknown.",
        "Title: Unknown. Brand: Unknown. Category: Unknown.",
    )
    assert data.counts["items_without_text"] == 2
    assert recformer(text_fields=("brand",)).item_texts[0] == "Brand: X."


def change(path: Path, user: str, value: Any) -> None:
    content = json.loads(path.read_text())
    if value is ...:
        del content[user]
    else:
        content[user] = value
    path.write_text(json.dumps(content))


WRONG_USERS = {
    "two items": ("val", "0", [3, 4], "user '0': must have one item here, found 2"),
    "no item": ("test", "0", [], "user '0': must have one item here, found 0"),
    "an item alone": ("test", "0", 4, "user '0': must have a list of item indices, found int"),
    "a text": ("train", "0", "012", "user '0': must have a list of item indices, found str"),
    "indices as texts": ("train", "0", [0, "1"], "must have item indices only, found str '1'"),
    "a truth": ("test", "0", [True], "must have item indices only, found bool True"),
    "an unknown item": ("train", "0", [0, 99], "no raw id has the item index 99"),
}


@pytest.mark.parametrize("what", WRONG_USERS)
def test_a_wrong_user_is_named_and_left_out_as_a_whole(
    recformer: Build, tmp_path: Path, what: str
) -> None:
    name, user, value, message = WRONG_USERS[what]
    write_recformer(tmp_path / "books")
    change(tmp_path / "books" / f"{name}.json", user, value)
    with pytest.raises(DataError) as caught:
        recformer()
    assert f"{name}.json, user" in str(caught.value)
    assert message in str(caught.value)
    data = recformer(fault_limit=1)
    assert listed(data) == {user: items for user, items in FEW.items() if user != "u"}
    assert data.counts["faulty_lines"] == 1


@pytest.mark.parametrize(
    ("name", "user", "value", "message"),
    [
        ("val", "0", ..., r"val\.json: user '0' is absent, but held out in another file"),
        ("test", "0", ..., r"test\.json: user '0' is absent, but held out in another file"),
        ("train", "0", ..., r"train\.json: user '0' is absent, but held out in another file"),
        ("train", "3", [0, 1, 2], r"test\.json: user '3' is absent, but has 3 events for train"),
        ("train", "9", [0, 1], r"umap\.json: no raw id has the index '9', which occurs"),
        ("smap", "a", 1, r"smap\.json: 'a' and 'b' have the same index '1'"),
        ("umap", "u", 1, r"umap\.json: 'u' and 'v' have the same index '1'"),
    ],
)
def test_a_recformer_folder_that_contradicts_itself(
    recformer: Build, tmp_path: Path, name: str, user: str, value: Any, message: str
) -> None:
    write_recformer(tmp_path / "books")
    change(tmp_path / "books" / f"{name}.json", user, value)
    with pytest.raises(DataError, match=message):
        recformer(fault_limit=9)


@pytest.mark.parametrize("name", ["train", "val", "test", "smap", "umap", "meta_data"])
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'{"0": [1', "not valid JSON"),
        (b"", "not valid JSON"),
        (b'{"\xff": 1}', "not valid JSON"),
        (b"[[1, 2]]", "must hold one JSON object, found list"),
        (b'{"0": [1], "1": [2], "0": [3]}', "not valid JSON: the key '0' stands twice"),
    ],
)
def test_a_recformer_file_that_is_none(
    recformer: Build, tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    write_recformer(tmp_path / "books")
    (tmp_path / "books" / f"{name}.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"{name}\.json: {message}"):
        recformer()


def test_wrong_meta_data_of_one_item(recformer: Build, tmp_path: Path) -> None:
    write_recformer(tmp_path / "books")
    for value, message in (
        (["Alpha"], r"meta_data\.json, item 'a': must be an object, found list"),
        ({**META["a"], "brand": {}}, r"item 'a': 'brand' must be text, a number or a list"),
    ):
        change(tmp_path / "books" / "meta_data.json", "a", value)
        with pytest.raises(DataError, match=message):
            recformer()
        assert recformer(fault_limit=1).item_texts[0].startswith("Title: Unknown.")


# ---- what a folder must have ---------------------------------------------------------------------


def missing(write: Callable[[Path], None], names: Sequence[str]) -> list[Any]:
    return [pytest.param(write, name, id=name) for name in names]


@pytest.mark.parametrize(
    ("write", "name"),
    [
        *missing(write_unisrec, [f"books.{part}.inter" for part in ("train", "valid", "test")]),
        *missing(write_recformer, ["train.json", "val.json", "test.json", "smap.json"]),
        *missing(write_recformer, ["meta_data.json"]),
    ],
)
def test_a_file_that_is_not_there(tmp_path: Path, write: Callable[[Path], None], name: str) -> None:
    write(tmp_path / "books")
    (tmp_path / "books" / name).unlink()
    with pytest.raises(DataError) as caught:
        if name.endswith(".inter"):
            from_unisrec(Description("books"), tmp_path / "books", None)
        else:
            from_recformer(Description("books"), tmp_path / "books")
    assert name.removeprefix("books") in str(caught.value)


def test_processed_folders_have_nothing_to_tell_duplicates_by(
    recformer: Build, unisrec: Build, tmp_path: Path
) -> None:
    for write, run in ((write_recformer, recformer), (write_unisrec, unisrec)):
        write(tmp_path / "books")
        with pytest.raises(UsageError, match="no text and no rating and no time"):
            run(dedup="consecutive")
