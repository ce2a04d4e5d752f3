"""Temperature sampling of item texts (paper, sections 3.5 and 4), with sequence scores.

Users of similar prompts are sampled together, as trees (`sample_tree`). All random numbers come
from outside, one per sample and step, and a token is drawn by inverting the cumulative
distribution: what a user is given depends on no other user.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from methods.calrec.backbone import Backbone
from methods.calrec.precision import generation_precision
from methods.calrec.sample_tree import LogitsError, Sample, SampleTree
from methods.calrec.trie import Trie


@dataclass(frozen=True)
class Bounds:
    """Bounds of one batch: logits and the attention mask of a step are the largest arrays.

    Attributes:
        logits: of one step, over users, samples and vocabulary.
        prompt_tokens: of all users together.
        users: how many.
    """

    logits: int = 8_000_000
    prompt_tokens: int = 16_384
    users: int = 64

    @classmethod
    def of(cls, device: str) -> Bounds:
        """Return fixed ones for a CPU, on which the same seed gives the same ranks; a GPU's memory.

        A GPU is kept busy by hundreds of users at once. A logit takes some 24 bytes of
        logits, probabilities and their sums, and as much is left to the cache.
        """
        if device != "cuda":
            return cls()
        import torch

        free, _ = torch.cuda.mem_get_info()
        return cls(logits=max(cls.logits, free // 48), prompt_tokens=131_072, users=256)


def is_out_of_memory(error: RuntimeError) -> bool:
    """Tell whether torch failed for want of memory, of a GPU or of the machine."""
    import torch

    return isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error)


def generate(
    backbone: Backbone,
    prompts: Sequence[Sequence[int]],
    uniforms: Sequence[NDArray[np.float64]],
    temperature: float,
    trie: Trie | None = None,
) -> Iterator[tuple[int, list[Sample]]]:
    """Sample texts for each prompt; yields (index of the prompt, its samples), in any order.

    Args:
        backbone: the model; it is put into evaluation mode.
        prompts: token ids, none empty.
        uniforms: for each prompt float64 [n_samples, max_new_tokens], uniform in [0, 1).
        temperature: logits are divided by it before sampling; 0 takes the likeliest token.
            Nothing else shapes the distribution, whatever the model's generation defaults are.
        trie: only its texts can be written, and one is whole as soon as no other is possible;
            probabilities are then those among the tokens that may follow.

    A batch that does not fit into memory is halved.

    Raises:
        LogitsError: the model's logits hold NaN or positive infinity, or nothing but negative.
        MethodError: memory does not suffice for a single user.
    """
    import torch

    backbone.model.eval()
    order = sorted(range(len(prompts)), key=lambda index: len(prompts[index]))
    rows = backbone.model.get_input_embeddings().num_embeddings
    waiting = list(_batches(order, prompts, uniforms, rows, Bounds.of(backbone.device)))[::-1]
    while waiting:
        batch, samples = waiting.pop(), None
        try:
            with torch.inference_mode(), generation_precision(backbone.device):
                tree = SampleTree(
                    backbone, [prompts[i] for i in batch], [uniforms[i] for i in batch], trie
                )
                samples = tree.grown(temperature)
        except LogitsError as error:
            raise LogitsError(batch[error.prompt]) from error
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            if len(batch) == 1:
                raise MethodError(
                    "calrec's generation ran out of memory with a single user: lower "
                    "calrec.n_generated or calrec.max_input_tokens, or choose a smaller backbone"
                ) from error
        if samples is None:  # out of memory: the halves, once what was held is free again
            tree = None
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            middle = len(batch) // 2
            waiting += [batch[middle:], batch[:middle]]
            continue
        yield from zip(batch, samples, strict=True)


def _batches(
    order: Sequence[int],
    prompts: Sequence[Sequence[int]],
    uniforms: Sequence[NDArray[np.float64]],
    vocabulary: int,
    bounds: Bounds,
) -> Iterator[list[int]]:
    """Cut ``order`` into batches of prompts of about equal length, within the bounds."""
    batch: list[int] = []
    for index in order:
        samples = len(uniforms[index])
        users = min(
            bounds.users,
            bounds.logits // (samples * vocabulary),
            bounds.prompt_tokens // len(prompts[index]),
        )
        if len(batch) >= max(1, users):
            yield batch
            batch = []
        batch.append(index)
    if batch:
        yield batch
