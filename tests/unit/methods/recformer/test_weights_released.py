"""The authors' checkpoints: files of exactly their layouts, and files that do not fit."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

from harness.errors import DataError, UsageError
from tests.unit.methods.recformer.start_files import (
    ITEM_POSITIONS,
    WIDTH,
    Trap,
    batch_of,
    longformer_folder,
    released_state,
    saved_encoder,
    start_of,
    states,
    with_head,
)

torch = pytest.importorskip("torch")

WORDS = "embeddings.word_embeddings.weight"


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Configuration and tokeniser; its one token type shows that its weights are not read."""
    folder = longformer_folder(tmp_path_factory.mktemp("longformer"))
    (folder / "model.safetensors").unlink()
    return folder


def written(folder: Path, state: Any, name: str = "recformer_ckpt.bin") -> Path:
    path = folder / name
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(state, path)
    else:
        torch.save(state, path)
    return path


def test_both_formats_give_the_same_model(described: Path, tmp_path: Path) -> None:
    state = released_state()
    first = start_of(written(tmp_path, state), tokenizer=str(described))
    second = start_of(
        written(tmp_path, with_head(state), "recformer_seqrec_ckpt.bin"), tokenizer=str(described)
    )
    one, other = first.model.state_dict(), second.model.state_dict()
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    for key, tensor in state.items():
        found = "item_positions.weight" if key == ITEM_POSITIONS else f"longformer.{key}"
        assert torch.equal(one[found], tensor), key
    assert len(one) == len(state)
    assert first.source == "recformer_ckpt.bin, a released checkpoint"
    assert first.report == ()
    assert first.model.window == 96
    batch = batch_of(first, [[5, 6, 7, 8], [9]])
    assert torch.equal(states(first, batch), states(second, batch))


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.safetensors"])
def test_every_kind_of_file_is_read(name: str, described: Path, tmp_path: Path) -> None:
    state = released_state()
    start = start_of(written(tmp_path, state, name), tokenizer=str(described))
    assert torch.equal(start.model.longformer.state_dict()[WORDS], state[WORDS])


def test_weights_of_half_precision_become_float32(described: Path, tmp_path: Path) -> None:
    state = {key: tensor.half() for key, tensor in released_state().items()}
    start = start_of(written(tmp_path, state), tokenizer=str(described))
    assert {weights.dtype for weights in start.model.parameters()} == {torch.float32}


def test_what_is_not_used_is_reported(described: Path, tmp_path: Path) -> None:
    state = with_head(released_state()) | {"item_embedding.weight": torch.zeros(3, WIDTH)}
    state["longformer.embeddings.position_ids"] = torch.arange(66)[None]
    state["longformer.pooler.dense.bias"] = torch.zeros(WIDTH)
    (line,) = start_of(written(tmp_path, state), tokenizer=str(described)).report
    assert line.startswith("keys of the file not used: ")
    for key in ("item_embedding.weight", "lm_head.bias", "position_ids", "pooler.dense.bias"):
        assert key in line
    assert "item_position" not in line


def test_an_old_buffer_of_positions_does_no_harm(described: Path, tmp_path: Path) -> None:
    state = released_state() | {"embeddings.position_ids": torch.arange(66)[None]}
    start = start_of(written(tmp_path, state), tokenizer=str(described))
    assert start.report == ("keys of the file not used: embeddings.position_ids",)


def test_fewer_items_cut_the_table(described: Path, tmp_path: Path) -> None:
    state = released_state()
    start = start_of(written(tmp_path, state), tokenizer=str(described), max_items=20)
    assert torch.equal(start.model.item_positions.weight, state[ITEM_POSITIONS][:21])
    assert start.report == ("item positions: the first 21 of 51 rows kept",)


def test_more_items_than_the_table_has_are_refused(described: Path, tmp_path: Path) -> None:
    path = written(tmp_path, released_state())
    with pytest.raises(UsageError, match=r"set recformer\.max_items to 50 or less"):
        start_of(path, tokenizer=str(described), max_items=51)


def test_more_tokens_than_the_table_has_are_refused(described: Path, tmp_path: Path) -> None:
    path = written(tmp_path, released_state())
    start_of(path, tokenizer=str(described), max_tokens=64)
    with pytest.raises(UsageError, match=r"set recformer\.max_tokens to 64 or less"):
        start_of(path, tokenizer=str(described), max_tokens=65)


