"""What a run took place on: versions, code, device, memory. Nothing here imports torch."""

from __future__ import annotations

import contextlib
import ctypes
import importlib.metadata
import importlib.util
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
RECORDED_PACKAGES = (
    "numpy", "numba", "pandas", "pyarrow", "scipy", "torch", "transformers", "tokenizers",
    "peft", "accelerate", "datasets", "recbole", "rank-bm25", "gguf", "tabulate",
    "duckdb", "msgspec", "isal", "scikit-learn",
)  # fmt: skip


def package_versions() -> dict[str, str | None]:
    """Return package -> installed version, None where it is absent."""
    return {name: package_version(name) for name in RECORDED_PACKAGES}


def package_version(name: str) -> str | None:
    """Return an installed package's version, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def missing_packages(requires: tuple[str, ...]) -> list[str]:
    """Return those importable names that are not installed, without importing any."""
    tops = dict.fromkeys(name.partition(".")[0] for name in requires)
    return [name for name in tops if importlib.util.find_spec(name) is None]


def code_state() -> dict[str, Any]:
    """Return the project's version, its commit and whether the checkout has uncommitted changes.

    Commit and ``dirty`` are None outside a git checkout.
    """
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--", "harness", "methods", "datasets")
    return {
        "version": package_version("sequential-harness"),
        "commit": commit,
        "dirty": None if commit is None or changes is None else bool(changes),
    }


def _git(*arguments: str) -> str | None:
    if not (CHECKOUT / ".git").exists():
        return None
    try:
        done = subprocess.run(
            ["git", "-C", str(CHECKOUT), *arguments],  # noqa: S607
            capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def cuda_devices() -> int:
    """Return how many CUDA devices the driver offers, asked of the driver itself (milliseconds)."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


def torch_has_cuda() -> bool:
    """Tell whether the installed torch is a CUDA build, from its version (CPU builds end +cpu)."""
    version = package_version("torch")
    return version is not None and "+cpu" not in version


def default_device() -> str:
    """Return "cuda" where both the machine and the installed torch have it, otherwise "cpu"."""
    return "cuda" if torch_has_cuda() and cuda_devices() else "cpu"


def available_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


THREADS_VARIABLE = "OMP_NUM_THREADS"
DEFAULT_THREADS = 2
"""Not the machine's number of cores: the same command gives the same ranks on all of them."""


def numeric_threads() -> int:
    """Return how many threads numeric code is meant to use: $OMP_NUM_THREADS, or the default.

    The command line puts the number into the environment before numpy or torch is loaded; who
    plans cells from Python does so too.
    """
    given = os.environ.get(THREADS_VARIABLE, "").partition(",")[0]  # "4,2": outermost level first
    return int(given) if given.isdecimal() and int(given) else DEFAULT_THREADS


def available_memory_bytes() -> int | None:
    """Return the memory that can be used without swapping (Linux), or None."""
    return _proc_kilobytes(Path("/proc/meminfo"), "MemAvailable:")


def reset_peak_memory() -> None:
    """Make the kernel forget this process's peak resident size, so that a cell has its own."""
    with contextlib.suppress(OSError):  # not Linux, or not allowed: the peak is the process's
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory_bytes() -> int | None:
    """Return the peak resident size since `reset_peak_memory` (Linux), or None."""
    return _proc_kilobytes(Path("/proc/self/status"), "VmHWM:")


def _proc_kilobytes(path: Path, label: str) -> int | None:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith(label):
            return int(line.split()[1]) * 1024
    return None


def machine() -> dict[str, Any]:
    """Return what the machine is, without its name."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": available_cores(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
