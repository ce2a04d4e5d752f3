"""``data`` and what stands around it: import, export, prepare, fetch, duplicates, mixtures."""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import http.server
import json
import random
import re
import shutil
import threading
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import planted_duplicates
from benchmarks.planted_duplicates import planted
from harness.data.cards import card_names, load_card
from harness.data.fetch import fetch_file
from harness.data.mixture import mixture_names
from harness.data.prepare import prepare
from harness.progress import Progress
from harness.splits import leave_one_out
from tests.toys import process, random_sequences, write_card

SEQUENCES = {f"u{row:02d}": items for row, items in enumerate(random_sequences())}
ITEMS = sorted({item for items in SEQUENCES.values() for item in items})
EVENTS = [
    (user, item, 1_500_000_000 + 60 * n)
    for user, items in SEQUENCES.items()
    for n, item in enumerate(items)
]
random.Random(1).shuffle(EVENTS)


class Data:
    """Types ``data`` commands, and reads what they prepared."""

    def __init__(self, shell, folder):
        self.shell = shell
        self.folder = folder

    def __call__(self, action, *arguments):
        return self.shell("data", action, *arguments, "--cache", self.shell.cache, "--quiet")

    def imported(self, name, *arguments):
        """Import into a card in the test's folder, which must go well; return its path."""
        card = self.folder / f"{name}.toml"
        done = self("import", name, *arguments, "--card", card)
        assert (done.code, done.err) == (0, "")
        assert f"card: {card}; run: python -m harness run" in done.out
        return card

    def exported(self, card, form, *arguments):
        """Export, which must go well; return the folder of the data set."""
        done = self("export", card, "--form", form, "--to", self.folder / form, *arguments)
        assert (done.code, done.err) == (0, "")
        files = [line for line in done.out.splitlines() if "licence: " not in line]
        (folder,) = {line.rpartition("/")[0] for line in files}
        return folder

    def of(self, card):
        return prepare(load_card(str(card)), self.shell.cache, Progress(shown=False))


@pytest.fixture
def data(shell, tmp_path):
    return Data(shell, tmp_path)


def assert_one_line(done, code):
    assert done.code == code
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1
    assert done.err.startswith("error: ")


def listed(prepared):
    return {
        user: [prepared.item_ids[item] for item in items]
        for user, items in zip(prepared.user_ids, prepared.sequences, strict=True)
    }


def assert_same_split(one, other):
    """Everything is the same but, perhaps, the times."""
    assert one.user_ids == other.user_ids
    assert one.item_ids == other.item_ids
    assert one.item_texts == other.item_texts
    left, right = leave_one_out(one.sequences), leave_one_out(other.sequences)
    for mine, yours in (
        (one.sequences, other.sequences),
        (left.train, right.train),
        (left.test_histories, right.test_histories),
    ):
        np.testing.assert_array_equal(mine.items, yours.items)
        np.testing.assert_array_equal(mine.offsets, yours.offsets)
    np.testing.assert_array_equal(left.test_targets, right.test_targets)
    np.testing.assert_array_equal(left.validation_targets, right.validation_targets)


# ---- import --------------------------------------------------------------------------------------


def write_table(path, head, rows):
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = zip(head, zip(*rows, strict=True), strict=True)
        pq.write_table(pa.table({name: list(values) for name, values in columns}), path)
    else:
        with path.open("w", newline="") as stream:
            csv.writer(stream).writerows([head, *rows])
    return path


def write_shop(folder, suffix, user="user_id", item="item_id", time="timestamp", title="title"):
    items = [(item_id, f"Thing {item_id}, new", n) for n, item_id in enumerate(ITEMS)]
    return (
        write_table(folder / f"log.{suffix}", (user, item, time), EVENTS),
        write_table(folder / f"shop.{suffix}", (item, title, "shelf"), [*items, ("zz", "?", 0)]),
    )


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("columns", ["guessed", "named"])
def test_two_tables_become_a_board(shell, data, tmp_path, suffix, columns):
    arguments = []
    if columns == "named":
        log, items = write_shop(tmp_path, suffix, "who", "what", "when", "called")
        arguments = ["--user-column", "who", "--item-column", "what", "--time-column", "when"]
        arguments += ["--text", "called,shelf", "--verb", "put on a shelf"]
    else:
        log, items = write_shop(tmp_path, suffix)
    card = data.imported("shop", "--interactions", log, "--items", items, *arguments)
    prepared = data.of(card)
    assert listed(prepared) == SEQUENCES
    label = "Called: Thing i00, new. Shelf: 0." if arguments else "Title: Thing i00, new."
    assert prepared.item_texts[0] == label
    assert prepared.card.verb == ("put on a shelf" if arguments else "bought")
    done = shell("run", "--methods", "popularity", "--datasets", card, "--out", shell.out,
                 "--cache", shell.cache, "--device", "cpu", "--quiet")  # fmt: skip
    assert (done.code, done.err) == (0, "")
    assert "\npopularity" in done.out
    assert "\nlir" in done.out
    assert (shell.out / "shop" / "leaderboard.md").is_file()


