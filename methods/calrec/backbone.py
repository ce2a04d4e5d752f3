"""A causal language model as CALRec uses it, and what is found out about one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from harness.errors import DataError, UsageError

ATTENTION_KINDS = {"full_attention", "sliding_attention"}


@dataclass
class Backbone:
    """A causal language model with what is to be known of its tokeniser.

    Attributes:
        model: a Hugging Face causal language model, float32.
        tokenizer: its tokeniser.
        opening_ids: the beginning-of-sequence token, where the tokeniser adds one by itself.
        eos_id: the token that ends a sequence.
        stop_ids: the tokens that end an item's text when they are generated: the end of sequence
            and all that hold a line break, for an item's text is one line and the next thing in a
            prompt is a blank one. Without them a model that was never taught to end after an
            item would write on to the length limit.
        source: where it came from, for the record.
        revision: digest of its files, or its commit on the hub; None for ``tiny``.
        device: "cpu" or "cuda".
        plain_head: whether logits are the output embeddings' product with the final states, and
            nothing else (some models scale or cap it).
    """

    model: Any
    tokenizer: Any
    opening_ids: list[int]
    eos_id: int
    stop_ids: list[int]
    source: str
    device: str
    revision: str | None = None
    plain_head: bool = True

    @property
    def causal(self) -> Any:
        """The causal language model itself, without what LoRA wraps around it."""
        inner = getattr(self.model, "get_base_model", None)
        return self.model if inner is None else inner()

    @property
    def width(self) -> int:
        """The width of the final states."""
        return int(self.causal.get_output_embeddings().weight.shape[1])

    @property
    def trained(self) -> list[Any]:
        """The weights that training changes, tied ones once."""
        return [weights for weights in self.model.parameters() if weights.requires_grad]

    def read(self, ids: Any, logits: bool = True) -> tuple[Any, Any]:
        """Read int64 [n, length] without a cache or a mask.

        Returns:
            The final states, floating [n, length, width]; and all logits [n, length, vocabulary]
            where they are wanted and `head` cannot make them, else None.
        """
        causal = self.causal
        positions = getattr(causal.config, "max_position_embeddings", None)
        if positions is not None and ids.shape[1] > positions:
            raise UsageError(
                f"calrec.backbone = {self.source!r} reads {positions} tokens at most, but a "
                f"history and its target have {ids.shape[1]}: lower calrec.max_input_tokens, or "
                "choose another backbone"
            )
        if self.plain_head or not logits:
            return causal.base_model(input_ids=ids, use_cache=False).last_hidden_state, None
        found = causal(input_ids=ids, use_cache=False, output_hidden_states=True)
        return found.hidden_states[-1], found.logits

    def head(self, states: Any) -> Any:
        """Return logits [n, vocabulary] of final states [n, width]; needs a plain head."""
        return self.causal.get_output_embeddings()(states)

    def tokenise(self, text: str) -> list[int]:
        """Return the ids of ``text`` without special tokens.

        Raises:
            DataError: the text spells a token that the model has no embedding of.
        """
        ids: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        if max(ids, default=0) >= n_embeddings(self.model):
            raise DataError(
                f"calrec.backbone = {self.source!r} has no embedding of a token that its "
                f"tokeniser finds in {text!r}; the two do not belong together"
            )
        return ids

    def text(self, ids: Sequence[int]) -> str:
        """Return the text of generated ids, up to the first line break, without outer spaces."""
        decoded: str = self.tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return decoded.split("\n", 1)[0].strip()

    def check_room(self, max_input_tokens: int, max_new_tokens: int) -> None:
        """Raise UsageError where prompt and text together may exceed the model's positions."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions is not None and max_input_tokens + max_new_tokens > positions:
            raise UsageError(
                f"calrec.backbone = {self.source!r} reads {positions} tokens at most, but "
                f"calrec.max_input_tokens = {max_input_tokens} and {max_new_tokens} tokens of a "
                f"generated text need more; set calrec.max_input_tokens to "
                f"{positions - max_new_tokens} or less"
            )

    @property
    def n_parameters(self) -> int:
        """The number of weights (tied ones once)."""
        return sum(parameter.numel() for parameter in self.model.parameters())


def describe_backbone(model: Any, tokenizer: Any, source: str, device: str) -> Backbone:
    """Find out a tokeniser's habits and put the model on its device.

    Raises:
        DataError: no token ends a sequence, the tokeniser knows more tokens than the model has
            embeddings, or the architecture has no plain attention cache.
    """
    rows, eos_id = n_embeddings(model), _eos_id(model, tokenizer, source)
    # special tokens beyond the vocabulary are let pass: reading a GGUF file, transformers adds one
    # of GPT-2's to every byte-level tokeniser, and no text spells it (`tokenise` makes sure)
    if max(tokenizer.vocab_size, eos_id + 1) > rows:
        raise DataError(
            f"calrec.backbone = {source!r}: the tokeniser has {len(tokenizer)} tokens, the model "
            f"{rows} embeddings; the two do not belong together"
        )
    kinds = set(getattr(model.config, "layer_types", None) or ["full_attention"])
    if kinds - ATTENTION_KINDS:
        raise DataError(
            f"calrec.backbone = {source!r} has layers of kind {', '.join(sorted(kinds))}: "
            "generation needs a causal language model made of attention layers alone"
        )
    if model.get_output_embeddings() is None:
        raise DataError(
            f"calrec.backbone = {source!r} has no generation head (no output embeddings): it reads "
            "texts but cannot write any; name a causal language model"
        )
    return Backbone(
        plain_head=_has_plain_head(model),
        model=model.to(device),
        tokenizer=tokenizer,
        opening_ids=_opening_ids(tokenizer),
        eos_id=eos_id,
        stop_ids=sorted({eos_id, *_line_break_ids(tokenizer)}),
        source=source,
        device=device,
    )


def _has_plain_head(model: Any) -> bool:
    """Try it on a few tokens, in evaluation mode."""
    import torch

    mode, ids = model.training, torch.arange(min(8, n_embeddings(model)))[None]
    model.eval()
    with torch.no_grad():
        states = model.base_model(input_ids=ids, use_cache=False).last_hidden_state
        plain = model.get_output_embeddings()(states)
        logits = model(input_ids=ids, use_cache=False).logits
    model.train(mode)
    return plain.shape == logits.shape and torch.allclose(plain, logits, rtol=1e-3, atol=1e-3)


def n_embeddings(model: Any) -> int:
    """Return how many tokens the model has embeddings of."""
    return int(model.get_input_embeddings().num_embeddings)


def _eos_id(model: Any, tokenizer: Any, source: str) -> int:
    if tokenizer.eos_token_id is not None:
        return int(tokenizer.eos_token_id)
    configured = getattr(model.config, "eos_token_id", None)
    if isinstance(configured, list):
        configured = configured[0] if configured else None
    if configured is None:
        raise DataError(
            f"calrec.backbone = {source!r}: neither the tokeniser nor the model's configuration "
            "names an end-of-sequence token; set eos_token in the tokeniser's files"
        )
    return int(configured)


def _opening_ids(tokenizer: Any) -> list[int]:
    ids = tokenizer("a")["input_ids"]
    starts = tokenizer.bos_token_id is not None and ids and ids[0] == tokenizer.bos_token_id
    return [int(ids[0])] if starts else []


def _line_break_ids(tokenizer: Any) -> list[int]:
    texts = tokenizer.batch_decode(
        [[index] for index in range(len(tokenizer))], clean_up_tokenization_spaces=False
    )
    return [index for index, text in enumerate(texts) if "\n" in text]
