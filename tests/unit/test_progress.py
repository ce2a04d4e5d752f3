"""Progress: labels with the cell's name, nothing at all when silent."""

from __future__ import annotations

import pytest

from harness.progress import Progress


def test_a_bar_names_its_cell_and_counts(capsys):
    progress = Progress().prefixed("ml-100k / sasrec")
    with progress.bar("epoch 3", total=4, unit="users") as bar:
        bar.advance()
        bar.note("loss 0.5")
        bar.advance(3)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "ml-100k / sasrec: epoch 3" in captured.err
    assert "4/4" in captured.err
    assert "loss 0.5" in captured.err


def test_prefixes_add_up_and_leave_the_original_alone(capsys):
    plain = Progress()
    nested = plain.prefixed("a").prefixed("b")
    assert nested.prefix == "a: b: "
    assert plain.prefix == ""
    plain.say("a line")
    assert capsys.readouterr().err == "a line\n"


def test_silence(capsys):
    progress = Progress(shown=False).prefixed("cell")
    assert not progress.shown
    with progress.bar("epoch", total=3) as bar:
        bar.advance()
        bar.note("x")
    progress.say("a line")
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_bar_is_closed_when_work_fails(capsys):
    with pytest.raises(KeyboardInterrupt), Progress().bar("epoch", total=3) as bar:
        bar.advance()
        raise KeyboardInterrupt
    assert capsys.readouterr().err.endswith("\n")
