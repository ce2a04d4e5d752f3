"""From what the user typed to a list of cells, each with the reason why it runs or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from harness import environment, registry
from harness.data.card import DatasetCard
from harness.data.mixture import Mixture, load_mixture_card
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError, did_you_mean
from harness.files import exclusive_lock
from harness.method import Input, Method
from harness.pretraining import PreparedMixtures, Pretraining, lacking_input, plan_pretraining
from harness.protocol import BASELINES, protocol_of, row_id, run_id
from harness.records import (
    RECORD_FILE,
    Record,
    check_stated,
    read_record,
    verified_fit_log,
)
from harness.registry import MethodEntry, check_preset, load_method, source_hash
from harness.settings import Layer, parse_assignment, resolve
from harness.splits import split_hash

LOCK_FILE = ".lock"
ITEM_ATTRIBUTES = "item attributes"
"""The name, among what decides a result from outside, of the target's attributes."""


@dataclass(frozen=True)
class MethodChoice:
    """A method as named on the command line: ``NAME`` or ``NAME:PRESET``, with ``--set`` values.

    Attributes:
        entry: the method.
        preset: None where none is named.
        assigned: setting -> text given by ``--set``.
        code: version, commit and dirtiness of the code as the method was loaded from it: by the
            end of a long run the checkout may be another.
    """

    entry: MethodEntry
    preset: str | None
    assigned: Mapping[str, str] = field(default_factory=dict)
    code: Mapping[str, Any] = field(default_factory=environment.code_state)

    @property
    def name(self) -> str:
        """``NAME`` or ``NAME:PRESET``."""
        return self.entry.name if self.preset is None else f"{self.entry.name}:{self.preset}"


@dataclass(frozen=True)
class Cell:
    """A planned cell.

    Attributes:
        choice: method and preset.
        settings: the resolved settings object.
        origins: setting -> where its value came from.
        label: the leaderboard row: method, preset, and settings given by hand.
        data: the prepared data set.
        seed: the cell's seed.
        device: "cpu" or "cuda".
        source: digest of the method's code as it was planned.
        external: what decides the result besides code, data and settings: what
            `Method.external_inputs` said when it was planned, attributes that are read, and what
            of the mixture counts (see `harness.pretraining.Pretraining`).
        row_id: see `harness.protocol.row_id`.
        run_id: see `harness.protocol.run_id`.
        folder: where its record goes.
        obstacle: why it cannot run at all, or None.
        finished: the record of an earlier finished run of this very cell, or None.
        fresh: run even so.
        plan: one line: what will happen and why.
        mixture: what the method pre-trains on, or None.
    """

    choice: MethodChoice
    settings: Any
    origins: Mapping[str, str]
    label: str
    data: PreparedData
    seed: int
    device: str
    source: str
    external: Mapping[str, str]
    row_id: str
    run_id: str
    folder: Path
    obstacle: str | None
    finished: Record | None
    fresh: bool
    plan: str
    mixture: Mixture | None = None

    @property
    def kept(self) -> bool:
        """Whether the finished record stands, so that nothing is trained."""
        return self.finished is not None and not self.fresh

    @property
    def name(self) -> str:
        """The cell in messages: data set, row, seed."""
        return f"{self.data.card.name} / {self.label} / seed {self.seed}"


def choose_methods(names: Sequence[str], assignments: Sequence[str]) -> list[MethodChoice]:
    """Return the methods named and the baselines that join every board, in that order.

    A baseline that ``--set`` changes joins twice, changed and untouched: the untouched one is what
    every board is judged by.

    Raises:
        UsageError: an unknown method, preset, setting or mixture, or ``--set`` for a method not
            named.
        DataError: a method's mixture is malformed.
    """
    assigned: dict[str, dict[str, str]] = {}
    for text in assignments:
        method, setting, value = parse_assignment(text)
        assigned.setdefault(method, {})[setting] = value
    code = environment.code_state()
    choices: list[MethodChoice] = []
    for name in dict.fromkeys([*names, *BASELINES]):
        base, _, preset = name.partition(":")
        entry = load_method(base)
        check_preset(entry, preset)
        choices.append(MethodChoice(entry, preset or None, assigned.get(base, {}), code))
        if name in BASELINES and base in assigned:
            choices.append(MethodChoice(entry, None, {}, code))
    methods = {choice.entry.name for choice in choices}
    for method in assigned:
        if method not in methods:
            raise UsageError(
                f"--set names the method {method!r}, which is not part of this run: "
                f"{did_you_mean(method, methods)}"
            )
    for choice in choices:  # what cannot be is refused before anything is prepared or trained
        settings = _resolve(choice, {})[0]
        choice.entry.method.external_inputs(settings)
        mixture = choice.entry.method.mixture(settings)
        if mixture is not None:
            load_mixture_card(mixture)
    return choices


def _resolve(
    choice: MethodChoice, card_settings: Mapping[str, Any]
) -> tuple[Any, dict[str, str], dict[str, Any]]:
    """Return settings, their origins, and those that ``--set`` changed."""
    method = choice.entry.method
    layers = [Layer("data set card", card_settings)]
    if choice.preset is not None:
        layers.append(Layer(f"preset {choice.preset}", method.card.presets[choice.preset]))
    given = resolve(method.Settings, choice.entry.name, layers)[0]
    layers.append(Layer("--set", choice.assigned))
    settings, origins = resolve(method.Settings, choice.entry.name, layers)
    changed = {
        name: getattr(settings, name)
        for name in choice.assigned
        if getattr(settings, name) != getattr(given, name)
    }
    for name in set(choice.assigned) - set(changed):
        origins[name] = "default, card or preset, repeated by --set"
    return settings, origins, changed