def test_a_csv_and_a_parquet_file_of_the_same_rows_are_the_same_data(data, tmp_path):
    hashes = {
        data.of(data.imported("shop", "--interactions", log, "--items", items)).content_hash
        for suffix in ("csv", "parquet")
        for log, items in [write_shop(tmp_path, suffix)]
        if not (tmp_path / "shop.toml").unlink(missing_ok=True)
    }
    assert len(hashes) == 1


def test_what_was_read_is_printed(data, tmp_path):
    log, _ = write_shop(tmp_path, "csv")
    with log.open("a") as stream:
        stream.write("u99,i00,1\nu99,i01\n")
    done = data("import", "shop", "--interactions", log, "--card", tmp_path / "shop.toml")
    assert_one_line(done, 1)
    assert "log.csv, line 183: expected 3 columns, found 2" in done.err
    assert "--fault-limit" in done.err
    card = data.imported("shop", "--interactions", log, "--fault-limit", 1)
    done = data("prepare", card)
    assert re.search(r"events_read +181\n", done.out)
    assert re.search(r"users_dropped +1\n", done.out)
    assert re.search(r"faulty_lines +1\n", done.out)
    assert re.search(r"duplicates +not looked for\n", done.out)
    assert "1 faulty line (wrong number of columns: 1) left out\n" in done.out


def test_another_card_of_that_name_is_left_alone(data, tmp_path):
    log, items = write_shop(tmp_path, "csv")
    card = data.imported("shop", "--interactions", log, "--items", items)
    before = card.read_bytes()
    data.imported("shop", "--interactions", log, "--items", items)
    done = data("import", "shop", "--interactions", log, "--title", "Other", "--card", card)
    assert_one_line(done, 2)
    assert "stands there already" in done.err
    assert card.read_bytes() == before


def test_an_import_that_fails_leaves_no_card_in_the_way_of_its_own_advice(data, tmp_path):
    rows = [(user, item, time * 1000 + 7) for user, item, time in EVENTS]
    log = write_table(tmp_path / "log.csv", ("user_id", "item_id", "timestamp"), rows)
    done = data("import", "shop", "--interactions", log, "--card", tmp_path / "shop.toml")
    assert_one_line(done, 1)
    assert "--time-unit ms" in done.err
    assert not (tmp_path / "shop.toml").exists()
    card = data.imported("shop", "--interactions", log, "--time-unit", "ms")
    assert listed(data.of(card)) == SEQUENCES


def test_another_card_in_the_way_is_told_before_anything_is_prepared(data, shell, tmp_path):
    log, _ = write_shop(tmp_path, "csv")
    (tmp_path / "shop.toml").write_text("mine")
    done = data("import", "shop", "--interactions", log, "--card", tmp_path / "shop.toml")
    assert_one_line(done, 2)
    assert "stands there already" in done.err
    assert not shell.cache.exists()


def test_an_imported_card_moves_with_its_data(data, shell, tmp_path):
    (tmp_path / "shop").mkdir()
    log, items = write_shop(tmp_path / "shop", "csv")
    card = tmp_path / "shop" / "shop.toml"
    arguments = ("shop", "--interactions", log, "--items", items, "--card", card)
    assert data("import", *arguments).code == 0
    expected = data.of(card).content_hash
    shutil.move(tmp_path / "shop", tmp_path / "moved")
    shell.cache = tmp_path / "empty-cache"
    assert data.of(tmp_path / "moved" / "shop.toml").content_hash == expected


def test_what_is_said_of_the_data_stands_in_the_card_and_in_what_is_exported(data, tmp_path):
    log, items = write_shop(tmp_path, "csv")
    arguments = ["--interactions", log, "--items", items]
    plain = data.imported("plain", *arguments)
    said = data.imported(
        "said", *arguments, "--licence", "CC0", "--citation", "Me, 2024.",
        "--url", "https://example.org/shop", "--redistributable",
    )  # fmt: skip
    card = load_card(str(said))
    assert (card.licence, card.citation) == ("CC0", "Me, 2024.")
    assert (card.url, card.redistributable) == ("https://example.org/shop", True)
    done = data("export", plain, said, "--form", "parquet", "--to", tmp_path / "out")
    assert re.findall("^(.*): the card does not allow publishing", done.out, re.M) == ["plain"]
    readmes = [(tmp_path / "out" / name / "README.md").read_text() for name in ("plain", "said")]
    assert "Licence: not stated" in readmes[0] and "licence does not" not in readmes[0]
    assert ["does not allow publishing the texts" in text for text in readmes] == [True, False]
    assert "Citation: Me, 2024." in readmes[1]


def test_the_card_stands_in_the_current_folder_unless_another_place_is_named(
    shell, tmp_path, monkeypatch
):
    write_shop(tmp_path, "csv")
    monkeypatch.chdir(tmp_path)
    done = shell("data", "import", "shop", "--interactions", "log.csv", "--items", "shop.csv",
                 "--cache", shell.cache, "--quiet")  # fmt: skip
    assert done.code == 0
    assert (tmp_path / "shop.toml").is_file()
    assert shell("data", "stats", "shop.toml", "--cache", shell.cache, "--quiet").code == 0


