"""Finding methods, refusing doubles, and a digest of code that only code can change."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import EntryPoint

import pytest

from harness import registry, source
from harness.errors import HarnessError, UsageError
from harness.registry import MethodEntry, all_methods, load_method, method_modules, source_hash
from tests.toys import method_source


@pytest.fixture
def entry_points(monkeypatch):
    """Replace the entry points of installed packages."""

    def use(*points):
        registry.method_modules.cache_clear()
        monkeypatch.setattr(
            registry.importlib.metadata, "entry_points",
            lambda group: [EntryPoint(name, value, group) for name, value in points],
        )  # fmt: skip

    yield use
    monkeypatch.undo()
    registry.method_modules.cache_clear()


def test_the_folder_methods_is_listed_without_shared_code(entry_points):
    entry_points()
    names = method_modules()
    assert {"popularity", "random", "lir", "sasrec"} <= set(names)
    assert not any(name.startswith("_") for name in names)
    assert list(names) == sorted(names)


def test_an_entry_point_adds_a_method(entry_points):
    entry_points(("guest", "some.package"))
    assert method_modules()["guest"] == "some.package"


@pytest.mark.parametrize("points", [[("popularity", "x.y")], [("guest", "a"), ("guest", "b")]])
def test_a_name_taken_twice_is_refused(entry_points, points):
    entry_points(*points)
    with pytest.raises(HarnessError, match=f"'{points[0][0]}' is taken twice"):
        method_modules()


def test_an_unknown_name_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match=r"did you mean 'popularity'\?"):
        load_method("populairty")


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("import no_such_thing", "ModuleNotFoundError"),
        ("def f(:", "SyntaxError"),
        ("x = 1", "METHOD = TheClass"),
        ("METHOD = 3", "METHOD = TheClass"),
        ("METHOD = dict", "METHOD = TheClass"),
        ("from harness.method import Method\nclass M(Method): pass\nMETHOD = M", "`card`"),
        (
            "from harness.method import Method, MethodCard\n"
            "class M(Method):\n    card = MethodCard('t', 'p', frozenset())\n    Settings = dict\n"
            "METHOD = M",
            "`Settings`",
        ),
    ],
)
def test_a_broken_method_is_named_with_the_reason(plugin, tmp_path, code, message):
    plugin("toy")
    (tmp_path / "plugins" / "toy.py").write_text(code)
    del sys.modules["toy"]
    with pytest.raises(HarnessError) as caught:
        load_method("toy")
    assert "toy" in str(caught.value)
    assert message in str(caught.value)
    sys.modules.pop("toy", None)
    with pytest.warns(UserWarning, match="toy"):
        names = [entry.name for entry in all_methods()]
    assert "popularity" in names
    assert "toy" not in names


# ---- the digest of a method's code ---------------------------------------------------------------


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Write a plug-in package file by file; returns the digest of its method."""
    monkeypatch.syspath_prepend(tmp_path)
    folder = tmp_path / "guests"
    (folder / "big" / "deep").mkdir(parents=True)
    for name in ("__init__.py", "big/__init__.py", "big/deep/__init__.py"):
        (folder / name).write_text("")

    def digest(module="guests.small", **files):
        for name, code in files.items():
            (folder / f"{name.replace('__', '/')}.py").write_text(code)
        importlib.invalidate_caches()
        return source_hash(MethodEntry("guest", module, object))

    yield digest
    for name in [name for name in sys.modules if name.partition(".")[0] == "guests"]:
        del sys.modules[name]


CODE = '"""A docstring."""\n\ndef double(x):\n    return 2 * x\n'


def test_comments_docstrings_and_layout_change_nothing(package):
    first = package(small=CODE)
    assert package(small="# why\ndef double(\n    x,\n):\n    'Twice.'\n    return 2*x") == first


@pytest.mark.parametrize(
    "code",
    [CODE.replace("2", "3"), CODE + "x = 'a string'\n", CODE.replace("double", "twice"),
     CODE.replace("(x)", "(x, y=1)")],
)  # fmt: skip
def test_code_changes_do(package, code):
    assert package(small=CODE) != package(small=code)


@pytest.mark.parametrize(
    "line",
    ["from guests._shared import double", "import guests._shared", "from guests import _shared",
     "from ._shared import double", "from . import _shared",
     "def f():\n    from guests._shared import double"],
)  # fmt: skip
def test_shared_code_is_followed_however_it_is_imported(package, line):
    first = package(_shared=CODE, small=line)
    assert package(_shared=CODE.replace("2", "3")) != first
    assert package(_shared=CODE) == first


def test_shared_code_is_followed_through_shared_code(package):
    first = package(
        _far=CODE, _shared="from guests._far import double", small="import guests._shared"
    )
    assert package(_far=CODE.replace("2", "3")) != first


def test_unrelated_code_is_not(package):
    first = package(small=CODE, other=CODE)
    assert package(other=CODE.replace("2", "3")) == first


def test_a_package_counts_with_all_its_files(package):
    first = package("guests.big", big__deep__part="from ..near import x", big__near="x = 1")
    assert package("guests.big", big__near="x = 2") != first
    assert package("guests.big", big__near="x = 1", big__deep__part="y = 1") != first


def test_relative_imports_out_of_a_package_are_followed(package):
    first = package("guests.big", big__deep__part="from ..._shared import double", _shared=CODE)
    assert package("guests.big", _shared=CODE.replace("2", "3")) != first


def test_what_decides_a_rank_in_the_harness_counts(plugin, tmp_path, monkeypatch):
    plugin("toy")
    entry = load_method("toy")
    first = source_hash(entry)
    other = tmp_path / "ranking.py"
    other.write_text("changed = True")
    real = source.files_of
    monkeypatch.setattr(
        source, "files_of",
        lambda module: [other] if module == "harness.ranking" else real(module),
    )  # fmt: skip
    assert source_hash(entry) != first


def test_methods_of_this_project_follow_their_shared_modules(monkeypatch):
    entry = load_method("lir")
    seen = []
    real = source.files_of
    monkeypatch.setattr(source, "files_of", lambda module: seen.append(module) or real(module))
    source_hash(entry)
    assert {"methods.lir", "methods._bm25", "methods._vector_cache"} <= set(seen)
    assert "methods.sasrec" not in seen


def test_the_source_of_a_toy_is_valid():
    compile(method_source(), "toy", "exec")
