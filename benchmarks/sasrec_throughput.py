"""How fast SASRec trains here and RecBole's way, on the same rows, and whether losses agree.

Run from the checkout::

    python -m benchmarks.sasrec_throughput [--dataset scientific] [--rows 20000]

RecBole's way: the examples in random order, every batch padded to 50 events. Ours: batches of
examples of similar length, each cut to its longest. Both use RecBole's model class, its
``calculate_loss``, Adam, one thread, and count CPU seconds for one pass over the rows.

The second figure trains twice on the same batches without dropout, once cut and once padded to
50, and prints the largest difference between the losses of the steps.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import HarnessError
from harness.progress import Progress
from harness.splits import leave_one_out
from methods import _recbole, _spans
from methods._training import Batch
from methods.sasrec import EVERY_PREFIX, Settings, build_model, training_batch

STEPS_COMPARED = 100
WANTED_RATIO = 4.0
ALLOWED_DIFFERENCE = 1e-5


def cut_batches(spans: _spans.Spans, settings: Settings) -> Iterable[Batch]:
    """Yield one epoch as our training loop makes it."""
    generator = np.random.default_rng([0, 1])
    targets = np.ones_like(spans.lengths)
    for rows in _spans.batches_by_length(spans.lengths, targets, settings.batch_size, generator):
        yield training_batch(spans, rows, EVERY_PREFIX, "cpu")


def fixed_width_batches(spans: _spans.Spans, settings: Settings) -> Iterable[Batch]:
    """Yield one epoch as RecBole makes it; the padded table is made before the clock runs."""
    rows = np.arange(len(spans))
    items = spans.padded(rows, width=settings.max_history)
    targets = spans.next_items(rows)
    yield {}, 0  # ready
    order = np.random.default_rng(0).permutation(len(spans))
    for first in range(0, len(order), settings.batch_size):
        chosen = order[first : first + settings.batch_size]
        yield (
            _recbole.interaction(items[chosen], spans.lengths[chosen], targets[chosen], "cpu"),
            len(chosen),
        )


def losses(batches: Iterable[Batch], settings: Settings, n_items: int) -> list[float]:
    """Train a fresh model on the batches and return the loss of each step."""
    import torch

    model = build_model(settings, n_items, "cpu", seed=1).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=settings.learning_rate)
    values = []
    for interaction, _ in batches:
        optimizer.zero_grad(set_to_none=True)
        loss = model.calculate_loss(interaction)
        loss.backward()
        optimizer.step()
        values.append(loss.item())
    return values


def samples_per_second(batches: Iterable[Batch], settings: Settings, n_items: int) -> float:
    """Return examples per CPU second of one epoch, making the batches included."""
    seen = 0

    def counted() -> Iterable[Batch]:
        nonlocal seen
        for batch in batches:
            seen += batch[1]
            yield batch

    started = time.process_time()
    losses(counted(), settings, n_items)
    return seen / (time.process_time() - started)


def loss_difference(spans: _spans.Spans, settings: Settings, n_items: int) -> float:
    """Return the largest difference of losses over the first steps, cut against padded."""
    still = replace(settings, hidden_dropout=0.0, attention_dropout=0.0)
    generator = np.random.default_rng([0, 2])
    ones = np.ones_like(spans.lengths)
    chosen: list[Any] = []
    while len(chosen) < STEPS_COMPARED:
        chosen += _spans.batches_by_length(spans.lengths, ones, settings.batch_size, generator)
    cut, padded = (
        losses(
            (
                training_batch(spans, rows, EVERY_PREFIX, "cpu", width)
                for rows in chosen[:STEPS_COMPARED]
            ),
            still,
            n_items,
        )
        for width in (None, settings.max_history)
    )
    return float(np.abs(np.subtract(cut, padded)).max())


def main() -> int:
    """Print both speeds, their ratio and the difference of losses; 1 if a target is missed."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="scientific")
    parser.add_argument("--rounds", type=int, choices=range(1, 10), default=2)
    parser.add_argument("--rows", type=int, help="examples to use; all by default")
    parser.add_argument("--batch-size", type=int, default=Settings().batch_size)
    parser.add_argument("--compared-batch-size", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as cache:
        data = prepare(load_card(arguments.dataset), Path(cache), Progress(shown=False))
    n_items = len(data.item_texts)
    settings = Settings(batch_size=arguments.batch_size)
    spans = _spans.every_prefix(leave_one_out(data.sequences).train, settings.max_history)
    if arguments.rows is not None and arguments.rows < len(spans):
        kept = np.random.default_rng(0).choice(len(spans), arguments.rows, replace=False)
        spans = _spans.Spans(spans.items, spans.starts[kept], spans.lengths[kept])
    print(
        f"{arguments.dataset}: {n_items} items, {len(spans)} examples of mean length "
        f"{spans.lengths.mean():.1f}, batches of {settings.batch_size}, hidden "
        f"{settings.hidden_size}, one thread"
    )
    prepared = iter(fixed_width_batches(spans, settings))
    next(prepared)
    samples_per_second(itertools.islice(prepared, 2), settings, n_items)  # warm up
    samples_per_second(itertools.islice(cut_batches(spans, settings), 2), settings, n_items)
    del prepared
    ours = theirs = 0.0
    for _ in range(arguments.rounds):  # in turn, so that a drifting machine treats both alike
        ours = max(ours, samples_per_second(cut_batches(spans, settings), settings, n_items))
        fixed = iter(fixed_width_batches(spans, settings))
        next(fixed)  # the padded table is ready
        theirs = max(theirs, samples_per_second(fixed, settings, n_items))
    print(f"cut to the longest      {ours:8.0f} samples per CPU second, best of {arguments.rounds}")
    print(f"fixed width {settings.max_history:3d}         {theirs:8.0f} samples per CPU second")
    print(f"ratio                   {ours / theirs:8.2f} (wanted {WANTED_RATIO})", flush=True)
    compared = replace(settings, batch_size=arguments.compared_batch_size)
    difference = loss_difference(spans, compared, n_items)
    print(
        f"largest difference of losses over {STEPS_COMPARED} steps: {difference:.2e} "
        f"(allowed {ALLOWED_DIFFERENCE})"
    )
    return 0 if ours >= WANTED_RATIO * theirs and difference <= ALLOWED_DIFFERENCE else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"error: {error}")