WRONG_IMPORTS = {
    "no files": (["shop"], 2, "one of the arguments --interactions --recbole"),
    "two kinds": (["shop", "--interactions", "LOG", "--recbole", "."], 2, "not allowed with"),
    "name": (["Shop", "--interactions", "LOG"], 2, "may hold a-z, 0-9"),
    "column": (
        ["shop", "--interactions", "LOG", "--user-column", "usr_id"],
        2,
        "did you mean 'user_id'?",
    ),
    "text": (
        ["shop", "--interactions", "LOG", "--items", "ITEMS", "--text", "titel"],
        2,
        "did you mean 'title'?",
    ),
    "text of no items": (["shop", "--interactions", "LOG", "--text", "title"], 2, "Say --items"),
    "dedup": (["shop", "--interactions", "LOG", "--dedup", "global"], 2, "no text and no rating"),
    "minimum": (["shop", "--interactions", "LOG", "--min-user-events", "2"], 2, "at least 3"),
    "faults": (["shop", "--interactions", "LOG", "--fault-limit", "-1"], 2, "at least 0"),
    "items of atomic files": (
        ["shop", "--recbole", ".", "--items", "ITEMS"],
        2,
        "--items goes with --interactions or --unisrec, not with --recbole",
    ),
    "columns of a processed folder": (
        ["shop", "--unisrec", ".", "--time-column", "x"],
        2,
        "--time-column goes with --interactions or --recbole, not with --unisrec",
    ),
    "ready texts of recformer": (["shop", "--recformer", ".", "--ready-text", "x"], 2, "goes with"),
    "unit of atomic files": (["shop", "--recbole", ".", "--time-unit", "ms"], 2, "goes with"),
    "no such file": (["shop", "--interactions", "no.csv"], 1, "no such file: no.csv"),
    "no such folder": (["shop", "--recbole", "no"], 1, "expected one file *.inter, found none"),
    "no such processed folder": (["shop", "--unisrec", "no"], 1, "found none"),
    "no recformer folder": (["shop", "--recformer", "no"], 1, "no such file: no/train.json"),
    "no table": (["shop", "--interactions", "NONE"], 1, "damaged, or no table"),
}


@pytest.mark.parametrize("what", WRONG_IMPORTS)
def test_an_import_that_cannot_be(data, tmp_path, what):
    log, items = write_shop(tmp_path, "csv")
    (tmp_path / "none.parquet").write_text("no Parquet")
    places = {"LOG": log, "ITEMS": items, "NONE": tmp_path / "none.parquet"}
    arguments, code, message = WRONG_IMPORTS[what]
    card = tmp_path / f"{arguments[0]}.toml"
    done = data("import", *(places.get(part, part) for part in arguments), "--card", card)
    assert_one_line(done, code)
    assert message in done.err
    assert not card.exists()


# ---- round trips ---------------------------------------------------------------------------------


@pytest.fixture(params=["without times", "with times"])
def original(request, data, shell, tmp_path):
    """The card of a data set to export."""
    if request.param == "without times":
        return shell.card
    log, items = write_shop(tmp_path, "csv")
    return data.imported("shop", "--interactions", log, "--items", items)


def minimum_of(card):
    return load_card(str(card)).protocol.min_user_events


def test_recboles_files_come_back_as_they_went(data, original):
    first = data.of(original)
    folder = data.exported(original, "recbole")
    taken = ["--recbole", folder, "--ready-text", "text", "--min-user-events", minimum_of(original)]
    again = data.of(data.imported("again", *taken, "--time-column", "position"))
    assert_same_split(first, again)
    assert again.content_hash != first.content_hash  # positions in place of times, or of none
    assert again.sequences.timestamps.tolist() == [
        n for items in first.sequences for n in range(len(items))
    ]
    if first.sequences.timestamps is not None:
        with_times = data.of(data.imported("timed", *taken))
        assert with_times.content_hash == first.content_hash


def test_parquet_comes_back_as_it_went(data, original):
    first = data.of(original)
    folder = data.exported(original, "parquet")
    taken = ["--interactions", f"{folder}/interactions.parquet"]
    taken += ["--items", f"{folder}/items.parquet", "--min-user-events", minimum_of(original)]
    again = data.of(data.imported("again", *taken, "--time-column", "position"))
    assert_same_split(first, again)
    assert again.content_hash != first.content_hash
    if first.sequences.timestamps is not None:
        with_times = data.of(data.imported("timed", *taken, "--ready-text", "text"))
        assert with_times.content_hash == first.content_hash


@pytest.mark.parametrize("width", [2, 3, 50])
def test_the_exported_split_is_one_for_unisrec(data, original, width):
    first = data.of(original)
    folder = data.exported(original, "recbole", "--max-history", width)
    again = data.of(data.imported("again", "--unisrec", folder, "--ready-text", "text"))
    assert_same_split(first, again)
    assert again.sequences.timestamps is None


def test_long_sequences_survive_histories_that_are_cut(data, tmp_path):
    drawn = random.Random(5)
    lengths = (3, 4, 51, 52, 53, 54, 120)
    sequences = [[f"i{drawn.randrange(30)}" for _ in range(length)] for length in lengths]
    card = write_card(tmp_path / "data", sequences, "long")
    folder = data.exported(card, "recbole")
    again = data.of(data.imported("again", "--unisrec", folder))
    assert list(listed(again).values()) == sequences
    assert_same_split(data.of(card), again)


