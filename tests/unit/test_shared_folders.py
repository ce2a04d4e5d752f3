"""Shared folders: which key means which, and that two processes do not make one thing twice."""

from __future__ import annotations

import multiprocessing
import threading
import time

import pytest

from harness.method import RunContext
from harness.progress import Progress
from harness.shared_folders import SharedFolders

SILENT = Progress(shown=False)


@pytest.fixture
def shared(tmp_path):
    return SharedFolders(tmp_path / "cache" / "pretrained", "toy", "code 1")


def test_a_folder_exists_and_lies_where_it_should(shared):
    folder = shared.folder("stage one, seed 0")
    assert folder.is_dir()
    assert folder.parent == shared.root
    name, _, digest = folder.name.partition("-")
    assert name == "toy"
    assert len(digest) == 16


def test_key_method_and_identity_all_tell_folders_apart(shared):
    others = [
        shared.folder("b"),
        SharedFolders(shared.root, "other", "code 1").folder("a"),
        SharedFolders(shared.root, "toy", "code 2").folder("a"),
        SharedFolders(shared.root, "toy", "code").folder(" 1a"),
        shared.folder("../a/\0"),
    ]
    assert len({shared.folder("a"), *others}) == 6
    assert {folder.parent for folder in others} == {shared.root}
    assert shared.folder("a") == SharedFolders(shared.root, "toy", "code 1").folder("a")


def test_a_folder_for_all_methods_depends_on_its_key_alone(shared):
    others = [
        SharedFolders(shared.root, "other", "code 1"),
        SharedFolders(shared.root, "toy", "code 2"),
    ]
    folder = shared.folder("a", for_all_methods=True)
    assert folder.is_dir()
    assert folder.parent == shared.root
    assert folder.name.startswith("_all-")
    assert [other.folder("a", for_all_methods=True) for other in others] == [folder, folder]
    assert folder not in {shared.folder("a"), shared.folder("b", for_all_methods=True)}


def test_methods_wait_for_each_other_in_a_folder_for_all(shared):
    other = SharedFolders(shared.root, "other", "code 2")
    held, order = threading.Event(), []

    def hold():
        with shared.alone("key", SILENT, for_all_methods=True):
            held.set()
            time.sleep(0.3)
            order.append("first")

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    with other.alone("key", SILENT, for_all_methods=True) as folder:
        order.append("second")
        assert folder == shared.folder("key", for_all_methods=True)
    holder.join(30)
    assert order == ["first", "second"]


def test_a_context_knows_the_folders_for_all_methods(shared, tmp_path):
    context = RunContext(0, "cpu", tmp_path, SILENT, max, max, shared)
    with context.shared("key", for_all_methods=True) as folder:
        assert folder == shared.folder("key", for_all_methods=True)
    assert context.shared_dir("key", for_all_methods=True) == folder
    assert context.shared_dir("key") == shared.folder("key") != folder


def _make_once(shared, made, barrier):
    barrier.wait()
    with shared.alone("key", SILENT) as folder:
        if not (folder / "made").exists():
            time.sleep(0.3)  # long enough for the other to come by
            made.append(folder)
            (folder / "made").write_text("x")


def _make_once_and_tell(shared, results, barrier):
    made: list = []
    _make_once(shared, made, barrier)
    results.put(len(made))


def test_two_threads_make_the_thing_once(shared):
    made, barrier = [], threading.Barrier(2)
    threads = [threading.Thread(target=_make_once, args=(shared, made, barrier)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert made == [shared.folder("key")]


def test_two_processes_make_the_thing_once(shared):
    context = multiprocessing.get_context("fork")
    results, barrier = context.Queue(), context.Barrier(2)
    processes = [
        context.Process(target=_make_once_and_tell, args=(shared, results, barrier))
        for _ in range(2)
    ]
    for process in processes:
        process.start()
    counts = [results.get(timeout=30) for _ in processes]
    for process in processes:
        process.join(30)
        assert process.exitcode == 0
    assert sorted(counts) == [0, 1]


def test_who_waits_says_so_once(shared, capsys):
    held, done = threading.Event(), threading.Event()

    def hold():
        with shared.alone("key", SILENT):
            held.set()
            done.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    assert held.wait(30)
    threading.Timer(0.7, done.set).start()
    with shared.alone("key", Progress()) as folder:
        assert done.is_set()
    holder.join(30)
    told = capsys.readouterr().err
    assert told.count(f"waiting for another process that uses {folder.name}") == 1


def test_another_key_waits_for_nobody(shared):
    with shared.alone("a", SILENT) as first, shared.alone("b", SILENT) as second:
        assert first != second


def test_an_error_sets_the_folder_free_and_leaves_it(shared):
    with pytest.raises(RuntimeError), shared.alone("key", SILENT) as folder:
        (folder / "part").write_text("half")
        raise RuntimeError
    with shared.alone("key", SILENT) as again:
        assert (again / "part").read_text() == "half"
