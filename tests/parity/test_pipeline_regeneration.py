"""RecBole's own pipeline, run again in an environment of its own, gives the stored values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.parity.pipeline import FOLDER


def interpreter(folder: Path) -> Path:
    """The one that is named, or that of an environment made here."""
    if ready := os.environ.get("HARNESS_RECBOLE_PYTHON"):
        return Path(ready)
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    python = folder / "bin" / "python"
    for arguments in (
        ["-r", str(FOLDER / "requirements.txt")], ["--no-deps", "recbole==1.2.1"],
    ):  # fmt: skip
        done = subprocess.run(
            [python, "-m", "pip", "install", "-q", *arguments],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"old versions cannot be installed: {done.stderr.strip()[-200:]}")
    return python


@pytest.mark.slow
def test_the_pipeline_gives_the_stored_values_again(tmp_path):
    command = [interpreter(tmp_path / "old"), FOLDER / "generate.py", tmp_path / "made"]
    done = subprocess.run(
        [*command, "--compare", FOLDER], capture_output=True, text=True, check=False,
        cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert done.stdout.count("largest difference") == 5
