"""Runs planned cells one after the other; a cell that fails never stops the others."""

from __future__ import annotations

import dataclasses
import shutil
import traceback
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, NamedTuple

from harness import environment
from harness.cells import CellInput, CellResult, execute
from harness.data.prepared import PreparedData
from harness.errors import HarnessError
from harness.files import (
    canonical_json,
    exclusive_lock,
    explain_os_error,
    sha256_file,
    sha256_text,
    write_text,
)
from harness.method import NOT_SHARED
from harness.metrics import summary, tie_rate
from harness.planning import ITEM_ATTRIBUTES, LOCK_FILE, Cell, finished_record
from harness.pretraining import mixture_facts
from harness.progress import Progress
from harness.protocol import protocol_of
from harness.records import FIT_LOG_FILE, Record, Status, rank_arrays, ranks_digest, write_record
from harness.shared_folders import FOLDER, SharedFolders
from harness.splits import Split, split_data, split_hash, tested_rows

TRACEBACK_FILE = "traceback.txt"


class Outcome(NamedTuple):
    """What became of a cell: "kept" is a finished one found again; a reason for bad ends."""

    state: Literal["ok", "kept", "failed", "skipped"]
    reason: str = ""

    @property
    def is_good(self) -> bool:
        """Whether the cell has a finished record of this very run."""
        return self.state in ("ok", "kept")


def run_cells(cells: Iterable[Cell], progress: Progress, cache: Path) -> dict[str, Outcome]:
    """Run every cell that needs it; return cell name -> outcome.

    By-products that cells share are kept in the folder ``cache``.

    Failures and skips are told on standard error, also where ``progress`` is silent. Ctrl-C ends
    the run at once and passes through: finished cells keep their records, the one in progress
    leaves none.
    """
    outcomes = {}
    for cell in cells:
        outcomes[cell.name] = outcome = _run_cell(cell, progress, cache)
        if not outcome.is_good:
            progress.warn(f"{cell.name}: {outcome.state}: {outcome.reason}")
    return outcomes


def _run_cell(cell: Cell, progress: Progress, cache: Path) -> Outcome:
    if cell.kept:
        progress.say(f"{cell.name}: {cell.plan}")
        return Outcome("kept")
    try:
        with exclusive_lock(cell.folder / LOCK_FILE) as mine:
            if not mine:
                return Outcome("failed", "another process is running this cell")
            return _run_locked(cell, progress, cache)
    except OSError as error:
        return Outcome("failed", f"its record cannot be written: {explain(error)}")


def _run_locked(cell: Cell, progress: Progress, cache: Path) -> Outcome:
    if not cell.fresh and finished_record(cell.folder, cell.run_id) is not None:
        progress.say(f"{cell.name}: kept: another process has finished it meanwhile")
        return Outcome("kept")
    if cell.obstacle is not None:
        if cell.finished is None:
            write_record(cell.folder, _record(cell, "skipped", reason=cell.obstacle), None)
        return Outcome("skipped", cell.obstacle)
    progress.say(f"{cell.name}: {cell.plan}")
    try:
        prefixed = progress.prefixed(f"{cell.data.card.name} / {cell.label}")
        _run_and_record(cell, prefixed, shared_folders(cell, cache))
    except (Exception, SystemExit) as error:  # a library's sys.exit must not end the others either
        return Outcome("failed", _note_failure(cell, error))
    (cell.folder / TRACEBACK_FILE).unlink(missing_ok=True)
    return Outcome("ok")


def shared_folders(cell: Cell, cache: Path) -> SharedFolders:
    """Return the folders in ``cache`` that a cell shares with cells of its method.

    What may decide a by-product is part of their identity, so that no checkpoint of other code,
    weights or sources is ever taken for this one's. The target's data set is not: they are shared
    among data sets; a by-product that depends on it must say so in its key.
    """
    external = {
        name: value
        for name, value in cell.external.items()
        if name != ITEM_ATTRIBUTES and not name.startswith(NOT_SHARED)
    }
    identity = {
        "source": cell.source,
        "external": external,
        "device": cell.device,
        "threads": environment.numeric_threads(),
    }
    name, root = cell.choice.entry.name, cache.absolute() / FOLDER
    return SharedFolders(root, name, sha256_text(canonical_json(identity)))


