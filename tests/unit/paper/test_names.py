"""Which row of ours stands for which of the paper's."""

from __future__ import annotations

import dataclasses

import pytest

from harness.paper.facts import load_facts
from harness.paper.layouts import PAPER_DATASETS, PAPER_METHODS
from harness.paper.names import (
    DATASETS,
    EXPRESSIONS,
    TABLE_NOTES,
    expressed,
    ours,
    protocol_difference,
)
from harness.registry import load_method
from tests.boards import made_record
from tests.paper_records import CALREC


def _record(label, protocol=None, **settings):
    record, _ = made_record(label, settings=settings)
    return dataclasses.replace(record, protocol={**record.protocol, **(protocol or {})})


def _stands_for(record):
    return [(one.table, one.variant) for one in EXPRESSIONS if one.fits(record)]


@pytest.mark.parametrize(
    ("label", "method"),
    [
        ("sasrec", "SASRec"),
        ("sasrec (batch_size=512)", "SASRec"),
        ("s3rec", "S3-Rec"),
        ("unisrec:id-text", "UniSRec-ID+Text"),
        ("unisrec:text (lr=0.001)", "UniSRec-Text"),
        ("lir", "LIR"),
    ],
)
def test_a_row_counts_as_the_papers_method_whatever_its_settings(label, method):
    assert (2, method) in _stands_for(_record(label))


@pytest.mark.parametrize("label", ["unisrec", "popularity", "sasrecs", "random", "sasrec:text"])
def test_other_rows_stand_for_nothing(label):
    assert not expressed(_record(label))


def test_a_repeater_that_leaves_out_the_last_item_is_not_the_papers():
    protocol = {"dedup": "consecutive"}
    assert _stands_for(_record("lir", protocol)) == [(2, "LIR"), (7, "with dedup")]
    assert _stands_for(_record("lir")) == [(2, "LIR"), (7, "without dedup")]
    assert _stands_for(_record("lir", {"dedup": "global"})) == [(2, "LIR")]
    assert _stands_for(_record("lir (exclude_last=True)", protocol, exclude_last=True)) == []


def test_calrec_by_its_generation_loss_stands_where_the_paper_leaves_something_out():
    found = _stands_for(_record("calrec", **CALREC))
    assert found == [
        (2, "CALRec"), (3, "no_stage1"), (3, "no_contrastive"), (4, "without contrastive"),
    ]  # fmt: skip


LOSSES = {"alpha": 0.125, "beta": -0.025}
STAGED = {"stage1": "calrec-stage-one"}


@pytest.mark.parametrize(
    ("change", "variants"),
    [
        ({"epochs": 0}, []),
        (LOSSES, [(2, "CALRec"), (3, "no_stage1"), (4, "with contrastive")]),
        (LOSSES | STAGED, [(2, "CALRec"), (3, "full"), (4, "with contrastive")]),
        (STAGED, [(3, "no_contrastive"), (4, "without contrastive")]),
        (LOSSES | STAGED | {"epochs": 0}, [(3, "no_stage2")]),
        (LOSSES | STAGED | {"matching": "hierarchical"}, [(8, "hierarchical")]),
        (LOSSES | STAGED | {"decoding": "trie"}, []),
        (LOSSES | {"rerank": "sasrec"}, []),
        (LOSSES | {"template": "gpt4rec"}, []),
    ],
)
def test_what_calrec_stands_for_follows_from_its_settings(change, variants):
    for label in ("calrec (x=1)", "calrec:stage2-only"):
        assert _stands_for(_record(label, **CALREC | change)) == variants


@pytest.mark.parametrize(
    ("settings", "stands"),
    [
        ({"backbone": "SmolLM2-135M", "epochs": 0}, True),
        ({"backbone": "SmolLM2-135M", "epochs": 0, "random_weights": True}, False),
        ({"backbone": "SmolLM2-135M", "epochs": 0, "stage1": "mixture"}, False),
        ({"backbone": "SmolLM2-135M", "epochs": 0, "decoding": "trie"}, False),
        ({"backbone": "tiny", "epochs": 0, "tiny_pretraining_epochs": 6}, False),
    ],
)
def test_only_a_pretrained_and_untuned_backbone_stands_for_the_untuned_ones(settings, stands):
    found = _stands_for(_record("calrec:pretrained-only", **settings))
    assert found == ([(3, "pretrained_only"), (5, "XXS")] if stands else [])
    asked = _stands_for(_record("calrec:gpt4rec-template", **settings, template="gpt4rec"))
    assert asked == ([(6, "GPT4Rec")] if stands else [])


