"""Facts and made-up records become cells: every table, by hand."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from scipy import stats

from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import DataError, HarnessError
from harness.paper import cells_of_dataset, compare
from harness.paper.layouts import AVERAGE, PAPER_DATASETS, PAPER_METHODS
from harness.paper.names import DATASETS, EXPRESSIONS, Expression
from harness.progress import Progress
from harness.records import read_ranks
from tests.layouts import expected_half_width
from tests.paper_records import CALREC, find, put_row
from tests.toys import write_card

DEDUP = {"dedup": "consecutive"}
SIX = [name for name in DATASETS if name.startswith("amazon-")]
WITH = Expression(4, "with contrastive", "calrec:whole")


def _one(cells, **wanted):
    (cell,) = find(cells, **wanted)
    return cell


def _measured(cells):
    return [cell for cell in cells if cell.measured]


# ---- nothing, or nothing of the paper's ----------------------------------------------------------


def test_without_records_every_printed_value_is_there_once_and_empty(tmp_path):
    cells = compare(tmp_path)
    assert len(cells) == len({cell.fact.key for cell in cells}) == 976
    assert {(cell.measured, cell.state, cell.difference) for cell in cells} == {(None, None, None)}


def test_rows_that_the_paper_does_not_have_measure_table_1_alone(tmp_path):
    put_row(tmp_path, "scientific", "popularity", [1, 2, 3])
    put_row(tmp_path, "ml-100k", "lir", [1, 2, 3])
    assert {cell.fact.table for cell in _measured(compare(tmp_path))} == {1}


# ---- table 1 -------------------------------------------------------------------------------------


def test_sizes_come_from_the_records(tmp_path):
    facts = {"n_users": 9461, "n_items": 5300, "n_events": 66644}
    sample = {"user_sample": {"fraction": 0.5, "seed": 0}}
    put_row(tmp_path, "amazon-scientific", "random", [1, 2], facts=facts, protocol=sample)
    cells = find(compare(tmp_path, tables=[1]), dataset="amazon-scientific")
    found = {cell.fact.metric: (cell.measured.value, cell.state) for cell in _measured(cells)}
    assert found == {
        "users": (9461, "agrees"),
        "users sampled": (50, "differs"),
        "items": (5300, "near"),
        "purchases": (66644, "agrees"),
        "items per user": (66644 / 9461, "agrees"),
        "purchases per item": (66644 / 5300, "near"),
        "density": (66644 / 9461 / 5300, "agrees"),
    }
    assert all(cell.measured.estimate.interval is None for cell in _measured(cells))
    assert "prepared data" in _one(cells, metric="word vocabulary").remark


def test_words_come_from_prepared_data_where_they_are_those_of_the_records(tmp_path):
    card = load_card(str(write_card(tmp_path / "data", [["a", "b", "a"], ["b", "a", "b"]])))
    data = prepare(card, tmp_path / "cache", Progress(shown=False))
    at_hand = {"scientific": data, "games": data}
    put_row(tmp_path, "scientific", "lir", [1, 2], facts={"content_hash": data.content_hash})
    put_row(tmp_path, "games", "lir", [1, 2], facts={"content_hash": "0" * 64})
    cells = compare(tmp_path, tables=[1], prepared=at_hand)
    mine = find(cells, dataset="scientific")
    # "title: thing a." and "title: thing b."
    assert _one(mine, metric="words per item").measured.value == 3.0
    assert _one(mine, metric="word vocabulary").measured.value == 4.0
    assert _one(mine, metric="average word frequency").measured.value == 1.5
    assert _one(mine, metric="duplicates").measured is None
    assert _one(mine, metric="duplicates").remark == "duplicates were not looked for"
    other = _one(find(cells, dataset="games"), metric="words per item")
    assert (other.measured, "not those of the records" in other.remark) == (None, True)


def test_duplicates_come_from_data_that_were_deduplicated(tmp_path):
    card = load_card(str(write_card(tmp_path / "data", [["a", "b", "a"], ["b", "a", "b"]])))
    data = prepare(card, tmp_path / "cache", Progress(shown=False))
    rule = dataclasses.replace(card.protocol, dedup="consecutive")
    counts = {"events_read": 200, "duplicates_dropped": 11}
    data = dataclasses.replace(data, card=dataclasses.replace(card, protocol=rule), counts=counts)
    put_row(tmp_path, "scientific", "lir", [1], facts={"content_hash": data.content_hash})
    cell = _one(compare(tmp_path, prepared={"scientific": data}), dataset="scientific",
                metric="duplicates")  # fmt: skip
    assert (cell.measured.value, cell.state) == (5.5, "agrees")


# ---- table 2 -------------------------------------------------------------------------------------


def test_a_value_is_the_mean_over_users_and_seeds_with_its_interval(tmp_path):
    low = [[1, 9, 30, 2], [4, 9, 1, 2]]
    high = [[1, 9, 40, 5], [4, 12, 3, 2]]
    put_row(tmp_path, "scientific", "sasrec", low, high)
    cells = find(compare(tmp_path), table=2, dataset="scientific", variant="SASRec")
    for bound, ranks in (("optimistic", low), ("pessimistic", high)):
        values = 1 / np.array(ranks, dtype=float)
        cell = _one(cells, metric="MRR", bound=bound)
        grand, half = values.mean(), expected_half_width(values)
        expected = grand - half, grand + half
        assert cell.measured.value == pytest.approx(grand)
        assert cell.measured.estimate.interval == pytest.approx(expected)
        assert cell.measured.basis == "4 users, each the mean over seeds 0, 1"
        assert cell.difference == pytest.approx(grand - 0.0456)
        assert cell.difference_percent == pytest.approx(100 * (grand / 0.0456 - 1))


def test_values_that_do_not_vary_have_a_reason_in_place_of_an_interval(tmp_path):
    put_row(tmp_path, "scientific", "lir", [[1, 1, 1], [1, 1, 1]])
    cells = find(compare(tmp_path), table=2, variant="LIR", metric="MRR", bound="optimistic")
    (cell,) = _measured(cells)
    estimate = cell.measured.estimate
    assert (estimate.interval, estimate.reason) == (None, "all values are equal")
    assert cell.state == "differs"


def test_each_row_with_other_settings_is_a_cell_of_its_own(tmp_path):
    put_row(tmp_path, "scientific", "sasrec", [1, 2, 3])
    put_row(tmp_path, "scientific", "sasrec (layers=3)", [1, 2, 4])
    cells = find(compare(tmp_path), table=2, dataset="scientific", variant="SASRec", metric="MRR",
                 bound="optimistic")  # fmt: skip
    assert [cell.measured.row for cell in cells] == ["sasrec", "sasrec (layers=3)"]


def test_two_data_sets_of_one_name_both_stand_where_both_have_something(tmp_path):
    put_row(tmp_path, "scientific", "lir", [1, 2, 3])
    put_row(tmp_path, "amazon-scientific", "sasrec", [1, 2, 3])
    cells = find(compare(tmp_path, tables=[2, 7]), variant="LIR", metric="MRR")
    names = {cell.dataset for cell in cells if cell.fact.dataset == "Scientific"}
    assert names == {"scientific", "amazon-scientific"}
    only = compare(tmp_path, tables=[2], datasets=["scientific"])
    assert {cell.dataset for cell in only} == {"scientific", AVERAGE}


LABELS = ["bert4rec", "sasrec", "fdsa", "s3rec", "unisrec:id-text", "unisrec:text", "recformer",
          "lir", "calrec"]  # fmt: skip


def test_an_improvement_needs_all_nine_methods(tmp_path):
    for place, label in enumerate(LABELS[1:], start=3):
        put_row(tmp_path, "games", label, [place, place + 1], settings=CALREC)
    wanted = {"table": 2, "dataset": "games", "variant": "CALRec over the best other"}
    cell = _one(compare(tmp_path), metric="MRR", **wanted)
    assert (cell.measured, "all nine methods" in cell.remark) == (None, True)
    put_row(tmp_path, "games", LABELS[0], [2, 3])
    cell = _one(compare(tmp_path), metric="MRR", **wanted)
    own, best = (1 / 10 + 1 / 11) / 2, (1 / 2 + 1 / 3) / 2
    assert cell.measured.value == pytest.approx(100 * (own / best - 1))
    assert cell.measured.row == "bert4rec / calrec"


def test_an_average_needs_all_six_data_sets_and_takes_the_closest_to_the_papers(tmp_path):
    for place, name in enumerate(SIX[1:], start=2):
        put_row(tmp_path, name, "lir", [place, place])
    put_row(tmp_path, "games", "lir", [50, 50])  # amazon-games is closer
    wanted = {"table": 2, "dataset": AVERAGE, "variant": "LIR", "metric": "MRR"}
    cell = _one(compare(tmp_path), bound="optimistic", **wanted)
    assert (cell.measured, cell.remark) == (None, "an average needs all six data sets")
    put_row(tmp_path, "scientific", "lir", [1, 2])
    cell = _one(compare(tmp_path), bound="optimistic", **wanted)
    expected = (0.75 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5 + 1 / 6) / 6
    assert cell.measured.value == pytest.approx(expected)
    assert "scientific: 8,442 of" in cell.measured.difference
    assert "own protocol" not in cell.measured.difference
    assert cell.measured.estimate.reason == "a data set of it has no interval"


def test_rows_with_different_settings_make_no_average(tmp_path):
    for name in SIX:
        label = "lir (x=1)" if name == "amazon-arts" else "lir"
        put_row(tmp_path, name, label, [1, 2, 3])
    assert _measured(find(compare(tmp_path), table=2, dataset=AVERAGE)) == []


# ---- tables 3, 5, 6 ------------------------------------------------------------------------------


def test_calrec_stands_beside_the_ablations_and_says_what_else_it_lacks(tmp_path):
    put_row(tmp_path, "games", "calrec", [1, 2, 3], settings=CALREC)
    cells = _measured(find(compare(tmp_path), table=3, metric="MRR", bound="pessimistic"))
    told = {cell.fact.variant: cell.measured.difference for cell in cells}
    assert set(told) == {"no_stage1", "no_contrastive"}
    assert "; no contrastive losses either; the embedded tiny backbone" in told["no_stage1"]
    assert "; no stage I either; " in told["no_contrastive"]
    full = find(compare(tmp_path), table=3, variant="full", dataset="games")
    assert {(cell.measured, cell.remark) for cell in full} == {(None, "")}


def test_an_untuned_language_model_stands_for_the_size_that_the_paper_tunes(tmp_path):
    settings = {"backbone": "SmolLM2-135M", "epochs": 0}
    put_row(tmp_path, "scientific", "calrec:pretrained-only", [1, 2, 3], settings=settings)
    cells = compare(tmp_path, tables=[3, 5, 6])
    found = {(cell.fact.table, cell.fact.variant) for cell in _measured(cells)}
    assert found == {(3, "pretrained_only"), (5, "XXS")}
    assert {cell.remark for cell in find(cells, table=6)} == {""}


def test_a_new_variant_takes_one_line(tmp_path):
    put_row(tmp_path, "scientific", "calrec:template", [1, 2, 3])
    line = Expression(6, "GPT4Rec", "calrec:template", "titles only")
    cells = find(compare(tmp_path, expressions=(*EXPRESSIONS, line)), table=6, dataset="scientific")
    assert len(_measured(cells)) == len(cells) == 8
    assert "titles only" in cells[0].measured.difference


# ---- table 4 -------------------------------------------------------------------------------------


def _table_4(folder):
    return find(compare(folder, expressions=(*EXPRESSIONS, WITH)), table=4, metric="MRR",
                bound="optimistic")  # fmt: skip


def test_a_p_value_needs_two_data_sets_that_have_both_rows(tmp_path):
    put_row(tmp_path, "games", "calrec", [2, 3], settings=CALREC)
    put_row(tmp_path, "scientific", "calrec:whole", [1, 3])
    assert _one(_table_4(tmp_path), variant="p-value").remark == "no data set has both rows"
    put_row(tmp_path, "games", "calrec:whole", [1, 3])
    cell = _one(_table_4(tmp_path), variant="p-value")
    assert (cell.measured, cell.remark) == (
        None, "a t-test over data sets needs two of them, found 1",
    )  # fmt: skip
    put_row(tmp_path, "scientific", "calrec", [3, 3], settings=CALREC)
    cell = _one(_table_4(tmp_path), variant="p-value")
    differences = [(1 + 1 / 3) / 2 - (1 / 2 + 1 / 3) / 2, (1 + 1 / 3) / 2 - 1 / 3]
    assert cell.measured.value == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    one_sided = stats.ttest_1samp(differences, 0, alternative="greater").pvalue
    assert cell.measured.estimate.reason == (
        f"two-sided; one-sided {one_sided:.4f}; the units are 2 data sets"
    )
    # the averages are over all six, so they stay empty
    assert len(_measured(_table_4(tmp_path))) == 1


def test_with_all_six_the_averages_and_their_gain_are_there(tmp_path):
    for place, name in enumerate(SIX, start=2):
        put_row(tmp_path, name, "calrec", [place, 8], settings=CALREC)
        put_row(tmp_path, name, "calrec:whole", [place - 1, 8])
    cells = {cell.fact.variant: cell.measured for cell in _table_4(tmp_path)}
    without = np.mean([(1 / place + 1 / 8) / 2 for place in range(2, 8)])
    with_ = np.mean([(1 / place + 1 / 8) / 2 for place in range(1, 7)])
    assert cells["without contrastive"].value == pytest.approx(without)
    assert cells["with contrastive"].value == pytest.approx(with_)
    assert cells["gain by contrastive"].value == pytest.approx(100 * (with_ / without - 1))
    assert cells["with contrastive"].estimate.interval is not None
    assert "the units are 6 data sets" in cells["p-value"].estimate.reason


def test_rows_with_different_settings_are_no_pair(tmp_path):
    for name in ("games", "scientific"):
        put_row(tmp_path, name, "calrec (x=1)", [2, 3], settings=CALREC)
        put_row(tmp_path, name, "calrec:whole", [1, 3])
    assert _one(_table_4(tmp_path), variant="p-value").remark == "no data set has both rows"


def test_sides_of_table_4_differ_in_their_losses_alone(tmp_path):
    """A row with stage I is no counterpart of one without."""
    tuned = CALREC | {"alpha": 0.125, "beta": -0.025, "stage1": None}
    plain = tuned | {"alpha": 0.0, "beta": 0.0}
    for place, name in enumerate(("games", "scientific"), 1):
        put_row(tmp_path, name, "calrec", [1, 2 + place], settings=tuned)
        staged = plain | {"stage1": "mixture"}
        put_row(tmp_path, name, "calrec:no-contrastive", [2, 2 * place + 3], settings=staged)
    cells = find(compare(tmp_path), table=4, metric="MRR", bound="optimistic")
    assert _one(cells, variant="p-value").remark == "no data set has both rows"
    for place, name in enumerate(("games", "scientific"), 1):
        label = "calrec:no-contrastive (stage1=None)"
        put_row(tmp_path, name, label, [2, 2 * place + 3], settings=plain)
    cells = find(compare(tmp_path), table=4, metric="MRR", bound="optimistic")
    cell = _one(cells, variant="p-value")
    assert cell.measured.row == "calrec / calrec:no-contrastive (stage1=None)"


# ---- table 7 -------------------------------------------------------------------------------------


def _table_7(folder, dataset="amazon-arts"):
    return {
        cell.fact.variant: cell
        for cell in find(compare(folder), table=7, metric="MRR", dataset=dataset)
    }


def test_both_sides_of_dedup_and_the_change_between_them(tmp_path):
    put_row(tmp_path, "amazon-arts", "lir", [2, 4], protocol=DEDUP)
    cells = _table_7(tmp_path)
    assert cells["with dedup"].measured.value == pytest.approx(0.375)
    assert cells["without dedup"].measured is None
    assert cells["change by dedup"].measured is None
    assert cells["change by dedup"].remark == "a change needs both sides, with the same settings"
    put_row(tmp_path, "amazon-arts-dedup-none", "lir", [1, 2])
    cells = _table_7(tmp_path)
    assert cells["without dedup"].measured.value == pytest.approx(0.75)
    assert cells["change by dedup"].measured.value == pytest.approx(-50.0)
    # the variant is no data set of the other tables
    assert {cell.dataset for cell in compare(tmp_path)} <= {*DATASETS, AVERAGE}


def test_only_the_side_without_dedup_is_filled_where_only_it_was_run(tmp_path):
    put_row(tmp_path, "amazon-arts-dedup-none", "lir", [1, 2])
    cells = _table_7(tmp_path)
    assert [name for name, cell in cells.items() if cell.measured] == ["without dedup"]


def test_data_whose_duplicates_cannot_be_told_are_on_neither_side(tmp_path):
    put_row(tmp_path, "scientific", "lir", [1, 2])
    assert _measured(find(compare(tmp_path), table=7)) == []
    assert len(_measured(find(compare(tmp_path), table=2))) == 8


# ---- table 8 -------------------------------------------------------------------------------------


def test_a_change_by_hierarchy_is_of_the_mean_of_both_bounds(tmp_path):
    put_row(tmp_path, "games", "calrec", [2, 4], [4, 4], settings=CALREC)
    levels = CALREC | {"matching": "hierarchical"}
    put_row(tmp_path, "games", "calrec:levels", [1, 4], [2, 4], settings=levels)
    other = levels | {"epochs": 9}
    put_row(tmp_path, "games", "calrec:levels (x=1)", [1, 1], [1, 1], settings=other)
    cells = find(compare(tmp_path), table=8, dataset="games")
    cell = _one(cells, metric="MRR", variant="change by hierarchy")
    before, after = 0.375 + 0.25, 0.625 + 0.375
    assert cell.measured.value == pytest.approx(100 * (after / before - 1))
    assert cell.measured.row == "calrec / calrec:levels"
    shares = find(cells, metric="all four match")
    assert [(one.measured, "do not tell" in one.remark) for one in shares] == [(None, True)]


def test_shares_of_matching_texts_come_from_the_records(tmp_path):
    levels = CALREC | {"matching": "hierarchical"}
    (path,) = put_row(tmp_path, "games", "calrec:hierarchical", [1, 4], settings=levels)
    record = json.loads((path / "record.json").read_text())
    record["report"] |= {
        "format_error_share": 0.25, "all_attributes_match_share": 0.5, "title_match_share": 0.75,
    }  # fmt: skip
    (path / "record.json").write_text(json.dumps(record))
    cells = find(compare(tmp_path), table=8, dataset="games")
    found = {cell.fact.metric: cell.measured.value for cell in cells
             if cell.fact.unit and cell.fact.variant == "hierarchical"}  # fmt: skip
    assert found == {"format errors": 25, "all four match": 50, "title matches": 75}


# ---- access by data set, and damage --------------------------------------------------------------


def test_the_cells_of_one_data_set(tmp_path):
    put_row(tmp_path, "amazon-pet", "lir", [1, 2, 3], protocol=DEDUP)
    put_row(tmp_path, "amazon-arts", "lir", [1, 2, 3], protocol=DEDUP)
    cells = cells_of_dataset(tmp_path, "amazon-pet")
    assert {cell.dataset for cell in cells} == {"amazon-pet"}
    assert {cell.fact.table for cell in cells} == {1, 2, 7, 8}
    assert find(compare(tmp_path), dataset="amazon-pet") == list(cells)
    assert cells_of_dataset(tmp_path, "ml-100k") == ()


def test_a_damaged_record_is_refused_or_left_out(tmp_path):
    (folder,) = put_row(tmp_path, "games", "lir", [1, 2, 3])
    (folder / "record.json").write_text("{")
    with pytest.raises(DataError, match="not a whole record"):
        compare(tmp_path)
    assert _measured(compare(tmp_path, damaged="left out")) == []


@pytest.mark.parametrize("damaged", ["refused", "left out"])
def test_changed_ranks_are_refused(tmp_path, damaged):
    (folder,) = put_row(tmp_path, "games", "lir", [1, 2, 3])
    (path,) = folder.glob("*.npz")
    arrays = dict(read_ranks(path))
    arrays["pessimistic"][0] = 2
    np.savez_compressed(path, **arrays)
    with pytest.raises(DataError, match="changed after the run"):
        compare(tmp_path, damaged=damaged)


def test_records_of_different_splits_are_refused(tmp_path):
    put_row(tmp_path, "games", "lir", [1, 2, 3])
    put_row(tmp_path, "games", "sasrec", [1, 2, 3], facts={"split_hash": "6" * 64})
    with pytest.raises(HarnessError, match="differ in split_hash"):
        compare(tmp_path)


def test_each_method_and_data_set_of_the_paper_can_be_measured(tmp_path):
    for name in SIX:
        for label in LABELS:
            put_row(tmp_path, name, label, [1, 2, 3, 20], settings=CALREC, protocol=DEDUP)
    cells = find(compare(tmp_path), table=2)
    assert len(cells) == len(_measured(cells)) == 532
    assert len(LABELS) == len(PAPER_METHODS)
    assert len(SIX) == len(PAPER_DATASETS)
