"""Where Recformer starts: random, the authors' checkpoint, a Longformer, or a converted encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.errors import UsageError
from methods._location import SAFETENSORS, Location, digest_of_files, located
from methods.recformer.settings import RANDOM, Settings
from methods.recformer.tokens import Vocabulary

if TYPE_CHECKING:
    from methods.recformer.model import Recformer

WEIGHTS, TOKENIZER = "recformer.weights", "recformer.tokenizer"
PICKLED = (".bin", ".pt")
WEIGHT_FILES = (*PICKLED, SAFETENSORS)


@dataclass
class Start:
    """A model that is ready to be trained or used, with its tokeniser.

    Attributes:
        model: float32, on its device, in evaluation mode.
        vocabulary: what is to be known of the tokeniser.
        tokenizer: the tokeniser itself, a ``PreTrainedTokenizerFast``.
        source: what the weights are, in one line.
        report: facts about how they were fitted in, one line each: keys of a file that were not
            used, tables that were cut, repeated or drawn.
    """

    model: Recformer
    vocabulary: Vocabulary
    tokenizer: Any
    source: str
    report: tuple[str, ...]


def identity(settings: Settings) -> Mapping[str, str]:
    """Return which weights ``settings`` names: digest or revision of what is read of them.

    Empty for ``random``, which code, data and settings decide alone. A released checkpoint holds
    neither tokeniser nor configuration, so the files of these count beside it.

    Raises:
        UsageError: there is no such file or folder, and the name is no hub id.
    """
    if settings.weights == RANDOM:
        return {}
    if checkpoint := _checkpoint(settings):
        return {
            "weights": digest_of_files([checkpoint]),
            "tokenizer": _tokenizer(settings).identity(weights=()),
        }
    return {"weights": _encoder(settings).identity(WEIGHT_FILES)}


def load_start(
    settings: Settings, attributes: Mapping[str, Sequence[str]], device: str, seed: int
) -> Start:
    """Build or load what ``settings.weights`` names.

    The global random numbers are left as they were.

    Args:
        settings: of the method.
        attributes: the catalogue's, by name; what the tokeniser of random weights learns from.
        device: "cpu" or "cuda".
        seed: of whatever is drawn.

    Raises:
        UsageError: nothing is found under the name, or what is found is no encoder of a kind that
            fits, or the settings ask for more tokens or items than its tables hold.
        DataError: files are missing, damaged or do not fit together.
        MethodError: the tokeniser has to be learnt, and the data set has no attribute.
    """
    import torch

    # on the CPU all is drawn, whatever the device, so that a seed means the same everywhere
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, tokenizer, source, report = _found(settings, attributes, seed)
    from methods.recformer.vocabulary import vocabulary_of

    said = f"{WEIGHTS} = {settings.weights!r}"
    vocabulary = vocabulary_of(tokenizer, model.config, said)
    return Start(model.to(device).eval(), vocabulary, tokenizer, source, tuple(report))


def _found(
    settings: Settings, attributes: Mapping[str, Sequence[str]], seed: int
) -> tuple[Recformer, Any, str, list[str]]:
    """Return model, tokeniser, source and report."""
    if settings.weights == RANDOM:
        from methods.recformer.random_start import random_start

        return random_start(settings, attributes)
    if checkpoint := _checkpoint(settings):
        from methods.recformer.released import released_start

        return released_start(checkpoint, _tokenizer(settings), settings)
    from methods.recformer.conversion import encoder_start

    return encoder_start(_encoder(settings), settings, seed)


def _checkpoint(settings: Settings) -> Path | None:
    """Return the file that ``weights`` names; None where it names no file.

    Raises:
        UsageError: it is a file of another kind, or should be one and does not exist.
    """
    path = Path(settings.weights).expanduser()
    if path.is_file() and path.suffix not in WEIGHT_FILES:
        raise UsageError(
            f"{WEIGHTS} = {settings.weights!r} is a file of another kind: name a checkpoint "
            f"({', '.join(WEIGHT_FILES)}), a folder with config.json and weights, or a hub id"
        )
    if path.suffix in WEIGHT_FILES and not path.exists():
        raise UsageError(
            f"{WEIGHTS} = {settings.weights!r}: no such file; name an existing checkpoint, a "
            f"folder with config.json and weights, or a hub id; `{RANDOM}` needs none"
        )
    return path if path.is_file() else None


def _encoder(settings: Settings) -> Location:
    return located(WEIGHTS, settings.weights, f"`{RANDOM}` needs none, and a checkpoint is a file")


def _tokenizer(settings: Settings) -> Location:
    return located(
        TOKENIZER, settings.tokenizer,
        "a released checkpoint needs a Longformer's configuration and tokeniser",
    )  # fmt: skip
