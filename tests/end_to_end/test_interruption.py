"""Ctrl-C in the middle of learning, and two processes that want the same cell."""

from __future__ import annotations

import signal
import time

import pytest

from harness.files import exclusive_lock
from tests.toys import install, process

EPOCHS = """
for epoch in (1, 2, 3):
    if epoch == 2 and INTERRUPTED:
        raise KeyboardInterrupt
    context.log(epoch=epoch)
"""


def test_ctrl_c_within_an_epoch_leaves_no_record_of_that_cell_only(shell, plugin):
    toy = plugin("toy", fit=EPOCHS)
    toy.INTERRUPTED = True
    done = shell.run("lir,toy,random")
    assert done.code == 130
    assert done.err.rstrip().endswith("run the same command to go on")
    assert "Traceback" not in done.err
    assert set(shell.records()) == {"lir 0"}
    folder = shell.folder_of("toy")
    assert not list(folder.glob("*.npz"))
    assert "an earlier run was interrupted" in shell.run("toy", "--dry-run").out
    toy.INTERRUPTED = False
    done = shell.run("lir,toy,random")
    assert done.code == 0
    assert "lir / seed 0: skip: finished" in done.err
    assert set(shell.records()) == {"lir 0", "toy 0", "random 0", "popularity 0"}
    assert len((folder / "fit.jsonl").read_text().splitlines()) == 3


def test_a_real_interrupt_signal(shell, tmp_path):
    waiting = "import time\ncontext.log(epoch=1)\ntime.sleep(100)"
    site = install(tmp_path, "sleeper", fit=waiting)
    shell.run("random")
    # a shell starts what it puts into the background deaf to interrupts, and so their children
    hearing = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    running = process(*shell.run_arguments("random,sleeper"), path=site, **hearing)
    deadline = time.monotonic() + 100
    while not any(p.stat().st_size for p in shell.out.rglob("fit.jsonl.part")):
        assert time.monotonic() < deadline, "the method never began to learn"
        assert running.poll() is None, running.stderr.read()
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in err
    assert "stopped: finished cells are kept" in err
    assert set(shell.records()) == {"lir 0", "random 0", "popularity 0"}
    assert not list((shell.out / "tiny" / "sleeper").rglob("record.json"))


def test_a_cell_that_another_process_runs_is_left_to_it(shell, plugin):
    toy = plugin("toy")
    shell.run("toy")
    folder = shell.folder_of("toy")
    for path in folder.glob("*.*"):
        path.unlink()
    toy.CALLS.clear()
    with exclusive_lock(folder / ".lock") as mine:
        assert mine
        done = shell.run("toy")
        assert (
            "tiny / toy / seed 0: running in another process"
            in shell.run("toy", "--dry-run").out.splitlines()
        )
    assert "running in" not in shell.run("toy", "--dry-run").out
    assert done.code == 1
    assert toy.CALLS == []
    assert "another process is running this cell" in done.err
    assert "failed: tiny / toy / seed 0" in done.out
    assert shell.run("toy").code == 0


def test_only_such_cells_and_no_record_at_all_is_no_crash(shell):
    shell.run("random")
    folders = [shell.folder_of(name) for name in ("popularity", "random", "lir")]
    for folder in folders:
        (folder / "record.json").unlink()
    locks = [exclusive_lock(folder / ".lock") for folder in folders]
    for lock in locks:
        assert lock.__enter__()
    done = shell.run("random")
    for lock in locks:
        lock.__exit__(None, None, None)
    assert done.code == 1
    assert "tiny: no record, so no board" in done.out


@pytest.mark.parametrize("fresh", [False, True])
def test_a_cell_that_another_process_finished_meanwhile_is_kept(shell, plugin, fresh, monkeypatch):
    from harness import runner

    toy = plugin("toy")
    real = runner.run_cells

    def late(cells, progress, cache):
        cells = list(cells)  # planned while nothing was there; now another process does it all
        real(cells, progress, cache)
        toy.CALLS.clear()
        return real(cells, progress, cache)

    monkeypatch.setattr(runner, "run_cells", late)
    done = shell.run("toy", *(["--fresh"] if fresh else []))
    assert done.code == 0
    assert toy.CALLS.count("fit") == (1 if fresh else 0)
