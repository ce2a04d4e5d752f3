"""From what the user typed to a list of cells, each with the reason why it runs or not."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from harness import environment
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError, did_you_mean
from harness.method import Input, Method
from harness.protocol import BASELINES, protocol_of, run_id
from harness.records import RECORD_FILE, Record, read_record, verified_ranks
from harness.registry import MethodEntry, load_method, source_hash
from harness.settings import Layer, parse_assignment, resolve
from harness.splits import split_hash


@dataclass(frozen=True)
class MethodChoice:
    """A method as named on the command line: ``NAME`` or ``NAME:PRESET``, with ``--set`` values."""

    entry: MethodEntry
    preset: str | None
    assigned: Mapping[str, str] = field(default_factory=dict)

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
        run_id: see `harness.protocol.run_id`.
        folder: where its record goes.
        obstacle: why it cannot run at all, or None.
        finished: the record of an earlier finished run of this very cell, or None.
        fresh: run even so.
        plan: one line: what will happen and why.
    """

    choice: MethodChoice
    settings: Any
    origins: Mapping[str, str]
    label: str
    data: PreparedData
    seed: int
    device: str
    source: str
    run_id: str
    folder: Path
    obstacle: str | None
    finished: Record | None
    fresh: bool
    plan: str

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

    Raises:
        UsageError: an unknown method, preset or setting, or ``--set`` for a method not named.
    """
    assigned: dict[str, dict[str, str]] = {}
    for text in assignments:
        method, setting, value = parse_assignment(text)
        assigned.setdefault(method, {})[setting] = value
    chosen: dict[str, MethodChoice] = {}
    for name in [*names, *BASELINES]:
        base, _, preset = name.partition(":")
        entry = load_method(base)
        _check_preset(entry, preset)
        choice = MethodChoice(entry, preset or None, assigned.get(base, {}))
        chosen.setdefault(choice.name, choice)
    methods = {choice.entry.name for choice in chosen.values()}
    for method in assigned:
        if method not in methods:
            raise UsageError(
                f"--set names the method {method!r}, which is not part of this run: "
                f"{did_you_mean(method, methods)}"
            )
    for choice in chosen.values():  # settings are checked before anything is prepared or trained
        _resolve(choice, {})
    return list(chosen.values())


def _check_preset(entry: MethodEntry, preset: str) -> None:
    presets = entry.method.card.presets
    if preset and preset not in presets:
        raise UsageError(
            f"method {entry.name!r} has no preset {preset!r}: {did_you_mean(preset, presets)}"
        )


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


def plan_cell(
    choice: MethodChoice, data: PreparedData, seed: int, device: str, out: Path, fresh: bool
) -> Cell:
    """Decide what is to become of one cell.

    Raises:
        UsageError: the data set's card gives a setting that the method does not have.
    """
    settings, origins, changed = _resolve(
        choice, data.card.method_settings.get(choice.entry.name, {})
    )
    source = _source_hash(choice.entry.name)
    label = choice.name
    if changed:
        label += " (" + ", ".join(f"{name}={changed[name]}" for name in sorted(changed)) + ")"
    identity = run_id(
        method=choice.entry.name,
        settings=dataclasses.asdict(settings),
        inputs=sorted(choice.entry.method.card.inputs),
        split_hash=split_hash(data.content_hash),
        protocol=protocol_of(dataclasses.asdict(data.card.protocol)),
        verb=data.card.verb,
        seed=seed,
        device=device,
        threads=environment.numeric_threads(),
        source=source,
    )
    row = choice.name.replace(":", "-")
    folder = out / data.card.name / row / f"seed{seed}-{identity[:12]}"
    obstacle = _obstacle(choice.entry.method, data)
    finished = finished_record(folder, identity)
    return Cell(
        choice, settings, origins, label, data, seed, device, source, identity, folder, obstacle,
        finished, fresh, _plan(obstacle, folder, finished, fresh),
    )  # fmt: skip


@cache
def _source_hash(name: str) -> str:
    return source_hash(load_method(name))


def _obstacle(method: type[Method], data: PreparedData) -> str | None:
    missing = environment.missing_packages(method.card.requires)
    if missing:
        return f"needs {', '.join(missing)}, not installed; see `python -m harness doctor`"
    if Input.ITEM_TEXT in method.card.inputs and not data.card.text.attributes:
        return f"reads item texts, and {data.card.name} has none"
    return None


def finished_record(folder: Path, identity: str) -> Record | None:
    """Return the record of a finished run of this very cell, None where it or its ranks are not."""
    try:
        record = read_record(folder / RECORD_FILE)
        if record.status != "ok" or record.run_id != identity:
            return None
        verified_ranks(folder, record)
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
