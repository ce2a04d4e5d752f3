"""Text features of items: what is read of them and by which encoder."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import DataError, MethodError, UsageError
from harness.method import Input
from harness.settings import Layer, resolve, setting
from methods._text import (
    TF_IDF,
    TextSettings,
    _sentence,
    _with_words_dropped,
    external_inputs,
    item_vectors,
)
from tests.unit.methods.text_toys import bert, catalogue, context, domain, ids_of, states_of

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

ATTRIBUTES = {
    "brand": ["Acme", "", "Acme", "", ""],
    "title": ["Red Lamp", "Blue Chair...", "Red Lamp", "", "Lamp"],
    "price": ["$1", "$2", "$3", "$4", "$5"],
}
DATA = catalogue(ATTRIBUTES, [f"Title: {title}" for title in ATTRIBUTES["title"]])
LSA = TextSettings(encoder=TF_IDF)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bert(tmp_path / "small-bert")


def of(settings: TextSettings, run: Any, data: Any = DATA, drop: float = 0.0) -> Any:
    return item_vectors(data, settings, run, drop, owner="toy")


# ---- vectors of items ----------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_each_distinct_text_has_one_vector(folder: Path, tmp_path: Path, pooling: str) -> None:
    run = context(tmp_path)
    found = of(TextSettings(encoder=str(folder), pooling=pooling), run)
    assert found.group.tolist() == [0, 1, 0, 2, 3]
    assert found.group.dtype == np.int64
    assert found.vectors.shape == (4, found.width) == (4, 16)
    assert found.vectors.dtype == np.float32
    assert found.source == f"small-bert ({pooling}, float32), of title, brand"
    model = transformers.AutoModel.from_pretrained(folder).eval()
    for row, text in enumerate(["Red Lamp. Acme.", "Blue Chair.", "", "Lamp."]):
        if text:
            states = states_of(model, ids_of(folder, text))
            expected = states[0] if pooling == "cls" else states.mean(axis=0)
            np.testing.assert_allclose(found.vectors[row], expected, atol=2e-5)
    table = found.table()
    assert table.shape == (5, 16)
    assert np.array_equal(table[0], table[2])
    assert not table[3].any()
    assert found.n_without_text == 1
    assert run.progress.lines == ["toy: 1 of 5 items of toys have no text; their vectors are zero"]


def test_the_rendered_text_may_be_read_instead(folder: Path, tmp_path: Path) -> None:
    found = of(TextSettings(encoder=str(folder), text="template"), context(tmp_path))
    assert found.source.endswith("of the rendered text")
    assert found.n_without_text == 0
    model = transformers.AutoModel.from_pretrained(folder).eval()
    expected = states_of(model, ids_of(folder, "Title: Lamp"))[0]
    np.testing.assert_allclose(found.table()[4], expected, atol=2e-5)
    blank = catalogue({}, ["lamp", "  ", "lamp "])
    assert of(replace(LSA, text="template"), context(tmp_path), blank).group.tolist() == [0, 1, 0]


def test_attributes_may_be_chosen(tmp_path: Path) -> None:
    run = context(tmp_path)
    found = of(replace(LSA, text_attributes="price, title"), run)
    assert found.source == "tf-idf, of price, title"
    assert len(set(found.group.tolist())) == 5
    only_price = catalogue({"price": ["$1", "$2"]})
    assert of(LSA, run, only_price).source == "tf-idf, of price"
    with pytest.raises(UsageError, match=r"toy\.text_attributes names 'tite', .* mean 'title'"):
        of(replace(LSA, text_attributes="tite"), run)


def test_a_source_domain_has_vectors_too(tmp_path: Path) -> None:
    assert of(LSA, context(tmp_path), domain(ATTRIBUTES)).table().shape[0] == 5


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("Red Lamp", "Red Lamp."), ("Red Lamp.", "Red Lamp."), ("Lamp ...", "Lamp."),
        ("A. B. C", "A. B. C."), ('12" Lamp\nred', "12 Lamp red."), ("", ""), (" . ", ""),
        ("Really?", "Really?."), ("x" * 1998, "x" * 1998 + "."), ("x" * 1999, ""),
    ],
)  # fmt: skip
def test_a_value_ends_in_one_full_stop(value: str, sentence: str) -> None:
    assert _sentence(value) == sentence


def test_no_text_at_all_is_an_error(tmp_path: Path) -> None:
    run = context(tmp_path)
    with pytest.raises(MethodError, match=r"no item of toys has any text \(title\); set toy\.text"):
        of(LSA, run, catalogue({"title": ["", ". "]}))
    with pytest.raises(MethodError, match=r"the data set has none; .* set toy\.text=template"):
        of(LSA, run, catalogue({}, ["lamp"]))
    with pytest.raises(MethodError, match="withheld"):
        of(LSA, run, catalogue(ATTRIBUTES, inputs=[Input.ITEM_TEXT]))


# ---- words that are dropped ----------------------------------------------------------------------


def test_dropped_words_depend_on_the_text_alone(tmp_path: Path) -> None:
    titles = [f"red lamp {n} blue chair {n + 1} old kettle" for n in range(20)]
    run, there = context(tmp_path), list(range(20))
    back = there[::-1]
    settings = replace(LSA, lsa_width=4)
    plain = of(settings, run, catalogue({"title": titles}))
    dropped = of(settings, run, catalogue({"title": titles}), 0.3)
    assert np.array_equal(dropped.group, plain.group)
    assert dropped.width == plain.width
    assert not np.array_equal(dropped.vectors, plain.vectors)
    for text in titles:
        words = _with_words_dropped(text, 0.3).split()
        rest = iter(text.split())
        assert all(word in rest for word in words)  # in their order
        assert _with_words_dropped(text, 0.0) == text
        assert _with_words_dropped(text, 1.0) == ""
    assert _with_words_dropped(titles[0], 0.3) == _with_words_dropped(titles[0], 0.3)
    kept = [_with_words_dropped(titles[n], 0.3) for n in back][::-1]
    assert kept == [_with_words_dropped(titles[n], 0.3) for n in there]
    assert len({tuple(w in text for w in ("red", "lamp", "old")) for text in kept}) > 2


def test_words_are_dropped_at_their_rate() -> None:
    words = _with_words_dropped(" ".join(map(str, range(10_000))), 0.15).split()
    assert 8_350 < len(words) < 8_650


def test_a_text_may_lose_all_its_words(folder: Path, tmp_path: Path) -> None:
    run = context(tmp_path)
    found = of(TextSettings(encoder=str(folder)), run, drop=1.0)
    assert found.group.tolist() == [0, 1, 0, 2, 3]
    assert np.array_equal(found.vectors[0], found.vectors[3])
    assert found.vectors[0].any()  # that of [CLS] and [SEP]
    assert not found.vectors[2].any()
    assert run.progress.lines == []  # said with the vectors of the whole texts
    assert not of(LSA, run, drop=1.0).vectors.any()


def test_dropped_words_leave_tf_idf_its_space(tmp_path: Path) -> None:
    run, data = context(tmp_path), catalogue({"title": ["red lamp", "blue chair", "lamp"]})
    plain, dropped = of(LSA, run, data), of(LSA, run, data, 0.4)
    same = [
        row for row, text in enumerate(["red lamp.", "blue chair.", "lamp."])
        if _with_words_dropped(text, 0.4) == text
    ]  # fmt: skip
    assert same
    np.testing.assert_allclose(dropped.vectors[same], plain.vectors[same], atol=1e-6)


# ---- which encoder -------------------------------------------------------------------------------


def test_a_sentence_transformers_folder_may_hold_its_transformer_within(tmp_path: Path) -> None:
    outer = tmp_path / "sentences"
    inner = bert(outer / "0_Transformer")
    (outer / "config.json").write_text('{"__version__": "1"}')  # as old releases have it
    (outer / "modules.json").write_text(
        '[{"idx": 0, "path": "0_Transformer", "type": "sentence_transformers.models.Transformer"},'
        '{"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]'
    )
    whole, part = TextSettings(encoder=str(outer)), TextSettings(encoder=str(inner))
    assert external_inputs(whole, "toy") == external_inputs(part, "toy")
    found = of(whole, context(tmp_path))
    assert np.array_equal(found.vectors, of(part, context(tmp_path)).vectors)
    assert found.source.startswith("sentences (cls")


def test_an_encoder_is_known_by_its_files(folder: Path, tmp_path: Path) -> None:
    inputs = external_inputs(TextSettings(encoder=str(folder)), "toy")
    assert inputs["encoder"].startswith("sha256:")
    other = bert(tmp_path / "other", seed=8)
    assert external_inputs(TextSettings(encoder=str(other)), "toy") != inputs
    assert external_inputs(LSA, "toy") == {}
    assert "unknown until downloaded" in external_inputs(TextSettings(), "toy")["encoder"]


def test_an_encoder_that_cannot_be_is_refused(tmp_path: Path) -> None:
    for name, words in {
        str(tmp_path / "absent"): "no such file or folder, and no hub id",
        str(tmp_path): r"holds no config\.json",
    }.items():
        with pytest.raises(UsageError, match=rf"toy\.encoder = .*{words}.* or take encoder=tf-idf"):
            external_inputs(TextSettings(encoder=name), "toy")


def test_a_hub_id_out_of_reach_says_what_to_do(tmp_path: Path) -> None:
    wanted = r"toy\.encoder = 'nobody/absent'.*name a local folder .* or take encoder=tf-idf"
    with pytest.raises(DataError, match=wanted):
        of(TextSettings(encoder="nobody/absent"), context(tmp_path))


def test_the_settings_mix_with_others() -> None:
    @dataclass(frozen=True)
    class Network:
        hidden_size: int = setting(64, "width")

    @dataclass(frozen=True)
    class Settings(TextSettings, Network):
        pass

    layer = Layer("--set", {"encoder": TF_IDF, "text_attributes": "none", "hidden_size": "8"})
    settings, _ = resolve(Settings, "toy", [layer])
    assert (settings.encoder, settings.text_attributes, settings.hidden_size) == (TF_IDF, None, 8)
    assert (settings.pooling, settings.encoder_tokens, settings.text) == ("cls", 512, "attributes")
    with pytest.raises(UsageError, match=r"toy\.pooling .* cannot be 'max'"):
        resolve(Settings, "toy", [Layer("--set", {"pooling": "max"})])


# ---- real weights --------------------------------------------------------------------------------


def minilm() -> Path:
    """The folder of all-MiniLM-L6-v2, where it was fetched."""
    default = Path.home() / ".cache" / "harness-weights" / "all-minilm-l6-v2"
    folder = Path(os.environ.get("HARNESS_MINILM", default))
    if not (folder / "model.safetensors").is_file():
        pytest.skip(
            "absent weights: no all-MiniLM-L6-v2 (its folder: HARNESS_MINILM; CONTRIBUTING says "
            "how to get it)"
        )
    return folder


def test_minilm_gives_the_vectors_of_a_loop_and_near_ones_for_near_texts(tmp_path: Path) -> None:
    titles = [
        "Stainless steel kitchen knife, 8 inch", "Kitchen knife of stainless steel (8-inch)",
        "Wooden train set for toddlers", "Naïve café [MASK] lamp 12-pack",
    ]  # fmt: skip
    settings = TextSettings(encoder=str(minilm()), pooling="mean")
    found = of(settings, context(tmp_path), catalogue({"title": titles})).table()
    assert found.shape == (4, 384)
    model = transformers.AutoModel.from_pretrained(minilm()).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(minilm())
    for title, vector in zip(titles[:3], found, strict=False):
        ids = tokenizer(_sentence(title), padding=False)["input_ids"]
        np.testing.assert_allclose(vector, states_of(model, ids).mean(axis=0), atol=1e-4)
    unit = found / np.linalg.norm(found, axis=1, keepdims=True)
    near, *far = (unit[0] @ unit[1:].T).tolist()
    assert near > 0.8
    assert max(far) < 0.4
