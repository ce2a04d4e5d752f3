"""Names, seeds and files on the command line; the split that a file names."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from harness.errors import DataError, UsageError
from harness.external.reading import split_of
from harness.external.submission import FORMS, Submission, parse_submission
from harness.external.wording import first_few, quoted


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a=b.csv"
    path.write_text("user,rank\n")
    return path


def test_name_seed_and_file(file):
    assert parse_submission(f"GRU4Rec+={file}") == Submission("GRU4Rec+", 0, file)
    assert parse_submission(f"gru@12={file}") == Submission("gru", 12, file)


@pytest.mark.parametrize("ending", FORMS)
def test_forms_by_ending(tmp_path, ending):
    path = tmp_path / f"file{ending.upper()}"
    path.touch()
    assert parse_submission(f"gru={path}").form == FORMS[ending]


WRONG = {
    "gru": "takes NAME=FILE",
    "gru=": "takes NAME=FILE",
    "gru@x={file}": "must be a whole number from 0, found 'x'",
    "gru@={file}": "found ''",
    "gru@²={file}": "must be a whole number",
    "={file}": "found ''",
    "a b={file}": "found 'a b'",
    "a|b={file}": "found 'a|b'",
    "a`b={file}": "letters, digits",
    "<a>={file}": "letters, digits",
    "a:b={file}": "letters, digits",
    "a/b={file}": "letters, digits",
    "..={file}": "a letter or a digit first",
    "a\x1b={file}": r"found 'a\x1b'",
    f"{'a' * 61}={{file}}": "up to 60",
    "random={file}": "a row of the method random has that name already",
    "SASRec={file}": "such as external-SASRec",
    "unisrec-text={file}": "",
    "gru={file}.txt": "ends like no file that can be read; known: .parquet",
    "gru=missing.csv": "there is no file 'missing.csv'",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_cannot_be_is_refused(file, text, monkeypatch):
    from harness import registry
    from harness.external import submission

    known = registry.method_modules()
    expected = WRONG[text]
    if text.startswith("unisrec-"):  # a preset that some method has
        method, preset = next(
            (name, preset)
            for name in known
            for preset in registry.load_method(name).method.card.presets
        )
        text = text.replace("unisrec-text", f"{method}-{preset}")
        expected = f"a row of the method {method} has that name"
    monkeypatch.setattr(submission, "method_modules", lambda: known)
    with pytest.raises(UsageError) as caught:
        parse_submission(text.replace("{file}", str(file)))
    assert expected in str(caught.value)
    assert str(caught.value).isprintable()


def test_a_name_that_only_begins_like_a_method_is_free(file):
    assert parse_submission(f"sasrec-by-others={file}").name == "sasrec-by-others"


# ---- the split -----------------------------------------------------------------------------------


def _csv(path, stated):
    path.write_text("".join([f"# split_hash: {stated}\n"] * (stated is not None)) + "user,rank\n")


def _trec(path, stated):
    path.write_text("".join([f"#split_hash:{stated}\n"] * (stated is not None)) + "a Q0 b 1 1 t\n")


def _parquet(path, stated):
    table = pa.table({"user": ["a"], "rank": [1]})
    pq.write_table(table.replace_schema_metadata(stated and {"split_hash": stated}), path)


def _npz(path, stated):
    np.savez(path, rank=np.ones(1, int), **({} if stated is None else {"split_hash": stated}))


WRITERS = {"f.csv": _csv, "f.tsv": _csv, "f.trec": _trec, "f.parquet": _parquet, "f.npz": _npz}


@pytest.mark.parametrize("name", WRITERS)
def test_the_file_or_the_option_names_the_split(tmp_path, name):
    submission = Submission("gru", 0, tmp_path / name)
    WRITERS[name](submission.path, "abc")
    assert split_of(submission, None) == "abc"
    assert split_of(submission, "abc") == "abc"
    with pytest.raises(DataError, match=r"names the split 'abc', --external-split 'xyz'"):
        split_of(submission, "xyz")
    WRITERS[name](submission.path, None)
    assert split_of(submission, "xyz") == "xyz"
    with pytest.raises(DataError, match=r"nothing says which split .* --external-split"):
        split_of(submission, None)


def test_a_split_of_another_type_is_refused(tmp_path):
    submission = Submission("gru", 0, tmp_path / "f.npz")
    _npz(submission.path, np.array(["a", "b"]))
    with pytest.raises(DataError, match="a text without dimensions, found <U1"):
        split_of(submission, None)
    _npz(submission.path, np.array(b"abc"))
    assert split_of(submission, None) == "abc"


def test_a_damaged_file_is_told_before_anything_runs(tmp_path):
    for name in ("f.npz", "f.parquet"):
        path: Path = tmp_path / name
        path.write_bytes(b"nothing")
        with pytest.raises(DataError, match="cannot be read as"):
            split_of(Submission("gru", 0, path), "abc")


# ---- wording -------------------------------------------------------------------------------------


def test_foreign_text_is_cut_and_escaped():
    assert quoted("a\n\x1b'") == repr("a\n\x1b'")
    assert quoted("x" * 100) == f"'{'x' * 80}'…"
    assert first_few(["a", 2]) == "'a', '2'"
    assert first_few("abcd") == "'a', 'b', 'c', …"
