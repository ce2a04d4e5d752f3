"""What the command line says of a submission: ``NAME=FILE`` or ``NAME@SEED=FILE``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from harness.errors import UsageError
from harness.external.wording import quoted
from harness.registry import load_method, method_modules

FORMS = {
    ".parquet": "parquet",
    ".csv": "csv",
    ".tsv": "tsv",
    ".trec": "trec",
    ".run": "trec",
    ".npz": "npz",
}
"""A file's ending -> how it is read."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,59}")


@dataclass(frozen=True)
class Submission:
    """A file that somebody else's code made.

    Attributes:
        name: the row's label.
        seed: told apart on the board, never used here.
        path: the file.
    """

    name: str
    seed: int
    path: Path

    @property
    def form(self) -> str:
        """How the file is read: a value of `FORMS`."""
        return FORMS[self.path.suffix.casefold()]


def parse_submission(text: str) -> Submission:
    """Return what one ``--external`` says.

    Raises:
        UsageError: it is not ``NAME=FILE``, the name is taken or cannot be printed everywhere, the
            seed is no number, or the file is missing or of no known form.
    """
    left, equals, place = text.partition("=")
    name, at, seed = left.partition("@")
    if not (equals and place):
        raise UsageError(f"--external takes NAME=FILE or NAME@SEED=FILE; found {quoted(text)}")
    if at and not (seed.isascii() and seed.isdecimal()):
        raise UsageError(
            f"--external {quoted(text)}: the seed behind @ must be a whole number from 0, found "
            f"{quoted(seed)}"
        )
    _check_name(name)
    return Submission(name, int(seed or 0), _checked_path(name, Path(place)))


def _check_name(name: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise UsageError(
            "an external row's name is up to 60 letters, digits and . _ + -, a letter or a digit "
            f"first; found {quoted(name)}"
        )
    for method in method_modules():
        taken = name.casefold() == method.casefold()
        if taken or (name.casefold().startswith(f"{method}-".casefold()) and _preset(name, method)):
            raise UsageError(
                f"--external {name}: a row of the method {method} has that name already; submit "
                f"it under another one, such as external-{name}"
            )


def _preset(name: str, method: str) -> bool:
    """Tell whether a name reads like one of a method's presets, ``METHOD-PRESET``."""
    presets = load_method(method).method.card.presets
    return name[len(method) + 1 :].casefold() in {preset.casefold() for preset in presets}


def _checked_path(name: str, path: Path) -> Path:
    if path.suffix.casefold() not in FORMS:
        raise UsageError(
            f"--external {name}: {str(path)!r} ends like no file that can be read; known: "
            f"{', '.join(FORMS)}"
        )
    if not path.is_file():
        raise UsageError(f"--external {name}: there is no file {str(path)!r}")
    return path
