"""Boards that our writers publish pass; boards to check are found; no code is shared."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import harness.checking
from harness.checking import boards_in, check_board
from harness.checking.numbers import student
from harness.statistics.means import mean_test
from tests.boards import made_record
from tests.unit.checking.published import WHOLE_FILE, publish, whole_board


def test_a_board_with_one_of_everything_passes(tmp_path, quick_disk):
    publish(tmp_path, whole_board(), "both", WHOLE_FILE)
    assert check_board(tmp_path, "both") == []
    page = (tmp_path / "both.md").read_text()
    for part in ("†", "‡", "**0", "<u>0", "<sup>a", "uncommitted", "not stated", "Over data sets",
                 "missing", "seeds 7 are missing", "half trained", "alpha=0.5"):  # fmt: skip
        assert part in page, part
    assert page.count("| missing") > 2


families = st.fixed_dictionaries(
    {
        "correction": st.sampled_from(["holm", "bonferroni", "benjamini-hochberg"]),
        "bound": st.sampled_from(["pessimistic", "optimistic", "expected"]),
        "against": st.sampled_from(["best", "lir", "toy"]),
        "level": st.sampled_from([0.05, 0.3, 0.7]),
    }
)
rows_of_boards = st.dictionaries(
    st.sampled_from(["random", "toy", "toy (layers=3)", "sasrec:big", "a|b_c%*", "externals"]),
    st.sets(st.integers(0, 3), min_size=1, max_size=3),
)
metric_names = st.sampled_from(["NDCG@10", "NDCG@3", "Recall@1", "Recall@30", "MRR", "MRR@4"])


def _board(seed, rows, dataset, shared, most):
    """Return records of random ranks; seeds of a row differ in few users or in all of them."""
    generator = np.random.default_rng(seed)
    common = generator.integers(0, most, 9)
    for label, seeds in rows.items():
        for number in sorted(seeds):
            own = generator.integers(0, most, 9)
            low = np.where(generator.random(9) < shared, common, own)
            high = np.where(low == 0, 0, low + generator.integers(0, 2, 9))
            cost = {"fit_s": float(generator.random()), "parameters": seed if seed % 3 else None}
            yield made_record(label, number, low.tolist(), high.tolist(), cost=cost,
                              dataset=dataset)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows_of_boards, st.integers(0, 10**6), st.sampled_from([0.0, 0.5, 0.9, 1.0]),
    st.sampled_from([2, 5, 40]), st.lists(metric_names, min_size=1, max_size=3, unique=True),
    families, st.sampled_from([None, "one", "both"]),
)  # fmt: skip
def test_any_board_that_is_written_passes(
    tmp_path_factory, quick_disk, rows, seed, shared, most, metrics, family, file
):
    root = tmp_path_factory.mktemp("boards")
    rows = {"popularity": {0}, "lir": {0, 1}} | rows
    made = list(_board(seed, rows, "tiny", shared, most))
    if file is None:
        publish(root, made)
        assert check_board(root, "tiny") == []
        return
    datasets = ["tiny", "other"] if file == "both" else ["tiny"]
    some = {label: seeds for label, seeds in rows.items() if label != "random"}
    made += list(_board(seed + 1, some, "other", shared, most))
    table = "\n".join(f"{key} = {json.dumps(value)}" for key, value in family.items())
    text = f"datasets = {json.dumps(datasets)}\nmetrics = {json.dumps(metrics)}\n[family]\n{table}"
    publish(root, made, "mine", text)
    assert check_board(root, "mine") == []


def test_where_seeds_alone_may_vary_both_say_the_same():
    third = 1 / 3
    layout = np.zeros((2, 9))
    layout[:, 3] = third, -third
    found, own = mean_test(layout, scale=third), student(layout, third)
    assert (found.mean, found.p_value, own.p) == (0.0, 1.0, 1.0)
    assert own.high == pytest.approx(found.high, rel=1e-9)


def test_boards_are_those_of_files_pages_and_records_that_no_file_shows(tmp_path):
    assert boards_in(tmp_path / "absent") == []
    for name in ("tiny", "other", "third"):
        (tmp_path / "records" / name).mkdir(parents=True)
    (tmp_path / "both.toml").write_text('datasets = ["tiny", "other"]')
    (tmp_path / "broken.toml").write_text("datasets = [")
    (tmp_path / "left.json").write_text("{}")
    (tmp_path / "README.md").write_text("| method |\n")
    assert boards_in(tmp_path) == ["both", "broken", "left", "third"]


def test_large_ties_and_real_sizes_pass(tmp_path, quick_disk):
    generator = np.random.default_rng(4)
    made = []
    for label in ("popularity", "lir", "toy"):
        low = generator.integers(1, 3000, 400)
        high = np.minimum(5000, low + generator.integers(0, 2, 400) * 4000)
        made.append(made_record(label, 0, low.tolist(), high.tolist(), n_items=5000))
    publish(tmp_path, made)
    assert check_board(tmp_path, "tiny") == []


@pytest.mark.parametrize(
    "path", sorted(Path(harness.checking.__file__).parent.glob("*.py")), ids=lambda path: path.name
)
def test_the_checker_imports_nothing_of_what_it_checks(path):
    allowed = ("numpy", "scipy", "harness.checking")
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in getattr(node, "names", [])]
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        elif not isinstance(node, ast.Import):
            continue
        for name in names:
            ours = name.partition(".")[0] in ("harness", "methods", "tabulate", "statsmodels")
            assert not ours or name.startswith(allowed), f"{path.name} imports {name}"
