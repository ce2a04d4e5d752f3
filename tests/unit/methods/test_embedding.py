"""Vectors of texts: what each kind of encoder gives, and latent semantic analysis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, MethodError
from harness.progress import SilentBar
from methods import _embedding
from methods._embedding import chosen_precision, encoder_vectors, lsa_vectors
from methods._location import located
from tests.unit.methods.recformer.start_files import (
    POSITIONS,
    Trap,
    byte_level,
    saved,
    saved_encoder,
    sizes,
    wordpiece,
)
from tests.unit.methods.text_toys import CLS, SEP, bert, bracketed, ids_of, states_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TEXTS = ["red lamp", "blue chair blue lamp unknowns", "lamp", "red " * 20 + "chair"]


class Counting(SilentBar):
    def __init__(self) -> None:
        self.n = 0

    def advance(self, n: int = 1) -> None:
        self.n += n


def vectors(
    folder: Path, texts: list[str], pooling: str = "cls", tokens: int = 512, **more: Any
) -> np.ndarray:
    location = located("toy.encoder", str(folder), "advice")
    options = {"precision": "float32", "device": "cpu", "bar": SilentBar()} | more
    return encoder_vectors(texts, location, pooling, tokens, **options)


def model_in(folder: Path) -> Any:
    return transformers.AutoModel.from_pretrained(folder).eval()


# ---- pooling and lengths -------------------------------------------------------------------------


def test_vectors_are_those_of_each_text_by_itself(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    model, bar = model_in(folder), Counting()
    states = [states_of(model, ids_of(folder, text)) for text in TEXTS]
    found = vectors(folder, TEXTS, bar=bar)
    assert found.dtype == np.float32
    assert bar.n == len(TEXTS)
    np.testing.assert_allclose(found, [state[0] for state in states], atol=2e-5)
    found = vectors(folder, TEXTS, "mean")
    np.testing.assert_allclose(found, [state.mean(axis=0) for state in states], atol=2e-5)


def test_small_batches_change_nothing_but_rounding(tmp_path: Path, monkeypatch: Any) -> None:
    folder = bert(tmp_path / "bert")
    whole = vectors(folder, TEXTS, "mean")
    monkeypatch.setattr(_embedding, "TOKENS_AT_ONCE", 7)
    monkeypatch.setattr(_embedding, "TEXTS_AT_ONCE", 3)
    np.testing.assert_allclose(vectors(folder, TEXTS, "mean"), whole, atol=2e-5)


def test_texts_with_the_same_tokens_share_a_vector_exactly(
    tmp_path: Path, monkeypatch: Any
) -> None:
    folder, bar = bert(tmp_path / "bert"), Counting()
    monkeypatch.setattr(_embedding, "TOKENS_AT_ONCE", 1)
    found = vectors(folder, ["Red  Lamp", *TEXTS, "RED LAMP"], bar=bar)
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[-1])
    assert bar.n == len(TEXTS) + 2


@pytest.mark.parametrize(("asked", "read"), [(5, 5), (512, POSITIONS)])
def test_long_texts_are_cut_at_the_end(tmp_path: Path, asked: int, read: int) -> None:
    folder = bert(tmp_path / "bert")
    text = "red lamp blue chair " * 50
    ids = ids_of(folder, text, read)
    assert len(ids) == read
    expected = states_of(model_in(folder), ids)[0]
    np.testing.assert_allclose(vectors(folder, [text], tokens=asked)[0], expected, atol=2e-5)


def test_robertas_positions_start_behind_the_padding_token(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "roberta", "roberta")
    found = vectors(folder, ["red " * 100, "ed"], "mean")
    model, tokenizer = model_in(folder), byte_level()
    for text, vector in zip(["red " * 100, "ed"], found, strict=True):
        ids = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        expected = states_of(model, ids[: POSITIONS - 2]).mean(axis=0)
        np.testing.assert_allclose(vector, expected, atol=2e-5)


def test_what_spells_a_special_token_is_text(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    text = "red [MASK] lamp [PAD]"
    ids = ids_of(folder, text)
    assert {ids[0], ids[-1]} == {CLS, SEP}
    assert not {0, 4} & set(ids)
    expected = states_of(model_in(folder), ids)[0]
    np.testing.assert_allclose(vectors(folder, [text])[0], expected, atol=2e-5)


def test_bfloat16_is_near_and_float32_at_the_end(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    exact = vectors(folder, TEXTS, "mean")
    rounded = vectors(folder, TEXTS, "mean", precision="bfloat16")
    assert rounded.dtype == np.float32
    assert not np.array_equal(exact, rounded)
    np.testing.assert_allclose(rounded, exact, atol=0.1)


def test_only_a_gpu_rounds_by_itself() -> None:
    assert chosen_precision("auto", "cpu") == "float32"
    assert chosen_precision("bfloat16", "cpu") == "bfloat16"
    assert chosen_precision("float32", "cuda") == "float32"


# ---- kinds of encoders ---------------------------------------------------------------------------


def test_a_language_model_without_cls_and_padding_works(tmp_path: Path) -> None:
    config = transformers.GPT2Config(
        vocab_size=300, n_embd=16, n_layer=2, n_head=2, n_positions=30, initializer_range=0.3,
        bos_token_id=0, eos_token_id=0,
    )  # fmt: skip
    folder = saved(tmp_path / "gpt2", transformers.GPT2LMHeadModel(config), byte_level())
    texts = ["red ed", "r", "red " * 40, ""]
    found = vectors(folder, texts, "mean")
    first = vectors(folder, texts)
    model, tokenizer = model_in(folder), byte_level()
    for text, mean, state in zip(texts[:3], found, first, strict=False):
        ids = tokenizer.backend_tokenizer.encode(text).ids[:30]
        expected = states_of(model, ids)
        np.testing.assert_allclose(mean, expected.mean(axis=0), atol=2e-5)
        np.testing.assert_allclose(state, expected[0], atol=2e-5)
    assert not found[3].any()  # no token at all


@pytest.mark.parametrize("kind", ["t5", "bart"])
def test_of_an_encoder_decoder_the_encoder_serves(tmp_path: Path, kind: str) -> None:
    configs = {
        "t5": lambda: transformers.T5Config(
            vocab_size=20, d_model=16, d_ff=16, d_kv=8, num_layers=1, num_heads=2
        ),
        "bart": lambda: transformers.BartConfig(
            vocab_size=20, d_model=16, encoder_layers=1, decoder_layers=1, pad_token_id=0,
            encoder_ffn_dim=16, decoder_ffn_dim=16, encoder_attention_heads=2,
            decoder_attention_heads=2, max_position_embeddings=30,
        ),
    }  # fmt: skip
    model = transformers.AutoModel.from_config(configs[kind]())
    folder = saved(tmp_path / kind, model, bracketed())
    found = vectors(folder, TEXTS, "mean")
    encoder = model_in(folder).get_encoder()
    for text, vector in zip(TEXTS, found, strict=True):
        expected = states_of(encoder, ids_of(folder, text)).mean(axis=0)
        np.testing.assert_allclose(vector, expected, atol=2e-5)


def test_a_pooler_may_be_missing_and_nothing_else(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert", pooler=False)
    assert np.isfinite(vectors(folder, TEXTS)).all()
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    state = load_file(path)
    del state["encoder.layer.1.output.dense.weight"]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"lack weights of a BertModel: encoder\.layer\.1\.output"):
        vectors(folder, TEXTS)


def test_pickles_are_read_as_tensors_alone(tmp_path: Path) -> None:
    folder = bert(tmp_path / "bert")
    expected, state = vectors(folder, TEXTS), model_in(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert np.array_equal(vectors(folder, TEXTS), expected)
    sprung = tmp_path / "sprung"
    torch.save(state | {"trap": Trap(sprung)}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"toy.encoder = .* more than tensors"):
        vectors(folder, TEXTS)
    assert not sprung.exists()


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tokenizer = bracketed()
    model = transformers.BertModel(transformers.BertConfig(**sizes(tokenizer)))
    model.embeddings.word_embeddings.weight.data[5:] = torch.nan
    folder = saved(tmp_path / "broken", model, tokenizer)
    with pytest.raises(DataError, match=r"hold NaN or infinity \(products in float32\)"):
        vectors(folder, TEXTS)


def test_a_tokeniser_of_another_model_is_refused(tmp_path: Path) -> None:
    config = transformers.BertConfig(**sizes(wordpiece(), vocab_size=12))
    folder = saved(tmp_path / "mixed", transformers.BertModel(config), bracketed())
    with pytest.raises(DataError, match="has 19 tokens, the model 12 embeddings"):
        vectors(folder, TEXTS)


# ---- latent semantic analysis --------------------------------------------------------------------


def test_at_full_width_products_are_those_of_tf_idf() -> None:
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = ["red lamp", "blue lamp", "old kettle 7.", "red chair chair", "lamp"]
    found = lsa_vectors(texts, texts, 100)
    assert found.dtype == np.float32
    assert found.shape == (5, 5)
    plain = TfidfVectorizer(token_pattern=r"\w+").fit_transform(texts).toarray()
    np.testing.assert_allclose(found @ found.T, plain @ plain.T, atol=1e-6)


def test_fewer_directions_are_the_main_ones() -> None:
    texts = ["red lamp", "blue lamp", "old kettle", "red chair chair", "lamp"]
    full, narrow = lsa_vectors(texts, texts, 100), lsa_vectors(texts, texts, 2)
    assert narrow.shape == (5, 2)
    np.testing.assert_allclose(narrow, full[:, :2], atol=1e-6)  # signs included


@pytest.mark.parametrize(
    ("texts", "width"),
    [
        (["lamp"], 1),
        (["red lamp"], 1),
        (["red lamp", "lamp red"], 1),
        (["a", "a.", "a a", "A!"], 1),
        (["a b", "a", "b"], 2),
    ],
)
def test_small_catalogues_have_narrow_vectors(texts: list[str], width: int) -> None:
    with np.errstate(all="raise"):
        found = lsa_vectors(texts, texts, 128)
    assert found.shape == (len(texts), width)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-6)
    assert np.array_equal(found, lsa_vectors(texts, texts, 128))


def test_unknown_words_are_nothing() -> None:
    found = lsa_vectors(["", "chair", "red"], ["red lamp", "blue"], 10)
    assert not found[:2].any()
    assert found[2].any()


def test_a_catalogue_without_words_is_refused() -> None:
    with pytest.raises(MethodError, match="found no word in 2 texts; name a pretrained encoder"):
        lsa_vectors(["!", "?!"], ["!", "?!"], 10)
