"""What a run is identified by, besides code, data and settings: the backbone's files."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.errors import UsageError
from methods.calrec import METHOD
from methods.calrec.location import NOT_DOWNLOADED

torch = pytest.importorskip("torch")

Make = Callable[..., Any]
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def inputs(backbone: str | Path, **values: Any) -> dict[str, str]:
    return dict(METHOD.external_inputs(METHOD.Settings(backbone=str(backbone), **values)))


def test_tiny_depends_on_nothing_outside() -> None:
    assert inputs("tiny") == {}


def test_a_folder_is_known_by_its_files(saved: Path) -> None:
    before = inputs(saved)["backbone"]
    assert before.startswith("sha256:")
    (saved / "README.md").write_text("says nothing to the model")
    assert inputs(saved)["backbone"] == before
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        path, content = saved / name, (saved / name).read_bytes()
        path.write_bytes(content + b" ")
        assert inputs(saved)["backbone"] != before, name
        path.write_bytes(content)
    assert inputs(saved)["backbone"] == before


def test_weights_do_not_count_where_none_are_read(saved: Path) -> None:
    before = inputs(saved, random_weights=True)
    (saved / "model.safetensors").write_bytes(b"other")
    assert inputs(saved, random_weights=True) == before
    (saved / "config.json").write_text("{}")
    assert inputs(saved, random_weights=True) != before


def test_a_gguf_file_is_known_by_its_bytes_and_by_a_tokeniser_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(b"GGUF")
    found = inputs(path)
    assert found == {"backbone": f"sha256:{hashlib.sha256(b'GGUF').hexdigest()}"}
    assert inputs(tmp_path) == found
    (tmp_path / "notes.txt").write_text("no tokeniser")
    assert inputs(path) == found
    (tmp_path / "tokenizer.json").write_text("{}")  # read in place of the file's own
    assert inputs(path) != found


@pytest.mark.parametrize("name", ["/nowhere/at-all", "./nowhere", "~/nowhere-at-all", "no.gguf"])
def test_a_path_that_does_not_exist_is_a_usage_error(name: str) -> None:
    with pytest.raises(UsageError, match="no such file or folder") as caught:
        inputs(name)
    assert name in str(caught.value)


@pytest.fixture
def cached(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache that holds the saved backbone as ``someone/thing`` at `COMMIT`."""
    from huggingface_hub import constants

    cache = tmp_path / "hub"
    folder = cache / "models--someone--thing"
    (folder / "snapshots").mkdir(parents=True)
    saved.rename(folder / "snapshots" / COMMIT)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    return cache


def test_a_hub_id_is_known_by_the_commit_in_the_cache(cached: Path) -> None:
    assert inputs("someone/thing") == {"backbone": COMMIT}
    assert inputs("someone/other") == {"backbone": NOT_DOWNLOADED}


def test_the_commit_that_was_planned_is_the_one_that_is_loaded(
    cached: Path, make_settings: Make, make_context: Make, make_data: Make
) -> None:
    method = METHOD(make_settings(backbone="someone/thing", epochs=1))
    method.fit(make_data([[0, 1, 2, 3], [4, 5, 6]]), make_context())
    assert method.describe()["backbone_revision"] == COMMIT


def test_it_is_told_without_loading_anything_heavy(saved: Path) -> None:
    code = (
        "import sys; from methods.calrec import METHOD; "
        "print([METHOD.external_inputs(METHOD.Settings(backbone=name)) for name in sys.argv[1:]]);"
        "print([name for name in ('torch', 'transformers', 'numba', 'pandas', 'tokenizers')"
        " if name in sys.modules])"
    )
    root = Path(__file__).resolve().parents[4]
    done = subprocess.run(
        [sys.executable, "-c", code, str(saved), "someone/thing"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sha256:" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"
