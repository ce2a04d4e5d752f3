"""Recformer by the command line, on the tiny data set: a row, its record, and what is refused."""

from __future__ import annotations

import pytest

QUICK = (
    "random_vocabulary=320", "random_width=16", "random_layers=1", "max_tokens=64",
    "stage1_epochs=2", "stage2_epochs=1", "validate_every=1", "batch_size=16",
)  # fmt: skip


def _run(shell, *more, name="recformer"):
    given = [part for value in (*QUICK, *more) for part in ("--set", f"recformer.{value}")]
    return shell.run(name, *given, "--quiet")


def _record(shell, start="recformer"):
    return next(record for row, record in shell.records().items() if row.startswith(start))


def test_a_row_says_where_its_weights_came_from_and_what_it_read(shell):
    done = _run(shell)
    assert done.code == 0, done.err
    record = _record(shell)
    assert record["method"]["inputs"] == ["item attributes"]
    report = record["report"]
    assert report["attributes"] == "title"
    assert (report["stage1_epochs"], report["stage2_epochs"]) == (2, 1)
    assert report["training_tokens"] > 0
    assert "random weights" in report["note"]
    assert "no pre-training on purchases" in report["note"]
    assert report["distinct_items"] == 20
    assert report["precision"] in ("float32", "bfloat16")


def test_zero_shot_trains_nothing(shell):
    assert _run(shell, "stage1_epochs=0", "stage2_epochs=0").code == 0
    record = _record(shell)
    assert "stage1_epochs" not in record["report"]
    assert record["cost"]["parameters"] > 0


@pytest.mark.parametrize(
    ("value", "code", "expected"),
    [
        ("weights=/no/such/folder", 2, "no such file or folder"),
        ("attributes=brand", 1, "does not have"),
        ("attention_window=7", 2, "must be even"),
        ("stage1_epochs=0", 2, "stage2_epochs needs stage1_epochs"),
        ("pretraining=no-such-mixture", 2, "no-such-mixture"),
    ],
)
def test_what_is_refused(shell, value, code, expected):
    done = _run(shell, value)
    assert done.code == code, done.out + done.err
    assert expected in done.err


def test_other_attributes_are_another_run(shell):
    assert _run(shell).code == 0
    text = shell.card.read_text() + '\n[[attributes]]\nname = "title"\nfield = "title"\n'
    text += 'cleaning = "plain"\n\n[[attributes]]\nname = "brand"\nfield = "maker"\n'
    shell.card.write_text(text + 'cleaning = "plain"\n')
    assert _run(shell).code == 0
    assert len(list((shell.out / "tiny" / "recformer").glob("seed0-*"))) == 2
    # the split is the same, so other methods are kept
    assert len(list((shell.out / "tiny" / "lir").glob("seed0-*"))) == 1
