"""Token sequences of histories and targets: prompts, training pairs, windows.

Everything is put together from tokens of single pieces (opening, item, next-item prefix), each
tokenised once. No function here sees anything but the item indices it is given: which items those
may be is decided by the caller, who has nothing but training histories.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.errors import UsageError
from harness.histories import Histories, IntArray
from methods.calrec.prompts import Template

Tokenise = Callable[[str], list[int]]


@dataclass(frozen=True)
class TrainingPair:
    """A prompt and the tokens to be generated after it, end-of-sequence token included.

    Attributes:
        prompt: token ids.
        target: token ids, the last one ends it.
        n_opening: how many of the prompt's first tokens are special ones.
    """

    prompt: list[int]
    target: list[int]
    n_opening: int = 0


class SequenceMaker:
    """Turns item indices into token ids by the paper's layout (section 3.2).

    Args:
        template: the prompt strings.
        item_texts: the catalogue's texts, by item index.
        tokenise: text -> ids, without any special token.
        opening_ids: ids before everything else (the tokeniser's beginning-of-sequence token
            where it has the habit of adding one).
        eos_id: the token that ends a target.
        max_input_tokens: length limit of a prompt (the paper: 1,024).
        max_history_items: only so many newest items are read, None for all.
    """

    def __init__(
        self,
        template: Template,
        item_texts: Sequence[str],
        tokenise: Tokenise,
        *,
        opening_ids: Sequence[int],
        eos_id: int,
        max_input_tokens: int,
        max_history_items: int | None,
    ) -> None:
        self._template = template
        self._item_texts = item_texts
        self._tokenise = tokenise
        self._items: dict[int, list[int]] = {}
        self.eos_id = eos_id
        self._n_opening = len(opening_ids)
        self.opening = [*opening_ids, *tokenise(template.opening)]
        self.between = tokenise(template.between)
        self.closing = tokenise(template.closing)
        self.max_history_items = max_history_items
        self.max_input_tokens = max_input_tokens
        fixed = len(self.opening) + len(self.closing)
        if max_input_tokens <= fixed:
            raise UsageError(
                f"calrec.max_input_tokens = {max_input_tokens} leaves no room for an item: the "
                f"fixed prompt strings alone take {fixed} tokens; allow more"
            )

    def item(self, index: int) -> list[int]:
        """Return the tokens of one item's text, with its leading space."""
        known = self._items.get(index)
        if known is None:
            known = self._tokenise(self._template.item(self._item_texts[index]))
            self._items[index] = known
        return known

    def longest_item(self) -> int:
        """Return the number of tokens of the longest text of the catalogue."""
        return max((len(self.item(index)) for index in range(len(self._item_texts))), default=0)

    def prompt(self, items: IntArray) -> list[int]:
        """Return the prompt of a history, oldest item first; only the opening where it is empty.

        A prompt that would be too long loses whole items, the oldest first, and the first one
        kept stands behind the first-item prefix. A newest item that is too long by itself is cut
        on its left.
        """
        kept = self._that_fit(self._newest(items))
        ids = list(self.opening)
        for place, tokens in enumerate(kept, 1):
            ids += [*tokens, *(self.closing if place == len(kept) else self.between)]
        return ids

    def pair(self, items: IntArray) -> TrainingPair:
        """Return prompt and target of a history whose last item is to be generated."""
        target = [*self.item(int(items[-1])), self.eos_id]
        return TrainingPair(self.prompt(items[:-1]), target, self._n_opening)

    def window(self, items: IntArray) -> list[int]:
        """Return prompt and target of `pair` as one sequence."""
        pair = self.pair(items)
        return [*pair.prompt, *pair.target]

    def _newest(self, items: IntArray) -> IntArray:
        if self.max_history_items is None:
            return items
        return items[max(0, len(items) - self.max_history_items) :]

    def _that_fit(self, items: IntArray) -> list[list[int]]:
        room = self.max_input_tokens - len(self.opening) - len(self.closing) + len(self.between)
        kept: list[list[int]] = []
        for index in items[::-1]:
            tokens = self.item(int(index))
            room -= len(tokens) + len(self.between)
            if room < 0:
                if not kept:
                    kept.append(tokens[-room:])
                break
            kept.append(tokens)
        return kept[::-1]


def drop_newest(items: IntArray, generator: np.random.Generator, max_dropped: int) -> IntArray:
    """Drop the last k events, k uniform in 0..max_dropped (paper, section 4).

    k is clamped so that two events remain, one to read and one to generate.
    """
    most = min(max_dropped, len(items) - 2)
    return items[: len(items) - int(generator.integers(0, most + 1))]


def training_pairs(
    histories: Histories, maker: SequenceMaker, generator: np.random.Generator, max_dropped: int
) -> list[TrainingPair]:
    """Return one pair per user with at least two training events, in the users' order."""
    return [
        maker.pair(drop_newest(items, generator, max_dropped))
        for items in histories
        if len(items) >= 2
    ]


def language_model_windows(
    histories: Histories, maker: SequenceMaker, generator: np.random.Generator, n_items: int
) -> list[list[int]]:
    """Cut every training history into stretches of up to ``n_items`` items, each event in one.

    Each looks like a training pair, prompt and target in one.

    The cuts shift from call to call (the first stretch has a random length), so that over the
    epochs an event is read behind contexts of different lengths.
    """
    windows = []
    for items in histories:
        first = int(generator.integers(1, n_items + 1))
        starts = [0, *range(first, len(items), n_items)]
        ends = [*starts[1:], len(items)]
        windows += [
            maker.window(items[start:end])
            for start, end in zip(starts, ends, strict=True)
            if end > start
        ]
    return windows
