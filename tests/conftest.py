"""Fixtures that every test may use, and the limits under which tests run."""

from __future__ import annotations

import os
from pathlib import Path

# one thread per process, decided before numpy, numba or torch is imported
for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HUB_OFFLINE"] = "1"

import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

# compilation and shared machines make single timings meaningless
settings.register_profile("harness", deadline=None, derandomize=True)
settings.load_profile("harness")

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    """Keep torch to one thread, also where a test imported it before this file."""
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data; tests that need it are skipped, with a reason, without it."""
    folder = Path(os.environ.get("HARNESS_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"absent data: no folder {folder.name!r} (set HARNESS_SHARED_DATA)")
    return folder
