"""One seed for every source of random numbers that a method may draw from."""

from __future__ import annotations

import random
import sys

import numpy as np


def seed_everything(seed: int) -> None:
    """Seed Python's ``random``, numpy's global generator and, where it is loaded, torch.

    Importing a library may itself draw random numbers, so a method calls this after its imports
    and before it builds its model. torch is left alone where nothing has imported it: methods
    without torch then need not wait for it.

    Args:
        seed: any whole number from 0; numpy's global generator takes it modulo 2**32.

    Raises:
        ValueError: the seed is negative.
    """
    if seed < 0:
        raise ValueError(f"a seed must be 0 or more, found {seed}")
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(seed)  # seeds all CUDA devices too