def test_a_second_export_of_the_same_is_no_fault_and_of_other_data_is(data, shell):
    folder = data.exported(shell.card, "parquet")
    assert data.exported(shell.card, "parquet") == folder
    write_card(shell.card.parent, random_sequences(length=7))
    done = data("export", shell.card, "--form", "parquet", "--to", data.folder / "parquet")
    assert_one_line(done, 1)
    assert "holds an export of other content" in done.err


# ---- prepare, stats, variants --------------------------------------------------------------------


def test_prepare_prints_counts_and_the_hash(data, shell):
    done = data("prepare", shell.card)
    assert done.code == 0
    assert done.out.startswith("tiny\n")
    for line in (r"users +30", r"items +20", r"events +180", r"duplicates +not looked for"):
        assert re.search(rf"^{line}$", done.out, re.MULTILINE)
    assert data.of(shell.card).content_hash in done.out
    assert data("prepare", shell.card, "--refresh").out == done.out


def test_the_folder_of_the_source_can_be_named(data, shell, tmp_path):
    files = sorted(shell.card.parent.glob("*.jsonl"))
    (tmp_path / "elsewhere").mkdir()
    for file in files:
        file.rename(tmp_path / "elsewhere" / file.name)
    done = data("prepare", shell.card)
    assert_one_line(done, 1)
    assert "--source FOLDER" in done.err
    assert data("prepare", shell.card, "--source", tmp_path / "elsewhere").code == 0
    assert data("prepare", shell.card).code == 0  # the prepared data need no source


@pytest.mark.parametrize("place", ["nowhere", "file"])
@pytest.mark.parametrize("what", ["data set", "mixture"])
def test_a_source_that_is_no_folder(data, shell, mixture, tmp_path, what, place):
    (tmp_path / "file").touch()
    card = {"data set": shell.card, "mixture": mixture}[what]
    done = data("prepare", card, "--source", tmp_path / place)
    assert_one_line(done, 2)
    assert f"--source {tmp_path / place} is no folder" in done.err
    others = () if what == "mixture" else (
        ("stats",), ("duplicates",), ("export", "--form", "parquet", "--to", tmp_path / "to"),
    )  # fmt: skip
    for action, *arguments in others:
        assert_one_line(data(action, card, *arguments, "--source", tmp_path / place), 2)


PAPER = """\
[paper]
users = 60
items = 20
purchases = 150
density = 0.5
words_per_item = 3.0
"""


def test_stats_stand_beside_the_papers_own(data, shell):
    shell.card = write_card(shell.card.parent, extra=PAPER)
    done = data("stats", shell.card)
    assert done.code == 0
    rows = {re.split(r" {2,}", line)[0]: re.split(r" {2,}", line)[1:] for line in
            (line.strip() for line in done.out.splitlines())}  # fmt: skip
    assert rows["data set"] == ["tiny", "paper", "difference"]
    assert rows["# of users"] == ["30", "60", "-50.0 %"]
    assert rows["# of items"] == ["20", "20", "+0.0 %"]
    assert rows["total purchase"] == ["180", "150", "+20.0 %"]
    assert rows["density"] == ["0.3", "0.5", "-40.0 %"]
    assert rows["words/item"] == ["3.00", "3.00", "+0.0 %"]
    assert rows["items/user"] == ["6.00"]  # which the card's paper does not tell
    assert rows["% of duplicates before dedup"] == ["not told"]
    assert len(rows) == 11
    assert "paper" not in data("stats", shell.card, "--without-texts").out


def test_several_data_sets_stand_side_by_side(data, shell):
    other = write_card(shell.card.parent, [list("abcd")] * 3, "other")
    done = data("stats", shell.card, other)
    assert re.split(r" {2,}", done.out.splitlines()[0].strip()) == ["data set", "tiny", "other"]


def test_methods_that_read_texts_are_told_that_there_are_none(shell, plugin):
    plugin("reader", inputs="Input.ITEM_TEXT")
    plugin("counter")
    assert shell.run("reader,counter", "--quiet").code == 0
    done = shell.run("reader,counter", "--without-texts", "--quiet")
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "reads item texts, and tiny-without-texts has none" in done.out
    page = (shell.out / "tiny-without-texts" / "leaderboard.md").read_text()
    assert "| counter" in page
    planned = shell.run("reader", "--without-texts", "--dry-run").out.splitlines()
    assert planned[0].endswith("cannot run: reads item texts, and tiny-without-texts has none")
    assert "tiny" in {path.name for path in shell.out.iterdir()}  # its records are its own


# ---- duplicates ----------------------------------------------------------------------------------

REVIEWS = """\
name = "{name}"
title = "Reviews made up for a test"
extends = "_amazon-2018"

[source]
folder_env = "NOT_SET_BY_ANYBODY"
folder_default = "."

[source.files.events]
path = "raw/{name}.json.gz"

[source.files.items]
path = "meta.json.gz"
"""


def write_reviews(folder, name, lines):
    """Write a raw file of reviews and its card; return the card's path."""
    path = folder / "raw" / f"{name}.json.gz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(gzip.compress(b"".join(line + b"\n" for line in lines), mtime=0))
    card = folder / f"{name}.toml"
    card.write_text(REVIEWS.format(name=name))
    return card


