"""The ablation grid: one command, four tables, nothing trained twice."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SMALL = ROOT / "tests" / "end_to_end" / "ml-100k-small.toml"
QUICK = ["tiny_width=32", "tiny_heads=2", "tiny_pretraining_epochs=1", "epochs=1", "n_generated=2",
         "validation_users=0", "max_history_items=4", "tiny_window_items=4",
         "max_new_tokens=16", "term_norms=false"]  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of runs and cache."""
    return tmp_path_factory.mktemp("grid")


@pytest.fixture(scope="module")
def calls(folder: Path, shared_data: Path) -> list:
    """The command's two runs, in one folder."""
    options = ["--datasets", str(SMALL), "--stage1", "none", "--threads", "1",
               "--out", str(folder / "runs"), "--cache", str(folder / "cache")]  # fmt: skip
    for change in QUICK:
        options += ["--set", change]
    environment = os.environ | {"HARNESS_SHARED_DATA": str(shared_data)}
    return [
        subprocess.run(
            [sys.executable, "-m", "methods.calrec.ablations", *options],
            cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
        )
        for _ in range(2)
    ]  # fmt: skip


def test_texts_of_a_run_are_retrieved_again_without_the_model(calls: list, folder: Path) -> None:
    """The same settings give the record's metrics to the bit; others give others."""
    from harness.data.cards import load_card
    from harness.data.prepare import prepare
    from harness.errors import DataError, UsageError
    from harness.progress import Progress
    from harness.records import read_record
    from methods.calrec.rematch import main, rematched

    assert calls[0].returncode == 0
    runs = folder / "runs" / "ml-100k-small"
    (run,) = (runs / "calrec-stage2-only").iterdir()
    (levels,) = (runs / "calrec-hierarchical").iterdir()
    record, other = (read_record(one / "record.json") for one in (run, levels))
    data = prepare(load_card(str(SMALL)), folder / "cache", Progress(shown=False))
    assert rematched(run, record, data, []) == record.metrics
    assert rematched(run, record, data, ["matching=hierarchical"]) == other.metrics
    assert rematched(run, record, data, ["modulation=no", "pooling=mean"]) != record.metrics
    with pytest.raises(UsageError, match="does not concern retrieval"):
        rematched(run, record, data, ["temperature=1"])
    whole = prepare(load_card("ml-100k"), folder / "cache", Progress(shown=False))
    with pytest.raises(DataError, match="another version"):
        rematched(run, record, whole, [])
    options = ["--dataset", str(SMALL), "--cache", str(folder / "cache"), "--quiet"]
    assert main([str(run), "--set", "pooling=min", *options]) == 0
    assert main([str(run), "--set", "epochs=3", *options]) == 2


def lines_of(output: str, table: int) -> list[list[str]]:
    part = output.split(f"Table {table}: ")[1].split("\n\n")[1]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines()]


def test_the_tables_have_the_papers_columns(calls: list) -> None:
    first = calls[0]
    assert first.returncode == 0, first.stderr[-2000:]
    head, _, *body = lines_of(first.stdout, 3)
    assert head == ["data set", "metric", "CALRec", "A: no stage I", "B: no stage II",
                    "w/o contrastive", "pretrained only"]  # fmt: skip
    assert [line[1] for line in body] == ["NDCG@10", "Recall@1", "Recall@10", "MRR"]
    # without a mixture there is no stage I to leave out
    assert {line[2] for line in body} == {line[4] for line in body} == {"-"}
    assert all("/" in line[place] for line in body for place in (3, 5, 6))
    assert [line[:2] for line in lines_of(first.stdout, 4)[2:]] == [
        [metric, bound]
        for metric in ("NDCG@10", "Recall@1", "Recall@10", "MRR")
        for bound in ("optimistic", "pessimistic")
    ]
    assert lines_of(first.stdout, 6)[0][2:] == ["pretrained only", "GPT4Rec's template"]
    head, _, (name, *shares) = lines_of(first.stdout, 8)
    assert (head[1:4], name) == (
        ["format errors", "all attributes", "title only"], "ml-100k-small",
    )  # fmt: skip
    assert all(share.endswith("%") for share in shares[:3])


def test_the_second_call_runs_nothing_and_prints_the_same(calls: list) -> None:
    first, second = calls
    assert second.stdout == first.stdout
    assert second.stderr.count("skip: finished") == 5
    assert "fine-tuning" not in second.stderr
