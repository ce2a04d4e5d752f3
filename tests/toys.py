"""What tests of the whole harness play with: a tiny data set, methods written on the spot, a shell.

The fixtures are taken over by the ``conftest.py`` of the folders that use them.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import numpy as np
import pytest

from harness import cli, planning, registry
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.data.prepared import PreparedData
from harness.pretraining import PreparedMixtures
from harness.progress import Progress

SILENT = Progress(shown=False)
ROOT = Path(__file__).resolve().parent.parent

CARD = """\
name = "{name}"
title = "A tiny data set"
licence = "made up for a test"
citation = "Nobody."
url = "https://example.org"
redistributable = {redistributable}
verb = "bought"

[source]
kind = "tidy-jsonl"
folder_default = "."

[source.files.events]
path = "{name}-events.jsonl"
sha256 = "{events}"

[source.files.items]
path = "{name}-items.jsonl"
sha256 = "{items}"

[text]
items_without_text = "unknown"

[[text.attributes]]
label = "Title"
field = "title"
words = 25
cleaning = "html"

[protocol]
dedup = "none"
min_user_events = 3
split = "leave-one-out"

{extra}
"""


def random_sequences(n_users: int = 30, n_items: int = 20, length: int = 6) -> list[list[str]]:
    """Every user's items, drawn uniformly; the same in every call."""
    draws = np.random.default_rng(3).integers(0, n_items, (n_users, length))
    return [[f"i{item:02d}" for item in row] for row in draws.tolist()]


def write_card(
    folder: Path, sequences: Sequence[Sequence[str]] | None = None, name: str = "tiny",
    extra: str = "", redistributable: bool = False,
) -> Path:  # fmt: skip
    """Write sources and card of a tidy data set; return the card's path."""
    sequences = random_sequences() if sequences is None else sequences
    ids = sorted({item for row in sequences for item in row})
    contents = {
        "events": [{"user": f"u{row:03d}", "items": list(s)} for row, s in enumerate(sequences)],
        "items": [{"item": item, "title": f"Thing {item}"} for item in ids],
    }
    digests = {}
    folder.mkdir(parents=True, exist_ok=True)
    for role, rows in contents.items():
        content = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (folder / f"{name}-{role}.jsonl").write_bytes(content)
        digests[role] = hashlib.sha256(content).hexdigest()
    path = folder / f"{name}.toml"
    allowed = "true" if redistributable else "false"
    content = CARD.format(name=name, extra=extra, redistributable=allowed, **digests)
    path.write_text(content, encoding="utf-8")
    return path


def mixture_text(
    names: Sequence[str] = ("films", "games"),
    rules: Sequence[str] = ("leave-one-out", "leave-one-out"),
    selecting: int | None = None, exponent: float = 0.3,
) -> str:  # fmt: skip
    """Return a mixture of cards that lie beside it; the part at index ``selecting`` selects."""
    text = f'name = "mix"\ntitle = "A mixture"\n[mixture]\nexponent = {exponent}\n'
    for index, (name, rule) in enumerate(zip(names, rules, strict=True)):
        text += f'[[mixture.parts]]\ndataset = "{name}.toml"\ntraining = "{rule}"\n'
        text += "selection = true\n" if index == selecting else ""
    return text


METHOD = '''\
"""A method made up for a test."""

from dataclasses import dataclass

import numpy as np

from harness.errors import MethodError
from harness.method import Input, Method, MethodCard
from harness.settings import setting

CALLS = []


@dataclass(frozen=True)
class ToySettings:
    """Settings of a toy."""

    strength: float = setting(1.0, "how strong", minimum=0.0, maximum=10.0)
    layers: int = setting(2, "how many", minimum=1)
    backbone: str = setting("none", "a model's id or path")


class Toy(Method):
    """A toy."""

    card = MethodCard(
        title="Toy", paper="made up", inputs=frozenset({{{inputs}}}), {card}
        presets={{"strong": {{"strength": 5.0}}}},
    )
    Settings = ToySettings
{mixture}
    def fit(self, data, context):
        CALLS.append("fit")
{fit}

    def score(self, histories, candidates):
        CALLS.append("score")
{score}

    def describe(self):
{describe}


METHOD = Toy
'''

MIXTURE = """
    @classmethod
    def mixture(cls, settings):
        return {mixture}
"""
BY_INDEX = "return np.tile(candidates * 1.0, (len(histories), 1))"


def method_source(
    fit: str = "pass", score: str = BY_INDEX, describe: str = "return {}",
    inputs: str = "Input.ITEM_IDS", card: str = "", mixture: str | None = None,
) -> str:  # fmt: skip
    """Return the code of a method whose parts are given as statements.

    ``mixture`` is an expression of the settings: what the method pre-trains on.
    """
    bodies = {"fit": fit, "score": score, "describe": describe}
    parts = {key: indent(dedent(text).strip("\n"), " " * 8) for key, text in bodies.items()}
    named = "" if mixture is None else MIXTURE.format(mixture=mixture)
    return METHOD.format(inputs=inputs, card=card, mixture=named, **parts)


@dataclass(frozen=True)
class Done:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


