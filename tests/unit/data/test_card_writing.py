from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from harness.data.card_files import planned_card, write_card
from harness.data.card_writing import (
    Description,
    from_recbole,
    from_tables,
    from_unisrec,
)
from harness.data.cards import load_card
from harness.data.prepare import build
from harness.data.sources import find_sources
from harness.errors import DataError, UsageError
from harness.files import sha256_file
from harness.progress import Progress

INTERACTIONS = "user_id,asin,when\nu,a,1\nu,b,2\nu,c,3\nu,a,4\nu,b,5\n"
ITEMS = "asin,title,brand,year,blurb\na,Apple,X,1990,long\nb,Bee,Y,1991,long\nc,Cat,Z,1992,long\n"


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """A table of interactions and one of items, in two folders."""
    interactions, items = tmp_path / "log" / "events.csv", tmp_path / "shop" / "items.csv"
    for path, text in ((interactions, INTERACTIONS), (items, ITEMS)):
        path.parent.mkdir()
        path.write_text(text)
    return interactions, items


def written(card: dict[str, Any], folder: Path) -> Path:
    path = folder / f"{card['name']}.toml"
    write_card(card, path)
    return path


def test_what_is_guessed(tables: tuple[Path, Path]) -> None:
    card = from_tables(Description("shop", columns={"time": "when"}), *tables)
    assert card["source"]["fields"] == {"user": "user_id", "item": "asin", "time": "when"}
    assert card["text"]["items_without_text"] == "unknown"
    assert [entry["field"] for entry in card["text"]["attributes"]] == ["title", "brand"]
    assert [entry["label"] for entry in card["text"]["attributes"]] == ["Title", "Brand"]
    assert [entry["words"] for entry in card["text"]["attributes"]] == [25, 15]
    assert card["protocol"] == {
        "dedup": "none",
        "min_user_events": 5,
        "split": "leave-one-out",
    }
    assert card["title"] == "shop"
    assert card["licence"] == "not stated"
    assert card["redistributable"] is False


def test_what_is_said_wins(tables: tuple[Path, Path]) -> None:
    said = Description(
        "shop",
        title="My shop",
        licence="mine",
        verb="eaten",
        columns={"user": "asin", "item": "user_id"},
        text_fields=("blurb", "year"),
        min_user_events=3,
        dedup="none",
        time_unit="ms",
    )
    items = tables[1]
    items.write_text(items.read_text().replace("asin", "user_id"))
    card = from_tables(said, *tables)
    assert (card["title"], card["licence"], card["verb"]) == ("My shop", "mine", "eaten")
    assert card["source"]["fields"] == {"user": "asin", "item": "user_id"}
    assert card["source"]["time_unit"] == "ms"
    assert [entry["field"] for entry in card["text"]["attributes"]] == ["blurb", "year"]
    assert card["protocol"]["min_user_events"] == 3


