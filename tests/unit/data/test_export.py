"""An export holds exactly the harness's split, appears whole or not at all, and never varies."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from harness.data import atomic_files, parquet_files
from harness.data import export as exporting
from harness.data.cards import load_card
from harness.data.export import FORMS, export
from harness.data.prepare import build
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError
from harness.histories import Histories
from harness.progress import Progress
from harness.splits import leave_one_out, split_hash

CardWriter = Callable[..., str]
ROOT = Path(__file__).resolve().parents[3]
EXPANDED = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
RECBOLE_FILES = [
    *("small.inter", "small.item", "small.train.inter", "small.valid.inter", "small.test.inter"),
    *("small.yaml", "README.md", "split.json"),
]
PARQUET_FILES = ["interactions.parquet", "items.parquet", "README.md", "split.json"]
# user u has two events in one second, and reads back in the order of the lines
REVIEWS = [
    *(("v", item, "", 5.0, day) for day, item in enumerate("abca")),
    *(("u", item, "", 5.0, time) for item, time in zip("cabd", (7, 9, 9, 12), strict=True)),
]


@pytest.fixture
def small(tidy_card: CardWriter, silent: Progress) -> PreparedData:
    """Users u (b, b, c, a) and v (a, b, c), without times."""
    return build(load_card(tidy_card()), silent)


@pytest.fixture
def timed(review_card: CardWriter, silent: Progress) -> PreparedData:
    """Users u (c, a, b, d) and v (a, b, c, a), with times."""
    return build(load_card(review_card(REVIEWS)), silent)


@pytest.fixture(scope="module")
def movies() -> PreparedData:
    pytest.importorskip("recbole")
    return build(load_card("ml-100k"), Progress(shown=False))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def texts(folder: Path) -> dict[str, str]:
    return {name: content.decode() for name, content in contents(folder).items()}


# ---- what the files hold -------------------------------------------------------------------------


def test_the_atomic_files_of_a_small_data_set(
    small: PreparedData, out: Path, silent: Progress
) -> None:
    paths = export(small, out, "recbole", silent)
    assert paths == [out / "small" / name for name in RECBOLE_FILES]
    found = texts(out / "small")
    assert sorted(found) == sorted(RECBOLE_FILES)
    assert found["small.inter"] == (
        "user_id:token\titem_id:token\tposition:float\n"
        "u\tb\t0\nu\tb\t1\nu\tc\t2\nu\ta\t3\nv\ta\t0\nv\tb\t1\nv\tc\t2\n"
    )
    assert found["small.item"] == (
        "item_id:token\ttext:token_seq\n"
        "a\tTitle: Apple. Price: Unknown.\n"
        "b\tTitle: Blue & bold. Price: $2.\n"
        "c\tTitle: one two three four. Price: Unknown.\n"
    )
    # the training part of v is one item, with no history to predict it from
    assert found["small.train.inter"] == EXPANDED + "u\tb\tb\n"
    assert found["small.valid.inter"] == EXPANDED + "u\tb b\tc\nv\ta\tb\n"
    assert found["small.test.inter"] == EXPANDED + "u\tb b c\ta\nv\ta b\tc\n"
    assert found["small.yaml"] == (
        "# RecBole's settings for the split in this folder. Add this file to config_files, and let "
        "data_path\n# name the folder that holds this one.\n"
        'dataset: "small"\n'
        'field_separator: "\\t"\n'
        'seq_separator: " "\n'
        "USER_ID_FIELD: user_id\n"
        "ITEM_ID_FIELD: item_id\n"
        "TIME_FIELD: position\n"
        "LIST_SUFFIX: _list\n"
        "ITEM_LIST_LENGTH_FIELD: item_length\n"
        "MAX_ITEM_LIST_LENGTH: 50\n"
        "benchmark_filename: [train, valid, test]\n"
        "alias_of_item_id: [item_id_list]\n"
        "load_col:\n"
        "  inter: [user_id, item_id_list, item_id]\n"
        "# all items are candidates, those of the history too\n"
        "repeatable: true\n"
        "eval_args:\n"
        "  split: {LS: valid_and_test}\n"
        "  order: TO\n"
        "  mode: full\n"
    )
    assert found["README.md"] == (
        "# A small data set (small), leave-one-out\n\n"
        "Exported by sequential-harness, so that others can use the identical split.\n"
        "2 users, 3 items, 7 events; `split.json` has hashes, counts and protocol.\n\n"
        "Split: a user's last event is for the test, the one before it for validation, all before "
        "for\ntraining. At test time the validation event belongs to the history. All items are "
        "candidates.\n\n"
        "Order: a user's events stand oldest first, and `position` counts them from 0. Times are "
        "no\nsubstitute: data may have none, and events of equal time keep an order of their own."
        "\n\n"
        "Load: give RecBole `small.yaml` among its config files. RecBole then takes "
        "`small.train.inter`\n(every prefix of a user's training part), `small.valid.inter` and "
        "`small.test.inter` as they are,\ntheir histories cut to the newest 50 items. To let "
        "RecBole split `small.inter` (all\nevents) itself, leave out `benchmark_filename` and "
        "`alias_of_item_id`, and load user_id, item_id and\nposition; `TIME_FIELD: position` keeps "
        "the harness's order. `small.item` holds the texts.\n\n"
        "Licence: none needed\n\nCitation: nobody\n"
    )


def test_the_tables_of_a_small_data_set(small: PreparedData, out: Path, silent: Progress) -> None:
    paths = export(small, out, "parquet", silent)
    assert paths == [out / "small" / name for name in PARQUET_FILES]
    assert sorted(contents(out / "small")) == sorted(PARQUET_FILES)
    events = pq.read_table(out / "small" / "interactions.parquet")
    assert events.schema.equals(
        pa.schema(
            {
                "user_id": pa.string(),
                "item_id": pa.string(),
                "position": pa.int32(),
                "part": pa.string(),
            }
        )
    )
    assert events.to_pydict() == {
        "user_id": list("uuuuvvv"),
        "item_id": list("bbcaabc"),
        "position": [0, 1, 2, 3, 0, 1, 2],
        "part": ["train", "train", "validation", "test", "train", "validation", "test"],
    }
    items = pq.read_table(out / "small" / "items.parquet")
    assert items.schema.equals(pa.schema({"item_id": pa.string(), "text": pa.string()}))
    assert items.to_pydict() == {"item_id": list("abc"), "text": list(small.item_texts)}
    readme = (out / "small" / "README.md").read_text()
    assert '`pandas.read_parquet("interactions.parquet")`' in readme


def test_times_stand_beside_the_events_where_there_are_any(
    timed: PreparedData, out: Path, silent: Progress
) -> None:
    export(timed, out / "recbole", "recbole", silent)
    assert (out / "recbole" / "small" / "small.inter").read_text() == (
        "user_id:token\titem_id:token\ttimestamp:float\tposition:float\n"
        "u\tc\t7\t0\nu\ta\t9\t1\nu\tb\t9\t2\nu\td\t12\t3\n"
        "v\ta\t0\t0\nv\tb\t1\t1\nv\tc\t2\t2\nv\ta\t3\t3\n"
    )
    export(timed, out / "parquet", "parquet", silent)
    events = pq.read_table(out / "parquet" / "small" / "interactions.parquet")
    assert events.schema.names == ["user_id", "item_id", "position", "timestamp", "part"]
    assert events.schema.field("timestamp").type == pa.int64()
    assert events["timestamp"].to_pylist() == [7, 9, 9, 12, 0, 1, 2, 3]


def test_histories_keep_their_newest_items(
    review_card: CardWriter, out: Path, silent: Progress
) -> None:
    reviews = [("u", item, "", 5.0, day) for day, item in enumerate("abcdef")]
    data = build(load_card(review_card(reviews)), silent)
    export(data, out, "recbole", silent, max_history=2)
    found = texts(out / "small")
    assert found["small.train.inter"] == EXPANDED + "u\ta\tb\nu\ta b\tc\nu\tb c\td\n"
    assert found["small.valid.inter"] == EXPANDED + "u\tc d\te\n"
    assert found["small.test.inter"] == EXPANDED + "u\td e\tf\n"
    assert yaml.safe_load(found["small.yaml"])["MAX_ITEM_LIST_LENGTH"] == 2
    assert json.loads(found["split.json"])["max_history"] == 2


@pytest.mark.parametrize("name", ["1e3", "null", "no", "0x1f"])
def test_the_settings_are_yaml_whatever_the_name(
    tidy_card: CardWriter, out: Path, silent: Progress, name: str
) -> None:
    data = build(load_card(tidy_card(name=name)), silent)
    export(data, out, "recbole", silent)
    settings = yaml.safe_load((out / name / f"{name}.yaml").read_text())
    assert settings["dataset"] == name
    assert settings["field_separator"] == "\t"
    assert settings["load_col"] == {"inter": ["user_id", "item_id_list", "item_id"]}


@pytest.mark.parametrize("form", FORMS)
def test_the_size_of_a_block_changes_nothing(
    timed: PreparedData, out: Path, silent: Progress, monkeypatch: Any, form: str
) -> None:
    export(timed, out / "large", form, silent)
    monkeypatch.setattr(atomic_files, "_BLOCK_LINES", 3)
    monkeypatch.setattr(parquet_files, "_BLOCK_ROWS", 3)
    export(timed, out / "small", form, silent)
    for path in (out / "large" / "small").iterdir():
        other = out / "small" / "small" / path.name
        if path.suffix == ".parquet":
            assert pq.read_table(path).equals(pq.read_table(other))
            assert pq.ParquetFile(other).num_row_groups > 1
        elif form == "recbole":
            assert path.read_bytes() == other.read_bytes()


# ---- the split, recovered with pandas alone ------------------------------------------------------

Rows = dict[str, tuple[list[str], str]]


def expected_rows(data: PreparedData, histories: Histories, targets: Any, cut: int) -> Rows:
    return {
        data.user_ids[user]: ([data.item_ids[i] for i in items[-cut:]], data.item_ids[target])
        for user, items, target in zip(histories.users, histories, targets, strict=True)
    }


def expanded(path: Path) -> pd.DataFrame:
    frame = pd.read_csv(path, sep="\t", dtype=str)
    frame.columns = [column.partition(":")[0] for column in frame.columns]
    frame["item_id_list"] = frame["item_id_list"].str.split(" ")
    return frame


def rows_of(frame: pd.DataFrame) -> Rows:
    assert frame["user_id"].is_unique
    pairs = zip(frame["item_id_list"], frame["item_id"], strict=True)
    return dict(zip(frame["user_id"], pairs, strict=True))


def check_atomic_files(folder: Path, data: PreparedData, cut: int) -> None:
    name, split = data.card.name, leave_one_out(data.sequences)
    valid, test = (rows_of(expanded(folder / f"{name}.{part}.inter")) for part in ("valid", "test"))
    assert valid == expected_rows(data, split.train, split.validation_targets, cut)
    assert test == expected_rows(data, split.test_histories, split.test_targets, cut)
    train = expanded(folder / f"{name}.train.inter")
    found = list(train.itertuples(index=False, name=None))
    wanted = []
    for user, row in zip(split.train.users, split.train, strict=True):
        ids = [data.item_ids[item] for item in row]
        wanted += [
            (data.user_ids[user], ids[max(0, n - cut) : n], ids[n]) for n in range(1, len(ids))
        ]
    assert found == wanted


def item_ids_by_user(data: PreparedData, histories: Histories) -> dict[str, list[str]]:
    return {
        data.user_ids[user]: [data.item_ids[item] for item in items]
        for user, items in zip(histories.users, histories, strict=True)
    }


def check_ordered_events(events: pd.DataFrame, data: PreparedData) -> None:
    """Check a table of events, shuffled first: the columns alone must give the order back."""
    shuffled = events.sample(frac=1, random_state=0).sort_values(["user_id", "position"])
    by_user = shuffled.groupby("user_id")["item_id"].agg(list)
    assert by_user.to_dict() == item_ids_by_user(data, data.sequences)


def check_tables(folder: Path, data: PreparedData) -> None:
    events = pd.read_parquet(folder / "interactions.parquet")
    check_ordered_events(events, data)
    split = leave_one_out(data.sequences)
    for part, targets in (("validation", split.validation_targets), ("test", split.test_targets)):
        found = events[events["part"] == part].set_index("user_id")["item_id"]
        wanted = [data.item_ids[item] for item in targets]
        assert list(found.index) == list(data.user_ids)
        assert list(found) == wanted
    train = events[events["part"] == "train"]
    by_user = train.sort_values(["user_id", "position"]).groupby("user_id")["item_id"].agg(list)
    assert by_user.to_dict() == item_ids_by_user(data, split.train)


@pytest.mark.parametrize("source", ["small", "timed", "movies"])
def test_pandas_recovers_the_split(
    source: str, out: Path, silent: Progress, request: pytest.FixtureRequest
) -> None:
    data = request.getfixturevalue(source)
    folder = out / data.card.name
    export(data, out, "recbole", silent)
    check_atomic_files(folder, data, cut=50)
    events = pd.read_csv(folder / f"{folder.name}.inter", sep="\t", dtype={0: str, 1: str})
    events.columns = [column.partition(":")[0] for column in events.columns]
    check_ordered_events(events.astype({"user_id": str, "item_id": str}), data)
    if data.sequences.timestamps is not None:
        np.testing.assert_array_equal(events["timestamp"], data.sequences.timestamps)
    items = pd.read_csv(folder / f"{folder.name}.item", sep="\t", dtype=str)
    assert tuple(items["item_id:token"]) == data.item_ids
    assert tuple(items["text:token_seq"]) == data.item_texts
    export(data, out, "parquet", silent)
    check_tables(folder, data)
    items = pd.read_parquet(folder / "items.parquet")
    assert tuple(items["item_id"]) == data.item_ids
    assert tuple(items["text"]) == data.item_texts


def test_movielens_is_cut_and_may_not_be_published(
    movies: PreparedData, out: Path, silent: Progress
) -> None:
    assert movies.sequences.lengths.max() > 52
    export(movies, out, "recbole", silent)
    histories = expanded(out / "ml-100k" / "ml-100k.test.inter")["item_id_list"].map(len)
    assert histories.max() == 50
    readme = (out / "ml-100k" / "README.md").read_text()
    assert "The card does not allow publishing the texts" in readme
    assert "licence does not allow" not in readme  # of which the harness knows nothing
    # RecBole itself never looks outside its own package for this one name
    assert "in its own package only" in readme


# ---- what cannot be written ----------------------------------------------------------------------


def renamed(data: PreparedData, **ids: str) -> PreparedData:
    """Return the data with one user id, item id or text replaced."""
    fields = {"user": "user_ids", "item": "item_ids", "text": "item_texts"}
    changes = {
        fields[role]: (*getattr(data, fields[role])[:-1], value) for role, value in ids.items()
    }
    return dataclasses.replace(data, **changes)


@pytest.mark.parametrize("role", ["user", "item"])
@pytest.mark.parametrize(
    "found",
    ["a b", " a", "a\tb", "a\n", "a\rb", "a\u00a0b", "a\u2028b", '"a', "NA", "nan", "[PAD]"],
)
def test_an_id_that_recbole_would_misread_is_named(
    small: PreparedData, out: Path, silent: Progress, role: str, found: str
) -> None:
    data = renamed(small, **{role: found})
    with pytest.raises(DataError) as error:
        export(data, out, "recbole", silent)
    message = str(error.value)
    assert message.startswith(f"data set small: the {role} id {found!r} ")
    assert 'export it in the form "parquet"' in message
    assert not out.exists()
    export(data, out, "parquet", silent)
    check_tables(out / "small", data)


@pytest.mark.parametrize("text", ["Title: a\tb.", "Title:\na.", "a\rb", '"Title": a.'])
def test_a_text_that_recbole_would_misread_is_refused(
    small: PreparedData, out: Path, silent: Progress, text: str
) -> None:
    data = renamed(small, text=text)
    with pytest.raises(DataError, match=r"the text of item 'c' .*parquet"):
        export(data, out, "recbole", silent)
    assert not out.exists()
    export(data, out, "parquet", silent)
    assert pd.read_parquet(out / "small" / "items.parquet")["text"].iloc[-1] == text


@pytest.mark.parametrize("found", ["ä", "日本", "a,b", "'a", 'a"b', "#a", "007", "1e5", "True"])
def test_other_ids_read_back_as_they_are(
    small: PreparedData, out: Path, silent: Progress, found: str
) -> None:
    data = renamed(small, user=found, item=found)
    export(data, out, "recbole", silent)
    check_atomic_files(out / "small", data, cut=50)


def test_the_refused_words_are_those_that_pandas_takes_for_missing() -> None:
    from pandas._libs.parsers import STR_NA_VALUES

    one_word = {word for word in STR_NA_VALUES if word.split() == [word]}
    assert one_word <= atomic_files._MISSING


def test_users_with_too_few_events_are_the_splits_to_refuse(
    small: PreparedData, out: Path, silent: Progress
) -> None:
    short = dataclasses.replace(small, sequences=Histories.from_lists([[0, 1, 2], [0, 1]]))
    with pytest.raises(DataError, match="min_user_events"):
        export(short, out, "parquet", silent)
    assert not out.exists()


def test_unknown_choices_are_explained(small: PreparedData, out: Path, silent: Progress) -> None:
    with pytest.raises(UsageError, match=r"'recbol'.*did you mean 'recbole'"):
        export(small, out, "recbol", silent)
    with pytest.raises(UsageError, match="at least 1 item, found 0"):
        export(small, out, "recbole", silent, max_history=0)
    assert not out.exists()


# ---- split.json ----------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_the_description_tells_the_digest_of_every_file(
    timed: PreparedData, out: Path, silent: Progress, form: str
) -> None:
    paths = export(timed, out, form, silent)
    assert paths[-1].name == "split.json"
    description = json.loads(paths[-1].read_text())
    assert description.pop("files") == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths[:-1]
    }
    assert description.pop("counts") == timed.counts
    assert description.pop("harness_version")
    assert description.pop("max_history", None) == (50 if form == "recbole" else None)
    assert description == {
        "dataset": "small",
        "title": "A small data set",
        "licence": "none needed",
        "citation": "nobody",
        "url": "https://example.org",
        "redistributable": True,
        "form": form,
        "protocol": json.loads(json.dumps(timed.card.protocol.facts())),
        "content_hash": timed.content_hash,
        "split_hash": split_hash(timed.content_hash),
        "users": 2,
        "items": 4,
        "events": 8,
    }
    for path in paths:
        assert str(out.parent).encode() not in path.read_bytes()


# ---- whole or absent, and always the same --------------------------------------------------------

EXPORT_ELSEWHERE = """
import sys
from pathlib import Path
from harness.data.cards import load_card
from harness.data.export import export
from harness.data.prepare import build
from harness.progress import Progress
silent = Progress(shown=False)
export(build(load_card(sys.argv[1]), silent), Path(sys.argv[2]), sys.argv[3], silent)
"""


@pytest.mark.parametrize("form", FORMS)
def test_the_same_data_gives_the_same_bytes_in_every_process(
    review_card: CardWriter, out: Path, silent: Progress, form: str
) -> None:
    card = review_card(REVIEWS)
    data = build(load_card(card), silent)
    export(data, out / "here", form, silent)
    former = contents(out / "here" / "small")
    export(data, out / "here", form, silent)
    assert contents(out / "here" / "small") == former
    subprocess.run(
        [sys.executable, "-c", EXPORT_ELSEWHERE, card, str(out / "there"), form],
        env=os.environ | {"PYTHONHASHSEED": "7", "TZ": "Asia/Tokyo"},
        cwd=ROOT,
        check=True,
    )
    assert contents(out / "there" / "small") == former


class Interrupting(Progress):
    """Progress of an export that is stopped in the middle of one file."""

    def __init__(self, file: str, error: BaseException) -> None:
        super().__init__(shown=False)
        self.file, self.error = file, error

    def prefixed(self, text: str) -> Progress:
        return self

    @contextlib.contextmanager
    def bar(self, label: str, total: int | None = None, unit: str = "it") -> Iterator[Any]:
        with super().bar(label, total, unit) as bar:
            if label == self.file:
                bar.advance = self.stop  # type: ignore[method-assign]
            yield bar

    def stop(self, n: int = 1) -> None:
        raise self.error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left")])
@pytest.mark.parametrize(
    ("form", "file"),
    [("recbole", name) for name in RECBOLE_FILES[:5]]
    + [("parquet", name) for name in PARQUET_FILES[:2]],
)
@pytest.mark.parametrize("again", [False, True])
def test_an_export_that_stops_half_way_leaves_what_was_there(
    small: PreparedData,
    out: Path,
    silent: Progress,
    form: str,
    file: str,
    error: BaseException,
    again: bool,
) -> None:
    if again:
        export(small, out, form, silent)
    former = contents(out / "small") if again else None
    with pytest.raises(type(error)) as caught:
        export(small, out, form, Interrupting(file, error))
    assert caught.value is error
    assert [path.name for path in out.iterdir()] == (["small"] if again else [])
    if again:
        assert contents(out / "small") == former


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_takes_no_byte_is_told_as_such(
    small: PreparedData, out: Path, silent: Progress, monkeypatch: Any, form: str
) -> None:
    @contextlib.contextmanager
    def full(path: Path) -> Iterator[Any]:
        with open("/dev/full", "wb", buffering=0) as stream:  # noqa: PTH123
            yield stream

    monkeypatch.setattr(parquet_files, "atomic_write", full)
    monkeypatch.setattr(atomic_files, "atomic_write", full)
    with pytest.raises(OSError, match="No space left") as error:
        export(small, out, form, silent)
    assert error.value.errno == errno.ENOSPC
    assert list(out.iterdir()) == []


def test_a_failed_rename_puts_the_former_export_back(
    small: PreparedData, out: Path, silent: Progress, monkeypatch: Any
) -> None:
    export(small, out, "recbole", silent)
    former = contents(out / "small")
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if target == out / "small" and path.name == "small":  # not the way back, from "former"
            raise OSError(errno.EIO, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        export(small, out, "parquet", silent)
    assert contents(out / "small") == former
    assert [path.name for path in out.iterdir()] == ["small"]


def test_the_folder_appears_with_its_description(
    small: PreparedData, out: Path, silent: Progress, monkeypatch: Any
) -> None:
    written = exporting.write_json

    def looking(path: Path, value: Any) -> None:
        assert not (out / "small").exists()
        written(path, value)
        assert not (out / "small").exists()

    monkeypatch.setattr(exporting, "write_json", looking)
    export(small, out, "parquet", silent)
    assert (out / "small" / "split.json").is_file()
    assert (out / "small").stat().st_mode & 0o777 == (out.stat().st_mode & 0o777)


# ---- what stands in the way ----------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_an_export_of_the_same_content_is_replaced(
    small: PreparedData, out: Path, silent: Progress, form: str
) -> None:
    export(small, out, "recbole", silent, max_history=1)
    names = [path.name for path in export(small, out, form, silent)]
    assert sorted(contents(out / "small")) == sorted(names)
    assert json.loads((out / "small" / "split.json").read_text())["form"] == form
    assert [path.name for path in out.iterdir()] == ["small"]


def test_an_export_of_other_content_stays(
    small: PreparedData, timed: PreparedData, out: Path, silent: Progress
) -> None:
    export(small, out, "recbole", silent)
    former = contents(out / "small")
    with pytest.raises(DataError, match=f"{small.content_hash}.*{timed.content_hash}.*another"):
        export(timed, out, "recbole", silent)
    assert contents(out / "small") == former


def test_what_appeared_while_writing_stays(
    small: PreparedData, out: Path, silent: Progress, monkeypatch: Any
) -> None:
    written = exporting.write_json

    def slow(path: Path, value: Any) -> None:
        written(path, value)
        (out / "small").mkdir()

    monkeypatch.setattr(exporting, "write_json", slow)
    with pytest.raises(DataError, match=r"exists, and no split\.json"):
        export(small, out, "parquet", silent)
    assert [path.name for path in out.iterdir()] == ["small"]
    assert contents(out / "small") == {}


@pytest.mark.parametrize("found", [None, "", "{", "[]", "{}", '{"content_hash": 3}', "\udcff"])
def test_what_is_no_export_stays(
    small: PreparedData, out: Path, silent: Progress, found: str | None
) -> None:
    (out / "small").mkdir(parents=True)
    (out / "small" / "notes.txt").write_text("mine")
    if found is not None:
        (out / "small" / "split.json").write_bytes(found.encode(errors="surrogateescape"))
    former = contents(out / "small")
    with pytest.raises(DataError, match=r"exists, and no split\.json.*move it away"):
        export(small, out, "parquet", silent)
    assert contents(out / "small") == former


@pytest.mark.parametrize("dangling", [False, True])
def test_a_file_or_a_dangling_link_in_the_way_stays(
    small: PreparedData, out: Path, silent: Progress, dangling: bool
) -> None:
    out.mkdir()
    if dangling:
        (out / "small").symlink_to(out / "nowhere")
    else:
        (out / "small").write_text("mine")
    with pytest.raises(DataError, match="exists, and no"):
        export(small, out, "parquet", silent)
    assert [path.name for path in out.iterdir()] == ["small"]


def test_a_file_that_someone_put_into_an_export_is_not_deleted(
    small: PreparedData, out: Path, silent: Progress
) -> None:
    export(small, out, "recbole", silent)
    (out / "small" / "small.feat").write_text("hours of work")
    with pytest.raises(DataError, match=r"'small\.feat'.*would delete; move it away"):
        export(small, out, "recbole", silent)
    assert (out / "small" / "small.feat").read_text() == "hours of work"
