"""How fast CALRec samples texts: as a tree below the prompt, and by transformers' `generate`.

Run from the checkout::

    python -m benchmarks.calrec_sampling [--backbone PATH] [--weights FILE] [--users 8]

The peer is ``model.generate(num_return_sequences=32)`` of the same model on the same prompts: it
reads the prompt and every token once for each sample, and gives texts without their scores. Ours
reads the prompt once and equal beginnings once. A user at a time, in turn in the same process, on
one thread; CPU seconds are counted. ``trie`` is ours among the catalogue's texts alone, where a
text that can be but one is not drawn to its end.

The two draw other random numbers and so write other texts: tokens per sample are printed, and the
ratio once per user and once per token that was drawn. How much samples share depends on the model,
so that a ratio to be quoted needs a trained backbone, not random weights: ``--weights`` takes the
``weights.safetensors`` that a run left.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import HarnessError
from harness.histories import Histories
from harness.method import Input, TrainingData
from harness.progress import Progress
from harness.splits import leave_one_out
from methods.calrec.backbone import Backbone
from methods.calrec.domains import Domain, target_domain
from methods.calrec.generation import generate
from methods.calrec.loading import load_backbone
from methods.calrec.precision import generating
from methods.calrec.sequences import SequenceMaker
from methods.calrec.settings import BFLOAT16, FLOAT32, TINY, Settings
from methods.calrec.states import load_weights
from methods.calrec.trie import Trie

OURS, PEER, TRIE = "ours", "transformers", "ours, trie"


@dataclass
class Taken:
    """What one contender took so far.

    Attributes:
        seconds: of CPU.
        drawn: tokens that the model was asked for, those that end a text included.
        written: tokens of the texts; more where a text is known before its end.
        stopped: texts that the length limit did not end.
    """

    seconds: float = 0.0
    drawn: int = 0
    written: int = 0
    stopped: int = 0


def loaded(
    dataset: str, settings: Settings, weights: Path | None = None
) -> tuple[Domain, Histories, Backbone]:
    """Return a data set as CALRec reads it, its histories at test time and the backbone."""
    with tempfile.TemporaryDirectory() as cache:
        data = prepare(load_card(dataset), Path(cache), Progress(shown=False))
    split = leave_one_out(data.sequences)
    training = TrainingData(
        data.card.name, len(data.item_texts), split.train, data.card.verb,
        frozenset({Input.ITEM_TEXT}), data.item_texts,
    )  # fmt: skip
    domain = target_domain(training, settings)
    backbone = load_backbone(settings, domain.texts, [domain.template], "cpu", 0)
    if weights is not None:
        load_weights(weights, backbone.model)
    return domain, split.test_histories, backbone


def catalogue(domain: Domain, maker: SequenceMaker) -> Trie:
    """Return the prefix tree of the catalogue's texts."""
    return Trie([[*maker.item(index), maker.eos_id] for index in range(len(domain.texts))])


def ours(
    backbone: Backbone, prompt: Sequence[int], uniforms: Any, temperature: float,
    trie: Trie | None = None,
) -> tuple[int, int, int]:  # fmt: skip
    """Sample texts for one prompt; return tokens drawn, tokens of the texts, texts that stopped."""
    ((_, samples),) = generate(backbone, [prompt], [uniforms], temperature, trie)
    return (
        sum(sample.n_drawn for sample in samples),
        sum(len(sample.ids) for sample in samples),
        sum(sample.stopped for sample in samples),
    )


def theirs(
    backbone: Backbone, prompt: Sequence[int], n_samples: int, max_new: int, temperature: float
) -> tuple[int, int, int]:
    """Do as `ours` by transformers' own generation."""
    import torch

    ids = torch.tensor([prompt])
    found = backbone.model.generate(
        input_ids=ids,
        attention_mask=torch.ones_like(ids),
        num_return_sequences=n_samples,
        max_new_tokens=max_new,
        do_sample=True,
        temperature=temperature,
        top_k=0,
        top_p=1.0,
        repetition_penalty=1.0,
        use_cache=True,
        eos_token_id=backbone.stop_ids,
        pad_token_id=backbone.eos_id,
    )[:, len(prompt) :]
    stops = torch.isin(found, torch.tensor(backbone.stop_ids))
    stopped = stops.any(1)
    tokens = torch.where(stopped, stops.int().argmax(1) + 1, found.shape[1])
    total = int(tokens.sum())
    return total, total, int(stopped.sum())


