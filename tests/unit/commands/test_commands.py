"""Options of the commands, devices and threads."""

from __future__ import annotations

import os

import pytest

from harness import environment
from harness.commands.options import default_cache, limit_threads, names, seeds
from harness.commands.run import _device
from harness.errors import UsageError


def test_lists_of_names():
    assert names(" a, b,,a ,c") == ["a", "b", "c"]
    assert names("") == []


@pytest.mark.parametrize(("text", "expected"), [("0", [0]), ("2, 1,2", [2, 1]), ("0,00", [0])])
def test_seeds(text, expected):
    assert seeds(text) == expected


@pytest.mark.parametrize("text", ["", ",", "-1", "1.5", "a", "1,b", "0x1"])
def test_wrong_seeds(text):
    with pytest.raises(UsageError, match="whole numbers from 0"):
        seeds(text)


def test_the_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HARNESS_CACHE", str(tmp_path))
    assert default_cache() == tmp_path
    monkeypatch.delenv("HARNESS_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert default_cache() == tmp_path / "x" / "sequential-harness"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "h"))
    assert default_cache() == tmp_path / "h" / ".cache" / "sequential-harness"


def test_devices(monkeypatch):
    monkeypatch.setattr(environment, "cuda_devices", lambda: 0)
    monkeypatch.setattr(environment, "torch_has_cuda", lambda: False)
    assert _device("cpu") == _device("auto") == "cpu"
    with pytest.raises(UsageError, match="a build without CUDA"):
        _device("cuda")
    monkeypatch.setattr(environment, "torch_has_cuda", lambda: True)
    with pytest.raises(UsageError, match="offers 0 devices"):
        _device("cuda")
    monkeypatch.setattr(environment, "cuda_devices", lambda: 2)
    assert _device("cuda") == _device("auto") == "cuda"


def test_threads(monkeypatch):
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(variable, "1")
    limit_threads(3)
    assert os.environ["OMP_NUM_THREADS"] == os.environ["MKL_NUM_THREADS"] == "3"
    assert environment.numeric_threads() == 3
    limit_threads(None)  # what the user's environment says stays
    assert environment.numeric_threads() == 3
    monkeypatch.delenv("OMP_NUM_THREADS")
    limit_threads(None)
    assert environment.numeric_threads() == environment.DEFAULT_THREADS
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert environment.numeric_threads() == 4
