"""Configurations, tokenisers and models as transformers reads them, without running any code.

Weights are read from safetensors, else from a pickle of tensors alone (``weights_only``).
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import DataError
from methods._location import Location

State = dict[str, Any]
MODULES = "modules.json"
NO_CONVERSION = "DISABLE_SAFETENSORS_CONVERSION"
FORMATS = "safetensors or a pickle of tensors alone"
# a family's tokeniser without its files is built all the same, of special tokens and little else
FEWEST_TOKENS = 10
LONGEST_REASON = 200


def transformer_of(name: str) -> str:
    """Return the folder of the transformer in a sentence-transformers folder, else ``name``.

    Their list of modules says where it is: in the folder itself, or in one within.
    """
    folder = Path(name).expanduser()
    try:
        modules = json.loads((folder / MODULES).read_text(encoding="utf-8"))
        paths = {str(module["type"]).rpartition(".")[2]: module["path"] for module in modules}
        inside = (folder / paths["Transformer"]).resolve()
        if not inside.is_relative_to(folder.resolve()):
            return name  # a list that leads elsewhere is not followed
        return str(folder / paths["Transformer"])
    except (OSError, ValueError, KeyError, TypeError):
        return name  # no such list, or one of other modules: the folder itself must do


def configuration_of(location: Location) -> Any:
    """Return the configuration.

    Raises:
        DataError: it is missing or damaged, or needs code of its own.
    """
    from transformers import AutoConfig

    with _explained(location, "configuration"):
        return AutoConfig.from_pretrained(location.where, **_options(location))


def tokenizer_of(location: Location) -> Any:
    """Return the tokeniser.

    Raises:
        DataError: it is missing, empty or damaged, or not one of the ``tokenizers`` library.
    """
    from transformers import AutoTokenizer

    with _explained(location, "tokeniser"):
        tokenizer = AutoTokenizer.from_pretrained(location.where, **_options(location))
    if not getattr(tokenizer, "is_fast", False):
        raise DataError(
            f"{location.said}: its tokeniser is a {type(tokenizer).__name__}, which cannot treat "
            "special tokens in a text as text; it needs a fast one (tokenizer.json)"
        )
    n_plain = len(set(tokenizer.get_vocab()) - set(tokenizer.all_special_tokens))
    if n_plain < FEWEST_TOKENS:
        raise DataError(
            f"{location.said}: its tokeniser knows {n_plain} tokens besides the special ones; its "
            "files are missing (tokenizer.json, or those of its kind): save the tokeniser there too"
        )
    return tokenizer


def model_of(
    location: Location, model_class: Any, unneeded: tuple[str, ...] = (), **options: Any
) -> tuple[Any, list[str]]:
    """Return a model, float32 on the CPU in evaluation mode, and a report of what was not used.

    Weights that its files lack may be drawn at random first, even where that is an error.

    Args:
        location: where it is.
        model_class: of transformers.
        unneeded: how keys begin whose weights may be missing, since the caller reads no such part.
        options: for ``from_pretrained``.

    Raises:
        DataError: files are missing or damaged, or weights in them are missing or of another
            shape than the configuration says.
    """
    import torch

    with _explained(location, "weights"):
        model, found = model_class.from_pretrained(
            location.where,
            dtype=torch.float32,
            weights_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # which we do not, see below
            **_options(location),
            **options,
        )
    missing = sorted(key for key in found["missing_keys"] if not key.startswith(unneeded))
    if missing:
        raise DataError(
            f"{location.said}: its files lack weights of a {type(model).__name__}: "
            f"{enumerated(missing)}; name a complete encoder"
        )
    if found["mismatched_keys"]:
        wrong = [
            f"{key}: expected {list(expected)}, found {list(stored)}"
            for key, stored, expected in sorted(found["mismatched_keys"])
        ]
        raise DataError(
            f"{location.said}: its configuration and its weights do not belong together: "
            f"{enumerated(wrong, 3)}; fetch both anew"
        )
    unused = sorted(found["unexpected_keys"])
    return model.eval(), [f"not used: {enumerated(unused)}"] if unused else []


def encoder_of(location: Location, model_class: Any, **options: Any) -> tuple[State, list[str]]:
    """Return an encoder's weights by key, float32, and a report of what was not used.

    Args:
        location: where it is.
        model_class: of transformers, whose keys are returned.
        options: for ``from_pretrained``.

    Raises:
        DataError: see `model_of`.
    """
    model, report = model_of(location, model_class, **options)
    return model.state_dict(), report


def enumerated(names: list[str], shown: int = 6) -> str:
    """Return names with commas, the first few of many."""
    more = len(names) - shown
    listed = ", ".join(names[:shown])
    return f"{listed} and {more} more" if more > 0 else listed


def reason_of(error: Exception) -> str:
    """Return in one short line why a library could not read a file."""
    text = str(error).strip()
    if isinstance(error, pickle.UnpicklingError):
        # torch's own words go on to recommend loading it nevertheless
        wanted = re.search(r"GLOBAL [\w.]+", text)
        return f"a pickle that holds more than tensors ({wanted[0] if wanted else 'or damaged'})"
    if " " not in text:
        return repr(error)
    line = text.splitlines()[0]
    return line if len(line) <= LONGEST_REASON else line[:LONGEST_REASON] + " …"


def _options(location: Location) -> dict[str, Any]:
    options: dict[str, Any] = {"trust_remote_code": False}
    if revision := location.revision():
        options["revision"] = revision
    return options


@contextlib.contextmanager
def _explained(location: Location, part: str) -> Iterator[None]:
    """Turn what the libraries raise into an error that names the setting; keep them quiet."""
    try:
        with _quietly():
            yield
    except Exception as error:  # they raise many kinds, for files and network alike
        raise DataError(
            f"{location.said}: its {part} cannot be loaded ({location.sought(FORMATS)}): "
            f"{reason_of(error)}"
        ) from error


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Keep transformers from printing what we report ourselves, and from asking others for favours.

    Finding a pickle on the hub, it would start a thread that has a service convert it.
    """
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    conversion = os.environ.get(NO_CONVERSION)
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ[NO_CONVERSION] = "1"
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
        if conversion is None:
            del os.environ[NO_CONVERSION]
        else:
            os.environ[NO_CONVERSION] = conversion
