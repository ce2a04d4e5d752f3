"""What a user may type wrong: one line, a suggestion, the right exit code, and nothing begun."""

from __future__ import annotations

import pytest

from tests.toys import process

WRONG = {
    "method": (["popularty"], "did you mean 'popularity'?"),
    "preset": (["toy:strnog"], "did you mean 'strong'?"),
    "preset where there is none": (["random:big"], "none is known"),
    "setting": (["toy", "--set", "toy.strenght=2"], "did you mean 'strength'?"),
    "setting of a method not named": (["random", "--set", "toy.layers=2"], "known: "),
    "setting of no method": (["toy", "--set", "tyo.layers=2"], "did you mean 'toy'?"),
    "no assignment": (["toy", "--set", "layers 2"], "method.field=value"),
    "value of another type": (["toy", "--set", "toy.layers=many"], "must be a whole number"),
    "value below": (["toy", "--set", "toy.layers=0"], "at least 1"),
    "value above": (["toy", "--set", "toy.strength=11"], "at most 10.0"),
    "not finite": (["toy", "--set", "toy.strength=nan"], "must be a finite number"),
    "text that breaks tables": (["toy", "--set", "toy.backbone=a|b"], "without |"),
    "code is text": (["toy", "--set", "toy.layers=__import__('os').getpid()"], "whole number"),
    "seeds": (["toy", "--seeds", "0,-1"], "whole numbers from 0"),
    "no seeds": (["toy", "--seeds", ","], "whole numbers from 0"),
    "no methods": ([" , "], "names no method"),
    "threads": (["toy", "--threads", "0"], "at least 1"),
    "option": (["toy", "--sed", "1"], "unrecognized arguments"),
    "device": (["toy", "--device", "tpu"], "invalid choice"),
}


def _assert_one_line(done, code):
    assert done.code == code
    assert done.out == ""
    assert len(done.err.strip().splitlines()) == 1
    assert done.err.startswith("error: ")


@pytest.mark.parametrize("what", WRONG)
def test_one_line_with_a_suggestion_and_exit_code_2(shell, plugin, what):
    toy = plugin("toy")
    arguments, expected = WRONG[what]
    done = shell.run(*arguments)
    _assert_one_line(done, 2)
    assert expected in done.err
    assert toy.CALLS == []
    assert not shell.out.exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["run", "--methods", "random", "--datasets", "ml-100"], "did you mean 'ml-100k'?"),
        (["run", "--methods", "random", "--datasets", "no/such.toml"], "no data set card"),
        (["run", "--methods", "random", "--datasets", ""], "names no data set"),
        (["data", "stats", "mk-100k"], "did you mean 'ml-100k'?"),
        (["list", "methods", "popularity2"], "did you mean 'popularity'?"),
        (["list", "datasets", "ml100k"], "did you mean 'ml-100k'?"),
        (["list", "nothing"], "invalid choice"),
        (["leaderboard"], "leaderboard --check"),
        (["trian"], "invalid choice"),
        ([], "COMMAND"),
    ],
)
def test_other_commands_too(shell, arguments, expected):
    done = shell(*arguments)
    _assert_one_line(done, 2)
    assert expected in done.err


def test_the_same_data_set_twice_under_two_paths(shell):
    done = shell("run", "--methods", "random", "--datasets", f"{shell.card},ml-100k,ml-100k",
                 "--dry-run", "--cache", shell.cache)  # fmt: skip
    assert done.code == 0  # a repeated name is one data set
    again = shell.card.parent / "." / ".." / "data" / "tiny.toml"
    _assert_one_line(shell("run", "--methods", "random", "--datasets", f"{shell.card},{again}"), 2)


def test_a_cards_wrong_setting_names_the_card(shell, plugin):
    from tests.toys import write_card

    plugin("toy")
    shell.card = write_card(shell.card.parent, extra="[settings.toy]\nlayer = 4")
    done = shell.run("toy", "--quiet")
    _assert_one_line(done, 2)
    assert "given by data set card" in done.err
    assert "did you mean 'layers'?" in done.err


def test_a_missing_source_file_is_exit_code_1(shell):
    (shell.card.parent / "tiny-items.jsonl").unlink()
    done = shell.run("random", "--quiet")
    _assert_one_line(done, 1)
    assert "tiny-items.jsonl" in done.err


def test_a_broken_method_is_exit_code_1_in_one_line(shell, plugin):
    plugin("toy")
    path = shell.card.parent.parent / "plugins" / "toy.py"
    path.write_text("raise ValueError('two\\nlines')")
    import sys

    del sys.modules["toy"]
    done = shell.run("toy")
    _assert_one_line(done, 1)
    assert "ValueError: two lines" in done.err


def test_a_run_folder_that_cannot_be_written(shell):
    shell.out.write_text("a file where a folder should be")
    done = shell.run("random", "--quiet")
    assert done.code == 1
    assert "Traceback" not in done.err


def test_an_interrupt_while_data_are_prepared_is_130(shell, monkeypatch):
    from harness.data import prepare

    def interrupted(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "prepare", interrupted)
    done = shell.run("random")
    assert done.code == 130
    assert "stopped" in done.err


def test_in_a_process_of_its_own(tmp_path):
    running = process("run", "--methods", "sasrek", "--out", tmp_path / "runs")
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out) == (2, "")
    assert err == "error: unknown method 'sasrek': did you mean 'sasrec'?\n"


def test_a_reader_that_has_seen_enough_is_no_error():
    running = process("list", "methods")
    running.stdout.close()
    assert "Traceback" not in running.stderr.read()
    assert running.wait(60) in (0, 120)  # 120: Python could not flush what nobody reads
