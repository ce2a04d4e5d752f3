"""A trial of generation before anything is trained: whether the tree suits the backbone.

`generation` tells every position what it may attend to, by a mask and by its place. An attention
that goes by something else (a window under another name, a bias by cache slots) would not fail but
write wrong texts with wrong scores, so a backbone from outside is held against plain passes once.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from harness.errors import DataError
from methods.calrec.backbone import Backbone, n_embeddings
from methods.calrec.generation import generate
from methods.calrec.precision import generation_precision
from methods.calrec.sample_tree import LogitsError, Sample

# nats, over a text of so many tokens; float32 rounding stays far below
TOLERANCE, STEPS = 0.05, 4
SHORT_PROMPT = 8


def check_generation(backbone: Backbone, longest_prompt: int) -> None:
    """Sample after a prompt of full length and a short one, and score the texts plainly as well.

    Raises:
        DataError: the scores differ, or are no numbers.
    """
    generator = np.random.default_rng(0)
    endless = dataclasses.replace(backbone, stop_ids=[])
    prompts = [
        generator.integers(0, n_embeddings(backbone.model), length).tolist()
        for length in (longest_prompt, min(SHORT_PROMPT, longest_prompt))
    ]
    uniforms = [generator.random((2, STEPS)) for _ in prompts]
    for place, samples in _sampled(endless, prompts, uniforms):
        # the last sample: where the two part, it does not stand in the first column of the tree
        score = plain_score(backbone, prompts[place], samples[-1].ids)
        difference = abs(samples[-1].log_probability - score)
        if not difference <= TOLERANCE:
            raise DataError(
                f"calrec.backbone = {backbone.source!r} scores a text otherwise while it is "
                f"sampled than read in one piece (by {difference:.3g} nats after a prompt of "
                f"{len(prompts[place])} tokens): its attention, {backbone.model.config.model_type}"
                "'s, is of a kind that sampling cannot follow; choose another backbone"
            )


def _sampled(
    backbone: Backbone, prompts: Sequence[Sequence[int]], uniforms: Sequence[NDArray[np.float64]]
) -> Iterator[tuple[int, list[Sample]]]:
    try:
        yield from generate(backbone, prompts, uniforms, temperature=1.0)
    except LogitsError as error:
        raise DataError(
            f"calrec.backbone = {backbone.source!r} gives logits that are NaN or infinite before "
            "any training: its weights are damaged, or made for another precision than float32"
        ) from error


def plain_score(backbone: Backbone, prompt: Sequence[int], ids: Sequence[int]) -> float:
    """Return the log-probability of ``ids`` after ``prompt``, by one pass over both."""
    import torch

    tokens = torch.tensor([[*prompt, *ids]], device=backbone.device)
    with torch.inference_mode(), generation_precision(backbone.device):
        logits = backbone.model(
            input_ids=tokens, use_cache=False, logits_to_keep=len(ids) + 1
        ).logits[0, :-1]
    steps = logits.double().log_softmax(1)
    return float(steps.gather(1, tokens[0, len(prompt) :, None]).sum())
