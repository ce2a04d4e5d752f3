"""What is shipped, and what the folder named `datasets` must never do."""

from __future__ import annotations

import importlib.util
import tomllib
from pathlib import Path

from setuptools import find_packages

ROOT = Path(__file__).resolve().parents[2]


def _setuptools():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_listed():
    found = set(find_packages(str(ROOT), include=["harness*", "methods*"])) | {"harness.cards"}
    assert set(_setuptools()["packages"]) == found


def test_cards_are_shipped_as_package_data():
    assert _setuptools()["package-dir"]["harness.cards"] == "datasets"
    assert _setuptools()["package-data"]["harness.cards"] == ["*.toml"]
    assert [path.suffix for path in (ROOT / "datasets").iterdir() if path.is_file()].count(
        ".py"
    ) == 0


def test_the_name_datasets_belongs_to_the_installed_package():
    # a folder without an origin would be a namespace package: transformers would then break
    assert importlib.util.find_spec("datasets").origin is not None


def test_constraints_pin_what_the_project_needs():
    pinned = {
        line.partition("==")[0].lower()
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and not line.startswith("#")
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for requirement in project["dependencies"]:
        name = requirement.split(">")[0].split("=")[0].strip().lower()
        assert name in pinned, name
