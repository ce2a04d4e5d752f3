"""Vectors of texts are made once for everybody, and anew where what decides them differs."""

from __future__ import annotations

import random
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from methods import _text
from methods._text import TF_IDF, TextSettings, item_vectors
from tests.unit.methods.text_toys import bert, catalogue, context

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

TITLES = ["Red Lamp", "Blue Chair", "Red Lamp", "Lamp"]
DATA = catalogue({"title": TITLES}, [f"Title: {title}" for title in TITLES])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return bert(tmp_path / "small-bert")


def of(settings: TextSettings, run: Any, data: Any = DATA, drop: float = 0.0) -> Any:
    return item_vectors(data, settings, run, drop, owner="toy")


class Counted:
    """Counts how often texts are encoded."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, seconds: float = 0.0) -> None:
        self.n = 0
        original = _text.encoder_vectors

        def counted(*arguments: Any) -> Any:
            self.n += 1
            time.sleep(seconds)
            return original(*arguments)

        monkeypatch.setattr(_text, "encoder_vectors", counted)


def test_vectors_are_made_once_for_all_methods(folder: Path, tmp_path: Path, monkeypatch) -> None:
    counted, settings = Counted(monkeypatch), TextSettings(encoder=str(folder))
    first = of(settings, context(tmp_path))
    again = of(settings, context(tmp_path))
    other = item_vectors(DATA, settings, context(tmp_path, "other", "code 2"), owner="other")
    moved = folder.rename(tmp_path / "moved-bert")
    elsewhere = of(TextSettings(encoder=str(moved)), context(tmp_path))
    assert counted.n == 1
    for found in (again, other, elsewhere):
        assert np.array_equal(found.vectors, first.vectors)
    assert elsewhere.source.startswith("moved-bert (")


def test_whatever_decides_vectors_has_them_made_anew(folder, tmp_path, monkeypatch) -> None:
    counted, settings = Counted(monkeypatch), TextSettings(encoder=str(folder))
    other = bert(tmp_path / "other", seed=8)

    def made(settings: TextSettings = settings, data: Any = DATA, drop: float = 0.0) -> bool:
        before = counted.n
        of(settings, context(tmp_path), data, drop)
        return counted.n > before

    assert made()
    assert made(replace(settings, pooling="mean"))
    assert made(replace(settings, encoder_tokens=4))
    assert made(replace(settings, encoder_precision="bfloat16"))
    assert made(replace(settings, encoder=str(other)))
    assert made(replace(settings, text="template"))
    assert made(data=catalogue({"title": ["Lamp"]}))
    assert made(drop=0.5)
    assert made(drop=0.25)
    assert not made(replace(settings, encoder_precision="float32", lsa_width=3))
    monkeypatch.setattr(_text, "version", lambda package: f"{package} 99")
    assert made()
    monkeypatch.setattr(_text.source, "digest", lambda modules: "other code")
    assert made()
    assert not made()


def damages() -> dict[str, Any]:
    def saved(array: Any) -> Any:
        return lambda path: np.save(path, array, allow_pickle=True)

    good = np.ones((3, 16), dtype=np.float32)
    return {
        "garbage": lambda path: path.write_bytes(b"no array"),
        "empty": lambda path: path.write_bytes(b""),
        "cut": lambda path: path.write_bytes(path.read_bytes()[:-7]),
        "pickled": saved(np.array([[object]] * 3, dtype=object)),
        "few": saved(good[:2]),
        "flat": saved(good[:, 0]),
        "doubles": saved(good.astype(np.float64)),
        "no numbers": saved(good * np.float32(np.nan)),
    }


@pytest.mark.parametrize("damage", damages())
def test_damaged_vectors_are_made_anew(folder, tmp_path, monkeypatch, damage: str) -> None:
    counted, settings = Counted(monkeypatch), TextSettings(encoder=str(folder))
    first = of(settings, context(tmp_path))
    (path,) = (tmp_path / "pretrained").glob("_all-*/vectors.npy")
    damages()[damage](path)
    run = context(tmp_path)
    assert np.array_equal(of(settings, run).vectors, first.vectors)
    assert [line for line in run.progress.lines if "is damaged" in line] == [
        f"toy: {path} is damaged; its texts are encoded anew"
    ]
    of(settings, context(tmp_path))
    assert counted.n == 2


def test_two_at_once_encode_once(folder: Path, tmp_path: Path, monkeypatch) -> None:
    counted, settings = Counted(monkeypatch, seconds=0.3), TextSettings(encoder=str(folder))
    found: list[Any] = []
    threads = [
        threading.Thread(
            target=lambda name: found.append(of(settings, context(tmp_path, name))), args=(name,)
        )
        for name in ("unisrec", "fdsa")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert counted.n == 1
    assert np.array_equal(found[0].vectors, found[1].vectors)


@pytest.mark.parametrize("encoder", ["bert", TF_IDF])
def test_random_numbers_are_left_as_they_were(folder: Path, tmp_path: Path, encoder: str) -> None:
    settings = TextSettings(encoder=TF_IDF if encoder == TF_IDF else str(folder))

    def state() -> list[Any]:
        return [
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.get_rng_state().tolist(),
        ]

    before = state()
    for _ in ("made", "found"):
        of(settings, context(tmp_path))
        assert state() == before
