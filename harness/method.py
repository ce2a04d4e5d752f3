"""The contract between the harness and a method: all that a contributor must read.

A method learns from training histories (`fit`) and scores candidate items for histories
(`score`). It never sees a held-out item, never computes a metric, never ranks: the harness owns
the split, the batching over users, ties, metrics, early stopping's yardstick, timing and seeding.

A method is a file ``methods/NAME.py`` (or a folder ``methods/NAME/``) that ends with
``METHOD = TheClass``. Heavy packages (torch, transformers, numba) are imported inside functions,
so that listing methods stays quick. Copy ``methods/popularity.py`` to begin.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from harness.errors import MethodError
from harness.histories import FloatArray, Histories, IntArray
from harness.progress import Progress
from harness.shared_folders import SharedFolders


class Input(StrEnum):
    """What a method may see besides item indices, and what the leaderboard groups it by.

    ``ITEM_IDS`` says that parameters belong to single items (an ID model). It opens nothing: item
    indices reach every method, as handles. All others are withheld unless declared.
    """

    ITEM_IDS = "item ids"
    ITEM_TEXT = "item text"
    ITEM_ATTRIBUTES = "item attributes"
    TIMESTAMPS = "timestamps"


@dataclass(frozen=True)
class MethodCard:
    """What is to be known of a method without running it.

    Attributes:
        title: the name on the leaderboard.
        paper: the source, in one line.
        inputs: what it may see.
        presets: named sets of settings, ``NAME:PRESET`` on the command line.
        requires: packages it imports, checked before a run and by ``doctor``.
        learns: False for a method that fits nothing (it cannot learn the cyclic data set).
        ties_identical_texts: True where items with identical texts must get bit-equal scores.
        ties_under: presets under which they must, where they need not otherwise.
        sampled: True where scores come from sampled texts, so that rounding may now and then
            change one (the contract tests then allow for it).
        users_per_block: how many users `Method.score` is given at once, at the most.
        quick_settings: settings small enough for the contract tests, seconds on one core.
    """

    title: str
    paper: str
    inputs: frozenset[Input]
    presets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    requires: tuple[str, ...] = ()
    learns: bool = True
    ties_identical_texts: bool = False
    ties_under: frozenset[str] = frozenset()
    sampled: bool = False
    users_per_block: int = 512
    quick_settings: Mapping[str, Any] = field(default_factory=dict)


class _Catalogue:
    """Item texts and attributes that are refused to a method whose card does not declare them."""

    inputs: frozenset[Input]
    _item_texts: tuple[str, ...] | None
    _item_attributes: Mapping[str, tuple[str, ...]] | None

    @property
    def item_texts(self) -> tuple[str, ...]:
        """The rendered text of every item, by item index.

        Raises:
            MethodError: the method's card does not declare ``Input.ITEM_TEXT``.
        """
        if Input.ITEM_TEXT not in self.inputs or self._item_texts is None:
            raise MethodError(
                "item texts are withheld: the method's card does not declare Input.ITEM_TEXT; "
                "add it to `inputs` if the method is meant to read them"
            )
        return self._item_texts

    @property
    def item_attributes(self) -> Mapping[str, tuple[str, ...]]:
        """By attribute's name ("title", "brand", …) every item's cleaned value, or "".

        The names and their order are the data set card's.

        Raises:
            MethodError: the method's card does not declare ``Input.ITEM_ATTRIBUTES``.
        """
        if Input.ITEM_ATTRIBUTES not in self.inputs or self._item_attributes is None:
            raise MethodError(
                "item attributes are withheld: the method's card does not declare "
                "Input.ITEM_ATTRIBUTES; add it to `inputs` if the method is meant to read them"
            )
        return self._item_attributes


@dataclass(frozen=True, eq=False)
class SourceDomain(_Catalogue):
    """One data set of the mixture that a method pre-trains on, less what is undeclared.

    Attributes:
        name: the data set's name.
        n_items: its catalogue's size; item indices are its own, from 0 to ``n_items - 1``, and
            have nothing to do with those of another domain or of the target.
        histories: the events that may be trained on, of the users who have two or more of them.
            ``users`` counts within this data set. With timestamps where they are declared and
            the data set has them.
        selection_targets: int32 [n_users], for each row of ``histories`` the event that follows
            it, for choosing the checkpoint and for nothing else; None where this domain does not
            choose it. At most one domain of a mixture does.
        probability: the share of draws that the mixture gives to this domain; they sum to 1.
        verb: the past participle for prompts.
        inputs: what the method declared.
    """

    name: str
    n_items: int
    histories: Histories
    selection_targets: NDArray[np.int32] | None
    probability: float
    verb: str
    inputs: frozenset[Input]
    _item_texts: tuple[str, ...] | None = None
    _item_attributes: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True)
class TrainingData(_Catalogue):
    """What `fit` is given: training histories and the catalogue, less what is undeclared.

    Attributes:
        dataset: the data set's name.
        n_items: catalogue size; item indices run from 0 to ``n_items - 1``.
        histories: the training part of every user (items 1 to n-2 under leave-one-out).
        verb: the past participle for prompts: "bought", "watched".
        inputs: what the method declared.
        sources: the data sets of the mixture that `Method.mixture` names, in its card's order;
            empty where it names none.
    """

    dataset: str
    n_items: int
    histories: Histories
    verb: str
    inputs: frozenset[Input]
    _item_texts: tuple[str, ...] | None = None
    _item_attributes: Mapping[str, tuple[str, ...]] | None = None
    sources: tuple[SourceDomain, ...] = ()


NOT_SHARED = "after training: "
"""Begins the names of external inputs that decide scores alone: folders that runs share (see
`RunContext.shared`) do not depend on them."""


def _after_fit(*_: Any) -> Any:
    raise MethodError("validate and log serve `fit` only; this is a pickled copy of its context")


Validate = Callable[["Method", int | None], float]


@dataclass(frozen=True)
class RunContext:
    """What a run provides to a method.

    Attributes:
        seed: the cell's seed; the harness has seeded ``random``, numpy and torch with it.
        device: "cpu" or "cuda", as the user chose or as the machine has it.
        work_dir: an existing folder of this cell, for checkpoints and by-products.
        progress: makes progress bars.
        validate_fn: see `validate`.
        log_fn: see `log`.
        shared_folders: see `shared`; None for a context that no run made, whose folders then lie
            in ``work_dir``.
        validation_digest: names the validation items, for keys of what `validate` chose; it tells
            nothing of them.
    """

    seed: int
    device: str
    work_dir: Path
    progress: Progress
    validate_fn: Validate
    log_fn: Callable[[Mapping[str, Any]], None]
    shared_folders: SharedFolders | None = None
    validation_digest: str = ""

    def validate(self, method: Method, users: int | None = None) -> float:
        """Return the method's pessimistic NDCG@10 on the validation items.

        Args:
            method: usually ``self``; it must be ready to `Method.score`.
            users: size of a seeded sample of users (the same in every call of a cell), for
                methods whose scoring is dear; None for all. The record keeps the number.
        """
        return self.validate_fn(method, users)

    def log(self, **values: Any) -> None:
        """Append one line to the fit log of the record (step, losses, validation metrics, …).

        Numbers, booleans, None and short single lines of text; NaN and infinity become null.

        Raises:
            MethodError: anything else: the log is published, and item texts must not be.
        """
        self.log_fn(values)

    @contextlib.contextmanager
    def shared(self, key: str, for_all_methods: bool = False) -> Iterator[Path]:
        """Hold `shared_dir` alone: look there for the by-product, and make it where it is absent.

        Another process that asks for the same folder meanwhile waits until this block ends, and
        says so. The lock is not for one process to take twice: within the block, ask for no folder
        of the same key.

        Usage::

            with context.shared(f"stage one, {settings}, seed {context.seed}") as folder:
                if not (folder / "checkpoint.pt").is_file():
                    train_and_write(folder / "checkpoint.pt")  # see `harness.files.atomic_write`
        """
        folders = self._shared_folders()
        with folders.alone(key, self.progress, for_all_methods) as folder:
            yield folder

    def shared_dir(self, key: str, for_all_methods: bool = False) -> Path:
        """Return an existing folder that all runs share, for by-products which ``key`` determines.

        Such as a pre-trained checkpoint that serves several data sets. The folder depends on what
        the harness knows to decide a by-product: the method and its code, its external inputs, the
        mixture (content, verbs, attributes where they are declared), device and threads. The rest
        is for ``key`` to say: the settings that matter, the seed, and the target's data if they
        were used. What a stopped process left in it is still there: what counts as finished must
        be written whole (`harness.files.atomic_write`), and last. To make something there, hold
        it with `shared`.

        With ``for_all_methods`` the folder depends on ``key`` alone, whichever method asks: then
        the key is to say all of that, a digest of the code that fills it (`harness.source.digest`)
        included.
        """
        return self._shared_folders().folder(key, for_all_methods)

    def _shared_folders(self) -> SharedFolders:
        return self.shared_folders or SharedFolders(self.work_dir / "shared", "method", "")

    def __reduce__(self) -> tuple[Any, ...]:
        """Let fitted methods be pickled: a copy scores, but can neither validate nor log."""
        silent = Progress(shown=False)
        return RunContext, (
            self.seed, self.device, self.work_dir, silent, _after_fit, _after_fit,
            self.shared_folders, self.validation_digest,
        )  # fmt: skip

    def user_generator(self, user: int, purpose: int = 0) -> np.random.Generator:
        """Return a generator that depends on (seed, user, purpose) and on nothing else."""
        return np.random.default_rng([self.seed, int(user), purpose])


class Method(ABC):
    """A recommender under test. Subclasses set `card` and `Settings`, and fill in two methods."""

    card: ClassVar[MethodCard]
    Settings: ClassVar[type[Any]]

    def __init__(self, settings: Any) -> None:
        self.settings = settings

    @classmethod
    def external_inputs(cls, settings: Any) -> Mapping[str, str]:
        """Return what decides the result besides code, data and settings, such as weights on disk.

        Asked when a run is planned, before anything is prepared or trained, so it must be quick
        and import nothing heavy. What it returns (name -> digest or revision) becomes part of the
        run id and of the record: other weights under the same path are then another run. Names
        that begin with `NOT_SHARED` leave the folders that runs share as they are.

        Raises:
            UsageError: something that the settings name does not exist.
        """
        return {}

    @classmethod
    def mixture(cls, settings: Any) -> str | None:
        """Return the mixture that the method wants to pre-train on with these settings, or None.

        A shipped mixture's name, or the path of a ``.toml`` file (see `harness.data.mixture`; a
        relative path starts from the folder that the run was started in). Asked when a run is
        planned, so it must be quick and import nothing heavy. The harness prepares it, refuses it
        for a data set whose held-out items it would show, makes its content a part of the run id
        and hands its parts to `fit` as `TrainingData.sources`; also where what the method made of
        them stands in `RunContext.shared` already.
        """
        return None

    @abstractmethod
    def fit(self, data: TrainingData, context: RunContext) -> None:
        """Learn from the training histories; keep what `score` needs.

        Called once, also for methods that learn nothing. Must not change its arguments.
        """

    @abstractmethod
    def score(self, histories: Histories, candidates: IntArray) -> FloatArray:
        """Score candidates for each history.

        Args:
            histories: B users; a history may be empty, and may hold items unseen in training.
            candidates: int [C], item indices without repeats, in any order.

        Returns:
            float32 or float64 [B, C], higher is better. ``-inf`` says "not recommended": such an
            item ranks nowhere, and where it is the target the user counts as missed in every
            metric, optimistic and pessimistic. NaN is an error.
        """

    def describe(self) -> Mapping[str, Any]:
        """Return what the record should keep of the fitted method.

        ``parameters`` (int) is shown on the leaderboard; ``note`` (one printable line) is printed
        beside the row; counts such as tokens read or texts generated go into the record. Numbers
        must be finite.
        """
        return {}


def text_groups(texts: Sequence[str]) -> tuple[list[str], IntArray]:
    """Return the distinct texts and, for each item, the index of its text among them.

    Scoring each distinct text once and broadcasting makes equal texts tie bit for bit.
    """
    index: dict[str, int] = {}
    group = np.array([index.setdefault(text, len(index)) for text in texts], dtype=np.int64)
    return list(index), group