def test_the_card_names_files_wherever_they_lie(
    tables: tuple[Path, Path], tmp_path: Path, silent: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # named from here, found from anywhere
    relative = [path.relative_to(tmp_path) for path in tables]
    card = from_tables(Description("shop", columns={"time": "when"}), *relative)
    (tmp_path / "cards").mkdir()
    path = written(card, tmp_path / "cards")
    monkeypatch.chdir("/")
    loaded = load_card(str(path))
    assert find_sources(loaded) == {"events": tables[0], "items": tables[1]}
    for role, file in zip(("events", "items"), tables, strict=True):
        assert loaded.source.files[role].sha256 == sha256_file(file)
    data = build(loaded, silent)
    assert [data.item_ids[item] for item in data.sequences[0]] == ["a", "b", "c", "a", "b"]
    assert data.item_texts[0] == "Title: Apple. Brand: X."


def test_a_changed_file_is_not_the_one_that_was_imported(
    tables: tuple[Path, Path], tmp_path: Path, silent: Progress
) -> None:
    path = written(from_tables(Description("shop"), *tables), tmp_path)
    tables[0].write_text(INTERACTIONS.replace("u,a,1", "u,a,9"))
    with pytest.raises(DataError, match="is not the file its card means"):
        build(load_card(str(path)), silent)


@pytest.mark.parametrize(
    ("head", "dedup"),
    [
        ("user,item", "none"),
        ("user,item,time", "none"),
        ("user,item,time,rating", "none"),
        ("user,item,time,rating,review", "consecutive"),
        ("reviewerID,asin,unixReviewTime,overall,reviewText", "consecutive"),
        ("USER_ID,ITEM_ID,Timestamp,Rating,Review_Text", "consecutive"),
    ],
)
def test_dedup_where_there_is_all_that_tells_duplicates(
    tmp_path: Path, head: str, dedup: str
) -> None:
    (tmp_path / "events.csv").write_text(head + "\n")
    card = from_tables(Description("shop"), tmp_path / "events.csv", None)
    assert card["protocol"]["dedup"] == dedup
    assert list(card["source"]["fields"].values()) == [
        name for name in head.split(",") if name in card["source"]["fields"].values()
    ]
    assert len(card["source"]["fields"]) == len(head.split(","))
    assert "text" not in card


@pytest.mark.parametrize(
    ("time", "said", "unit"),
    [
        ("1396867869", None, None),
        ("1396867869277", None, None),  # a fault that names the option, where it is read
        ("1396867869277", "ms", "ms"),
        ("2014-04-07T10:51:09.277", None, "ms"),
        ("2014-04-07", None, "ms"),
        ("2014-04-07T10:51:09.277", "s", None),
        ("", None, None),
    ],
)
def test_the_unit_of_time(tmp_path: Path, time: str, said: str | None, unit: str | None) -> None:
    (tmp_path / "events.csv").write_text(f"user,item,time\nu,a,{time}\n")
    card = from_tables(Description("shop", time_unit=said), tmp_path / "events.csv", None)
    assert card["source"].get("time_unit") == unit


def test_a_text_column_is_taken_as_it_stands_where_there_is_no_other(
    tables: tuple[Path, Path],
) -> None:
    tables[1].write_text("asin,Text\na,An apple.\n")
    assert from_tables(Description("shop"), *tables)["text"] == {
        "items_without_text": "unknown",
        "verbatim": "Text",
    }
    tables[1].write_text(ITEMS)
    said = Description("shop", ready_text="blurb")
    assert from_tables(said, *tables)["text"]["verbatim"] == "blurb"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"columns": {"user": "usr_id"}}, "has no column 'usr_id': did you mean 'user_id'?"),
        ({"columns": {"time": "where"}}, "has no column 'where': did you mean 'when'?"),
        ({"columns": {"item": "user_id"}}, "the items have no column 'user_id', by which"),
        ({"text_fields": ("titel",)}, "the items have no column 'titel': did you mean 'title'?"),
        ({"ready_text": "blurp"}, "the items have no column 'blurp': did you mean 'blurb'?"),
    ],
)
def test_a_column_that_is_not_there(
    tables: tuple[Path, Path], said: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        from_tables(Description("shop", **said), *tables)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("customer,asin", "which column is the user? Say --user-column; there are customer, asin"),
        ("user,thing", "which column is the item? Say --item-column; there are user, thing"),
    ],
)
def test_a_column_that_cannot_be_guessed(tmp_path: Path, head: str, message: str) -> None:
    (tmp_path / "events.csv").write_text(head + "\n")
    with pytest.raises(UsageError) as caught:
        from_tables(Description("shop"), tmp_path / "events.csv", None)
    assert message in str(caught.value)


def test_a_text_that_cannot_be_guessed_or_has_no_file(tables: tuple[Path, Path]) -> None:
    tables[1].write_text("asin,colour\na,red\n")
    with pytest.raises(UsageError, match=r"Say --text A,B .* there are asin, colour"):
        from_tables(Description("shop"), *tables)
    for said in ({"text_fields": ("title",)}, {"ready_text": "title"}):
        with pytest.raises(UsageError, match=r"which file holds the items.*Say --items"):
            from_tables(Description("shop", **said), tables[0], None)


def test_a_file_that_is_not_there(tables: tuple[Path, Path], tmp_path: Path) -> None:
    for files in ((tmp_path / "no.csv", tables[1]), (tables[0], tmp_path / "no.csv")):
        with pytest.raises(DataError, match=r"no such file: .*no\.csv"):
            from_tables(Description("shop"), *files)


def write_atomic(folder: Path, name: str = "films") -> None:
    folder.mkdir(exist_ok=True)
    events = "user_id:token\titem_id:token\trating:float\ttimestamp:float\nu\ta\t5\t1\n"
    (folder / f"{name}.inter").write_text(events)
    (folder / f"{name}.item").write_text("item_id:token\tmovie_title:token_seq\na\tAlien\n")
    (folder / f"{name}.train.inter").write_text("not looked at")


