"""Several processes that share a batch: their vectors, their gradients, their agreement.

Without ``torch.distributed`` initialised there is one process, and all of this leaves things as
they are. Process r reads the rows r, r + n, r + 2n, … of every batch. Each computes the loss of the
whole batch from everybody's vectors, with the gradient of its own vectors alone; so gradients add
up, over processes, to those of one process that reads all.

The harness runs a cell in one process and starts no others: this is for programs that train in
several (`methods.calrec.several`, or one's own around `methods.recformer.pretraining`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as processes
from numpy.typing import NDArray

from harness.method import RunContext


def n_processes() -> int:
    """Return how many processes there are."""
    return processes.get_world_size() if _several() else 1


def own_process() -> int:
    """Return the number of this one, from 0."""
    return processes.get_rank() if _several() else 0


def own_rows(n_rows: int) -> NDArray[np.int64]:
    """Return the rows of a batch that this process reads."""
    return np.arange(own_process(), n_rows, n_processes())


def gathered(own: torch.Tensor, n_rows: int) -> torch.Tensor:
    """Return the vectors of the whole batch, float [n_rows, width], with a gradient to the own.

    Args:
        own: float [len(own_rows(n_rows)), width].
        n_rows: of the whole batch.
    """
    if not _several():
        return own
    most = -(-n_rows // n_processes())
    # all must send as much; where rows do not divide evenly, the last one is filled up
    padded = torch.nn.functional.pad(own, (0, 0, 0, most - len(own)))
    received = [torch.empty_like(padded) for _ in range(n_processes())]
    processes.all_gather(received, padded.detach())
    received[own_process()] = padded
    return torch.stack(received, dim=1).flatten(0, 1)[:n_rows]


def add_up_gradients(parameters: Iterable[torch.nn.Parameter]) -> None:
    """Replace the gradient of each trained parameter by its sum over the processes.

    One that no gradient reached gets zeros, also in a single process: the optimiser treats it the
    same however many there are.
    """
    for weights in parameters:
        if not weights.requires_grad:
            continue
        if weights.grad is None:
            weights.grad = torch.zeros_like(weights)
        if _several():
            processes.all_reduce(weights.grad)


def added_up(number: float, device: str) -> float:
    """Return the sum of a number over the processes."""
    if not _several():
        return number
    total = torch.tensor(number, dtype=torch.float64, device=device)
    processes.all_reduce(total)
    return float(total)


def agreed(value: Any) -> Any:
    """Return what the first process holds for ``value``, once all have come here."""
    if not _several():
        return value
    held = [value]
    processes.broadcast_object_list(held, src=0)
    return held[0]


def _several() -> bool:
    return bool(processes.is_available() and processes.is_initialized())


@contextlib.contextmanager
def first_holds(context: RunContext, key: str) -> Iterator[Path]:
    """Give the folder of a key; of several processes, the first one holds it for all."""
    if own_process():
        yield context.shared_dir(key)
        return
    with context.shared(key) as folder:
        yield folder
