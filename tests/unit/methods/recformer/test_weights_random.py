"""Random start weights, and what a run is identified by."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

from harness.errors import MethodError, UsageError
from methods._location import NOT_DOWNLOADED
from methods.recformer.weights import identity, load_start
from tests.unit.methods.recformer.start_files import (
    batch_of,
    longformer_folder,
    saved_encoder,
    settings_for,
    start_of,
    states,
)

torch = pytest.importorskip("torch")

ROOT = Path(__file__).resolve().parents[4]


def known(weights: Path | str, **values: str) -> dict[str, str]:
    return dict(identity(settings_for(weights, **values)))


# ---- random --------------------------------------------------------------------------------------


def test_random_weights_are_decided_by_the_seed() -> None:
    before = torch.get_rng_state()
    first, again, other = (start_of("random", seed=seed) for seed in (1, 1, 2))
    one, two, three = (start.model.state_dict() for start in (first, again, other))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert not torch.equal(one["item_positions.weight"], three["item_positions.weight"])
    assert first.tokenizer.get_vocab() == again.tokenizer.get_vocab()
    assert torch.equal(before, torch.get_rng_state())


def test_random_weights_have_the_sizes_of_the_settings() -> None:
    start = start_of("random", random_width=24, random_layers=3, random_heads=4, max_items=7)
    config = start.model.config
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (24, 3, 4)
    assert start.model.max_positions == 40
    assert start.model.item_positions.num_embeddings == 8
    assert start.source == "random weights, 3 layers of 24"
    assert start.report == (f"tokeniser: {len(start.tokenizer)} tokens learnt",)
    batch = batch_of(start, [start.vocabulary.tokenise("Red Lamp"), []])
    assert torch.isfinite(states(start, batch)).all()


def test_the_tokeniser_learns_from_the_attributes_that_are_read() -> None:
    attributes = {"title": ["Salted Caramel"] * 3, "notes": ["Entirely Unread"] * 3}
    start = load_start(settings_for("random"), attributes, "cpu", 0)
    for text in ("title", "Caramel", "Salted Caramel"):
        assert len(start.vocabulary.tokenise(text)) == len(text.split())
    assert len(start.vocabulary.tokenise("Unread")) > 1
    # a word is the same token at the beginning of a text and within
    assert start.vocabulary.tokenise("Caramel")[0] == start.vocabulary.tokenise("a Caramel")[-1]
    assert start.tokenizer.decode(start.vocabulary.tokenise("naïve 水 é")).strip() == "naïve 水 é"
    ids = {start.vocabulary.first_id, start.vocabulary.pad_id, start.vocabulary.mask_id}
    assert ids == {0, 1, 2}


def test_the_vocabulary_stays_within_its_bound() -> None:
    titles = [f"word{n} thing{n}" for n in range(400)] * 2
    settings = settings_for("random", random_vocabulary=300)
    start = load_start(settings, {"title": titles}, "cpu", 0)
    assert start.vocabulary.size == len(start.tokenizer) == 300


def test_a_data_set_without_attributes_is_refused() -> None:
    with pytest.raises(MethodError, match="the data set has none"):
        load_start(settings_for("random"), {}, "cpu", 0)


# ---- identity ------------------------------------------------------------------------------------


def test_random_depends_on_nothing_outside() -> None:
    assert known("random") == {}


def test_a_checkpoint_is_known_by_its_bytes_and_by_its_tokeniser(tmp_path: Path) -> None:
    folder = longformer_folder(tmp_path / "longformer")
    path = tmp_path / "recformer_ckpt.bin"
    path.write_bytes(b"weights")
    before = known(path, tokenizer=str(folder))
    assert before["weights"] == f"sha256:{hashlib.sha256(b'weights').hexdigest()}"
    assert before["tokenizer"].startswith("sha256:")
    (folder / "model.safetensors").write_bytes(b"not read")
    assert known(path, tokenizer=str(folder)) == before
    (folder / "config.json").write_text("{}")
    assert known(path, tokenizer=str(folder))["tokenizer"] != before["tokenizer"]
    path.write_bytes(b"other weights")
    assert known(path, tokenizer=str(folder))["weights"] != before["weights"]


def test_a_folder_is_known_by_its_files(tmp_path: Path) -> None:
    folder = saved_encoder(tmp_path / "bert", "bert")
    before = known(folder)
    assert before.keys() == {"weights"}
    (folder / "README.md").write_text("says nothing to the model")
    assert known(folder) == before
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        path, content = folder / name, (folder / name).read_bytes()
        path.write_bytes(content + b" ")
        assert known(folder) != before, name
        path.write_bytes(content)
    (folder / "pytorch_model.bin").write_bytes(b"weights too")
    assert known(folder) != before


def test_a_hub_id_that_is_not_there_yet_says_so() -> None:
    assert known("someone/other") == {"weights": NOT_DOWNLOADED}


@pytest.mark.parametrize(
    "name", ["./nowhere", "~/nowhere-at-all", "nowhere.bin", "no/where.safetensors", "a b"]
)
def test_what_does_not_exist_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no such file") as caught:
        known(name)
    assert f"recformer.weights = {name!r}" in str(caught.value)
    with pytest.raises(UsageError, match="no such file"):
        start_of(name)


def test_files_and_folders_of_other_kinds_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"the folder holds no config\.json"):
        known(tmp_path)
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    with pytest.raises(UsageError, match="a file of another kind"):
        known(path)


def test_it_is_told_without_loading_anything_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from methods.recformer.settings import Settings; "
        "from methods.recformer.weights import identity; "
        "print([identity(Settings(weights=name)) for name in sys.argv[1:]]);"
        "print([name for name in ('torch', 'transformers', 'numba', 'pandas', 'tokenizers')"
        " if name in sys.modules])"
    )
    folder = saved_encoder(tmp_path / "bert", "bert")
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), "someone/thing"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "sha256:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
