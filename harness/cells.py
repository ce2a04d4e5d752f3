"""One cell of a board: fit a method, score every user, rank the targets, measure what it cost."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness import environment
from harness.data.mixture import Mixture, PreparedPart
from harness.errors import MethodError
from harness.histories import Histories
from harness.method import Input, Method, RunContext, SourceDomain, TrainingData
from harness.metrics import SELECTION_METRIC, mean
from harness.progress import Bar, Progress, SilentBar
from harness.ranking import TOP_K, NotANumberError, TargetRanks, rank_targets
from harness.reporting import log_line, plain_report
from harness.seeding import seed_everything
from harness.shared_folders import SharedFolders
from harness.splits import Split

SCORE_BLOCK_BYTES = 64 << 20
"""Score blocks stay below this size, whatever the catalogue."""

VALIDATION_DRAW = (0, 0, 1)
"""Keys the draw of validation users behind the seed. `RunContext.user_generator` uses (user,
purpose), which numpy reads like (user, purpose, 0): the last number keeps the two apart."""


@dataclass(frozen=True)
class CellInput:
    """What a cell runs on.

    Attributes:
        method: the method, with its settings, not yet fitted.
        dataset: the data set's name.
        item_texts: the rendered text of every item.
        verb: the past participle for prompts.
        split: training, validation and test parts.
        seed: seeds everything.
        device: "cpu" or "cuda".
        item_attributes: by name, the value of every item.
        mixture: what the method pre-trains on, or None.
    """

    method: Method
    dataset: str
    item_texts: tuple[str, ...]
    verb: str
    split: Split
    seed: int
    device: str
    item_attributes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    mixture: Mixture | None = None


@dataclass(frozen=True)
class CellResult:
    """Ranks of the test targets in user order, and what the cell cost."""

    ranks: TargetRanks
    cost: dict[str, Any]
    report: dict[str, Any]


def execute(
    cell: CellInput, work_dir: Path, log_path: Path, progress: Progress,
    shared: SharedFolders | None = None,
) -> CellResult:  # fmt: skip
    """Run one cell from seed to ranks.

    Args:
        cell: what to run.
        work_dir: an existing folder for the method's own files.
        log_path: where the fit log grows, a JSON line at a time, while the method learns.
        progress: makes progress bars.
        shared: the folders that `RunContext.shared` gives; None for some in ``work_dir``.

    Raises:
        MethodError: scores of a wrong shape or type, or NaN (naming the user).
    """
    validation = Validation(cell)
    environment.reset_peak_memory()
    _reset_peak_gpu_memory(cell.device)
    seed_everything(cell.seed)
    with log_path.open("w", encoding="utf-8") as stream:

        def log(values: Mapping[str, Any]) -> None:
            stream.write(log_line(values) + "\n")
            stream.flush()

        context = run_context(cell, work_dir, progress, validation, log, shared)
        started = time.perf_counter()
        cell.method.fit(training_data(cell), context)
        fit_s = time.perf_counter() - started
    started = time.perf_counter()
    with progress.bar("scoring", total=len(cell.split.test_histories), unit="users") as bar:
        ranks = rank_users(
            cell.method, cell.split.test_histories, cell.split.test_targets,
            len(cell.item_texts), bar,
        )  # fmt: skip
    report = plain_report(cell.method.describe())
    cost = {
        "fit_s": round(fit_s, 3),
        "score_s": round(time.perf_counter() - started, 3),
        "parameters": report.pop("parameters", None),
        "device": cell.device,
        "peak_memory_bytes": environment.peak_memory_bytes(),
        **_gpu_cost(cell.device),
    }
    return CellResult(ranks, cost, {**report, **validation.report()})


def run_context(
    cell: CellInput, work_dir: Path, progress: Progress, validation: Validation,
    log: Callable[[Mapping[str, Any]], None], shared: SharedFolders | None,
) -> RunContext:  # fmt: skip
    """Return what a method is given to fit one cell with."""
    return RunContext(
        cell.seed, cell.device, work_dir, progress, validation, log, shared,
        validation_digest(cell.split),
    )  # fmt: skip


def validation_digest(split: Split) -> str:
    """Return the SHA-256 of the validation items and their users, in hexadecimal."""
    digest = hashlib.sha256(b"validation items, form 1")
    for part in (split.train.users, split.validation_targets):
        digest.update(part.astype("<i8").tobytes())
    return digest.hexdigest()


def training_data(cell: CellInput) -> TrainingData:
    """Return what the method declared, and nothing else."""
    inputs = cell.method.card.inputs
    parts = () if cell.mixture is None else cell.mixture.parts
    return TrainingData(
        dataset=cell.dataset,
        n_items=len(cell.item_texts),
        histories=_declared_times(cell.split.train, inputs),
        verb=cell.verb,
        inputs=inputs,
        _item_texts=cell.item_texts if Input.ITEM_TEXT in inputs else None,
        _item_attributes=cell.item_attributes if Input.ITEM_ATTRIBUTES in inputs else None,
        sources=tuple(_source_domain(part, inputs) for part in parts),
    )


def _source_domain(part: PreparedPart, inputs: frozenset[Input]) -> SourceDomain:
    """Return what the method declared of one part; events that are held out stay behind."""
    data = part.data
    return SourceDomain(
        name=data.card.name,
        n_items=len(data.item_ids),
        histories=_declared_times(part.training, inputs),
        selection_targets=part.selection_targets,
        probability=part.probability,
        verb=data.card.verb,
        inputs=inputs,
        _item_texts=data.item_texts if Input.ITEM_TEXT in inputs else None,
        _item_attributes=data.item_attributes if Input.ITEM_ATTRIBUTES in inputs else None,
    )


def _declared_times(histories: Histories, inputs: frozenset[Input]) -> Histories:
    return histories if Input.TIMESTAMPS in inputs else histories.without_timestamps()


def rank_users(
    method: Method, histories: Histories, targets: NDArray[np.int32], n_items: int, bar: Bar
) -> TargetRanks:
    """Score all items for every user, block by block, and rank each user's target.

    Blocks hold users of similar history length, longest first (padding is cheap and memory peaks
    early); results come back in the order of ``histories``.
    """
    histories = _declared_times(histories, method.card.inputs)
    candidates = np.arange(n_items, dtype=np.int32)
    candidates.setflags(write=False)
    n_users = len(histories)
    block = max(1, min(method.card.users_per_block, SCORE_BLOCK_BYTES // (8 * n_items)))
    optimistic = np.empty(n_users, np.int32)
    pessimistic = np.empty(n_users, np.int32)
    top = np.empty((n_users, TOP_K), np.int32)
    by_length = np.argsort(-histories.lengths, kind="stable")
    for start in range(0, n_users, block):
        rows = by_length[start : start + block]
        scores = checked_scores(method, histories.select(rows), candidates)
        try:
            ranks = rank_targets(scores, targets[rows])
        except NotANumberError as error:
            user = histories.users[rows[error.row]]
            raise MethodError(
                f"NaN score for user {user} (history of {histories.lengths[rows[error.row]]} "
                f"items) and item {error.column}; scores must be numbers or -inf"
            ) from error
        optimistic[rows], pessimistic[rows], top[rows] = (
            ranks.optimistic, ranks.pessimistic, ranks.top,
        )  # fmt: skip
        bar.advance(len(rows))
    return TargetRanks(optimistic, pessimistic, top)


def checked_scores(
    method: Method, histories: Histories, candidates: NDArray[np.int32]
) -> NDArray[np.floating]:
    """Score with the method and hold the result against the contract.

    Raises:
        MethodError: a wrong type, shape or dtype, or NaN (naming the user and the item).
    """
    scores = method.score(histories, candidates)
    wanted = (len(histories), len(candidates))
    if not isinstance(scores, np.ndarray) or scores.dtype not in (np.float32, np.float64):
        found = scores.dtype if isinstance(scores, np.ndarray) else type(scores).__name__
        raise MethodError(f"scores must be a numpy array of float32 or float64, found {found}")
    if scores.shape != wanted:
        raise MethodError(f"scores must have shape {wanted} (users, items), found {scores.shape}")
    return scores


class Validation:
    """Pessimistic NDCG@10 on validation items, for a seeded sample of users where asked."""

    def __init__(self, cell: CellInput) -> None:
        self._cell = cell
        self._users_asked: set[int] = set()
        self._seconds = 0.0

    def __call__(self, method: Method, users: int | None) -> float:
        """Return the mean over all users, or over a sample that is the same in every call.

        Raises:
            MethodError: no user asked for, or scores that break the contract.
        """
        if users is not None and users < 1:
            raise MethodError(f"validate needs at least one user, found users={users}")
        started = time.perf_counter()
        histories, targets = self._cell.split.train, self._cell.split.validation_targets
        if users is not None and users < len(histories):
            generator = np.random.default_rng([self._cell.seed, *VALIDATION_DRAW])
            rows = np.sort(generator.choice(len(histories), size=users, replace=False))
            histories, targets = histories.select(rows), targets[rows]
        self._users_asked.add(len(histories))
        ranks = rank_users(method, histories, targets, len(self._cell.item_texts), SilentBar())
        self._seconds += time.perf_counter() - started
        return mean(SELECTION_METRIC.values(ranks.pessimistic))

    def report(self) -> dict[str, Any]:
        """Return how many users were validated on, and the seconds that it took."""
        if not self._users_asked:
            return {}
        return {
            "validation_users": sorted(self._users_asked),
            "validation_s": round(self._seconds, 3),
        }


def _reset_peak_gpu_memory(device: str) -> None:
    """Forget the peak of the cell before, where torch is loaded at all."""
    torch = sys.modules.get("torch")
    if device == "cuda" and torch is not None:
        torch.cuda.reset_peak_memory_stats()


def _gpu_cost(device: str) -> dict[str, int]:
    torch = sys.modules.get("torch")
    if device != "cuda" or torch is None:
        return {}
    return {"peak_gpu_bytes": int(torch.cuda.max_memory_allocated())}
