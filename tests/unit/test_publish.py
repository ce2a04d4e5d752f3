"""Publishing: names of folders, and paths of a machine that must not travel."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.publish import _portable_record, _slug
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
def test_absolute_paths_are_reduced(backbone, text, expected):
    record, _ = made_record(settings={"backbone": backbone}, report={"note": text, "n": 1})
    record = dataclasses.replace(record, method={**record.method, "label": text})
    portable = _portable_record(record)
    assert portable.label == expected
    assert portable.report == {"note": expected, "n": 1}
    assert portable.dataset == record.dataset
