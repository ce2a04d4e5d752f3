"""What is found out about tokenisers: special tokens, words, limits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.errors import DataError
from methods.recformer.tokens import Vocabulary
from methods.recformer.vocabulary import vocabulary_of
from tests.unit.methods.recformer.start_files import (
    byte_level,
    sentencepiece,
    start_of,
    wordpiece,
)

pytest.importorskip("tokenizers")
pytest.importorskip("transformers")

MAKERS = {"wordpiece": wordpiece, "byte level": byte_level, "sentencepiece": sentencepiece}


def described(tokenizer: Any, rows: int = 400) -> Vocabulary:
    config = SimpleNamespace(vocab_size=rows, pad_token_id=tokenizer.pad_token_id)
    return vocabulary_of(tokenizer, config, "here")


def tokens(tokenizer: Any, text: str) -> list[str]:
    found: list[str] = tokenizer.convert_ids_to_tokens(described(tokenizer).tokenise(text))
    return found


@pytest.mark.parametrize("name", MAKERS)
def test_special_tokens_inside_a_text_are_text(name: str) -> None:
    tokenizer = MAKERS[name]()
    vocabulary = described(tokenizer)
    special = set(tokenizer.all_special_ids) - {tokenizer.unk_token_id}
    written = tokenizer.all_special_tokens
    for text in (*written, *(f"red {token} lamp" for token in written), "".join(written)):
        assert not special & set(vocabulary.tokenise(text)), text
    # and the tokeniser that was given still finds them
    assert tokenizer.mask_token_id in tokenizer(f"red {tokenizer.mask_token}")["input_ids"]


def test_special_tokens_are_spelt_out() -> None:
    assert tokens(wordpiece(), "red [MASK] lamp") == ["red", "[", "mask", "]", "lamp"]
    assert tokens(byte_level(), "a<s>") == ["a", "<", "s", ">"]
    assert tokens(byte_level(), "a <mask>") == ["a", "Ġ", *"<mask>"]
    assert tokens(sentencepiece(), "red <s>") == ["▁red", "▁", "<", "s", ">"]


def test_special_tokens_of_a_random_start_are_text_too() -> None:
    vocabulary = start_of("random").vocabulary
    special = {vocabulary.first_id, vocabulary.pad_id, vocabulary.mask_id}
    assert not special & set(vocabulary.tokenise("<s> Red<mask> <pad><s>"))


@pytest.mark.parametrize("name", MAKERS)
def test_no_special_tokens_are_added_nor_anything_cut_or_filled_up(
    name: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    tokenizer = MAKERS[name]()
    vocabulary = described(tokenizer)
    assert vocabulary.tokenise("") == []
    assert len(vocabulary.tokenise("red " * 5000)) >= 5000
    assert len(vocabulary.tokenise("red")) < 8
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_texts_are_read_as_by_the_tokeniser_itself() -> None:
    text = "Red lamps, unknown chair"
    for make in (byte_level, sentencepiece):
        tokenizer = make()
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert described(tokenizer).tokenise(text) == ids


def words(tokenizer: Any, text: str) -> list[tuple[str, bool]]:
    vocabulary = described(tokenizer)
    ids = vocabulary.tokenise(text)
    assert vocabulary.starts_word.shape == (vocabulary.size,)
    named = tokenizer.convert_ids_to_tokens(ids)
    return [
        (name, bool(vocabulary.starts_word[index])) for name, index in zip(named, ids, strict=True)
    ]


def test_beginnings_of_words_are_known() -> None:
    assert words(wordpiece(), "Unknown lamps") == [
        ("un", True), ("##known", False), ("lamp", True), ("##s", False),
    ]  # fmt: skip
    # the first token of a text has no space before it: the caller knows that a word begins there
    assert words(byte_level(), "ed reds") == [("ed", False), ("Ġred", True), ("s", False)]
    assert words(sentencepiece(), "red reds") == [("▁red", True), ("▁red", True), ("s", False)]


def test_the_tokens_of_a_random_start_begin_words_by_a_space() -> None:
    start = start_of("random")
    begins = start.vocabulary.starts_word[start.vocabulary.tokenise("Red Lamp title")]
    assert begins[0]
    assert begins.sum() == 3


def test_first_padding_and_mask_are_found() -> None:
    found = described(wordpiece())
    assert (found.first_id, found.pad_id, found.mask_id) == (2, 0, 4)
    tokenizer = byte_level()
    tokenizer.cls_token = tokenizer.mask_token = None
    found = described(tokenizer)
    assert (found.first_id, found.mask_id) == (0, None)


def test_a_tokeniser_without_a_first_token_is_refused() -> None:
    tokenizer = wordpiece()
    tokenizer.cls_token = None
    with pytest.raises(DataError, match="names no token that begins a sequence"):
        described(tokenizer)


def test_a_tokeniser_of_another_model_is_refused() -> None:
    size = len(wordpiece())
    assert described(wordpiece(), size).size == size
    with pytest.raises(DataError, match=f"{size} tokens, the model {size - 1} embeddings"):
        described(wordpiece(), size - 1)


def test_a_tokeniser_that_cannot_help_finding_special_tokens_is_refused() -> None:
    from tokenizers import pre_tokenizers

    tokenizer = wordpiece(pre_tokenizers.WhitespaceSplit())
    tokenizer.backend_tokenizer.normalizer = None
    with pytest.raises(DataError, match=r"reads the text .* as a special token"):
        described(tokenizer)
