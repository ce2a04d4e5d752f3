"""How fast CALRec's gradients are taken: by length, and in fixed width as a plain loop does it.

Run from the checkout::

    python -m benchmarks.calrec_training [--backbone PATH] [--users 200] [--rounds 3]

The plain loop pads every sequence to the longest prompt allowed and the longest target, reads
batches of fixed size with an attention mask, computes all logits and the cross-entropy of those
at targets. Ours is `StepGradient` with the generation loss alone. Both take the gradient of one
optimiser step over the same pairs from the same weights, dropout off, in turn, in one process on
one thread; the gradient must be the same. Tokens are the sequences' own, without padding, and CPU
seconds are counted.

Then the contrastive losses: what a step takes with them, as a ratio to ours without, once where
each tower is read in one pass and once in more passes, so that vectors are cached and histories
read twice. Fewer users, for all of them must fit in one pass.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks.calrec_sampling import loaded
from harness.errors import HarnessError
from methods.calrec.backbone import Backbone
from methods.calrec.gradients import StepGradient, cut_by_length
from methods.calrec.masks import right_padded
from methods.calrec.objective import IGNORED
from methods.calrec.precision import training_precision
from methods.calrec.sequences import TrainingPair, training_pairs
from methods.calrec.settings import BFLOAT16, FLOAT32, TINY, Settings

ALLOWED_DIFFERENCE = 1e-5
"""Of the summed losses, relative, in float32."""
ALPHA, BETA = 0.125, -0.025

Pairs = Sequence[TrainingPair]


class PlainLoop:
    """The peer: fixed width, fixed batch, all logits.

    Args:
        backbone: whose model gets the gradients.
        width: tokens that every sequence is padded to.
        size: sequences in a batch.
        precision: of products.
    """

    def __init__(self, backbone: Backbone, width: int, size: int, precision: str) -> None:
        self._backbone, self._width, self._size = backbone, width, size
        self._precision = precision

    def accumulate(self, pairs: Pairs) -> float:
        """Add the gradient of the mean over target tokens; return the loss summed over them."""
        n_tokens = sum(len(pair.target) for pair in pairs)
        total = 0.0
        for first in range(0, len(pairs), self._size):
            with training_precision(self._backbone.device, self._precision):
                loss = self._loss(pairs[first : first + self._size])
            (loss / n_tokens).backward()
            total += loss.item()
        return total

    def _loss(self, pairs: Pairs) -> Any:
        import torch

        # a row of padding alone makes all as wide as it is, and is dropped
        rows = [[*pair.prompt, *pair.target] for pair in pairs] + [[0] * self._width]
        ids, present = (array[:-1] for array in right_padded(rows, self._backbone.eos_id))
        labels = np.full(ids.shape, IGNORED, dtype=np.int64)
        for row, pair in enumerate(pairs):
            start = len(pair.prompt)
            # a token is predicted one place before it stands
            labels[row, start - 1 : start - 1 + len(pair.target)] = pair.target
        logits = self._backbone.model(
            input_ids=torch.from_numpy(ids),
            attention_mask=torch.from_numpy(present.astype(np.int64)),
            use_cache=False,
        ).logits
        return torch.nn.functional.cross_entropy(
            logits.float().flatten(0, 1),
            torch.from_numpy(labels).flatten(),
            ignore_index=IGNORED,
            reduction="sum",
        )


def our_loop(backbone: Backbone, settings: Settings) -> Callable[[Pairs], float]:
    """Return what adds the gradient of a step, and returns the generation loss, summed."""
    gradient = StepGradient(backbone, settings, (0,))
    return lambda pairs: gradient.accumulate(pairs, 0).nig_sum


def timed(
    backbone: Backbone, accumulate: Callable[[Pairs], float], pairs: Pairs
) -> tuple[float, float]:
    """Return CPU seconds and the loss of one step; its gradient stays in the weights."""
    backbone.model.zero_grad(set_to_none=True)
    started = time.process_time()
    loss = accumulate(pairs)
    return time.process_time() - started, loss


def gradients(backbone: Backbone) -> list[Any]:
    """Take the weights' gradients away."""
    found = [weights.grad for weights in backbone.trained]
    backbone.model.zero_grad(set_to_none=True)
    return found


def squares(arrays: Iterable[Any]) -> float:
    """Return the sum of the squares of all numbers."""
    return sum(float(array.double().square().sum()) for array in arrays)


def lengths(pairs: Pairs) -> list[int]:
    """Return the tokens of each sequence."""
    return [len(pair.prompt) + len(pair.target) for pair in pairs]


