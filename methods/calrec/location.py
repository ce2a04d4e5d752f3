"""Where a backbone's files are and which they are, found out without loading anything heavy.

Folders and hub ids are found as for other methods; the embedded ``tiny`` and GGUF files are
CALRec's own.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from methods import _location
from methods._location import CONFIGURATION, NOT_DOWNLOADED, SAFETENSORS, located
from methods.calrec.settings import TINY, Settings

__all__ = ["NOT_DOWNLOADED", "Location", "identity", "locate"]

SETTING = "calrec.backbone"
# what transformers prefers to the tokeniser in a GGUF file, where it stands beside it
TOKENISER_FILES = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map*")


@dataclass(frozen=True)
class Location(_location.Location):
    """What ``from_pretrained`` is to be given.

    Attributes:
        gguf_file: the GGUF file's name in the folder, where it is one.
    """

    gguf_file: str | None = None

    def files(self, weights: Collection[str]) -> set[Path]:
        """Return the local files that decide the model; a GGUF file always counts."""
        if not self.gguf_file:
            return super().files(weights)
        folder = Path(self.where)
        beside = {path for pattern in TOKENISER_FILES for path in folder.glob(pattern)}
        return {folder / self.gguf_file, *beside}

    def sought(self, weights: str = "safetensors weights only") -> str:
        """Return in words how the backbone is read."""
        if self.gguf_file:
            return "read as a GGUF file"
        return super().sought(weights) + (" or a GGUF file" if self.is_hub_id else "")


def identity(settings: Settings) -> Mapping[str, str]:
    """Return which backbone ``settings`` names: digest or revision of what is read of it.

    Empty for ``tiny``, which code, data and settings decide alone. Files of weights count only
    where weights are read.

    Raises:
        UsageError: there is no such file or folder, and the name is no hub id.
    """
    if settings.backbone == TINY:
        return {}
    weights = () if settings.random_weights else (SAFETENSORS,)
    return {"backbone": locate(settings.backbone).identity(weights)}


def locate(name: str) -> Location:
    """Find what ``calrec.backbone`` names.

    Raises:
        UsageError: a path that does not exist or holds no backbone, or a name that is neither
            path nor hub id.
    """
    path = Path(name).expanduser()
    if path.is_file():
        if path.suffix != ".gguf":
            raise UsageError(
                f"{SETTING} = {name!r} is a file, but not a .gguf one: name a GGUF file, "
                "a folder with config.json and safetensors, or a hub id"
            )
        return Location(SETTING, name, str(path.parent), gguf_file=path.name)
    if path.is_dir() and not (path / CONFIGURATION).is_file():
        return _gguf_in_folder(name, path)
    if name.endswith(".gguf"):
        raise UsageError(f"{SETTING} = {name!r}: no such file or folder")
    found = located(SETTING, name, f"`{TINY}` is the embedded one")
    return Location(SETTING, name, found.where, found.is_hub_id)


def _gguf_in_folder(name: str, folder: Path) -> Location:
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return Location(SETTING, name, str(folder), gguf_file=files[0].name)
    raise UsageError(
        f"{SETTING} = {name!r}: the folder holds no config.json and {len(files)} GGUF "
        "files; name a folder saved by save_pretrained, or one GGUF file"
    )