def test_a_folder_of_atomic_files(tmp_path: Path) -> None:
    write_atomic(tmp_path / "films")
    said = Description("films", text_fields=("movie_title",))
    card = from_recbole(said, tmp_path / "films")
    assert card["source"]["kind"] == "recbole-atomic"
    assert card["source"]["fields"] == {
        "user": "user_id",
        "item": "item_id",
        "time": "timestamp",
        "rating": "rating",
    }
    assert card["text"]["attributes"] == [
        {"label": "Movie title", "field": "movie_title", "words": 25, "cleaning": "html"}
    ]
    assert card["protocol"]["dedup"] == "none"
    assert load_card(str(written(card, tmp_path))).source.files["items"].path == "films.item"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "films.inter").unlink(), "expected one file *.inter, found none"),
        (lambda folder: write_atomic(folder, "more"), "found films.inter, more.inter"),
        (lambda folder: (folder / "films.item").unlink(), "no such file: "),
        (lambda folder: (folder / "films.inter").write_text(""), "the file is empty"),
        (lambda folder: (folder / "films.item").write_text("item_id\n"), "must be name:type"),
    ],
)
def test_a_folder_that_is_no_such_folder(tmp_path: Path, change: Any, message: str) -> None:
    write_atomic(tmp_path / "films")
    change(tmp_path / "films")
    with pytest.raises(DataError) as caught:
        from_recbole(Description("films"), tmp_path / "films")
    assert message in str(caught.value)
    assert str(tmp_path / "films") in str(caught.value)


def test_two_processed_data_sets_in_one_folder(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.train.inter").write_text("")
    with pytest.raises(DataError, match=r"found one\.train\.inter, two\.train\.inter"):
        from_unisrec(Description("books"), tmp_path, None)


# ---- the card's file -----------------------------------------------------------------------------


def test_a_card_is_written_once_and_never_over_another(
    tables: tuple[Path, Path], tmp_path: Path
) -> None:
    card = from_tables(Description("shop"), *tables)
    path = written(card, tmp_path)
    there = tomllib.loads(path.read_text())
    assert there["source"].pop("folder_default") == "."
    assert Path(card["source"].pop("folder_default")) == tmp_path
    assert there == card
    before = path.read_bytes()
    written(from_tables(Description("shop"), *tables), tmp_path)  # the same again is no fault
    changed = from_tables(Description("shop", title="Other"), *tables)
    for action in (planned_card, write_card):
        with pytest.raises(UsageError, match=r"shop\.toml stands there already.*--card FILE"):
            action(changed, path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("said", "file", "message"),
    [
        ({"name": "Shop"}, "Shop.toml", "may hold a-z, 0-9, dot, dash, underscore only"),
        ({"name": "a/b"}, "b.toml", "may hold a-z, 0-9, dot, dash, underscore only"),
        ({"name": "shop"}, "store.toml", "so the file must be shop.toml: rename either"),
        ({"name": "shop", "dedup": "global"}, "shop.toml", "this source has no text"),
        ({"name": "shop", "min_user_events": 2}, "shop.toml", "min_user_events"),
        ({"name": "shop", "min_user_events": 0}, "shop.toml", "min_user_events"),
        ({"name": "shop", "verb": ""}, "shop.toml", "verb"),
    ],
)
def test_nothing_is_written_that_is_no_card(
    tables: tuple[Path, Path], tmp_path: Path, said: dict[str, Any], file: str, message: str
) -> None:
    card = from_tables(Description(**said), *tables)
    for action in (planned_card, write_card):
        with pytest.raises(UsageError) as caught:
            action(card, tmp_path / file)
        assert message in str(caught.value)
        assert not (tmp_path / file).exists()


def test_a_planned_card_is_the_one_that_will_be_loaded(
    tables: tuple[Path, Path], tmp_path: Path
) -> None:
    card = from_tables(Description("shop"), *tables)
    path = tmp_path / "cards" / "shop.toml"
    planned = planned_card(card, path)
    assert not path.parent.exists()
    write_card(card, path)
    assert load_card(str(path)) == planned


@pytest.mark.parametrize("place", [".", "data"])
def test_a_card_and_the_data_beside_or_below_it_move_together(
    tmp_path: Path, place: str, silent: Progress
) -> None:
    here = tmp_path / "here"
    data = here / place
    data.mkdir(parents=True)
    (data / "events.csv").write_text(INTERACTIONS)
    (data / "items.csv").write_text(ITEMS)
    card = from_tables(Description("shop"), data / "events.csv", data / "items.csv")
    path = written(card, here)
    assert tomllib.loads(path.read_text())["source"]["folder_default"] == place
    before = build(load_card(str(path)), silent).content_hash
    shutil.move(here, tmp_path / "there")
    moved = load_card(str(tmp_path / "there" / "shop.toml"))
    assert find_sources(moved)["events"] == tmp_path / "there" / place / "events.csv"
    assert build(moved, silent).content_hash == before


def test_data_elsewhere_stay_where_they_are_when_the_card_moves(
    tables: tuple[Path, Path], tmp_path: Path
) -> None:
    (tmp_path / "cards").mkdir()
    path = written(from_tables(Description("shop"), *tables), tmp_path / "cards")
    (tmp_path / "other" / "place").mkdir(parents=True)
    moved = path.rename(tmp_path / "other" / "place" / "shop.toml")
    assert find_sources(load_card(str(moved)))["events"] == tables[0]
