"""How long the pages of a large board take, and how large its report is.

    python -m benchmarks.board_report [--methods 12] [--datasets 6] [--seeds 3] [--users 8000]

Made-up ranks, about log-uniform over 10,000 items, a tenth of them tied; made-up fit logs, splits
and item texts. The board is computed from the stored records, then every page that is published of
it is made through the public functions, then the local report with item texts. What is made up is
written before the clock runs. Exit code 1 where the published pages take more than 20 seconds or a
report has more than 5 MB.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

import numpy as np  # noqa: E402 - one thread: decided before numpy is imported

from harness.board.computing import board_table  # noqa: E402
from harness.board.definition import Definition  # noqa: E402
from harness.board.flat import flat  # noqa: E402
from harness.board.json_form import json_text  # noqa: E402
from harness.board.latex import latex  # noqa: E402
from harness.board.markdown import markdown  # noqa: E402
from harness.board.table import BoardTable  # noqa: E402
from harness.files import canonical_json, sha256_text  # noqa: E402
from harness.leaderboard import Stored  # noqa: E402
from harness.metrics import summary, tie_rate  # noqa: E402
from harness.protocol import BASELINES, protocol_of, run_id  # noqa: E402
from harness.ranking import TOP_K, TargetRanks  # noqa: E402
from harness.records import (  # noqa: E402
    FIT_LOG_FILE,
    Record,
    rank_arrays,
    ranks_digest,
    write_record,
)
from harness.report import index_page, report_page, without_plots  # noqa: E402
from harness.slices import Slice  # noqa: E402
from harness.split_facts import SampledUser, SplitFacts  # noqa: E402

WANTED_S = 20.0
WANTED_BYTES = 5_000_000
N_ITEMS = 10_000
N_SLICES = 15
TIED_SHARE = 0.1
N_SETTINGS = 30
N_EPOCHS = 40


@dataclass(frozen=True)
class MadeUp:
    """A board's records on disk, and what else its pages need."""

    definition: Definition
    found: Mapping[str, Sequence[Stored]]
    facts: Mapping[str, SplitFacts]
    texts: Mapping[str, Sequence[str]]


# ---- what is made up -----------------------------------------------------------------------------


def made_up(folder: Path, options: argparse.Namespace) -> MadeUp:
    """Write the records of a board below a folder."""
    labels = [*BASELINES, *(f"method-{n:02d}:preset" for n in range(options.methods))]
    labels = labels[: options.methods]
    names = tuple(f"data-set-{number}" for number in range(options.datasets))
    found = {
        name: [
            _stored(folder, name, label, place, seed, options.users)
            for place, label in enumerate(labels)
            for seed in range(options.seeds)
        ]
        for name in names
    }
    return MadeUp(
        Definition(name="large", title="A large board", datasets=names),
        found,
        {name: _facts(name, options.users) for name in names},
        {name: [_text(item) for item in range(N_ITEMS)] for name in names},
    )


def _stored(
    folder: Path, dataset: str, label: str, place: int, seed: int, n_users: int
) -> Stored:  # fmt: skip
    generator = np.random.default_rng([int(sha256_text(dataset)[:8], 16), place, seed])
    ranks = _ranks(generator, shift=0.15 * place, n_users=n_users)
    arrays = rank_arrays(np.arange(n_users, dtype=np.int64), ranks)
    log = _fit_log(place, generator)
    record = _record(dataset, label, seed, ranks, ranks_digest(arrays), sha256_text(log))
    where = folder / dataset / f"{label.replace(':', '-')}-seed{seed}"
    write_record(where, record, arrays)
    (where / FIT_LOG_FILE).write_text(log, encoding="utf-8")
    return where, record


def _ranks(generator: np.random.Generator, shift: float, n_users: int) -> TargetRanks:
    easy = np.random.default_rng(0).uniform(0.0, np.log(N_ITEMS), n_users)
    raw = np.exp(easy - shift + generator.normal(0.0, 1.0, n_users))
    optimistic = np.clip(np.rint(raw), 1, N_ITEMS).astype(np.int32)
    tie = generator.integers(1, 6, n_users) * (generator.random(n_users) < TIED_SHARE)
    pessimistic = np.minimum(optimistic + tie, N_ITEMS).astype(np.int32)
    top = generator.integers(0, N_ITEMS, (n_users, TOP_K)).astype(np.int32)
    return TargetRanks(optimistic, pessimistic, top)


def _fit_log(place: int, generator: np.random.Generator) -> str:
    """Return the log of a method that is trained; the baselines have none to tell."""
    if place < len(BASELINES):
        return ""
    noise = generator.normal(1.0, 0.02, N_EPOCHS)
    lines = [
        {
            "epoch": epoch,
            "loss": float(9.0 / (1 + 0.1 * epoch) * noise[epoch - 1]),
            "validation_ndcg10": float(0.1 * (1 - 1 / (1 + 0.2 * epoch)) * noise[epoch - 1]),
        }
        for epoch in range(1, N_EPOCHS + 1)
    ]
    return "".join(canonical_json(line) + "\n" for line in lines)


