from __future__ import annotations

import errno
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.data import prepare as preparing
from harness.data import storage
from harness.data.card import Protocol, UserSample
from harness.data.cards import load_card
from harness.data.prepare import build, prepare, prepared_folder
from harness.data.prepared import PreparedData, content_hash
from harness.errors import DataError
from harness.files import canonical_json, sha256_file, sha256_text
from harness.histories import Histories
from harness.progress import Progress

CardWriter = Callable[..., str]
ROOT = Path(__file__).resolve().parents[3]
SEQUENCES = (np.arange(2), np.array([0, 1, 0, 1, 0, 1], np.int32), np.array([0, 3, 6]))
REVIEWS = [("u", item, "", 5.0, day) for day, item in enumerate("abcd")]


def same(one: PreparedData, other: PreparedData) -> None:
    assert one.item_ids == other.item_ids
    assert one.item_texts == other.item_texts
    assert one.user_ids == other.user_ids
    assert one.counts == other.counts
    assert one.content_hash == other.content_hash
    for name in ("users", "items", "offsets", "timestamps"):
        left, right = getattr(one.sequences, name), getattr(other.sequences, name)
        if left is None:
            assert right is None
        else:
            assert left.dtype == right.dtype
            np.testing.assert_array_equal(left, right)
            assert not right.flags.writeable


def test_what_a_small_data_set_becomes(tidy_card: CardWriter, silent: Progress) -> None:
    data = build(load_card(tidy_card()), silent)
    assert data.item_ids == ("a", "b", "c")
    assert data.item_texts == (
        "Title: Apple. Price: Unknown.",
        "Title: Blue & bold. Price: $2.",
        "Title: one two three four. Price: Unknown.",
    )
    assert data.user_ids == ("u", "v")
    assert [row.tolist() for row in data.sequences] == [[1, 1, 2, 0], [0, 1, 2]]
    assert data.sequences.timestamps is None
    assert data.counts == {
        "events_read": 7,
        "duplicates_dropped": 0,
        "users_read": 2,
        "users_dropped": 0,
        "users_not_sampled": 0,
        "users": 2,
        "items": 3,
        "events": 7,
        "items_without_text": 0,
        "distinct_texts": 3,
        "consecutive_repeats": 1,
        "item_lines_repeated": 0,
        "faulty_lines": 0,
        "lines_read": 5,
    }


def test_the_content_hash_is_a_fixed_number(tidy_card: CardWriter, silent: Progress) -> None:
    # published records carry this hash: a change of its definition must be meant
    assert build(load_card(tidy_card()), silent).content_hash == HASH_OF_THE_SMALL_DATA_SET


@pytest.mark.parametrize(
    "change",
    [
        {"item_ids": ("a", "x")},
        {"item_texts": ("A", "Bx")},
        {"item_texts": ("AB", "")},
        {"user_ids": ("w", "v")},
        {"sequences": Histories.from_lists([[0, 1, 1], [1, 0, 1]])},
        {"sequences": Histories.from_lists([[0, 1], [0, 1, 0, 1]])},
        {"sequences": Histories(*SEQUENCES, np.arange(6))},
        {"protocol": Protocol("none", 4, "leave-one-out", None)},
        {"protocol": Protocol("none", 3, "leave-one-out", UserSample(2, None, 0))},
    ],
)
def test_the_content_hash_changes_with_every_part(change: dict[str, Any]) -> None:
    parts: dict[str, Any] = {
        "item_ids": ("a", "b"),
        "item_texts": ("A", "B"),
        "user_ids": ("u", "v"),
        "sequences": Histories(*SEQUENCES),
        "protocol": Protocol("none", 3, "leave-one-out", None),
    }
    assert content_hash(**parts) == content_hash(**parts)
    assert content_hash(**parts) != content_hash(**(parts | change))
    later = {"sequences": Histories(*SEQUENCES, np.arange(1, 7))}
    assert content_hash(**(parts | later)) != content_hash(**(parts | change))


HASH_OF_THE_SMALL_DATA_SET = "3479445f391c58abb78367e89123fa8ec70c27bc04a29f287ea08dca05af8a36"