def _run_and_record(cell: Cell, progress: Progress, shared: SharedFolders) -> None:
    work_dir = _empty_folder(cell.folder / "work")
    log_path = cell.folder / f"{FIT_LOG_FILE}.part"
    split = split_data(cell.data)
    result = execute(_cell_input(cell, split), work_dir, log_path, progress, shared)
    arrays = rank_arrays(split.test_histories.users, result.ranks)
    record = _record(cell, "ok", result=result, ranks_sha256=ranks_digest(arrays))
    record = dataclasses.replace(record, fit_log_sha256=sha256_file(log_path))
    write_record(cell.folder, record, arrays)
    # stopped between the two, the cell is unfinished: the log is not the one the record states
    log_path.replace(cell.folder / FIT_LOG_FILE)


def _empty_folder(folder: Path) -> Path:
    """Make a folder without what an earlier run left in it.

    No method resumes yet. One that does must tell its own checkpoints from those of a run that
    failed or that ``--fresh`` replaces, before this may keep them.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    return folder


def _note_failure(cell: Cell, error: BaseException) -> str:
    """Leave record and traceback of a failed cell; return the reason for the terminal."""
    reason = explain(error)
    if cell.finished is None:  # after a failed --fresh the former record still stands
        write_record(cell.folder, _record(cell, "failed", reason=reason), None)
    write_text(cell.folder / TRACEBACK_FILE, "".join(traceback.format_exception(error)))
    told = f"{reason} (see {cell.folder / TRACEBACK_FILE})"
    if cell.finished is not None:
        told += f"; the board keeps the record finished {cell.finished.finished_at}"
    return told


def explain(error: BaseException) -> str:
    """Return one line on what went wrong."""
    if isinstance(error, MemoryError):
        return "out of memory; use smaller batches or a smaller model"
    text = explain_os_error(error) if isinstance(error, OSError) else str(error)
    text = " ".join(text.split())
    if isinstance(error, OSError):
        return text
    return text if isinstance(error, HarnessError) else f"{type(error).__name__}: {text}"


def _cell_input(cell: Cell, split: Split) -> CellInput:
    return CellInput(
        method=cell.choice.entry.method(cell.settings),
        dataset=cell.data.card.name,
        item_texts=cell.data.item_texts,
        verb=cell.data.card.verb,
        split=split,
        seed=cell.seed,
        device=cell.device,
        item_attributes=cell.data.item_attributes,
        mixture=cell.mixture,
    )


def _record(
    cell: Cell,
    status: Status,
    reason: str | None = None,
    result: CellResult | None = None,
    ranks_sha256: str | None = None,
) -> Record:
    ranks = None if result is None else result.ranks
    return Record(
        run_id=cell.run_id,
        row_id=cell.row_id,
        status=status,
        reason=reason,
        method=_method_facts(cell),
        dataset=dataset_facts(cell.data),
        protocol=protocol_of(cell.data.card.protocol.facts()),
        seed=cell.seed,
        metrics={} if ranks is None else summary(ranks.optimistic, ranks.pessimistic),
        tie_rate=None if ranks is None else tie_rate(ranks.optimistic, ranks.pessimistic),
        ranks_sha256=ranks_sha256,
        cost={} if result is None else {**result.cost, "threads": environment.numeric_threads()},
        report={} if result is None else result.report,
        code={
            **cell.choice.code,
            "source": cell.source,
            "packages": environment.package_versions(),
        },
        machine=environment.machine(),
        finished_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def _method_facts(cell: Cell) -> dict[str, Any]:
    card = cell.choice.entry.method.card
    facts = {
        "name": cell.choice.entry.name,
        "preset": cell.choice.preset,
        "label": cell.label,
        "title": card.title,
        "paper": card.paper,
        "inputs": sorted(card.inputs),
        "settings": dataclasses.asdict(cell.settings),
        "origins": dict(cell.origins),
        "external_inputs": dict(cell.external),
    }
    return facts if cell.mixture is None else {**facts, "mixture": mixture_facts(cell.mixture)}


def dataset_facts(data: PreparedData) -> dict[str, Any]:
    """Return what a record keeps of the data set."""
    return {
        "name": data.card.name,
        "title": data.card.title,
        "licence": data.card.licence,
        "citation": data.card.citation,
        "redistributable": data.card.redistributable,
        "card_hash": data.card.hash,
        "content_hash": data.content_hash,
        "split_hash": split_hash(data.content_hash),
        "n_users": len(tested_rows(data)),
        "n_items": len(data.item_ids),
        "n_events": len(data.sequences.items),
        "source_digests": dict(data.source_digests),
        "faulty_lines": data.counts["faulty_lines"],
    }