def made_up_reviews():
    drawn = random.Random(2)
    rows = [
        {"reviewerID": f"U{user:02d}", "asin": f"A{drawn.randrange(15):02d}", "overall": 5.0,
         "unixReviewTime": 86_400 * (day // 2), "reviewText": f"Text {user} {day}",
         "summary": "none"}
        for user in range(40) for day in range(6)
    ]  # fmt: skip
    drawn.shuffle(rows)
    return [json.dumps(row).encode() for row in rows]


def write_metadata(folder):
    rows = [
        {"asin": f"A{item:02d}", "title": f"Thing &amp; {item}", "brand": "", "price": "$1"}
        | ({"main_cat": "Toys"} if item else {"main_cat": '<img src="x" alt="Toys"/>'})
        for item in range(16)
    ]
    content = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (folder / "meta.json.gz").write_bytes(gzip.compress(content, mtime=0))


def table_7(text):
    """Return (the counts' rows, the table's rows), split into cells."""
    counts, _, table = text.strip().partition("\n\n")
    rows = [
        [re.split(r" {2,}", line.strip()) for line in part.splitlines()] for part in (counts, table)
    ]
    return [part[1 + ["---" in row[0] for row in part].index(True) :] for part in rows]


def lir_metrics(out, name):
    (path,) = (out / name / "lir").rglob("record.json")
    metrics = json.loads(path.read_text())["metrics"]
    return [metrics[metric]["optimistic"] for metric in ("NDCG@10", "Recall@1", "Recall@10", "MRR")]


def test_duplicates_do_to_lir_what_the_paper_says(data, shell, tmp_path):
    write_metadata(tmp_path)
    lines = made_up_reviews()
    clean = write_reviews(tmp_path, "clean", lines)
    dirty = write_reviews(tmp_path, "dirty", planted(lines, 24, seed=3))
    done = data("duplicates", dirty, clean, "--out", shell.out)
    assert (done.code, done.err) == (0, "")
    counts, rows = table_7(done.out)
    assert counts == [
        ["dirty", "264", "240", "24", "9.1 %"],
        ["clean", "240", "240", "0", "0.0 %"],
    ]
    (dirty_row, clean_row) = rows
    assert (dirty_row[0], clean_row[0]) == ("dirty", "clean")
    assert len(dirty_row) == 9
    assert clean_row[5:] == [f"{value} (+0%)" for value in clean_row[1:5]]
    assert [cell.partition(" ")[0] for cell in dirty_row[5:]] == clean_row[1:5]
    assert re.fullmatch(r"0\.\d{4} \(-\d+%\)", dirty_row[6])  # Recall@1
    assert max(map(len, done.out.splitlines())) <= 120
    # and not only as far as they are printed
    assert lir_metrics(shell.out, "dirty") == lir_metrics(shell.out, "clean")
    with_duplicates = lir_metrics(shell.out, "dirty-dedup-none")
    assert with_duplicates[1] > lir_metrics(shell.out, "dirty")[1] > 0
    assert dirty_row[1:5] == [f"{value:.4f}" for value in with_duplicates]
    assert_same_split(data.of(dirty), data.of(clean))
    assert data.of(dirty).content_hash == data.of(clean).content_hash


def test_the_rule_of_the_side_with_dedup_can_be_chosen(data, shell, tmp_path):
    write_metadata(tmp_path)
    lines = made_up_reviews()
    twice = write_reviews(tmp_path, "twice", planted(lines, 24, seed=3) + lines[:9])
    done = data("duplicates", twice, "--dedup", "global", "--out", shell.out)
    assert table_7(done.out)[0] == [["twice-dedup-global", "273", "240", "33", "12.1 %"]]
    assert_one_line(data("duplicates", twice, "--dedup", "none", "--out", shell.out), 2)
    done = data("duplicates", shell.card, "--out", shell.out)
    assert_one_line(done, 1)
    assert "no text and no rating and no time" in done.err
    assert "data set tiny:" in done.err


def test_the_papers_own_row_stands_below(data, shell, tmp_path):
    write_metadata(tmp_path)
    card = write_reviews(tmp_path, "some", planted(made_up_reviews(), 24, seed=3))
    with card.open("a") as stream:
        stream.write('[paper_lir]\n"NDCG@10" = [0.088, 0.0565]\n"MRR" = [0.0745, 0.0461]\n')
    done = data("duplicates", card, "--out", shell.out)
    (ours, paper) = table_7(done.out)[1]
    assert ours[0] == "some"
    assert paper == ["paper", "0.0880", "0.0745", "0.0565 (-36%)", "0.0461 (-38%)"]
    # which the paper does not tell of another rule
    done = data("duplicates", card, "--dedup", "global", "--out", shell.out)
    assert len(table_7(done.out)[1]) == 1


def test_a_baseline_that_reads_texts_needs_them(data, shell, tmp_path):
    card = write_reviews(tmp_path, "some", made_up_reviews())
    done = data("duplicates", card, "--without-texts", "--out", shell.out)
    assert_one_line(done, 2)
    assert "--without-texts: the Last Item Repeater reads item texts" in done.err
    done = data("duplicates", card, "--out", shell.out)  # there is no metadata
    assert_one_line(done, 1)
    assert "data set some: its items file is missing" in done.err
    assert "some-dedup" not in done.err


def test_planted_duplicates_of_real_reviews(data, shell, shared_data, tmp_path, monkeypatch):
    raw = shared_data / "amazon2018_raw"
    if not (raw / "meta_Gift_Cards.json.gz").is_file():
        pytest.skip("absent data: no file 'meta_Gift_Cards.json.gz'")
    lines = gzip.decompress((raw / "Gift_Cards_5.json.gz").read_bytes()).splitlines()
    share = 0.055
    n = round(len(lines) * share / (1 - share))
    (tmp_path / "meta.json.gz").symlink_to(raw / "meta_Gift_Cards.json.gz")
    card = write_reviews(tmp_path, "gifts", planted(lines, n, seed=11))
    done = data("duplicates", card, "--out", shell.out)
    assert (done.code, done.err) == (0, "")
    counts, (row,) = table_7(done.out)
    read = len(lines) + n
    assert counts == [["gifts", f"{read:,}", f"{len(lines):,}", f"{n:,}", "5.5 %"]]
    assert row[0] == "gifts"
    assert len(row) == 1 + 2 * 4  # four metrics without, and with it and the change
    assert [float(value.partition(" ")[0]) > 0 for value in row[1:]] == [True] * 8
    assert all(re.fullmatch(r"0\.\d{4} \(-\d+%\)", value) for value in row[5:])
    monkeypatch.setenv("HARNESS_SHARED_DATA", str(shared_data))
    untouched = prepare(load_card("amazon-gift-cards"), shell.cache, Progress(shown=False))
    deduplicated = data.of(card)
    assert deduplicated.counts["duplicates_dropped"] == n
    assert_same_split(untouched, deduplicated)
    assert untouched.content_hash == deduplicated.content_hash


def test_the_benchmark_of_planted_duplicates(shared_data, monkeypatch, capsys, tmp_path):
    if not (shared_data / "amazon2018_raw" / "meta_Gift_Cards.json.gz").is_file():
        pytest.skip("absent data: no file 'meta_Gift_Cards.json.gz'")
    monkeypatch.setenv("HARNESS_SHARED_DATA", str(shared_data))
    assert planted_duplicates.main([]) == 0
    out = capsys.readouterr().out
    assert "duplicates planted: 173; dropped: 173\n" in out
    assert re.search(r"^planted +3,145 +2,972 +173 +5\.5 %$", out, re.M)
    assert re.search(r"^amazon-gift-cards +2,972 +2,972 +0 +0\.0 %$", out, re.M)
    assert out.endswith("targets met\n")
    # one that counts wrong, and none at all
    monkeypatch.setattr(planted_duplicates, "planted", lambda lines, n, seed: lines)
    assert planted_duplicates.main([]) == 1
    assert capsys.readouterr().out.endswith("a target is missed\n")
    monkeypatch.setenv("HARNESS_SHARED_DATA", str(tmp_path))
    assert planted_duplicates.main([]) == 1
    assert "absent data" in capsys.readouterr().out


# ---- fetch ---------------------------------------------------------------------------------------


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A web server on this machine, and the folder that it serves."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "site"
    folder.mkdir()
    handler = functools.partial(_Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", folder
        server.shutdown()
        thread.join()


def publish(card, site, stated=True):
    """Move a data set's files to the server; let its card say where they are."""
    address, folder = site
    text = card.read_text()
    for path in sorted(card.parent.glob(f"{card.stem}-*.jsonl")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        path.rename(folder / path.name)
        urls = f'urls = ["{address}/absent/{path.name}", "{address}/{path.name}"]'
        text = text.replace(f'path = "{path.name}"', f'path = "v2/{path.name}"\n{urls}')
        if not stated:
            text = text.replace(f'sha256 = "{digest}"', "")
    card.write_text(text)


@pytest.fixture
def impatient(monkeypatch):
    """Try twice, without waiting."""
    quick = functools.partial(fetch_file, attempts=2, wait_s=0.01)
    monkeypatch.setattr("harness.data.fetch.fetch_file", quick)


@pytest.mark.parametrize("stated", [True, False])
def test_fetched_files_are_found_in_the_cache(data, shell, site, impatient, stated):
    expected = data.of(shell.card).content_hash
    shell.cache = shell.cache.with_name("empty-cache")
    publish(shell.card, site, stated)
    done = data("prepare", shell.card)
    assert_one_line(done, 1)
    assert "or fetch it: `data fetch tiny`" in done.err
    done = data("fetch", shell.card)
    assert done.code == 0
    assert "Licence: made up for a test." in done.out
    for role in ("events", "items"):
        path = shell.cache / "sources" / "v2" / f"tiny-{role}.jsonl"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        assert re.search(rf"^{role}: {path} \([\d,]+ bytes\), sha256 {digest}$", done.out, re.M)
    assert data("prepare", shell.card).code == 0
    assert data.of(shell.card).content_hash == expected
    assert data("fetch", shell.card).out.count("(already there)") == 2


def test_another_folder_to_fetch_to(data, shell, site, impatient, tmp_path):
    publish(shell.card, site)
    assert data("fetch", shell.card, "--to", tmp_path / "mine").code == 0
    assert not (shell.cache / "sources").exists()
    assert_one_line(data("prepare", shell.card), 1)
    assert data("prepare", shell.card, "--source", tmp_path / "mine").code == 0


def test_files_that_are_not_the_ones_meant_are_not_kept(data, shell, site, impatient):
    publish(shell.card, site)
    (site[1] / "tiny-items.jsonl").write_text("{}\n")
    done = data("fetch", shell.card)
    assert done.code == 1
    assert "Traceback" not in done.err
    assert "tiny-items.jsonl" in done.err
    assert not (shell.cache / "sources" / "v2" / "tiny-items.jsonl").exists()
    (site[1] / "tiny-events.jsonl").unlink()
    assert_one_line(replace(data("fetch", shell.card, "--to", data.folder / "x"), out=""), 1)


def test_a_card_without_addresses(data, shell):
    done = data("fetch", shell.card)
    assert_one_line(done, 2)
    assert "no file of" in done.err
    assert "has an address in its card; see https://example.org" in done.err


def test_all_files_of_a_mixture_are_fetched(data, shell, site, impatient, mixture):
    before = data("prepare", mixture).out
    other = shell.card.with_name("other.toml")
    done = data("fetch", mixture)
    assert_one_line(done, 2)  # while no part has an address
    assert "no part of the mixture" in done.err
    for card in (shell.card, other):
        publish(card, site)
    shell.cache = shell.cache.with_name("empty-cache")
    done = data("prepare", mixture)
    assert_one_line(done, 1)
    assert "2 of 2 data sets lack source files: data/tiny.toml, data/other.toml: fetch" in done.err
    done = data("fetch", mixture)
    assert (done.code, done.err) == (0, "")
    assert done.out.count("sha256") == 4
    assert data("prepare", mixture).out == before


def test_a_mixture_is_fetched_as_far_as_its_parts_have_addresses(
    data, shell, site, impatient, mixture
):
    publish(shell.card, site)
    done = data("fetch", mixture)
    assert done.code == 0
    assert done.out.count("sha256") == done.out.count("no address in the card") == 2
    assert data("prepare", mixture).code == 0


# ---- mixtures, and what is listed ----------------------------------------------------------------

MIXTURE = """\
name = "both"
title = "Two small data sets"

[mixture]
exponent = 0.5

[[mixture.parts]]
dataset = "data/tiny.toml"
training = "leave-one-out"

[[mixture.parts]]
dataset = "data/other.toml"
training = "all-but-last"
selection = true
"""


@pytest.fixture
def mixture(shell, tmp_path):
    """The card of a mixture of 30 and of 120 users."""
    sequences = [[f"j{item}" for item in row] for row in random_sequences(120)]
    write_card(shell.card.parent, sequences, "other")
    (tmp_path / "both.toml").write_text(MIXTURE)
    return tmp_path / "both.toml"


def test_a_mixture_is_prepared_from_its_parts(data, mixture):
    done = data("prepare", mixture)
    assert (done.code, done.err) == (0, "")
    rows = [re.split(r" {2,}", line.strip()) for line in done.out.splitlines()]
    assert rows[0] == ["both"]
    assert ["tiny", "leave-one-out", "30", "0", "120", "33.33"] in rows
    assert ["other", "all-but-last, selects", "120", "0", "600", "66.67"] in rows
    assert re.search(r"^content hash  [0-9a-f]{64}$", done.out, re.M)
    assert data("prepare", mixture).out == done.out


def test_all_parts_whose_files_are_missing_are_named_before_any_is_prepared(data, shell, mixture):
    folder, elsewhere = shell.card.parent, mixture.parent / "elsewhere"
    elsewhere.mkdir()
    for path in [*folder.glob("tiny-*.jsonl"), *folder.glob("other-*.jsonl")]:
        path.rename(elsewhere / path.name)
    write_card(folder, name="third")
    third = ("--for", folder / "third.toml")
    done = data("prepare", mixture, *third)
    assert_one_line(done, 1)
    assert "2 of 3 data sets lack source files: data/tiny.toml, data/other.toml:" in done.err
    assert "the first one: data set tiny: its events file is missing" in done.err
    assert not shell.cache.exists()
    assert data("prepare", mixture, "--source", elsewhere).code == 0
    # what stands prepared needs no files, unless it is to be prepared anew
    assert data("prepare", mixture, *third).code == 0
    assert "2 of 3 data sets lack" in data("prepare", mixture, *third, "--refresh").err
    (folder / "third-items.jsonl").unlink()
    shutil.rmtree(shell.cache)
    assert "3 of 3 data sets lack" in data("prepare", mixture, *third).err


def test_a_mixture_is_told_to_be_safe_for_an_evaluation_or_refused(data, shell, mixture):
    tiny, other = shell.card, shell.card.with_name("other.toml")
    third = write_card(tiny.parent, [list("abcd")] * 3, "third")
    done = data("prepare", mixture, "--for", f"{tiny},{third}")
    assert (done.code, done.err) == (0, "")
    table = data("prepare", mixture).out
    assert done.out.startswith(table)
    assert [line.partition(": ")[0] for line in done.out[len(table) :].splitlines()] == [
        f"safe for {tiny}", f"safe for {third}",
    ]  # fmt: skip
    done = data("prepare", mixture, "--for", f"{tiny},{other}")
    assert done.code == 1
    assert f"safe for {tiny}" in done.out
    assert "may train on validation or test items of other" in done.err
    assert f"safe for {other}" not in done.out


@pytest.mark.parametrize(
    ("evaluated", "code", "message"),
    [
        (",", 2, "--for names no data set"),
        ("scientifik", 2, "did you mean 'scientific'?"),
        ("local-stage-one", 2, "is a mixture of several data sets"),
    ],
)
def test_an_evaluation_that_cannot_be(data, shell, mixture, evaluated, code, message):
    done = data("prepare", mixture, "--for", evaluated)
    assert_one_line(done, code)
    assert message in done.err
    assert not shell.cache.exists()


def test_a_mixture_of_what_does_not_exist(data, mixture):
    mixture.write_text(MIXTURE.replace("data/other.toml", "scientifik"))
    done = data("prepare", mixture)
    assert_one_line(done, 2)
    assert "did you mean 'scientific'?" in done.err


def test_a_mixture_is_no_data_set(data, shell, mixture):
    for done in (
        data("stats", mixture),
        data("export", mixture, "--form", "parquet", "--to", mixture.parent),
        shell("run", "--methods", "random", "--datasets", mixture, "--out", shell.out),
    ):
        assert_one_line(done, 2)
        assert "both.toml is a mixture of several data sets, not one; the commands" in done.err
        assert "methods" not in done.err


def test_one_mixture_in_detail(shell, mixture):
    done = shell("list", "datasets", mixture)
    assert done.code == 0
    for words in ("Two small data sets", "0.5", "data/other.toml", "selects the checkpoint"):
        assert words in done.out
    for name in mixture_names():
        assert "leave-one-out" in shell("list", "datasets", name).out


def test_every_card_is_listed_and_looked_for(shell):
    names = card_names()
    assert {"ml-100k", "scientific", "amazon-scientific", "amazon-gift-cards"} <= set(names)
    listed, found = shell("list", "datasets"), shell("doctor")
    assert listed.code == 0
    assert "Traceback" not in found.err
    for name in names:
        assert re.search(rf"^{re.escape(name)} ", listed.out, re.M)
        assert re.search(rf"^{re.escape(name)} ", found.out, re.M)
    for name in mixture_names():
        assert re.search(rf"^{re.escape(name)} .*mixture of \d+ data sets", listed.out, re.M)
    assert not re.search(r"^_", listed.out, re.M)


def test_a_card_that_can_be_fetched_in_detail(shell):
    done = shell("list", "datasets", "amazon-scientific")
    assert "https://" in done.out
    assert "leave-one-out" in done.out
    assert "consecutive" in done.out


# ---- what a user may type wrong ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["prepare", "scientifik"], 2, "did you mean 'scientific'?"),
        (["stats", "no/such.toml"], 2, "no data set card at no/such.toml"),
        (["duplicates", "tiny"], 2, "unknown data set 'tiny'"),
        (["fetch", "amazon-gift-card"], 2, "did you mean 'amazon-gift-cards'?"),
        (["export", "CARD", "--form", "csv", "--to", "x"], 2, "invalid choice: 'csv'"),
        (["export", "CARD", "--form", "parquet"], 2, "--to"),
        (["prepare", "CARD", "--dedup", "some"], 2, "invalid choice: 'some'"),
        (["prepare", "CARD", "--fault-limit", "-1"], 2, "at least 0, found -1"),
        (["prepare", "CARD", "--dedup", "consecutive"], 1, "no text and no rating and no time"),
        (["prepare", "CARD", "--source", "harness"], 1, "looked for harness/tiny-events.jsonl"),
        (["prepare", "CARD", "--for", "CARD"], 2, "--for goes with mixtures, and"),
        (["prepare"], 2, "NAME"),
        (["prepar", "CARD"], 2, "invalid choice: 'prepar'"),
    ],
)  # fmt: skip
def test_one_line_and_the_right_exit_code(data, shell, arguments, code, message):
    done = data(*(shell.card if part == "CARD" else part for part in arguments))
    assert_one_line(done, code)
    assert message in done.err


def test_a_history_of_no_item(data, shell, tmp_path):
    done = data("export", shell.card, "--form", "recbole", "--to", tmp_path, "--max-history", "0")
    assert_one_line(done, 2)


def test_a_limit_of_histories_where_none_is_cut(data, shell, tmp_path):
    arguments = ("--form", "parquet", "--to", tmp_path / "to", "--max-history", "50")
    done = data("export", shell.card, *arguments)
    assert_one_line(done, 2)
    assert "--max-history goes with --form recbole" in done.err
    assert not (tmp_path / "to").exists()


def test_no_traceback_in_a_process_of_its_own(shell, tmp_path):
    (tmp_path / "log.csv").write_bytes(b"user_id,item_id\nu,\xff\n")
    running = process("data", "import", "shop", "--interactions", tmp_path / "log.csv",
                      "--card", tmp_path / "shop.toml", "--cache", shell.cache)  # fmt: skip
    out, err = running.communicate(timeout=120)
    assert (running.returncode, out) == (1, "")
    assert "Traceback" not in err
    assert "log.csv, line 2: not UTF-8" in err.splitlines()[-1]
