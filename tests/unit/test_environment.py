"""What a run took place on."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from harness import environment


def test_versions_are_those_installed():
    versions = environment.package_versions()
    assert versions["numpy"] == np.__version__
    assert environment.package_version("no-such-package") is None


def test_missing_packages_are_named_once_by_their_top():
    wanted = ("numpy", "no_such_package.part", "no_such_package.other", "json.decoder")
    assert environment.missing_packages(wanted) == ["no_such_package"]


def test_the_machine_is_described_without_its_name():
    described = environment.machine()
    assert described["cores"] == environment.available_cores() >= 1
    assert os.uname().nodename not in json.dumps(described)


def test_code_state_of_this_checkout():
    state = environment.code_state()
    if state["commit"] is None:
        pytest.skip("not a git checkout")
    assert len(state["commit"]) == 40
    assert isinstance(state["dirty"], bool)


def test_code_state_outside_a_checkout(monkeypatch, tmp_path):
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    assert environment.code_state()["commit"] is None
    assert environment.code_state()["dirty"] is None


def test_uncommitted_code_is_seen(monkeypatch, tmp_path):
    (tmp_path / "harness").mkdir()
    monkeypatch.setattr(environment, "CHECKOUT", tmp_path)
    git = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    (tmp_path / ".git").mkdir()
    for arguments in (["init", "-q"], [*git, "commit", "-q", "--allow-empty", "-m", "first"]):
        assert environment._git(*arguments) is not None
    assert environment.code_state()["dirty"] is False
    (tmp_path / "notes.txt").write_text("beside the code")
    assert environment.code_state()["dirty"] is False
    (tmp_path / "harness" / "new.py").write_text("x = 1")
    assert environment.code_state()["dirty"] is True


PEAKS = """
import mmap
from harness import environment
environment.reset_peak_memory()
before = environment.peak_memory_bytes()
# mapped anew and written in pieces: nothing comes from, or goes back to, the allocator
with mmap.mmap(-1, 64_000_000, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as block:
    for _ in range(64):
        block.write(b"\\1" * 1_000_000)
    grown = environment.peak_memory_bytes()
kept = environment.peak_memory_bytes()
environment.reset_peak_memory()
print(before, grown, kept, environment.peak_memory_bytes())
"""


def test_peak_memory_is_that_since_the_reset():
    """In a process of its own: here, other tests' memory is given back at any time."""
    if environment.peak_memory_bytes() is None:
        pytest.skip("known on Linux only")
    finished = subprocess.run(
        [sys.executable, "-c", PEAKS], capture_output=True, text=True, check=True
    )
    before, grown, kept, after = map(int, finished.stdout.split())
    assert grown - before > 50e6
    # the kernel counts pages by processor and adds up now and then
    assert kept > grown - 4e6, "a peak does not fall by itself"
    assert after < grown - 30e6


@pytest.mark.parametrize(
    ("version", "devices", "expected"),
    [("2.1+cpu", 4, "cpu"), ("2.1", 0, "cpu"), ("2.1", 1, "cuda"), ("2.1+cu128", 1, "cuda"),
     (None, 1, "cpu")],
)  # fmt: skip
def test_cuda_is_taken_where_machine_and_torch_have_it(monkeypatch, version, devices, expected):
    monkeypatch.setattr(environment, "package_version", lambda name: version)
    monkeypatch.setattr(environment, "cuda_devices", lambda: devices)
    assert environment.default_device() == expected
