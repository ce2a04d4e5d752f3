"""Backbones from folders and files: one code path, clear errors."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, UsageError
from harness.histories import Histories
from methods.calrec import METHOD
from methods.calrec.backbone import describe_backbone
from methods.calrec.loading import load_pretrained
from methods.calrec.prompts import Template

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

Make = Callable[..., Any]
HISTORIES = Histories.from_lists([[1, 2, 3], [7]])


def trained(make_settings: Make, make_context: Make, make_data: Make, **values: Any) -> Any:
    method = METHOD(make_settings(epochs=1, batch_size=2, **values))
    method.fit(make_data([[0, 1, 2, 3], [4, 5, 6], [7, 8]]), make_context())
    return method


def test_a_local_folder_is_trained_and_generates(
    saved: Path, make_settings: Make, make_context: Make, make_data: Make
) -> None:
    before, _ = load_pretrained(str(saved))
    method = trained(make_settings, make_context, make_data, backbone=str(saved))
    weights = zip(before.parameters(), method._backbone.model.parameters(), strict=True)
    assert any(not torch.equal(one, other) for one, other in weights)
    assert np.isfinite(method.score(HISTORIES, np.arange(12))).all()
    assert "pretraining_tokens" not in method.describe()
    assert "backbone saved" in method.describe()["note"]


def test_a_tokeniser_without_padding_or_beginning_works(
    make_backbone: Make, make_settings: Make, make_context: Make, make_data: Make, tmp_path: Path
) -> None:
    backbone, folder = make_backbone(), tmp_path / "bare"
    backbone.model.save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=backbone.tokenizer.backend_tokenizer, eos_token="<|end|>"
    ).save_pretrained(folder)
    method = trained(make_settings, make_context, make_data, backbone=str(folder))
    assert method._backbone.tokenizer.pad_token_id is None
    assert method._backbone.opening_ids == []
    assert np.isfinite(method.score(HISTORIES, np.arange(12))).all()


def test_a_beginning_of_sequence_token_is_kept_where_the_tokeniser_adds_one(
    make_backbone: Make,
) -> None:
    from tokenizers import processors

    backbone = make_backbone()
    inner = backbone.tokenizer.backend_tokenizer
    inner.post_processor = processors.TemplateProcessing(
        single="<|pad|> $A", special_tokens=[("<|pad|>", 0)]
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inner, bos_token="<|pad|>", eos_token="<|end|>"
    )
    described = describe_backbone(backbone.model, tokenizer, "here", "cpu")
    assert described.opening_ids == [0]
    assert 0 not in described.tokenise("Title: Red Lamp")


def test_texts_survive_tokenising(make_backbone: Make) -> None:
    backbone = make_backbone()
    for text in ("Title: Red Lamp. Brand: Unknown.", "naïve “quotes” 水 <|end|", "a  b"):
        assert backbone.tokenizer.decode(backbone.tokenise(text)) == text


def test_prompt_strings_are_single_tokens_of_tiny(make_backbone: Make) -> None:
    backbone, template = make_backbone(), Template("bought")
    assert len(backbone.tokenise(template.opening)) == 1
    assert len(backbone.tokenise(template.closing)) == 1
    assert backbone.tokenise(template.closing)[0] in backbone.stop_ids
    assert backbone.tokenise(template.opening)[0] not in backbone.stop_ids


def test_a_generated_text_ends_at_a_line_break(make_backbone: Make) -> None:
    backbone = make_backbone()
    ids = backbone.tokenise(" Title: Red Lamp.") + backbone.tokenise("\n\nThe next item")
    assert backbone.text([*ids, backbone.eos_id]) == "Title: Red Lamp."


def test_weights_that_could_carry_code_are_refused(saved: Path) -> None:
    model, _ = load_pretrained(str(saved))
    (saved / "model.safetensors").unlink()
    torch.save(model.state_dict(), saved / "pytorch_model.bin")
    with pytest.raises(DataError, match="safetensors"):
        load_pretrained(str(saved))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("./nowhere", "no such file or folder"),
        ("nowhere/at/all", "no such file or folder"),
        ("model.gguf", "no such file or folder"),
    ],
)
def test_a_missing_path_is_a_usage_error(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        load_pretrained(name)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pkl"
    path.write_bytes(b"x")
    with pytest.raises(UsageError, match=r"not a \.gguf one"):
        load_pretrained(str(path))


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json and 0 GGUF"):
        load_pretrained(str(tmp_path))


def test_damaged_files_are_named(saved: Path, tmp_path: Path) -> None:
    weights = saved / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(DataError, match="cannot be loaded"):
        load_pretrained(str(saved))
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF but not really")
    with pytest.raises(DataError, match="read as a GGUF file"):
        load_pretrained(str(broken))


def test_a_hub_id_without_network_says_where_it_was_sought() -> None:
    """The tests run with HF_HUB_OFFLINE."""
    with pytest.raises(DataError, match="local Hugging Face cache"):
        load_pretrained("someone/never-downloaded")


def test_a_tokeniser_of_another_model_is_refused(make_backbone: Make) -> None:
    backbone = make_backbone()
    backbone.model.resize_token_embeddings(50)
    with pytest.raises(DataError, match="do not belong together"):
        describe_backbone(backbone.model, backbone.tokenizer, "here", "cpu")


def test_a_text_that_spells_a_token_unknown_to_the_model_is_refused(make_backbone: Make) -> None:
    backbone = make_backbone()
    backbone.tokenizer.add_tokens(["<|strange|>"], special_tokens=True)
    described = describe_backbone(backbone.model, backbone.tokenizer, "here", "cpu")
    assert described.tokenise("Title: Red Lamp")
    with pytest.raises(DataError, match="do not belong together"):
        described.tokenise("Title: <|strange|>")


def test_a_prompt_longer_than_the_model_reads_is_refused(make_backbone: Make) -> None:
    backbone = make_backbone()
    backbone.model.config.max_position_embeddings = 1024
    backbone.check_room(1000, 24)
    with pytest.raises(UsageError, match="max_input_tokens to 944 or less"):
        backbone.check_room(1024, 80)


def test_any_backbone_can_start_from_random_weights(
    saved: Path, make_settings: Make, make_context: Make, make_data: Make
) -> None:
    """Else the preset `untrained` would publish a pretrained model under that name."""
    values = METHOD.card.presets["untrained"] | {"backbone": str(saved)}
    stored, _ = load_pretrained(str(saved))

    def weights(seed: int) -> torch.Tensor:
        method = METHOD(make_settings(**values))
        method.fit(make_data([[0, 1, 2, 3]]), make_context(seed))
        assert "from random weights); not fine-tuned" in method.describe()["note"]
        assert method.describe()["parameters"] == sum(p.numel() for p in stored.parameters())
        return torch.cat([p.detach().flatten() for p in method._backbone.model.parameters()])

    first = weights(1)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))
    plain = torch.cat([p.detach().flatten() for p in stored.parameters()])
    matrices = first.ne(plain).float().mean()  # vectors of ones and zeros are no draws
    assert matrices > 0.9


def test_random_weights_do_not_need_any_stored(saved: Path) -> None:
    (saved / "model.safetensors").unlink()
    model, _ = load_pretrained(str(saved), weights_seed=0)
    assert all(torch.isfinite(parameter).all() for parameter in model.parameters())


def test_dropout_is_seeded(
    make_backbone: Make, make_settings: Make, make_context: Make, make_data: Make, tmp_path: Path
) -> None:
    """Whatever was drawn before, in this process or by an import, the losses are the same."""
    backbone, folder = make_backbone(), tmp_path / "gpt2"
    rows = backbone.model.get_input_embeddings().num_embeddings
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 2048, "vocab_size": rows}
    ids = {"bos_token_id": None, "eos_token_id": None}
    config = transformers.GPT2Config(**sizes, **ids, resid_pdrop=0.5, embd_pdrop=0.5)
    transformers.GPT2LMHeadModel(config).save_pretrained(folder)
    backbone.tokenizer.save_pretrained(folder)

    runs = iter("abcd")  # a folder each: nothing must be taken from the run before

    def losses(noise: int, seed: int = 0) -> list[float]:
        logged: list[dict[str, Any]] = []
        context = make_context(seed)
        own = context.work_dir / next(runs)
        own.mkdir()
        context = dataclasses.replace(context, log_fn=logged.append, work_dir=own)
        method = METHOD(make_settings(backbone=str(folder), epochs=2, batch_size=2))
        torch.manual_seed(noise)
        method.fit(make_data([[0, 1, 2, 3], [4, 5, 6], [7, 8]]), context)
        return [line["nig_token_mean"] for line in logged]

    assert losses(noise=1) == losses(noise=2)
    assert losses(noise=1) != losses(noise=1, seed=1)


def write_gguf(path: Path) -> None:
    """Write a Llama of two layers with random weights; its tokens: bytes, one merge, an end."""
    import gguf
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    tokens = [*bytes_to_unicode().values(), "am", "<|end|>"]
    width, inner, layers, heads = 32, 48, 2, 2
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(heads)
    writer.add_rope_dimension_count(width // heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_merges(["a n", "i s"][:0])
    writer.add_token_merges(["a m"])
    writer.add_token_types([1] * 257 + [3])
    writer.add_eos_token_id(257)
    generator = np.random.default_rng(0)

    def matrix(name: str, *shape: int) -> None:
        values = generator.normal(0, 0.2, shape).astype(np.float32)
        writer.add_tensor(f"{name}.weight", values)

    matrix("token_embd", len(tokens), width)
    for layer in range(layers):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{layer}.{name}", width, width)
        for name in ("ffn_gate", "ffn_up"):
            matrix(f"blk.{layer}.{name}", inner, width)
        matrix(f"blk.{layer}.ffn_down", width, inner)
        for name in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{name}.weight", np.ones(width, np.float32))
    writer.add_tensor("output_norm.weight", np.ones(width, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_file_is_trained_and_generates(
    make_settings: Make, make_context: Make, make_data: Make, tmp_path: Path
) -> None:
    path = tmp_path / "model.gguf"
    write_gguf(path)
    before, tokenizer = load_pretrained(str(path))
    assert tokenizer.decode(tokenizer("é Lamp\n")["input_ids"]) == "é Lamp\n"
    assert before.dtype == torch.float32
    method = trained(make_settings, make_context, make_data, backbone=str(path), max_new_tokens=9)
    after = method._backbone.model
    assert not torch.equal(before.lm_head.weight, after.lm_head.weight)
    assert len(method._backbone.tokenise("Lamp")) == 3
    scores = method.score(HISTORIES, np.arange(12))
    assert scores.shape == (2, 12)
    assert np.isfinite(scores).all()
    described = method.describe()
    assert described["generated_tokens"] >= 2 * 8
    assert described["parameters"] == sum(p.numel() for p in before.parameters())
    assert described["backbone_revision"].startswith("sha256:")
    random, _ = load_pretrained(str(path), weights_seed=0)
    assert sum(p.numel() for p in random.parameters()) == described["parameters"]
    assert not torch.equal(random.lm_head.weight, before.lm_head.weight)


def smollm2() -> str:
    """The folder of the GGUF weights, where they were fetched."""
    default = Path.home() / ".cache" / "harness-weights" / "smollm2"
    folder = Path(os.environ.get("HARNESS_WEIGHTS", default))
    if not list(folder.glob("*.gguf")):
        pytest.skip(
            "absent weights: no GGUF file (set HARNESS_WEIGHTS to the folder that holds it)"
        )
    return str(folder)


@pytest.mark.slow
def test_a_real_language_model_generates_and_takes_a_step(
    make_settings: Make, make_context: Make, make_data: Make
) -> None:
    method = trained(
        make_settings,
        make_context,
        make_data,
        backbone=smollm2(),
        learning_rate=1e-5,
        n_generated=4,
        max_new_tokens=12,
    )
    scores = method.score(HISTORIES, np.arange(12))
    assert scores.shape == (2, 12)
    assert np.isfinite(scores).all()
    assert method.describe()["parameters"] > 100_000_000
    assert method.describe()["generated_tokens"] >= 8
