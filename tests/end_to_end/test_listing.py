"""``list`` and ``doctor``: quick, complete, and unimpressed by broken plug-ins."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from harness.registry import method_modules
from tests.toys import ROOT, install, process

HEAVY = ("torch", "transformers", "recbole", "numba", "pandas", "pyarrow", "scipy", "sklearn",
         "datasets", "peft", "accelerate")  # fmt: skip

PROBE = """
import json, sys
from harness.cli import main
code = main({arguments!r})
print()
print(json.dumps([code, [name for name in {heavy!r} if name in sys.modules]]))
"""


@pytest.mark.parametrize(
    "arguments",
    [["list", "methods"], ["list", "datasets"], ["list", "methods", "popularity"],
     ["list", "methods", "sasrec"], ["list", "datasets", "ml-100k"], ["doctor"]],
    ids=" ".join,
)  # fmt: skip
def test_no_heavy_package_is_imported(arguments):
    code = PROBE.format(arguments=arguments, heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    exit_code, loaded = json.loads(done.stdout.splitlines()[-1])
    assert loaded == []
    assert exit_code in (0, 1) if arguments == ["doctor"] else exit_code == 0


def test_planning_a_usage_error_imports_none_either():
    code = PROBE.format(arguments=["run", "--methods", "popularty"], heavy=HEAVY)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert json.loads(done.stdout.splitlines()[-1]) == [2, []]


def test_every_method_is_listed_with_its_settings(shell):
    done = shell("list", "methods")
    for name in method_modules():
        assert f"\n{name}" in done.out
        assert shell("list", "methods", name).code == 0


def test_a_method_in_detail(shell, plugin):
    plugin("toy")
    done = shell("list", "methods", "toy")
    assert "how strong" in done.out
    assert "strength=5.0" in done.out


def test_every_card_in_detail(shell):
    for name in ("ml-100k", "scientific", "amazon-gift-cards", "calrec-stage-one"):
        done = shell("list", "datasets", name)
        assert done.code == 0
        assert "leave-one-out" in done.out


def test_a_broken_method_is_left_out_with_a_warning(shell, plugin):
    import sys as system

    plugin("toy")
    (shell.card.parent.parent / "plugins" / "toy.py").write_text("import no_such_package")
    del system.modules["toy"]
    with pytest.warns(UserWarning, match="'toy' cannot be imported"):
        done = shell("list", "methods")
    assert done.code == 0
    assert "\npopularity" in done.out
    assert "\ntoy" not in done.out


def test_doctor_says_what_is_missing_for_which_method(shell, plugin):
    plugin("toy", card='requires=("numpy", "no_such_package"),')
    done = shell("doctor")
    assert done.code == 1
    assert "missing: no_such_package" in done.out
    line = next(line for line in done.out.splitlines() if line.startswith("random"))
    assert line.endswith("ready")
    assert "free memory" in done.out


def test_plug_ins_come_by_entry_points(shell, tmp_path):
    site = install(tmp_path, "guest", describe="return {'note': 'from elsewhere'}")
    (site / "broken.py").write_text("1 / 0")
    info = site / "broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[harness.methods]\nbroken = broken\n")
    listed = process("list", "methods", path=site)
    out, err = listed.communicate(timeout=60)
    assert listed.returncode == 0
    assert "\nguest" in out
    assert "\nbroken" not in out
    assert "ZeroDivisionError" in err
    ran = process(*shell.run_arguments("guest", "--quiet"), path=site)
    out, err = ran.communicate(timeout=120)
    assert ran.returncode == 0, err
    assert shell.records()["guest 0"]["report"]["note"] == "from elsewhere"


def test_a_preset_that_does_not_exist_is_refused(shell):
    done = shell("list", "methods", "sasrec:nope")
    assert (done.code, done.err.count("\n")) == (2, 1)
    assert "no preset 'nope'" in done.err


def test_a_python_without_the_packages_is_told_what_to_do():
    # -S -I: neither site-packages nor the current folder, as with a system Python
    code = f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); runpy.run_module('harness')"
    done = subprocess.run(
        [sys.executable, "-S", "-I", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "make setup" in done.stderr
    assert "Traceback" not in done.stderr
