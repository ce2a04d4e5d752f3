"""Boards for the tests of the checker: records and pages as they are published, by our writers."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

import numpy as np

from harness.board.computing import board_table
from harness.board.definition import default_definition, read_definition
from harness.board.flat import flat
from harness.board.json_form import json_text
from harness.board.latex import latex
from harness.board.markdown import markdown
from harness.external.recording import NOTES
from harness.leaderboard import read_records
from harness.portable import portable
from harness.records import write_record
from tests.boards import made_record

WRITERS = {"md": markdown, "json": json_text, "csv": flat, "tex": latex}


def publish(root: Path, made: Iterable, name: str = "tiny", board_file: str | None = None) -> None:
    """Write records as they are published, and the pages of one board."""
    for record, arrays in made:
        place = root / "records" / record.dataset["name"]
        folder = place / f"{quote(record.label, safe='')}-seed{record.seed}"
        write_record(folder, portable(folder, record)[0], arrays)
    if board_file is not None:
        (root / f"{name}.toml").write_text(board_file, encoding="utf-8")
    write_pages(root, name)


def write_pages(root: Path, name: str) -> None:
    """Write the pages of one board from the records that are there."""
    path = root / f"{name}.toml"
    definition = read_definition(path) if path.is_file() else default_definition(name)
    table = board_table(definition, read_records(root / "records", "refused"))
    for ending, write in WRITERS.items():
        (root / f"{name}.{ending}").write_text(write(table), encoding="utf-8")


WHOLE_FILE = """
title = "Both_of 100 %"
datasets = ["tiny", "other"]
methods = ["popularity", "lir", "weak", "sasrec", "external (x=a|b*)", "close"]
metrics = ["NDCG@10", "Recall@20", "MRR", "MRR@5"]
sources = ["calrec"]

[[row]]
method = "toy"
seeds = [0, 1, 7]

[family]
correction = "benjamini-hochberg"
level = 0.1

[improvement]
of = "close"
"""


def whole_board() -> list:
    """Return records with one of everything that a board can show."""
    return [record for name in ("tiny", "other") for record in _dataset(name)]


def _dataset(name: str) -> list:
    generator = np.random.default_rng(len(name))
    n = 60
    cost = {"peak_memory_bytes": 3 << 20, "device": "cpu", "fit_s": 12.34, "parameters": 12345}
    gpu = {"peak_gpu_bytes": 7 << 20, "device": "cuda", "fit_s": 99.96}

    def ranks(most: int) -> list[int]:
        return generator.integers(1, most, n).tolist()

    weak = generator.integers(30, 60, n)
    made = [
        made_record("popularity", 0, ranks(30), cost=cost),
        made_record("lir", 0, ranks(14), cost=cost),
        _dirty(made_record("weak", 0, (weak % 8 + 1).tolist(), (weak + 40).tolist(), cost=cost)),
        made_record("close", 0, low := ranks(6), cost=gpu, report={"note": "half trained."}),
        _outside(ranks(12)),
        _dirty(made_record("not on the board", 0, ranks(20))),
    ]
    for seed in (0, 1, 2):
        moved = [min(100, rank + int(generator.integers(0, 3))) for rank in low]
        made.append(made_record("toy", seed, moved, settings={"alpha": 0.5}, cost=gpu))
    return [_in(name, *one) for one in made]


def _dirty(made: tuple) -> tuple:
    record, arrays = made
    return dataclasses.replace(record, code={**record.code, "dirty": True}), arrays


def _outside(ranks: list[int]) -> tuple:
    record, arrays = made_record("external (x=a|b*)", 0, ranks)
    method = {**record.method, "name": "external", "inputs": []}
    code = {"source": "external", "commit": None, "dirty": None}
    report = {"note": NOTES["scores"]}
    return dataclasses.replace(record, method=method, code=code, report=report), arrays


def _in(name: str, record, arrays) -> tuple:
    dataset = {**record.dataset, "name": name, "title": name.title()}
    return dataclasses.replace(record, dataset=dataset), arrays