@pytest.mark.parametrize("prefix", ["", "longformer."])
@pytest.mark.parametrize(
    "key", [WORDS, "encoder.layer.1.attention.self.key_global.bias", ITEM_POSITIONS]
)
def test_a_missing_key_is_named(prefix: str, key: str, described: Path, tmp_path: Path) -> None:
    state = released_state()
    del state[key]
    path = written(tmp_path, with_head(state) if prefix else state)
    with pytest.raises(DataError, match=f"missing: {key}") as caught:
        start_of(path, tokenizer=str(described))
    assert str(path) in str(caught.value)
    assert str(described) in str(caught.value)


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (WORDS, (9, WIDTH)),
        ("embeddings.position_embeddings.weight", (34, WIDTH)),
        ("embeddings.token_type_embeddings.weight", (1, WIDTH)),
        ("encoder.layer.0.intermediate.dense.weight", (7, WIDTH)),
        (ITEM_POSITIONS, (51, WIDTH + 1)),
    ],
)
def test_another_shape_is_named(
    key: str, shape: tuple[int, int], described: Path, tmp_path: Path
) -> None:
    state = released_state()
    expected = list(state[key].shape)
    state[key] = torch.zeros(shape)
    with pytest.raises(DataError) as caught:
        start_of(written(tmp_path, state), tokenizer=str(described))
    assert f"{key}: expected {expected}, found {list(shape)}" in str(caught.value)


def test_the_full_sizes_are_those_of_the_original() -> None:
    """Shapes alone, without memory: METHODS 6.5."""
    from transformers import LongformerConfig

    from methods.recformer.placement import built, recformer_config
    from methods.recformer.settings import Settings

    source = LongformerConfig(vocab_size=50265, max_position_embeddings=4098)
    with torch.device("meta"):
        model = built(recformer_config(source, Settings(), 4098), Settings())
    shapes = {key: list(tensor.shape) for key, tensor in model.longformer.state_dict().items()}
    assert shapes[WORDS] == [50265, 768]
    assert shapes["embeddings.position_embeddings.weight"] == [4098, 768]
    assert shapes["embeddings.token_type_embeddings.weight"] == [4, 768]
    assert list(model.item_positions.weight.shape) == [51, 768]
    assert len([key for key in shapes if key.endswith("_global.weight")]) == 36
    assert model.config.attention_window == [64] * 12


# ---- files that are something else ---------------------------------------------------------------


def test_a_pickle_that_would_run_code_is_refused(described: Path, tmp_path: Path) -> None:
    sprung = tmp_path / "sprung"
    state = released_state() | {"trap": Trap(sprung)}
    with pytest.raises(DataError, match="holds more than tensors") as caught:
        start_of(written(tmp_path, state), tokenizer=str(described))
    assert "GLOBAL getattr" in str(caught.value)
    assert "trust" not in str(caught.value)  # torch recommends to load it nevertheless
    plain = tmp_path / "plain.bin"
    plain.write_bytes(pickle.dumps(Trap(sprung), protocol=2))
    with pytest.raises(DataError, match="holds more than tensors"):
        start_of(plain, tokenizer=str(described))
    assert not sprung.exists()
    pickle.loads(plain.read_bytes())
    assert sprung.exists()  # so the trap was a real one


@pytest.mark.parametrize("name", ["a.bin", "a.safetensors"])
def test_a_damaged_file_is_named(name: str, described: Path, tmp_path: Path) -> None:
    path = written(tmp_path, released_state(), name)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match="damaged") as caught:
        start_of(path, tokenizer=str(described))
    assert str(path) in str(caught.value)


def test_tensors_further_in_are_refused(described: Path, tmp_path: Path) -> None:
    path = written(tmp_path, {"model": released_state(), "epoch": 3})
    with pytest.raises(DataError, match="holds no tensors by key, but model, epoch; save"):
        start_of(path, tokenizer=str(described))


def test_tensors_without_keys_are_refused(described: Path, tmp_path: Path) -> None:
    path = written(tmp_path, [torch.zeros(2)])
    with pytest.raises(DataError, match="holds a list, not tensors by key"):
        start_of(path, tokenizer=str(described))


def test_the_configuration_must_be_a_longformers(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "bert", "bert")
    path = written(tmp_path, released_state())
    with pytest.raises(UsageError, match="is a bert; a released checkpoint needs"):
        start_of(path, tokenizer=str(folder))


def test_without_configuration_the_setting_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, released_state())
    with pytest.raises(UsageError, match=r"recformer\.tokenizer = './nowhere'"):
        start_of(path, tokenizer="./nowhere")
    with pytest.raises(DataError, match=r"recformer\.tokenizer = 'some/never-downloaded'"):
        start_of(path, tokenizer="some/never-downloaded")
