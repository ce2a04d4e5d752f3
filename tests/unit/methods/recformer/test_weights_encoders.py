"""Longformers are copied; converted encoders give the original's token states."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, UsageError
from methods.recformer.settings import QUICK, SLIDING
from tests.unit.methods.recformer.start_files import (
    Trap,
    batch_of,
    longformer_folder,
    saved,
    saved_encoder,
    sizes,
    start_of,
    states,
    wordpiece,
)

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

TYPES = "embeddings.token_type_embeddings.weight"
POSITIONS = "embeddings.position_embeddings.weight"
LONG, SHORT = 30, 6
KINDS = ("bert", "roberta", "xlm-roberta", "camembert", "electra")


def encoder(folder: Path | str) -> Any:
    return transformers.AutoModel.from_pretrained(folder).eval()


def edited(folder: Path, **values: Any) -> Path:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))
    return folder


# ---- Longformer ----------------------------------------------------------------------------------


def test_a_longformer_is_copied_by_name(tmp_path: Path) -> None:
    folder = longformer_folder(tmp_path / "small-longformer")
    original = encoder(folder).state_dict()
    start = start_of(folder, seed=3)
    copied = start.model.longformer.state_dict()
    for key, tensor in copied.items():
        expected = original[key].expand(4, -1) if key == TYPES else original[key]
        assert torch.equal(tensor, expected), key
    assert start.model.config.attention_window == [96, 96]
    assert start.source == "small-longformer, a longformer"
    assert "not used: pooler.dense.bias, pooler.dense.weight" in start.report
    assert "token types: row 0 repeated 4 times" in start.report
    assert "item positions: drawn, 51 rows" in start.report
    assert not start.model.training


def test_a_longformers_item_positions_are_drawn_by_seed(tmp_path: Path) -> None:
    folder = longformer_folder(tmp_path / "longformer")
    before = torch.get_rng_state()
    first, again, other = (
        start_of(folder, seed=seed).model.item_positions.weight for seed in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert 0.25 < first.std() < 0.35  # the configuration says 0.3
    assert torch.equal(before, torch.get_rng_state())


def test_a_longformer_with_a_head_is_copied_too(tmp_path: Path) -> None:
    config = transformers.LongformerConfig(**sizes(wordpiece()), attention_window=8)
    model = transformers.LongformerForMaskedLM(config)
    folder = saved(tmp_path / "head", model, wordpiece())
    start = start_of(folder)
    key = "encoder.layer.1.output.dense.weight"
    expected = model.longformer.state_dict()[key]
    assert torch.equal(start.model.longformer.state_dict()[key], expected)
    assert any(line.startswith("not used: lm_head") for line in start.report)


def test_a_longformer_with_all_token_types_keeps_them(tmp_path: Path) -> None:
    folder = longformer_folder(tmp_path / "longformer", type_vocab_size=4)
    types = start_of(folder).model.longformer.state_dict()[TYPES]
    assert torch.equal(types, encoder(folder).state_dict()[TYPES])


def test_too_few_positions_of_a_longformer_are_a_usage_error(tmp_path: Path) -> None:
    folder = longformer_folder(tmp_path / "longformer")
    start_of(folder, max_tokens=64)
    with pytest.raises(UsageError, match=r"set recformer\.max_tokens to 64 or less"):
        start_of(folder, max_tokens=65)


# ---- conversion ----------------------------------------------------------------------------------


def assert_same_states(folder: Path | str, attention: str, lengths: tuple[int, ...]) -> None:
    """Compare a converted encoder with the original on sequences of random tokens."""
    start = start_of(folder, attention=attention)
    generator = np.random.default_rng(0)
    rows = [generator.integers(5, start.vocabulary.size, size=n) for n in lengths]
    batch = batch_of(start, [row.tolist() for row in rows])
    found, original = states(start, batch), encoder(folder)
    for place, length in enumerate(batch.lengths):
        with torch.no_grad():
            ids = torch.from_numpy(batch.ids[place : place + 1, :length])
            expected = original(input_ids=ids).last_hidden_state[0]
        assert (found[place, :length] - expected).abs().max() < 1e-4


@pytest.mark.parametrize("attention", [QUICK, SLIDING])
@pytest.mark.parametrize("kind", KINDS)
def test_a_converted_encoder_gives_the_originals_states(
    kind: str, attention: str, tmp_path: Path
) -> None:
    more = {"embedding_size": 16} if kind == "electra" else {}
    folder = saved_encoder(tmp_path / kind, kind, **more)
    assert_same_states(folder, attention, (LONG, SHORT))


def test_a_conversion_is_reported(tmp_path: Path) -> None:
    start = start_of(saved_encoder(tmp_path / "small-bert", "bert", type_vocab_size=2))
    assert start.source == "small-bert, a bert converted"
    assert "global attention: a copy of the local projections" in start.report
    assert "token types: row 0 repeated 4 times; item positions: zero" in start.report
    assert not any("repeated up to" in line for line in start.report)
    assert not start.model.item_positions.weight.any()
    assert start.model.item_positions.weight.requires_grad


@pytest.mark.parametrize(("kind", "first"), [("bert", 0), ("roberta", 2)])
def test_positions_are_repeated_beyond_the_originals(kind: str, first: int, tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / kind, kind)
    original = encoder(folder).state_dict()[POSITIONS][first:]
    start = start_of(folder, max_tokens=150)
    pad = start.vocabulary.pad_id
    table = start.model.longformer.state_dict()[POSITIONS][pad + 1 :]
    assert start.model.max_positions == len(table) == 150
    for place in range(150):
        assert torch.equal(table[place], original[place % len(original)]), place
    assert f"positions: {len(original)} repeated up to 150" in start.report
    assert torch.isfinite(states(start, batch_of(start, [[6] * 149]))).all()
    # and a short sequence still gives the original's states
    assert_same_states(folder, QUICK, (SHORT,))


def test_the_configuration_is_taken_over(tmp_path: Path) -> None:
    chosen = {
        "hidden_act": "relu", "hidden_dropout_prob": 0.3, "attention_probs_dropout_prob": 0.2,
        "layer_norm_eps": 1e-3,
    }  # fmt: skip
    folder = saved_encoder(tmp_path / "bert", "bert", **chosen)
    config = start_of(folder, attention_window=32).model.config
    assert {name: getattr(config, name) for name in chosen} == chosen
    assert (config.pad_token_id, config.attention_window) == (0, [32, 32])
    assert_same_states(folder, QUICK, (LONG,))


def test_a_model_with_a_head_is_converted(tmp_path: Path) -> None:
    model = transformers.BertForMaskedLM(transformers.BertConfig(**sizes(wordpiece())))
    folder = saved(tmp_path / "head", model, wordpiece())
    assert_same_states(folder, QUICK, (LONG, SHORT))
    assert any(line.startswith("not used: cls.predictions") for line in start_of(folder).report)


def test_a_pickle_of_tensors_is_read_and_one_with_code_is_not(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "bert", "bert")
    state = encoder(folder).state_dict()
    (folder / "model.safetensors").unlink()
    torch.save(state, folder / "pytorch_model.bin")
    assert_same_states(folder, QUICK, (SHORT,))
    sprung = tmp_path / "sprung"
    torch.save(state | {"trap": Trap(sprung)}, folder / "pytorch_model.bin")
    with pytest.raises(DataError, match=r"weights cannot be loaded .* more than tensors"):
        start_of(folder)
    assert not sprung.exists()


def minilm() -> str:
    """The folder of all-MiniLM-L6-v2, where it was fetched."""
    default = Path.home() / ".cache" / "harness-weights" / "all-minilm-l6-v2"
    folder = Path(os.environ.get("HARNESS_MINILM", default))
    if not (folder / "model.safetensors").is_file():
        pytest.skip(
            "absent weights: no all-MiniLM-L6-v2 (its folder: HARNESS_MINILM; CONTRIBUTING says "
            "how to get it)"
        )
    return str(folder)


@pytest.mark.parametrize("attention", [QUICK, SLIDING])
def test_a_converted_minilm_gives_the_originals_states(attention: str) -> None:
    assert_same_states(minilm(), attention, (LONG, SHORT))


def test_minilm_reads_texts_as_its_own_tokeniser_does() -> None:
    start = start_of(minilm())
    text = "Red Lamp, 12-Pack: naïve [MASK] " + "very " * 300
    ids = start.vocabulary.tokenise(text)
    # the file asks for 128 tokens, cut or filled up
    assert len(ids) > 300
    assert start.vocabulary.mask_id not in ids
    assert start.vocabulary.first_id == 101
    assert start.model.config.vocab_size == start.vocabulary.size == 30522
    found = start.tokenizer.convert_ids_to_tokens(ids[:6])
    assert found == ["red", "lamp", ",", "12", "-", "pack"]


# ---- models of another kind ----------------------------------------------------------------------


def test_models_of_other_kinds_are_refused(tmp_path: Path) -> None:
    tokenizer = wordpiece()
    gpt2 = transformers.GPT2Config(vocab_size=20, n_embd=16, n_layer=1, n_head=2, n_positions=20)
    t5 = transformers.T5Config(vocab_size=20, d_model=16, d_ff=16, num_layers=1, num_heads=2)
    folder = saved(tmp_path / "gpt2", transformers.GPT2LMHeadModel(gpt2), tokenizer)
    with pytest.raises(UsageError, match="is a model of kind 'gpt2'; needed is a Longformer or"):
        start_of(folder)
    folder = saved(tmp_path / "t5", transformers.T5ForConditionalGeneration(t5), tokenizer)
    with pytest.raises(UsageError, match="is an encoder-decoder of kind 't5'; needed is"):
        start_of(folder)


def test_encoders_without_the_needed_parts_are_refused(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "electra", "electra", embedding_size=8)
    with pytest.raises(UsageError, match="embeddings of 8 columns and layers of 16"):
        start_of(folder)
    folder = saved_encoder(tmp_path / "decoder", "bert", is_decoder=True)
    with pytest.raises(UsageError, match="set up as a decoder"):
        start_of(folder)
    folder = saved_encoder(tmp_path / "bert", "bert")
    with pytest.raises(UsageError, match="positions of kind 'relative_key'"):
        start_of(edited(folder, position_embedding_type="relative_key"))
    edited(folder, position_embedding_type="absolute", pad_token_id=None)
    with pytest.raises(DataError, match="names no padding token"):
        start_of(folder)


def test_missing_weights_are_named(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = saved_encoder(tmp_path / "bert", "bert")
    path, key = folder / "model.safetensors", "encoder.layer.1.output.dense.bias"
    state = load_file(path)
    del state[key]
    save_file(state, path, metadata={"format": "pt"})
    with pytest.raises(DataError, match=f"lack weights of a BertModel: {key}"):
        start_of(folder)


def test_damaged_folders_are_named(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "bert", "bert")
    edited(folder, intermediate_size=32)
    found = r"layer\.0\.intermediate\.dense\.weight: expected \[32, 16\], found \[24, 16\]"
    with pytest.raises(DataError, match=found):
        start_of(folder)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:500])
    with pytest.raises(DataError, match="its weights cannot be loaded"):
        start_of(folder)
    weights.unlink()
    with pytest.raises(DataError, match="its weights cannot be loaded"):
        start_of(folder)
    (folder / "config.json").write_text("{")
    with pytest.raises(DataError, match="its configuration cannot be loaded"):
        start_of(folder)


@pytest.mark.parametrize("kind", ["bert", "roberta", "xlm-roberta", "longformer"])
def test_a_folder_without_tokeniser_is_refused(kind: str, tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / kind, kind)
    for path in folder.glob("*token*"):
        path.unlink()
    with pytest.raises(DataError, match="its tokeniser"):
        start_of(folder)


def test_code_of_a_folder_is_not_run(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "bert", "bert")
    edited(folder, model_type="own", auto_map={"AutoConfig": "own.Config"})
    sprung = tmp_path / "sprung"
    (folder / "own.py").write_text(f"open({str(sprung)!r}, 'w')\nclass Config: pass\n")
    with pytest.raises(DataError, match="its configuration cannot be loaded"):
        start_of(folder)
    assert not sprung.exists()


def test_a_hub_id_without_network_says_where_it_was_sought() -> None:
    """The tests run with HF_HUB_OFFLINE."""
    with pytest.raises(DataError, match="local Hugging Face cache"):
        start_of("someone/never-downloaded")