def _record(
    dataset: str, label: str, seed: int, ranks: TargetRanks, ranks_sha256: str, log_sha256: str
) -> Record:
    row = sha256_text(f"{dataset} {label}")
    settings = {f"setting_number_{n}": n / 8 for n in range(N_SETTINGS)}
    origins = {name: "data set card" if n < 5 else "default" for n, name in enumerate(settings)}
    return Record(
        run_id=run_id(row, seed),
        row_id=row,
        status="ok",
        method={
            "name": label.partition(":")[0], "preset": label.partition(":")[2] or None,
            "label": label, "title": label.title(), "paper": "Nobody et al., made up, 2026",
            "inputs": ["item ids" if sum(map(ord, label)) % 2 else "item text"],
            "settings": settings, "origins": origins, "external_inputs": {},
        },
        dataset={
            "name": dataset, "title": dataset.title(), "licence": "none", "citation": "Nobody.",
            "split_hash": _split_hash(dataset), "n_users": len(ranks.top), "n_items": N_ITEMS,
            "n_events": 9 * len(ranks.top), "redistributable": True,
        },
        protocol=protocol_of(
            {"split": "leave-one-out", "dedup": "none", "min_user_events": 5, "user_sample": None}
        ),
        seed=seed,
        metrics=summary(ranks.optimistic, ranks.pessimistic),
        tie_rate=tie_rate(ranks.optimistic, ranks.pessimistic),
        ranks_sha256=ranks_sha256,
        cost={
            "fit_s": 90.0 * (1 + len(label)), "score_s": 12.5, "peak_memory_bytes": 2 << 30,
            "parameters": 1_000_000, "device": "cpu", "threads": 2,
        },
        report={"note": "a sentence that says what the method has to say of itself"},
        code={
            "source": sha256_text("source"), "commit": "c" * 40, "dirty": False, "version": "0.1.0",
            "packages": {f"package-{n}": "1.2.3" for n in range(18)},
        },
        machine={"cores": 2, "processor": "a processor", "system": "Linux"},
        finished_at="2026-01-01T00:00:00.000+00:00",
        fit_log_sha256=log_sha256,
    )  # fmt: skip


def _split_hash(dataset: str) -> str:
    return sha256_text(f"split of {dataset}")


def _facts(dataset: str, n_users: int) -> SplitFacts:
    generator = np.random.default_rng(int(_split_hash(dataset)[:16], 16))
    users = tuple(
        SampledUser(
            user=int(user),
            n_events=10,
            history=tuple(generator.integers(0, N_ITEMS, 10).tolist()),
            target=int(generator.integers(N_ITEMS)),
        )
        for user in np.sort(generator.choice(n_users, size=min(12, n_users), replace=False))
    )
    slices = tuple(
        Slice(
            "all users" if not n else f"slice number {n}",
            "Who is in it, in a sentence.",
            generator.random(n_users) < 1 - n / N_SLICES,
        )
        for n in range(N_SLICES)
    )
    return SplitFacts(_split_hash(dataset), n_users, N_ITEMS, users, slices)


def _text(item: int) -> str:
    return f"Title: The thing that has number {item}. Brand: Maker {item % 97}. Category: Things"


# ---- the clock -----------------------------------------------------------------------------------


def timed(what: str, make: Callable[[], Any]) -> tuple[Any, float]:
    """Return what a function makes and its seconds, and print them."""
    start = time.perf_counter()
    made = make()
    seconds = time.perf_counter() - start
    size = f", {len(made.encode()):,} bytes" if isinstance(made, str) else ""
    print(f"  {what}: {seconds:.2f} s{size}", flush=True)
    return made, seconds


def reports(made: MadeUp, table: BoardTable) -> dict[str, Callable[[], str]]:
    """Return what makes the report that is published, and the one with item texts that is not."""
    return {
        "report": lambda: report_page(table, made.found, made.facts),
        "local report, with texts": lambda: report_page(
            table, made.found, made.facts, texts=made.texts, local=True
        ),
    }


def computed(made: MadeUp) -> BoardTable:
    """Return the board of all records."""
    return board_table(made.definition, [one for part in made.found.values() for one in part])


def measured(made: MadeUp) -> tuple[float, int]:
    """Return the seconds of all published pages, and the bytes of the larger report."""
    table, total = timed("board computed from records", lambda: computed(made))
    makers = reports(made, table)
    report, seconds = timed("report", makers["report"])
    total += seconds
    forms = (("markdown", markdown), ("JSON", json_text), ("CSV", flat), ("LaTeX", latex))
    for what, write in forms:
        total += timed(what, lambda write=write: write(table))[1]
    total += timed("index", lambda: index_page([table]))[1]
    local, _ = timed("local report, with texts", makers["local report, with texts"])
    print(f"  of the report, without its plots: {len(without_plots(report).encode()):,} bytes")
    return total, max(len(report.encode()), len(local.encode()))


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; those of the command line where no arguments are given."""
    parser = argparse.ArgumentParser()
    for option, default in (("methods", 12), ("datasets", 6), ("seeds", 3), ("users", 8_000)):
        parser.add_argument(f"--{option}", type=int, default=default)
    return parser.parse_args(arguments)


def main() -> int:
    """Print seconds and bytes, and whether the targets are met."""
    options = parsed()
    print(
        f"{options.methods} methods x {options.datasets} data sets x {options.seeds} seeds, "
        f"{options.users:,} users each, {N_ITEMS:,} items"
    )
    with tempfile.TemporaryDirectory() as folder:
        seconds, size = measured(made_up(Path(folder), options))
    print(f"published pages {seconds:.1f} s, wanted at most {WANTED_S:g} s")
    print(f"largest report {size:,} bytes, wanted at most {WANTED_BYTES:,}")
    return 0 if seconds <= WANTED_S and size <= WANTED_BYTES else 1


if __name__ == "__main__":
    sys.exit(main())