def plan_cells(
    choices: Sequence[MethodChoice], data: PreparedData, seeds: Sequence[int], device: str,
    out: Path, fresh: bool, mixtures: PreparedMixtures | None = None,
) -> list[Cell]:  # fmt: skip
    """Plan the cells of one data set, each once: ``--set`` may repeat a value that holds anyway.

    Mixtures that methods pre-train on are prepared here, for their content is in the run id.

    Raises:
        UsageError: the data set's card names a method or a setting that does not exist, or the
            mixture of a method does not.
    """
    cells: dict[tuple[str, int], Cell] = {}
    for choice in choices:
        for seed in seeds:
            cell = plan_cell(choice, data, seed, device, out, fresh, mixtures)
            cells.setdefault((cell.label, seed), cell)
    return list(cells.values())


def plan_cell(
    choice: MethodChoice, data: PreparedData, seed: int, device: str, out: Path, fresh: bool,
    mixtures: PreparedMixtures | None = None,
) -> Cell:  # fmt: skip
    """Decide what is to become of one cell.

    Raises:
        UsageError: see `plan_cells`.
        HarnessError: the method names a mixture, and ``mixtures`` is None.
    """
    _check_card(data.card)
    settings, origins, changed = _resolve(
        choice, data.card.method_settings.get(choice.entry.name, {})
    )
    source = _source_hash(choice.entry.name)
    pretraining = plan_pretraining(choice.entry.method, settings, data, mixtures)
    external = {**choice.entry.method.external_inputs(settings), **pretraining.external}
    if Input.ITEM_ATTRIBUTES in choice.entry.method.card.inputs:
        external[ITEM_ATTRIBUTES] = f"sha256:{data.attributes_hash}"
    label = choice.name
    if changed:
        label += " (" + ", ".join(f"{name}={changed[name]}" for name in sorted(changed)) + ")"
    row = row_id(
        method=choice.entry.name,
        settings=dataclasses.asdict(settings),
        inputs=sorted(choice.entry.method.card.inputs),
        split_hash=split_hash(data.content_hash),
        protocol=protocol_of(data.card.protocol.facts()),
        verb=data.card.verb,
        device=device,
        threads=environment.numeric_threads(),
        source=source,
        external=external,
    )
    identity = run_id(row, seed)
    folder = out / data.card.name / choice.name.replace(":", "-") / f"seed{seed}-{identity[:12]}"
    obstacle = _obstacle(choice.entry.method, data, pretraining)
    finished = finished_record(folder, identity)
    return Cell(
        choice, settings, origins, label, data, seed, device, source, external, row, identity,
        folder, obstacle, finished, fresh, _plan(obstacle, folder, finished, fresh),
        pretraining.mixture,
    )  # fmt: skip


def _check_card(card: DatasetCard) -> None:
    known = registry.method_modules()
    for name in card.method_settings:
        if name not in known:
            raise UsageError(
                f"the card of {card.name} has settings for {name!r}, which is no method: "
                f"{did_you_mean(name, known)}"
            )


@cache
def _source_hash(name: str) -> str:
    return source_hash(load_method(name))


def _obstacle(method: type[Method], data: PreparedData, pretraining: Pretraining) -> str | None:
    missing = environment.missing_packages(method.card.requires)
    if missing:
        return f"needs {', '.join(missing)}, not installed; see `python -m harness doctor`"
    return lacking_input(method, data.card) or pretraining.obstacle


def finished_record(folder: Path, identity: str) -> Record | None:
    """Return the record of a finished run of this very cell.

    None where the record, its ranks or its fit log are missing or damaged, or do not agree.
    """
    try:
        record = read_record(folder / RECORD_FILE)
        if record.status != "ok" or record.run_id != identity:
            return None
        check_stated(folder, record)
        verified_fit_log(folder, record)
    except DataError:
        return None
    return record


def _plan(obstacle: str | None, folder: Path, finished: Record | None, fresh: bool) -> str:
    if finished and not fresh:
        return f"skip: finished {finished.finished_at}"
    if obstacle:
        return f"cannot run: {obstacle}"
    if finished:
        return f"run again: --fresh (finished {finished.finished_at})"
    if (folder / RECORD_FILE).exists():
        return "run: its last run failed or its record is damaged"
    if folder.exists():
        return "run: an earlier run was interrupted"
    return "run: no record yet"


class PlannedCell(Protocol):
    """What boards and ``--dry-run`` need to know of a planned cell; see `Cell`."""

    @property
    def name(self) -> str: ...  # noqa: D102 - as in `Cell`, and so are all below
    @property
    def label(self) -> str: ...  # noqa: D102
    @property
    def seed(self) -> int: ...  # noqa: D102
    @property
    def data(self) -> PreparedData: ...  # noqa: D102
    @property
    def row_id(self) -> str: ...  # noqa: D102
    @property
    def run_id(self) -> str: ...  # noqa: D102
    @property
    def folder(self) -> Path: ...  # noqa: D102
    @property
    def plan(self) -> str: ...  # noqa: D102


def foreseen(cell: PlannedCell) -> str:
    """Return a cell's plan, or that another process is running it just now (for ``--dry-run``).

    A real run asks by taking the lock itself: asking before could be in another run's way.
    """
    lock = cell.folder / LOCK_FILE
    if lock.is_file():
        with exclusive_lock(lock) as free:
            if not free:
                return "running in another process"
    return cell.plan