def test_a_second_call_loads_and_needs_no_source(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_card(tidy_card())
    built = prepare(card, tmp_path / "cache", silent)
    (tmp_path / "events.jsonl").unlink()
    monkeypatch.setattr(preparing, "build", lambda *_: pytest.fail("built again"))
    same(built, prepare(card, tmp_path / "cache", silent))


def test_timestamps_survive_storage(
    review_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = load_card(review_card(REVIEWS))
    built = build(card, silent)
    assert built.sequences.timestamps is not None
    same(built, prepare(card, tmp_path / "cache", silent))
    same(built, prepare(card, tmp_path / "cache", silent))


def test_users_with_too_few_events_are_dropped_and_counted(
    tidy_card: CardWriter, silent: Progress
) -> None:
    users = [{"user": "u", "items": list("aab")}, {"user": "v", "items": list("cc")}]
    data = build(load_card(tidy_card(users=users)), silent)
    assert data.user_ids == ("u",)
    assert data.item_ids == ("a", "b")  # c went with its only user
    assert data.counts["users_dropped"] == 1
    assert data.counts["users_read"] == 2


def test_nobody_left_is_an_error(tidy_card: CardWriter, silent: Progress) -> None:
    with pytest.raises(DataError, match="no user is left: none of 2 has 9 events after dedup"):
        build(load_card(tidy_card(minimum=9)), silent)


def test_the_filter_comes_after_dedup(review_card: CardWriter, silent: Progress) -> None:
    rows = [("u", "a", "", 5.0, 1)] * 3 + [("v", item, "", 5.0, 1) for item in "abc"]
    data = build(load_card(review_card(rows)), silent)
    assert data.user_ids == ("v",)
    assert data.counts["duplicates_dropped"] == 2
    assert data.counts["users_dropped"] == 1
    undropped = build(load_card(review_card(rows, dedup="none")), silent)
    assert undropped.user_ids == ("u", "v")


def test_a_user_sample_leaves_only_items_that_still_appear(
    tidy_card: CardWriter, silent: Progress
) -> None:
    items = [{"item": f"i{n:02}", "title": "x", "price": ""} for n in range(20)]
    users = [{"user": f"u{n:02}", "items": [f"i{n:02}"] * 3} for n in range(20)]
    sample = "user_sample = {fraction = 0.25, seed = 3}"
    data = build(load_card(tidy_card(items, users, protocol=sample)), silent)
    assert len(data.user_ids) == len(data.item_ids) == 5
    assert [user[1:] for user in data.user_ids] == [item[1:] for item in data.item_ids]
    assert data.counts["users_not_sampled"] == 15
    whole = build(load_card(tidy_card(items, users)), silent)
    assert whole.content_hash != data.content_hash


@pytest.mark.parametrize(
    ("items", "what"),
    [
        (
            [{"item": "a", "title": "x", "price": ""}],
            r"1 item without text: no line in items\.jsonl, such as 'b'",
        ),
        (
            [{"item": "a", "title": "x", "price": ""}, {"item": "b", "title": " ", "price": "no"}],
            r"1 item without text: no attribute with a value in items\.jsonl, such as 'b'",
        ),
    ],
)
def test_items_without_text(
    tidy_card: CardWriter, silent: Progress, items: list[dict[str, str]], what: str
) -> None:
    users = [{"user": "u", "items": list("aab")}]
    with pytest.raises(DataError, match=f'{what}.*complete the file.*items_without_text = "unkn'):
        build(load_card(tidy_card(items, users)), silent)
    data = build(load_card(tidy_card(items, users, policy="unknown")), silent)
    assert data.item_texts[1] == "Title: Unknown. Price: Unknown."
    assert data.counts["items_without_text"] == 1
    assert re.search(what, data.fault_report[0])


def test_too_many_items_without_text_are_taken_for_the_wrong_file(
    tidy_card: CardWriter, silent: Progress
) -> None:
    items = [{"item": item, "title": "x", "price": ""} for item in "abc"]
    users = [{"user": "u", "items": list("abcde")}]
    path = Path(tidy_card(items, users, policy="unknown"))
    text = path.read_text()
    assert build(load_card(str(path)), silent).counts["items_without_text"] == 2
    path.write_text(text.replace("[text]", "[text]\nwithout_text_limit = 0.4"))
    assert build(load_card(str(path)), silent).counts["items_without_text"] == 2
    path.write_text(text.replace("[text]", "[text]\nwithout_text_limit = 0.39"))
    message = r"2 items .*'d', 'e': that is 40\.0 % of 5, more than the limit of 39 %"
    with pytest.raises(DataError, match=message):
        build(load_card(str(path)), silent)


def test_a_catalogue_of_other_ids_is_an_error_under_either_policy(
    tidy_card: CardWriter, silent: Progress
) -> None:
    items = [{"item": "x", "title": "x", "price": ""}]
    users = [{"user": "u", "items": list("aab")}]
    message = r"2 items without text: no line in items\.jsonl, such as 'a', 'b': its ids are others"
    with pytest.raises(DataError, match=message):
        build(load_card(tidy_card(items, users, policy="unknown")), silent)


def test_expected_counts_are_checked(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    prepare(load_card(tidy_card()), tmp_path / "cache", silent)
    card = load_card(tidy_card(extra="[expected]\nusers = 2\nitems = 4\n"))
    # the same sources and protocol: found in the cache, and checked all the same
    with pytest.raises(DataError, match="items expected 4, found 3"):
        prepare(card, tmp_path / "cache", silent)
    with pytest.raises(DataError, match="items expected 4, found 3"):
        prepare(card, tmp_path / "fresh", silent)
    assert not prepared_folder(card, tmp_path / "fresh").exists()


@pytest.mark.parametrize("name", ["items.parquet", "users.parquet", "events.parquet"])
def test_an_edited_table_is_noticed_and_refresh_mends_it(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path, name: str
) -> None:
    card = load_card(tidy_card())
    built = prepare(card, tmp_path / "cache", silent)
    file = prepared_folder(card, tmp_path / "cache") / name
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(bytes(content))
    with pytest.raises(DataError, match=rf"{name}: sha256 expected .* found .*--refresh"):
        prepare(card, tmp_path / "cache", silent)
    same(built, prepare(card, tmp_path / "cache", silent, refresh=True))
    file.unlink()
    with pytest.raises(DataError, match=rf"{name}: it is missing"):
        prepare(card, tmp_path / "cache", silent)


def edit_manifest(path: Path, change: Callable[[dict], None], reseal: bool) -> None:
    manifest = json.loads(path.read_text())
    manifest.pop("manifest_hash") if reseal else None
    change(manifest)
    if reseal:
        manifest["manifest_hash"] = sha256_text(canonical_json(manifest))
    path.write_text(json.dumps(manifest))


def test_an_edited_manifest_is_noticed(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = load_card(tidy_card())
    prepare(card, tmp_path / "cache", silent)
    path = prepared_folder(card, tmp_path / "cache") / "manifest.json"
    edit_manifest(path, lambda manifest: manifest["counts"].update(users=9), reseal=False)
    with pytest.raises(DataError, match=r"manifest\.json: it was edited.*--refresh"):
        prepare(card, tmp_path / "cache", silent)
    path.write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: not a manifest"):
        prepare(card, tmp_path / "cache", silent)


def test_a_table_and_manifest_edited_together_fail_the_content_hash(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = load_card(tidy_card())
    data = prepare(card, tmp_path / "cache", silent)
    folder = prepared_folder(card, tmp_path / "cache")
    texts = ("Title: Another. Price: $1.", *data.item_texts[1:])
    storage._write_table(folder / "items.parquet", {"id": data.item_ids, "text": texts})
    digest = sha256_file(folder / "items.parquet")
    edit_manifest(
        folder / "manifest.json",
        lambda manifest: manifest["files"].update({"items.parquet": digest}),
        reseal=True,
    )
    with pytest.raises(DataError, match=r"content hash expected .* found"):
        prepare(card, tmp_path / "cache", silent)


def test_other_sources_rules_or_code_get_another_folder(
    tidy_card: CardWriter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [prepared_folder(load_card(tidy_card()), tmp_path)]
    folders.append(prepared_folder(load_card(tidy_card(minimum=4)), tmp_path))
    folders.append(prepared_folder(load_card(tidy_card(users=[])), tmp_path))
    monkeypatch.setattr(preparing, "preparation", lambda: "other code")
    folders.append(prepared_folder(load_card(tidy_card()), tmp_path))
    assert len(set(folders)) == 4


@pytest.mark.parametrize("name", ["items.parquet", "events.parquet", "manifest.json"])
def test_a_full_disk_leaves_nothing_that_looks_finished(
    tidy_card: CardWriter,
    silent: Progress,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    card = load_card(tidy_card())

    def fsync_of_a_full_disk(descriptor: int) -> None:
        if f".{name}." in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync_of_a_full_disk)
        with pytest.raises(DataError, match="No space left on device; free some space"):
            prepare(card, tmp_path / "cache", silent)
    left = [path.name for path in (tmp_path / "cache").rglob("*") if path.suffix != ".lock"]
    assert left == []
    assert prepare(card, tmp_path / "cache", silent).user_ids == ("u", "v")


def test_an_interrupted_refresh_keeps_the_finished_folder(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = load_card(tidy_card())
    built = prepare(card, tmp_path / "cache", silent)

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(storage, "write_json", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(card, tmp_path / "cache", silent, refresh=True)
    same(built, prepare(card, tmp_path / "cache", silent))


def test_a_folder_without_manifest_and_left_overs_are_built_over(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    card = load_card(tidy_card())
    folder = prepared_folder(card, tmp_path / "cache")
    for left_over in (folder, folder.with_name(f".{folder.name}.building")):
        left_over.mkdir(parents=True)
        (left_over / "items.parquet").write_bytes(b"half")
    same(build(card, silent), prepare(card, tmp_path / "cache", silent))
    assert not folder.with_name(f".{folder.name}.building").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from harness.data import storage
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.progress import Progress
storage.write_json = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
prepare(load_card(sys.argv[1]), Path(sys.argv[2]), Progress(shown=False))
"""


def test_a_killed_process_leaves_nothing_finished_and_no_lock(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    path = tidy_card()
    command = [sys.executable, "-c", KILLED, path, str(tmp_path / "cache")]
    assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    card = load_card(path)
    assert not prepared_folder(card, tmp_path / "cache").exists()
    same(build(card, silent), prepare(card, tmp_path / "cache", silent))


def _prepare_in_a_process(path: str, cache: str, refresh: bool) -> str:
    data = prepare(load_card(path), Path(cache), Progress(shown=False), refresh=refresh)
    return data.content_hash


def test_processes_that_prepare_at_once_do_not_disturb_each_other(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    path = tidy_card()
    jobs = [(path, str(tmp_path / "cache"), refresh) for refresh in (False, True, True, False)]
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        hashes = pool.starmap(_prepare_in_a_process, jobs)
    assert set(hashes) == {build(load_card(path), silent).content_hash}


def test_a_second_process_waits_for_the_first(
    tidy_card: CardWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from harness.files import exclusive_lock

    card = load_card(tidy_card())
    folder = prepared_folder(card, tmp_path / "cache")
    released = []

    class Releasing(Progress):
        def say(self, text: str) -> None:
            assert "waiting for another process" in text
            lock.__exit__(None, None, None)
            released.append(time.monotonic())

    lock = exclusive_lock(folder.with_name(f".{folder.name}.lock"))
    assert lock.__enter__()
    prepare(card, tmp_path / "cache", Releasing(shown=False))
    assert len(released) == 1


def test_a_folder_that_cannot_be_written_is_named(
    tidy_card: CardWriter, silent: Progress, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where a folder should be")
    with pytest.raises(DataError, match=r"data set small: cannot keep it in .*cache"):
        prepare(load_card(tidy_card()), tmp_path / "cache", silent)


def test_bars_are_shown_for_every_stage(
    tidy_card: CardWriter, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(load_card(tidy_card()), tmp_path / "cache", Progress())
    shown = capsys.readouterr().err
    for stage in ("checking files", "items", "sequences", "dedup and filter", "texts"):
        assert f"small: {stage}" in shown
