"""What methods say of themselves, held to what a record may keep: strict JSON and no texts."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.errors import MethodError

LONGEST_WORDING = 80
"""Characters of a text in the fit log: room for a stage's name, none for an item's text."""


def log_line(values: Mapping[str, Any]) -> str:
    """Return one line of the fit log as strict JSON; NaN and infinity become null.

    Raises:
        MethodError: a value that is no number, bool, None or short single line of text.
    """
    return json.dumps({str(name): _logged(name, value) for name, value in values.items()})


def _logged(name: str, value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str) and len(value) <= LONGEST_WORDING and value.isprintable():
        return value
    raise MethodError(
        f"the fit log keeps numbers and lines of up to {LONGEST_WORDING} characters; {name!r} is "
        f"a {type(value).__name__}: {str(value)[:40]!r}"
    )


def plain_report(report: Mapping[str, Any]) -> dict[str, Any]:
    """Return what `Method.describe` said as strict JSON holds it.

    Raises:
        MethodError: something that JSON has no form for, NaN and infinity included; `parameters`
            that is no whole number; a `note` that is not one printable line. What would
            break a table in a note (| ` < >) is replaced by blanks.
    """
    try:
        text = json.dumps(dict(report), default=_plain_number, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MethodError(f"describe() returned what a record cannot keep: {error}") from error
    plain = dict(json.loads(text))
    parameters, note = plain.get("parameters"), plain.get("note")
    if parameters is not None and (isinstance(parameters, bool) or not isinstance(parameters, int)):
        raise MethodError(f"describe(): parameters must be a whole number, found {parameters!r}")
    if note is None:
        return plain
    if not (isinstance(note, str) and note.isprintable()):
        raise MethodError(f"describe(): note must be one printable line, found {note!r}")
    return {**plain, "note": note.translate(dict.fromkeys(map(ord, "|`<>"), " "))}


def _plain_number(value: Any) -> Any:
    """Return a numpy number, or an array of them, as Python's own.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"a {type(value).__name__}: {value!r}")