def against_plain_loop(
    backbone: Backbone, pairs: Pairs, settings: Settings, options: argparse.Namespace
) -> bool:
    """Print both speeds in every round; return whether the losses agree."""
    n_tokens = sum(lengths(pairs))
    width = settings.max_input_tokens + max(len(pair.target) for pair in pairs)
    size = options.peer_batch or max(1, settings.tokens_at_once // width)
    parts = len(cut_by_length(lengths(pairs), settings.tokens_at_once))
    print(
        f"ours: {parts} passes of up to {settings.tokens_at_once} tokens; plain loop: batches of "
        f"{size}, {width} wide, {n_tokens / (len(pairs) * width):.0%} of it tokens",
        flush=True,
    )
    ours = our_loop(backbone, settings)
    plain = PlainLoop(backbone, width, size, settings.training_precision).accumulate
    for loop in (ours, plain):
        loop(pairs[:1])  # warm up
    ratios, apart = [], 0.0
    for number in range(options.rounds):
        seconds, loss = timed(backbone, ours, pairs)
        expected = gradients(backbone)
        peer_seconds, peer_loss = timed(backbone, plain, pairs)
        far = squares(a - b for a, b in zip(expected, gradients(backbone), strict=True))
        loss_apart = abs(loss - peer_loss) / abs(peer_loss)
        apart = max(apart, loss_apart)
        ratios.append(peer_seconds / seconds)
        print(
            f"round {number + 1}: ours {n_tokens / seconds:8.0f} tokens per CPU second, plain loop "
            f"{n_tokens / peer_seconds:8.0f}, ratio {ratios[-1]:5.2f}; relative differences: loss "
            f"{loss_apart:.1e}, gradient {(far / squares(expected)) ** 0.5:.1e}",
            flush=True,
        )
    print(f"ratio: {median(ratios):.2f}, median of {options.rounds} rounds", flush=True)
    return apart <= ALLOWED_DIFFERENCE


def with_contrast(
    backbone: Backbone, pairs: Pairs, settings: Settings, options: argparse.Namespace
) -> bool:
    """Print what the contrastive losses cost; return whether the generation losses agree."""
    longest, n_tokens = max(lengths(pairs)), sum(lengths(pairs))
    whole = len(pairs) * longest
    loops, ratios = {}, {}
    for name, tokens in (("one pass", whole), ("cached", max(longest, whole // 4))):
        passes = len(cut_by_length(lengths(pairs), tokens))
        changed = dataclasses.replace(settings, tokens_at_once=tokens)
        both = dataclasses.replace(changed, alpha=ALPHA, beta=BETA)
        loops[name] = our_loop(backbone, changed), our_loop(backbone, both), passes, tokens
        ratios[name] = [0.0] * options.rounds
    print(f"contrastive losses, {len(pairs)} users, {n_tokens} tokens:", flush=True)
    apart = 0.0
    for number in range(options.rounds):
        for name, (without, contrasted, passes, tokens) in loops.items():
            seconds, expected = timed(backbone, without, pairs)
            more_seconds, loss = timed(backbone, contrasted, pairs)
            apart = max(apart, abs(loss - expected) / abs(expected))
            ratios[name][number] = more_seconds / seconds
            print(
                f"round {number + 1}: {name} ({passes} passes of up to {tokens} tokens): "
                f"{n_tokens / seconds:.0f} tokens per CPU second without, "
                f"{n_tokens / more_seconds:.0f} with, {ratios[name][number]:.2f} times the time",
                flush=True,
            )
    backbone.model.zero_grad(set_to_none=True)
    for name, found in ratios.items():
        print(f"{name}: {median(found):.2f} times the time, median of {options.rounds} rounds")
    return apart <= ALLOWED_DIFFERENCE


def main() -> int:
    """Print speeds and ratios; 1 if losses that must agree do not, in float32."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="scientific")
    parser.add_argument("--backbone", default=TINY, help="as calrec.backbone has it")
    parser.add_argument("--weights", type=Path, help="trained weights of that backbone")
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--contrast-users", type=int, default=32)
    parser.add_argument("--rounds", type=int, choices=range(1, 10), default=3)
    parser.add_argument("--precision", choices=(FLOAT32, BFLOAT16), default=FLOAT32)
    parser.add_argument("--max-input-tokens", type=int, default=1024)
    parser.add_argument("--tokens-at-once", type=int, default=8192, help="bounds memory")
    parser.add_argument("--peer-batch", type=int, help="by default as many as tokens at once allow")
    options = parser.parse_args()
    torch.set_num_threads(1)
    settings = Settings(
        backbone=options.backbone,
        max_input_tokens=options.max_input_tokens,
        tokens_at_once=options.tokens_at_once,
        training_precision=options.precision,
        alpha=0.0,
        beta=0.0,
    )
    domain, _, backbone = loaded(options.dataset, settings, options.weights)
    backbone.model.eval()  # no dropout
    maker = domain.maker(backbone, settings)
    able = np.flatnonzero(domain.histories.lengths >= 2)
    generator = np.random.default_rng(0)
    rows = np.sort(generator.choice(able, min(options.users, len(able)), replace=False))
    pairs = training_pairs(
        domain.histories.select(rows), maker, generator, settings.max_dropped_events
    )
    each = np.array(lengths(pairs))
    print(
        f"{options.dataset}: {len(pairs)} users, {each.sum()} tokens, {each.mean():.0f} a sequence "
        f"and {each.max()} the longest, {sum(len(pair.target) for pair in pairs)} of them targets'"
    )
    print(
        f"backbone {options.backbone}: {backbone.n_parameters / 1e6:.1f} million weights, "
        f"{options.precision}, one thread",
        flush=True,
    )
    agreed = against_plain_loop(backbone, pairs, settings, options)
    if len(fewer := pairs[: options.contrast_users]) > 1:
        agreed &= with_contrast(backbone, fewer, settings, options)
    if options.precision != FLOAT32:
        return 0
    print(f"losses agree within {ALLOWED_DIFFERENCE}: {'yes' if agreed else 'NO'}")
    return int(not agreed)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"error: {error}")
