"""Sampling by vLLM, where it is installed: the same contract as `generation.generate`.

vLLM draws its own random numbers, so a user is given other texts than by the built-in sampler, of
the same distribution; they depend on (seed, user) still. Before it is used, its log-probabilities
of greedy texts are held against plain passes of the model (`check`).
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import DataError, UsageError
from methods.calrec.backbone import Backbone
from methods.calrec.rehearsal import plain_score
from methods.calrec.sample_tree import Sample

# nats a token: vLLM computes in another order, perhaps in bfloat16
TOLERANCE = 0.1
CHECKED = 4


class VllmGenerator:
    """An engine with the weights that a backbone has when this is made.

    Args:
        backbone: its model and tokeniser are written to a temporary folder for the engine.
        max_tokens: of a prompt and its text together.

    Raises:
        UsageError: vLLM is not installed.
    """

    def __init__(self, backbone: Backbone, max_tokens: int) -> None:
        try:
            import vllm
        except ImportError as error:
            raise UsageError(
                "calrec.generator = 'vllm' needs the package vllm, which is not installed; "
                "install it, or leave the setting at built-in"
            ) from error
        self._vllm, self._backbone = vllm, backbone
        self._folder = tempfile.TemporaryDirectory()
        folder = Path(self._folder.name)
        merged = backbone.model
        if hasattr(merged, "merge_and_unload"):  # LoRA's adapters, folded into a copy
            import copy

            merged = copy.deepcopy(merged).merge_and_unload()
        merged.save_pretrained(folder)
        backbone.tokenizer.save_pretrained(folder)
        dtype = str(next(backbone.model.parameters()).dtype).removeprefix("torch.")
        self._engine = vllm.LLM(
            model=str(folder), dtype=dtype, max_model_len=max_tokens, trust_remote_code=False,
            enable_prefix_caching=True,
        )  # fmt: skip

    def samples(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], n_samples: int,
        max_new_tokens: int, temperature: float,
    ) -> Iterator[tuple[int, list[Sample]]]:  # fmt: skip
        """Yield (index of the prompt, its samples); every decoding default is pinned."""
        # the likeliest text is one, however many are asked for
        n_drawn = n_samples if temperature else 1
        parameters = [
            self._vllm.SamplingParams(
                n=n_drawn, temperature=temperature, top_p=1.0, top_k=-1, min_p=0.0,
                repetition_penalty=1.0, presence_penalty=0.0, frequency_penalty=0.0, seed=seed,
                max_tokens=max_new_tokens, stop_token_ids=list(self._backbone.stop_ids),
                ignore_eos=False, logprobs=0, detokenize=False,
            )
            for seed in seeds
        ]  # fmt: skip
        inputs = [{"prompt_token_ids": list(prompt)} for prompt in prompts]
        outputs = self._engine.generate(inputs, parameters, use_tqdm=False)
        for index, output in enumerate(outputs):
            found = [self._sample(one) for one in output.outputs]
            yield index, found * (n_samples // n_drawn)

    def _sample(self, one: Any) -> Sample:
        ids = tuple(int(token) for token in one.token_ids)
        # log-probabilities of the tokens drawn, under the model as it is (vLLM's raw ones)
        score = sum(
            float(step[token].logprob) for step, token in zip(one.logprobs, ids, strict=True)
        )
        stopped = bool(ids) and ids[-1] in set(self._backbone.stop_ids)
        return Sample(ids, min(score, 0.0), stopped, len(ids))

    def check(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        """Hold sampled texts' scores against plain passes of the model.

        Raises:
            DataError: they differ by more than rounding explains.
        """
        few = list(prompts[:CHECKED])
        found = self.samples(few, range(len(few)), 1, max_new_tokens, 0.5)
        for index, samples in found:
            ids = samples[0].ids
            score = plain_score(self._backbone, few[index], ids)
            difference = abs(samples[0].log_probability - score)
            if not difference <= TOLERANCE * max(1, len(ids)):
                raise DataError(
                    f"vLLM scores a text otherwise than the model read in one piece (by "
                    f"{difference:.3g} nats over {len(ids)} tokens): its log-probabilities may be "
                    "tempered ones (logprobs_mode), or it does not support this architecture; "
                    "set calrec.generator to built-in"
                )


def generate_with_vllm(
    backbone: Backbone, prompts: Sequence[Sequence[int]], seeds: Sequence[int], n_samples: int,
    max_new_tokens: int, temperature: float, engines: dict[int, VllmGenerator],
) -> Iterator[tuple[int, list[Sample]]]:  # fmt: skip
    """Sample texts as `generation.generate` does; yields (index of the prompt, its samples).

    Args:
        backbone: the model that generates.
        prompts: token ids.
        seeds: one per prompt, from (seed, user).
        n_samples: texts per prompt.
        max_new_tokens: of a text.
        temperature: as in `generation.generate`.
        engines: the one made for these weights is kept here, and taken from here.

    Raises:
        UsageError: vLLM is not installed.
        DataError: its scores are not the model's.
    """
    engine = engines.get(id(backbone))
    if engine is None:
        engines.clear()
        engine = VllmGenerator(backbone, max(map(len, prompts)) + max_new_tokens)
        engine.check(prompts, max_new_tokens)
        engines[id(backbone)] = engine
    yield from engine.samples(prompts, seeds, n_samples, max_new_tokens, temperature)