class Shell:
    """Types commands the way a user would, on the tiny data set, within one temporary folder."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.card = write_card(folder / "data")
        self.out = folder / "runs"
        self.root = folder / "leaderboards"
        self.cache = folder / "cache"
        self._capsys = capsys

    def __call__(self, *arguments: object) -> Done:
        """Run any command in this process."""
        self._capsys.readouterr()
        try:
            code = cli.main([str(argument) for argument in arguments])
        except SystemExit as exit_:  # argparse
            code = int(exit_.code or 0)
        captured = self._capsys.readouterr()
        return Done(code, captured.out, captured.err)

    def run_arguments(self, methods: str, *more: object) -> list[str]:
        folders = ["--datasets", self.card, "--out", self.out, "--cache", self.cache]
        return [str(a) for a in ["run", "--methods", methods, "--device", "cpu", *folders, *more]]

    def run(self, methods: str, *more: object) -> Done:
        """Run ``run`` in this process."""
        return self(*self.run_arguments(methods, *more))

    def leaderboard(self, *more: object) -> Done:
        return self("leaderboard", *more, "--out", self.out, "--root", self.root)

    @property
    def page(self) -> str:
        """The markdown page of the run folder."""
        return (self.out / "tiny" / "leaderboard.md").read_text(encoding="utf-8")

    def records(self) -> dict[str, dict]:
        """Row and seed, such as ``lir 0`` -> the record as JSON."""
        found = [json.loads(path.read_text()) for path in self.out.rglob("record.json")]
        return {f"{record['method']['label']} {record['seed']}": record for record in found}

    def folder_of(self, method: str, seed: int = 0) -> Path:
        """The only folder of a method's cell."""
        (folder,) = (self.out / "tiny" / method).glob(f"seed{seed}-*")
        return folder


@pytest.fixture
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for the disk: no test pulls the plug."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def shell(tmp_path: Path, capsys: pytest.CaptureFixture[str], quick_disk: None) -> Shell:
    return Shell(tmp_path, capsys)


Plugin = Callable[..., object]


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Plugin]:
    """Write a method's module (see `method_source`) and have the registry find it; its module."""
    folder = tmp_path / "plugins"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    modules = dict(registry.method_modules())
    monkeypatch.setattr(registry, "method_modules", lambda: modules)
    before = set(sys.modules)

    def write(name: str, **parts: str) -> object:
        (folder / f"{name}.py").write_text(method_source(**parts), encoding="utf-8")
        modules[name] = name
        planning._source_hash.cache_clear()
        importlib.invalidate_caches()
        sys.modules.pop(name, None)
        sys.path_importer_cache.clear()
        return importlib.import_module(name)

    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # a method rewritten within a second
    yield write
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(folder)):
            del sys.modules[name]
    planning._source_hash.cache_clear()


class Mixed:
    """A toy that names the mixture ``mix.toml``, and the data sets films, games and tiny."""

    def __init__(self, folder: Path, plugin: Plugin) -> None:
        self.folder = folder / "mixed"
        self.path = self.folder / "mix.toml"
        self.out = folder / "runs"
        self.prepared: list[str] = []
        self._cache = folder / "cache"
        self._plugin = plugin
        for name, n_users in (("films", 10), ("games", 20)):
            write_card(self.folder, self.sequences(name, n_users), name)
        self.target = prepare(load_card(str(write_card(self.folder))), self._cache, SILENT)
        self.method()

    @staticmethod
    def sequences(name: str, n_users: int) -> list[list[str]]:
        """Items of this data set alone."""
        return [[f"{name}-{item}" for item in row] for row in random_sequences(n_users)]

    def write(self, **parts: Any) -> None:
        """Write the mixture (see `mixture_text`)."""
        self.path.write_text(mixture_text(**parts), encoding="utf-8")

    def method(self, named: str | None = None, code: bool = False, **parts: str) -> Any:
        """Write the method that names a mixture, by default this one; its module."""
        text = str(self.path) if named is None else named
        return self._plugin("toy", mixture=text if code else repr(text), **parts)

    def prepare(self, reference: str) -> PreparedData:
        """Prepare a part, and count it."""
        card = load_card(reference)
        self.prepared.append(card.name)
        return prepare(card, self._cache, SILENT)

    def cell(
        self, name: str = "toy", seed: int = 0, device: str = "cpu",
        target: PreparedData | None = None, mixtures: PreparedMixtures | None = None,
    ) -> planning.Cell:  # fmt: skip
        """Plan one cell."""
        choice = planning.choose_methods([name], [])[0]
        mixtures = mixtures or PreparedMixtures(self.prepare)
        data = target or self.target
        return planning.plan_cell(choice, data, seed, device, self.out, False, mixtures)


def install(folder: Path, name: str, **parts: str) -> Path:
    """Write a package with an entry point, as pip would; return the folder for ``PYTHONPATH``."""
    site = folder / "site"
    info = site / f"{name}_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[harness.methods]\n{name} = {name}_plugin\n")
    (site / f"{name}_plugin.py").write_text(method_source(**parts), encoding="utf-8")
    return site


def process(*arguments: object, path: Path | None = None, **options: object) -> subprocess.Popen:
    """Start ``python -m harness`` in a process of its own."""
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([str(path)] if path else [])])
    return subprocess.Popen(
        [sys.executable, "-m", "harness", *map(str, arguments)],
        cwd=ROOT, env=environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options,
    )  # fmt: skip
