"""BERT4Rec: masks, RecBole's counting of them, its loss, what is scored."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MethodError, UsageError
from harness.histories import Histories
from harness.settings import Layer, resolve
from methods.bert4rec import METHOD
from methods.bert4rec.masking import as_recbole_counts, masked_at_random, masked_last
from tests.unit.methods.network_toys import N_ITEMS, catalogue, fitted, method_of, random_histories

pytest.importorskip("recbole")

MASK = 99


@given(seed=st.integers(0, 2**32 - 1), ratio=st.sampled_from([0.0, 0.2, 1.0]))
def test_masks_stand_for_what_is_asked_and_padding_is_never_masked(seed, ratio):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 9, size=7)
    items = np.where(np.arange(9) < lengths[:, None], generator.integers(1, 50, (7, 9)), 0)
    read, asked = masked_at_random(items, lengths, ratio, MASK, generator)
    assert ((read == MASK) == (asked > 0)).all()
    assert (np.where(asked > 0, asked, read) == items).all()
    if ratio == 1.0:
        assert (asked == items).all()


def test_each_item_is_masked_as_often_as_the_ratio_says():
    lengths = np.full(400, 50)
    items = np.ones((400, 50), dtype=np.int64)
    asked = masked_at_random(items, lengths, 0.2, MASK, np.random.default_rng(0))[1]
    share = (asked > 0).mean()
    assert abs(share - 0.2) < 4 * np.sqrt(0.2 * 0.8 / items.size)


def test_the_last_item_is_masked():
    items = np.array([[5, 6, 7], [8, 0, 0]])
    read, asked = masked_last(items, np.array([3, 1]), MASK)
    assert read.tolist() == [[5, 6, MASK], [MASK, 0, 0]]
    assert asked.tolist() == [[0, 0, 7], [8, 0, 0]]


def test_recbole_counts_the_last_masks_and_none_at_the_first_place():
    targets = np.array([[4, 0, 5, 6, 7], [4, 0, 0, 0, 0], [0, 3, 0, 0, 2]])
    assert as_recbole_counts(targets, 2).tolist() == [
        [0, 0, 0, 6, 7], [0, 0, 0, 0, 0], [0, 3, 0, 0, 2],
    ]  # fmt: skip


def test_the_target_is_part_of_the_sequence_unless_recboles_way_is_wanted(tmp_path):
    histories = Histories.from_lists([[0, 1, 2]])
    for masking, expected in (("with-target", {(1, 2), (1, 2, 3)}), ("recbole", {(1,), (1, 2)})):
        method = method_of("bert4rec", masking=masking)
        sequences = method._sequences(histories, np.random.default_rng(0))
        rows = sequences.padded(np.arange(len(sequences)))
        assert {tuple(row[row > 0].tolist()) for row in rows} == expected


def test_all_positions_masks_each_history_once_an_epoch(tmp_path):
    data = catalogue(random_histories(longest=12))
    method = fitted("bert4rec", tmp_path, data, objective="all-positions", max_history=50)
    sequences = method._sequences(data.histories, np.random.default_rng(0))
    assert sequences.lengths.tolist() == data.histories.lengths.tolist()


def test_batches_in_which_nothing_is_asked_are_left_out(tmp_path):
    """One-event sequences ask for nothing in RecBole's way: its loss would be 0 / 0."""
    histories = Histories.from_lists([[0, 1]] * 5 + [[0, 1, 2, 3]])
    method = fitted("bert4rec", tmp_path, catalogue(histories), masking="recbole", batch_size=1)
    seen = 0
    for epoch in range(1, 6):
        for batch, n in method.batches(histories, 0, epoch):
            assert (batch["item_id"][:, 0] == 0).all() and (batch["item_id"] > 0).any()
            assert np.isfinite(method._model.calculate_loss(batch).item())
            seen += n
    assert seen


def test_recboles_way_loses_the_oldest_item_and_ours_does_not(tmp_path):
    pairs = Histories.from_lists([[3, 7], [5, 7]])
    data = catalogue(random_histories())
    for masking, equal in (("recbole", True), ("with-target", False)):
        method = fitted("bert4rec", tmp_path, data, masking=masking, max_history=20)
        scores = method.score(pairs, np.arange(N_ITEMS))
        assert bool((scores[0] == scores[1]).all()) is equal
    lone = Histories.from_lists([[3], [5]])
    scores = fitted("bert4rec", tmp_path, data, masking="recbole").score(lone, np.arange(N_ITEMS))
    assert (scores[0] == scores[1]).all() and (scores != 0).any()  # the mask alone


def test_the_loss_is_that_of_recboles_class_in_recboles_way(tmp_path):
    import torch
    from recbole.model.sequential_recommender.bert4rec import BERT4Rec

    data = catalogue(random_histories(5))
    method = fitted(
        "bert4rec", tmp_path, data, masking="recbole", max_history=15, hidden_dropout=0.0,
        attention_dropout=0.0, last_item_share=0.3,
    )  # fmt: skip
    most = int(0.2 * 15)
    checked = 0
    for batch, _ in method.batches(data.histories, 0, 1):
        read, targets = batch["item_id_list"], batch["item_id"]
        rows = torch.zeros(len(read), 15, dtype=torch.long)
        rows[:, : read.shape[1]] = read
        places, items = torch.zeros(2, len(read), most, dtype=torch.long)
        for row in range(len(read)):  # filled up at the left, as RecBole's transform does
            for slot, place in enumerate(reversed(torch.nonzero(targets[row]).flatten().tolist())):
                places[row, most - 1 - slot] = place
                items[row, most - 1 - slot] = targets[row, place]
        theirs = method._model
        theirs.MASK_ITEM_SEQ, theirs.POS_ITEMS, theirs.NEG_ITEMS = "mask", "pos", "neg"
        theirs.MASK_INDEX = "index"
        loss = BERT4Rec.calculate_loss(
            theirs, {"mask": rows, "pos": items, "neg": items, "index": places}
        )
        assert abs(loss.item() - theirs.calculate_loss(batch).item()) < 1e-5
        checked += 1
    assert checked > 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_history": "1"}, "at least 2"),
        ({"masking": "recbole", "objective": "all-positions"}, "every-prefix only"),
        ({"masking": "recbole", "mask_ratio": "0.01"}, "comes to none"),
        ({"mask_ratio": "0", "last_item_share": "0"}, "nothing would be masked"),
    ],
)
def test_settings_that_do_not_fit_together(values, message):
    with pytest.raises(UsageError, match=message):
        resolve(METHOD.Settings, "bert4rec", [Layer("test", values)])


def test_training_in_which_nothing_was_ever_asked_is_an_error(tmp_path):
    one_event_each = Histories.from_lists([[0, 1]] * 5)  # RecBole's way: sequences of one event
    with pytest.raises(MethodError, match="no epoch of 2 held a target"):
        fitted("bert4rec", tmp_path, catalogue(one_event_each), masking="recbole")


def test_the_defaults_are_recboles():
    from pathlib import Path

    import recbole
    import yaml

    found = yaml.safe_load(
        (Path(recbole.__file__).parent / "properties" / "model" / "BERT4Rec.yaml").read_text()
    )
    ours = METHOD.Settings()
    assert ours.hidden_dropout == found["hidden_dropout_prob"]
    assert ours.attention_dropout == found["attn_dropout_prob"]
    assert (ours.mask_ratio, ours.last_item_share) == (found["mask_ratio"], found["ft_ratio"])
