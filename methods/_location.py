"""Where a model's files are and which they are, found out without loading anything heavy."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UsageError
from harness.files import canonical_json, sha256_file, sha256_text

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
SAFETENSORS = ".safetensors"
CONFIGURATION = "config.json"
# configuration and tokeniser files, whatever a tokeniser's kind calls its own
DESCRIPTIONS = (".json", ".txt", ".model")
NOT_DOWNLOADED = "hub id, revision unknown until downloaded"


@dataclass(frozen=True)
class Location:
    """What ``from_pretrained`` is to be given.

    Attributes:
        setting: the setting's full name, for messages.
        name: the setting's value, for messages.
        where: a folder, or a hub id.
        is_hub_id: whether `where` is a hub id.
    """

    setting: str
    name: str
    where: str
    is_hub_id: bool = False

    @property
    def said(self) -> str:
        """The setting and its value, as messages begin."""
        return f"{self.setting} = {self.name!r}"

    def revision(self) -> str | None:
        """Return the commit of a hub id in the local Hugging Face cache; None where it has none.

        The same commit is asked for when the model is loaded: what a run was planned with is what
        it gets, also when the hub has something newer.
        """
        if not self.is_hub_id:
            return None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.where, CONFIGURATION)
        return Path(found).parent.name if isinstance(found, str) else None

    def files(self, weights: Collection[str]) -> set[Path]:
        """Return the local files that decide the model.

        Args:
            weights: the endings of files of weights; none where no weights are read.
        """
        wanted = {*DESCRIPTIONS, *weights}
        return {path for path in Path(self.where).iterdir() if path.suffix in wanted}

    def identity(self, weights: Collection[str] = (SAFETENSORS,)) -> str:
        """Return which model it is: the commit of a hub id, or a digest of local files.

        Args:
            weights: the endings of files of weights; none where no weights are read.
        """
        if self.is_hub_id:
            return self.revision() or NOT_DOWNLOADED
        return digest_of_files(self.files(weights))

    def sought(self, weights: str = "safetensors weights only") -> str:
        """Return in words how the model is read; ``weights`` says from which files."""
        if not self.is_hub_id:
            return f"read as a local folder, {weights}"
        return (
            f"sought in the local Hugging Face cache and on the hub, {weights}; without network "
            "name a local folder"
        )


def located(setting: str, name: str, advice: str) -> Location:
    """Find the folder or hub id that a setting names.

    Args:
        setting: the setting's full name, such as ``calrec.backbone``.
        name: its value.
        advice: what else the setting takes, to end the message with.

    Raises:
        UsageError: a folder without a configuration, or a name that is neither folder nor hub id.
    """
    folder = Path(name).expanduser()
    if (folder / CONFIGURATION).is_file():
        return Location(setting, name, str(folder))
    if folder.is_dir():
        raise UsageError(
            f"{setting} = {name!r}: the folder holds no {CONFIGURATION}; name a folder saved by "
            f"save_pretrained; {advice}"
        )
    if not HUB_ID.fullmatch(name):
        raise UsageError(
            f"{setting} = {name!r}: no such file or folder, and no hub id either (those look like "
            f"OWNER/NAME); {advice}"
        )
    return Location(setting, name, name, is_hub_id=True)


def digest_of_files(paths: Collection[Path]) -> str:
    """Return one digest of some files' names and bytes; of a single file its own sha256."""
    digests: Mapping[str, str] = {
        path.name: _digest(path) for path in sorted(paths) if path.is_file()
    }
    if len(digests) == 1:
        return f"sha256:{next(iter(digests.values()))}"
    return f"sha256:{sha256_text(canonical_json(digests))}"


def _digest(path: Path) -> str:
    state = path.stat()
    return _digest_of(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _digest_of(path: Path, size: int, modified_ns: int) -> str:
    """Return a file's sha256; asked again for a file that has not changed, read it no second time.

    ``size`` and ``modified_ns`` are part of the key alone.
    """
    return sha256_file(path)
