"""Publishing: names of folders, and paths of a machine that must not travel."""

from __future__ import annotations

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import DataError, HarnessError
from harness.files import sha256_text
from harness.portable import portable
from harness.publish import _slug
from tests.boards import made_record


@pytest.mark.parametrize("label", ["sasrec", "my_method-2", "v1.5"])
def test_a_plain_label_is_its_folder(label):
    assert _slug(label) == label


@given(st.lists(st.text(max_size=90), unique=True, max_size=8))
def test_different_labels_never_share_a_folder(labels):
    slugs = [_slug(label) for label in labels]
    assert len({slug.lower() for slug in slugs}) <= len(set(slugs)) == len(labels)
    assert all(("/" not in slug and 0 < len(slug) <= 90) or slug == "" for slug in slugs)


@pytest.mark.parametrize(
    ("backbone", "text", "expected"),
    [
        ("/home/me/model", "toy (backbone=/home/me/model)", "toy (backbone=model)"),
        ("/home/some body/m", "from /home/some body/m, and /tmp/x", "from m, and x"),
        ("/home/me/model/", "x=/home/me/model/", "x=model"),
        ("someone/model", "toy (backbone=someone/model)", "toy (backbone=someone/model)"),
        ("none", "https://example.org/a/b and/or 1/2", "https://example.org/a/b and/or 1/2"),
        ("/a\\g<0>/b\\1", "x=/a\\g<0>/b\\1", "x=b\\1"),
        ("none", "a /opt/y/file.gguf, b", "a file.gguf, b"),
    ],
)
def test_absolute_paths_are_reduced(tmp_path, backbone, text, expected):
    record, _ = made_record(settings={"backbone": backbone}, report={"note": text, "n": 1})
    record = dataclasses.replace(record, method={**record.method, "label": text})
    published, log = portable(tmp_path, record)
    assert published.label == expected
    assert published.report == {"note": expected, "n": 1}
    assert published.dataset == record.dataset
    assert log is None


def _with_log(folder, text, **settings):
    (folder / "fit.jsonl").write_text(text, encoding="utf-8")
    return made_record(settings=settings, fit_log_sha256=sha256_text(text))[0]


def test_paths_in_a_fit_log_are_reduced_and_its_digest_follows(tmp_path):
    line = '{"from": "/home/me/a model", "other": "/opt/x/y", "loss": NaN}\n'
    record = _with_log(tmp_path, line + '{"loss": 0.5}\n', backbone="/home/me/a model")
    published, log = portable(tmp_path, record)
    first, second = (json.loads(line) for line in log.splitlines())
    assert first == {"from": "a model", "other": "y", "loss": None}
    assert second == {"loss": 0.5}
    assert published.fit_log_sha256 == sha256_text(log) != record.fit_log_sha256


@pytest.mark.parametrize(
    "values", [{"text": "x" * 81}, {"text": "a\nb"}, {"a": [{"b": "y" * 100}]}, {"k" * 90: 1}]
)
def test_a_fit_log_that_may_hold_item_texts_is_refused(tmp_path, values):
    record = _with_log(tmp_path, '{"loss": 1}\n' + json.dumps(values) + "\n")
    with pytest.raises(HarnessError, match="line 2: a text of"):
        portable(tmp_path, record)
    portable(tmp_path, _with_log(tmp_path, json.dumps({"stage": "x" * 80}) + "\n"))


@pytest.mark.parametrize("damage", ["missing", "edited", "not JSON", "not UTF-8"])
def test_a_damaged_fit_log_is_refused(tmp_path, damage):
    record = _with_log(tmp_path, "{" if damage == "not JSON" else '{"loss": 1}\n')
    path = tmp_path / "fit.jsonl"
    if damage == "missing":
        path.unlink()
    elif damage == "edited":
        path.write_text('{"loss": 0}\n')
    elif damage == "not UTF-8":
        path.write_bytes(b"\xff")
        record = dataclasses.replace(
            record,
            fit_log_sha256="a8100ae6aa1940d0b663bb31cd466142ebbdbd5187131b92d93818987832eb89",
        )
    with pytest.raises(DataError, match="run the cell again"):
        portable(tmp_path, record)


def test_origins_tell_paths_apart_and_nothing_else(tmp_path):
    def origin(**settings):
        return portable(tmp_path, made_record(settings=settings)[0])[0].origin

    assert origin(backbone="/a/m") != origin(backbone="/b/m")
    assert origin(backbone="/a/m", layers=1) == origin(backbone="/a/m", layers=2)
    assert origin(backbone="a/m") == origin(backbone="b/m") == origin()


def test_the_digest_of_a_record_is_the_one_that_the_checker_computes(tmp_path):
    record, _ = portable(tmp_path, made_record("täst", cost={"fit_s": 0.1 + 0.2})[0])
    parts = json.loads(json.dumps(dataclasses.asdict(record)))
    stated = parts.pop("record_sha256")
    text = json.dumps(parts, sort_keys=True, separators=(",", ":"))
    assert stated == hashlib.sha256(text.encode("ascii")).hexdigest()
