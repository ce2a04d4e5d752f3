"""Where a backbone's files are and which they are, found out without loading anything heavy."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from harness.errors import UsageError
from harness.files import canonical_json, sha256_file, sha256_text
from methods.calrec.settings import TINY, Settings

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
WEIGHTS = ".safetensors"
# configuration and tokeniser files, whatever a tokeniser's kind calls its own
DESCRIPTIONS = (".json", ".txt", ".model")
# what transformers prefers to the tokeniser in a GGUF file, where it stands beside it
TOKENISER_FILES = ("tokenizer*", "vocab*", "merges.txt", "added_tokens.json", "special_tokens_map*")
NOT_DOWNLOADED = "hub id, revision unknown until downloaded"


@dataclass(frozen=True)
class Location:
    """What ``from_pretrained`` is to be given.

    Attributes:
        name: the setting's value, for messages.
        where: a folder, or a hub id.
        gguf_file: the GGUF file's name in that folder, where it is one.
        is_hub_id: whether `where` is a hub id.
    """

    name: str
    where: str
    gguf_file: str | None = None
    is_hub_id: bool = False

    def revision(self) -> str | None:
        """Return the commit of a hub id in the local Hugging Face cache; None where it has none.

        The same commit is asked for when the backbone is loaded: what a run was planned with is
        what it gets, also when the hub has something newer.
        """
        if not self.is_hub_id:
            return None
        from huggingface_hub import try_to_load_from_cache

        found = try_to_load_from_cache(self.where, "config.json")
        return Path(found).parent.name if isinstance(found, str) else None

    def digests(self, with_weights: bool) -> dict[str, str]:
        """Return the sha256 of each local file that decides the model, by file name."""
        folder = Path(self.where)
        if self.gguf_file:
            beside = {path for pattern in TOKENISER_FILES for path in folder.glob(pattern)}
            paths = {folder / self.gguf_file, *beside}
        else:
            wanted = (*DESCRIPTIONS, WEIGHTS) if with_weights else DESCRIPTIONS
            paths = {path for path in folder.iterdir() if path.suffix in wanted}
        return {path.name: _digest(path) for path in sorted(paths) if path.is_file()}

    def sought(self) -> str:
        """Return in words how the backbone is read."""
        if self.gguf_file:
            return "read as a GGUF file"
        if not self.is_hub_id:
            return "read as a local folder, safetensors weights only"
        return (
            "sought in the local Hugging Face cache and on the hub, safetensors weights only; "
            "without network name a local folder or a GGUF file"
        )


def identity(settings: Settings) -> Mapping[str, str]:
    """Return which backbone ``settings`` names: digest or revision of what is read of it.

    Empty for ``tiny``, which code, data and settings decide alone. Files of weights count only
    where weights are read.

    Raises:
        UsageError: there is no such file or folder, and the name is no hub id.
    """
    if settings.backbone == TINY:
        return {}
    location = locate(settings.backbone)
    if location.is_hub_id:
        return {"backbone": location.revision() or NOT_DOWNLOADED}
    digests = location.digests(with_weights=not settings.random_weights)
    if len(digests) == 1:
        return {"backbone": f"sha256:{next(iter(digests.values()))}"}
    return {"backbone": f"sha256:{sha256_text(canonical_json(digests))}"}


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
                f"calrec.backbone = {name!r} is a file, but not a .gguf one: name a GGUF file, "
                "a folder with config.json and safetensors, or a hub id"
            )
        return Location(name, str(path.parent), path.name)
    if path.is_dir():
        return _in_folder(name, path)
    if name.endswith(".gguf") or not HUB_ID.fullmatch(name):
        raise UsageError(
            f"calrec.backbone = {name!r}: no such file or folder, and no hub id either (those "
            "look like OWNER/NAME); `tiny` is the embedded one"
        )
    return Location(name, name, is_hub_id=True)


def _in_folder(name: str, folder: Path) -> Location:
    if (folder / "config.json").is_file():
        return Location(name, str(folder))
    files = sorted(folder.glob("*.gguf"))
    if len(files) == 1:
        return Location(name, str(folder), files[0].name)
    raise UsageError(
        f"calrec.backbone = {name!r}: the folder holds no config.json and {len(files)} GGUF "
        "files; name a folder saved by save_pretrained, or one GGUF file"
    )


def _digest(path: Path) -> str:
    state = path.stat()
    return _digest_of(path.resolve(), state.st_size, state.st_mtime_ns)


@cache
def _digest_of(path: Path, size: int, modified_ns: int) -> str:
    """Return a file's sha256; asked again for a file that has not changed, read it no second time.

    ``size`` and ``modified_ns`` are part of the key alone.
    """
    return sha256_file(path)