def compared(
    backbone: Backbone, prompts: Sequence[Sequence[int]], trie: Trie, options: argparse.Namespace
) -> dict[str, Taken]:
    """Sample for every prompt by all contenders in turn, the first and the last by turns."""
    import torch

    backbone.model.eval()
    shape = options.samples, options.max_new_tokens
    found = {name: Taken() for name in (OURS, PEER, TRIE)}
    brief = np.random.default_rng(0).random((2, 4))
    ours(backbone, prompts[0], brief, options.temperature)  # warm up
    ours(backbone, prompts[0], brief, options.temperature, trie)
    theirs(backbone, prompts[0], 2, 4, options.temperature)
    for number, prompt in enumerate(prompts):
        uniforms = np.random.default_rng([0, number]).random(shape)
        contenders: list[tuple[str, Callable[..., tuple[int, int, int]], tuple[Any, ...]]] = [
            (OURS, ours, (uniforms, options.temperature)),
            (PEER, theirs, (*shape, options.temperature)),
            (TRIE, ours, (uniforms, options.temperature, trie)),
        ]
        torch.manual_seed(number)
        for name, sample, arguments in contenders[:: -1 if number % 2 else 1]:
            started = time.process_time()
            drawn, written, stopped = sample(backbone, prompt, *arguments)
            taken = found[name]
            taken.seconds += time.process_time() - started
            taken.drawn += drawn
            taken.written += written
            taken.stopped += stopped
    return found


def show(found: dict[str, Taken], users: int, samples: int) -> None:
    """Print what the contenders took, and ratios."""
    texts = users * samples
    for name, taken in found.items():
        print(
            f"  {name:12s} {taken.seconds / users:8.3f} CPU seconds per user, {taken.drawn:7d} "
            f"tokens drawn, {taken.drawn / texts:5.1f} per sample (texts of "
            f"{taken.written / texts:5.1f}), {taken.stopped / texts:4.0%} of them ended"
        )
    free, peer, trie = found[OURS], found[PEER], found[TRIE]
    each = {name: taken.seconds / taken.drawn for name, taken in found.items()}
    print(
        f"  transformers' time / ours: {peer.seconds / free.seconds:6.2f} per user, "
        f"{each[PEER] / each[OURS]:6.2f} per token drawn"
    )
    print(
        f"  ours, free / ours, trie:   {free.seconds / trie.seconds:6.2f} per user, "
        f"{each[OURS] / each[TRIE]:6.2f} per token drawn",
        flush=True,
    )


def main() -> int:
    """Print CPU seconds per user, tokens and ratios, for each precision."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dataset", default="scientific")
    parser.add_argument("--backbone", default=TINY, help="as calrec.backbone has it")
    parser.add_argument("--weights", type=Path, help="trained weights of that backbone")
    parser.add_argument("--users", type=int, default=8)
    parser.add_argument("--samples", type=int, default=32)
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--max-new-tokens", type=int, default=56)
    parser.add_argument("--max-input-tokens", type=int, default=384)
    parser.add_argument("--precisions", default=f"{FLOAT32},{BFLOAT16}")
    options = parser.parse_args()
    precisions = options.precisions.split(",")
    if unknown := set(precisions) - {FLOAT32, BFLOAT16}:
        parser.error(f"no such precision: {', '.join(sorted(unknown))}")
    torch.set_num_threads(1)
    settings = Settings(backbone=options.backbone, max_input_tokens=options.max_input_tokens)
    domain, histories, backbone = loaded(options.dataset, settings, options.weights)
    backbone.check_room(options.max_input_tokens, options.max_new_tokens)
    maker = domain.maker(backbone, settings)
    users = min(options.users, len(histories))
    rows = np.sort(np.random.default_rng(0).choice(len(histories), users, replace=False))
    prompts = [maker.prompt(items) for items in histories.select(rows)]
    trie = catalogue(domain, maker)
    print(
        f"{options.dataset}: {users} users, prompts of {np.mean([len(p) for p in prompts]):.0f} "
        f"tokens on average ({options.max_input_tokens} at most), {options.samples} samples of up "
        f"to {options.max_new_tokens} tokens at temperature {options.temperature}, one thread"
    )
    trained = "" if options.weights is None else ", trained weights"
    print(
        f"backbone {options.backbone}{trained}: {backbone.n_parameters / 1e6:.1f} million weights, "
        f"longest item text {maker.longest_item() + 1} tokens",
        flush=True,
    )
    for precision in precisions:
        print(precision, flush=True)
        found = compared(generating(backbone, precision), prompts, trie, options)
        show(found, users, options.samples)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HarnessError as error:
        sys.exit(f"error: {error}")
