"""From histories to generated texts: prompts, random numbers, whatever generates."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import RunContext
from methods.calrec.backbone import Backbone
from methods.calrec.generation import generate
from methods.calrec.precision import generating
from methods.calrec.retrieval import GeneratedText
from methods.calrec.sample_tree import LogitsError
from methods.calrec.sequences import SequenceMaker
from methods.calrec.settings import TRIE, VLLM, Settings
from methods.calrec.trie import Trie


@dataclass(frozen=True)
class Written:
    """What was written for one user.

    Attributes:
        texts: with their scores.
        n_tokens: drawn, over all texts.
        cut_off: texts that the length limit ended.
    """

    texts: list[GeneratedText]
    n_tokens: int
    cut_off: int


class Writer:
    """Writes texts for the users of one data set.

    Args:
        backbone: the model; after it was trained, call `weights_changed`.
        maker: of the data set's prompts.
        settings: of the method.
        context: seed and progress.
        n_items: the catalogue's size.
    """

    def __init__(
        self, backbone: Backbone, maker: SequenceMaker, settings: Settings, context: RunContext,
        n_items: int,
    ) -> None:  # fmt: skip
        self._backbone, self._maker, self._settings = backbone, maker, settings
        self._context, self._n_items = context, n_items
        self.max_new_tokens = settings.max_new_tokens or maker.longest_item() + 1
        longest = maker.longest_item() + 1 if settings.rerank else 0  # whole texts are read then
        backbone.check_room(settings.max_input_tokens, max(self.max_new_tokens, longest))
        self._trie: Trie | None = None
        self._copy: Backbone | None = None
        self._engines: dict[int, Any] = {}
        self.seconds = 0.0

    @property
    def device(self) -> str:
        """Where the model is: "cpu" or "cuda"."""
        return self._backbone.device

    def weights_changed(self) -> None:
        """Forget what was made of the weights: they have been trained since."""
        self._copy = None

    def write(
        self, histories: Histories, n_samples: int, decoding: str
    ) -> Iterator[tuple[int, Written]]:
        """Yield (row of ``histories``, what was written), in any order.

        Args:
            histories: the users.
            n_samples: texts per user.
            decoding: "free" or "trie".

        Raises:
            MethodError: the model's logits are not finite (naming the user).
        """
        if self._copy is None:
            self._copy = generating(self._backbone, self._settings.generation_precision)
            self._engines.clear()
        prompts = [self._maker.prompt(items) for items in histories]
        started = time.perf_counter()
        try:
            for row, samples in self._samples(histories, prompts, n_samples, decoding):
                yield row, self._written(samples)
        except LogitsError as error:
            row = error.prompt
            raise MethodError(
                f"calrec's model gave logits that are NaN or infinite for user "
                f"{histories.users[row]} (history of {histories.lengths[row]} items): its weights "
                "are damaged or training diverged; check the backbone's files, or lower "
                "calrec.learning_rate"
            ) from error
        finally:
            self.seconds += time.perf_counter() - started

    def _samples(
        self, histories: Histories, prompts: list[list[int]], n_samples: int, decoding: str
    ) -> Iterator[tuple[int, Any]]:
        assert self._copy is not None
        settings = self._settings
        if settings.generator == VLLM:
            from methods.calrec.vllm_generation import generate_with_vllm

            seeds = [self._context.user_generator(int(user)) for user in histories.users]
            yield from generate_with_vllm(
                self._copy, prompts, [int(g.integers(2**31)) for g in seeds], n_samples,
                self.max_new_tokens, settings.temperature, self._engines,
            )  # fmt: skip
            return
        uniforms = [self.uniforms(int(user), n_samples) for user in histories.users]
        trie = self._whole_trie() if decoding == TRIE else None
        yield from generate(self._copy, prompts, uniforms, settings.temperature, trie)

    def uniforms(self, user: int, n_samples: int) -> NDArray[np.float64]:
        """Return float64 [n_samples, max_new_tokens], the random numbers of one user."""
        return self._context.user_generator(user).random((n_samples, self.max_new_tokens))

    def _whole_trie(self) -> Trie:
        if self._trie is None:
            items = range(self._n_items)
            eos = self._maker.eos_id
            self._trie = Trie([[*self._maker.item(index), eos] for index in items])
        return self._trie

    def _written(self, samples: Any) -> Written:
        texts = [
            GeneratedText(self._backbone.text(sample.ids), sample.log_probability)
            for sample in samples
        ]
        n_tokens = sum(sample.n_drawn for sample in samples)
        return Written(texts, n_tokens, sum(not sample.stopped for sample in samples))
