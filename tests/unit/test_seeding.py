"""Seeding: the same seed gives the same draws, another seed others, torch only where loaded."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pytest

from harness.seeding import seed_everything


def _draws() -> tuple[float, float, float]:
    import torch

    return random.random(), float(np.random.random()), torch.rand(1).item()


def test_the_same_seed_gives_the_same_draws_and_another_seed_other_ones():
    import torch  # noqa: F401  (loaded before seeding, so that it is seeded)

    seed_everything(7)
    first = _draws()
    seed_everything(7)
    assert _draws() == first
    seed_everything(8)
    assert all(one != other for one, other in zip(_draws(), first, strict=True))


def test_a_seed_beyond_32_bits_is_taken_and_a_negative_one_refused():
    seed_everything(2**40 + 1)
    with pytest.raises(ValueError, match="0 or more"):
        seed_everything(-1)


def test_torch_is_not_imported_for_seeding():
    code = "import sys; from harness.seeding import seed_everything; seed_everything(1); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
