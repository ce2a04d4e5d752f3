"""Files are whole or absent, digests are those of the standard, locks keep others out."""

from __future__ import annotations

import errno
import hashlib
import json
import multiprocessing
import os
import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import files
from harness.files import (
    atomic_write,
    canonical_json,
    exclusive_lock,
    explain_os_error,
    sha256_file,
    sha256_text,
    write_json,
    write_text,
)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
def test_a_write_that_stops_half_way_leaves_the_former_file(tmp_path, error):
    path = tmp_path / "folder" / "file"
    for former in (None, b"former"):
        if former:
            path.write_bytes(former)
        with pytest.raises(error), atomic_write(path) as stream:
            stream.write(b"half of the ")
            raise error
        assert (path.read_bytes() if path.exists() else None) == former
        assert [p.name for p in path.parent.iterdir()] == (["file"] if former else [])


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_at_the_last_moment_leaves_the_former_file(tmp_path, monkeypatch, step):
    path = tmp_path / "file"
    write_text(path, "former")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    target = (files.os, "fsync") if step == "fsync" else (files.Path, "replace")
    monkeypatch.setattr(*target, full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "former"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def _write_too_much(path):
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
    try:
        write_text(path, "x" * 100_000)
    except OSError as error:
        os._exit(0 if error.errno == errno.EFBIG else 1)
    os._exit(2)


def test_a_real_limit_of_the_system_leaves_nothing(tmp_path):
    process = multiprocessing.get_context("fork").Process(
        target=_write_too_much, args=(tmp_path / "file",)
    )
    process.start()
    process.join(30)
    assert process.exitcode == 0
    assert not list(tmp_path.iterdir())


def test_text_is_utf8_and_json_is_strict(tmp_path):
    write_json(tmp_path / "a.json", {"b": "ä", "a": [1, None]})
    assert (tmp_path / "a.json").read_text().startswith('{\n  "a"')
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None], "b": "ä"}
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "b.json", {"x": float("nan")})
    assert not (tmp_path / "b.json").exists()


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3) | st.none()))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value):
    assert canonical_json(value) == canonical_json(dict(reversed(value.items())))
    assert json.loads(canonical_json(value)) == value


def test_digests(tmp_path):
    (tmp_path / "file").write_bytes("grün".encode())
    expected = hashlib.sha256("grün".encode()).hexdigest()
    assert sha256_file(tmp_path / "file") == sha256_text("grün") == expected


def _try_lock(path, results):
    with exclusive_lock(path) as mine:
        results.put(mine)


def test_a_lock_keeps_another_process_out_until_it_is_released(tmp_path):
    context = multiprocessing.get_context("fork")
    results = context.Queue()

    def other():
        process = context.Process(target=_try_lock, args=(tmp_path / "x" / ".lock", results))
        process.start()
        process.join(30)
        return results.get(timeout=10)

    with exclusive_lock(tmp_path / "x" / ".lock") as mine:
        assert mine
        assert other() is False
    assert other() is True


def test_os_errors_in_one_line():
    full = explain_os_error(OSError(errno.ENOSPC, "No space left on device", "/x"))
    assert full.startswith("no space left on the device; free some")
    assert explain_os_error(OSError(errno.EDQUOT, "Quota exceeded")) == full
    refused = explain_os_error(PermissionError(errno.EACCES, "Permission denied", "file"))
    assert refused == "Permission denied: file"
    assert explain_os_error(OSError("no such model")) == "no such model"