def test_recformer_stands_for_the_papers_with_any_preset_once_it_is_fine_tuned():
    trained = {"stage1_epochs": 4, "weights": "/home/me/minilm"}
    for label in ("recformer", "recformer:sentence-encoder (weights=minilm)"):
        assert _stands_for(_record(label, **trained)) == [(2, "RecFormer")]
    assert not expressed(_record("recformer:zero-shot", stage1_epochs=0))
    assert not expressed(_record("recformers", **trained))


def test_recformers_weights_and_pretraining_are_told_without_paths():
    record = _record("recformer:sentence-encoder", stage1_epochs=4, weights="/home/me/minilm")
    told = protocol_difference("scientific", record, "")
    assert "weights minilm in place of the authors' checkpoint; preset sentence-encoder" in told
    assert "/home" not in told
    record = _record("recformer", weights="random", pretraining="/home/me/mine.toml")
    told = protocol_difference("scientific", record, "")
    assert "weights random in place of the authors' checkpoint; pre-trained on mine.toml" in told


# ---- the lists themselves ------------------------------------------------------------------------


def test_every_line_names_a_variant_that_the_paper_has():
    known = {(fact.table, fact.variant) for fact in load_facts()}
    assert {(one.table, one.variant) for one in EXPRESSIONS} <= known
    assert set(TABLE_NOTES) <= {table for table, _ in known}


def test_every_preset_that_a_line_names_exists():
    for one in EXPRESSIONS:
        name, _, preset = one.row.partition(":")
        if name in {"calrec", "lir", "sasrec"} and preset not in {"", "*"}:
            assert preset in load_method(name).method.card.presets


def test_calrec_as_it_comes_stands_for_the_papers():
    # where this fails, CALRec's default has moved on: give it a line of its own
    settings = dataclasses.asdict(load_method("calrec").method.Settings())
    assert (2, "CALRec") in _stands_for(_record("calrec", **settings))


def test_every_method_and_data_set_of_the_paper_has_a_name_of_ours():
    found = dict.fromkeys(one.variant for one in EXPRESSIONS if one.table == 2)
    assert list(found) == list(PAPER_METHODS)
    assert set(DATASETS.values()) == set(PAPER_DATASETS)
    assert ours("Games") == ["amazon-games", "games"]


# ---- what sets a value apart ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dataset", "difference"),
    [
        ("scientific", "8,442 of the paper's 9,461 users; no timestamps, so no dedup"),
        ("games", "titles only, at most 50 purchases a user, no dedup"),
        ("amazon-arts", "the paper's own protocol"),
        ("amazon-pet", "another sample of users"),
    ],
)
def test_each_data_set_says_what_sets_it_apart(dataset, difference):
    assert protocol_difference(dataset, _record("lir"), "") == difference


@pytest.mark.parametrize(
    ("settings", "backbone"),
    [
        ({"backbone": "tiny"}, "the embedded tiny backbone from random weights"),
        ({"backbone": "hub/SmolLM2-135M"}, "SmolLM2-135M"),
        ({"backbone": "/home/me/Qwen3", "random_weights": True}, "Qwen3 from random weights"),
    ],
)
def test_a_calrec_row_comes_with_a_word_on_its_backbone(settings, backbone):
    record = _record("calrec:pretrained-only", **settings)
    found = protocol_difference("amazon-arts", record, "no stage I")
    assert found.startswith(f"no stage I; {backbone} in place of PaLM 2 XXS")
    assert "/home" not in found


def test_settings_that_card_or_user_gave_are_told_and_the_defaults_are_not():
    record = _record("sasrec (layers=3)", layers=3, hidden=64, batch=512)
    origins = {"layers": "--set", "hidden": "default", "batch": "data set card"}
    record = dataclasses.replace(record, method={**record.method, "origins": origins})
    found = protocol_difference("amazon-arts", record, "")
    assert found == "settings: batch=512 (data set card), layers=3 (--set)"
