"""Our networks and methods against RecBole's own pipeline: losses, steps and scores to 1e-5.

The stored values were made by RecBole's Config, data sets, loaders, transforms and trainers in a
process of its own; see recbole_pipeline/README.md for the command.
"""

from __future__ import annotations

import numpy as np
import pytest

from methods import bert4rec, fdsa, s3rec, sasrec
from methods._attributes import AttributeTokens
from methods._sequential import training_batch
from methods.bert4rec.masking import as_recbole_counts, masked_last
from tests.parity import pipeline
from tests.parity.pipeline import N_ITEMS, N_VALUES, SHAPE

pytest.importorskip("recbole")

TOLERANCE = 1e-5


def sasrec_made(stored):
    settings = sasrec.Settings(**SHAPE)
    return sasrec.METHOD(settings), sasrec.build_model(settings, N_ITEMS, "cpu", 0), stored.state()


def bert4rec_made(stored):
    from methods.bert4rec.method import build_model

    settings = bert4rec.METHOD.Settings(**SHAPE, masking="recbole")
    return bert4rec.METHOD(settings), build_model(settings, N_ITEMS, "cpu", 0), stored.state()


def fdsa_made(stored):
    from methods.fdsa.method import build_model

    settings = fdsa.METHOD.Settings(**SHAPE, features="attributes")
    tokens = AttributeTokens(
        ("class",), {"class": stored.attribute_table()}, {"class": N_VALUES + 1}, 0
    )
    state = {
        key.replace("feature_embed_layer.", "feature_embed_layer.attributes."): value
        for key, value in stored.state().items()
    }
    return fdsa.METHOD(settings), build_model(settings, N_ITEMS, tokens, None, "cpu", 0), state


def s3rec_made(stored):
    from methods.s3rec.method import build_model

    settings = s3rec.METHOD.Settings(**SHAPE, features="attributes", align_padding=False)
    network = build_model(settings, N_ITEMS, stored.attribute_table(), None, "cpu", 0)
    return s3rec.METHOD(settings), network, stored.state()


MADE = {
    "SASRec": sasrec_made, "BERT4Rec": bert4rec_made, "FDSA": fdsa_made,
    "S3Rec-pretrain": s3rec_made, "S3Rec-finetune": s3rec_made,
}  # fmt: skip


def batches_of(name, stored):
    """The stored batches as our methods' losses read them, cut to their longest history."""
    for number in range(stored.n_batches):
        if name == "BERT4Rec":
            yield masks_of(stored.batch(number))
        elif name == "S3Rec-pretrain":
            yield examples_of(stored.batch(number))
        else:
            spans = stored.spans(number)
            yield training_batch(spans, np.arange(len(spans)), "every-prefix", "cpu")[0]


def masks_of(batch):
    """RecBole's lists of places and items as our table of targets."""
    import torch

    targets = torch.zeros_like(batch["Mask_item_id_list"])
    for row, (places, items) in enumerate(
        zip(batch["MASK_INDEX"], batch["Pos_item_id"], strict=True)
    ):
        for place, item in zip(places.tolist(), items.tolist(), strict=True):
            if place:
                targets[row, place] = item
    return {"item_id_list": batch["Mask_item_id_list"], "item_id": targets}


def examples_of(batch):
    names = {
        "masked": "masked_item_sequence", "items": "pos_items", "negatives": "neg_items",
        "context": "masked_segment_sequence", "segment": "pos_segment",
        "other_segment": "neg_segment", "lengths": "item_length",
    }  # fmt: skip
    return {ours: batch[theirs] for ours, theirs in names.items()}


def loss_of(name, network, batch):
    return (
        network.pretraining_loss(batch) if name == "S3Rec-pretrain"
        else network.calculate_loss(batch)
    )  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_losses_steps_and_scores_are_the_pipelines(name):
    import torch

    stored = pipeline.load(name)
    method, network, state = MADE[name](stored)
    network.load_state_dict(state)
    method._model = network.train()  # without dropout
    batches = list(batches_of(name, stored))
    scale = np.abs(stored["losses"]).max() if name == "S3Rec-pretrain" else 1.0  # sums, not means
    with torch.no_grad():
        losses = [loss_of(name, network, batch).item() for batch in batches]
    np.testing.assert_allclose(losses, stored["losses"], rtol=0, atol=TOLERANCE * scale)
    if name != "S3Rec-pretrain":
        check_scores(method, stored, stored["scores"])
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3)
    network.train()
    steps = []
    for batch in batches:
        optimiser.zero_grad()
        loss = loss_of(name, network, batch)
        loss.backward()
        optimiser.step()
        steps.append(loss.item())
    np.testing.assert_allclose(steps, stored["step_losses"], rtol=0, atol=TOLERANCE * scale)
    assert np.abs(stored["step_losses"] - stored["losses"])[1:].min() > 10 * TOLERANCE
    if name != "S3Rec-pretrain":
        check_scores(method, stored, stored["scores_after"])
        assert np.abs(stored["scores"] - stored["scores_after"]).max() > 100 * TOLERANCE


def check_scores(method, stored, expected):
    """Column 0 of RecBole's scores is padding."""
    found = method.score(stored.test_histories(), np.arange(N_ITEMS))
    np.testing.assert_allclose(found, expected[:, 1:], rtol=0, atol=TOLERANCE)


def test_recboles_transform_knows_both_kinds_of_masks():
    """Its share of batches that mask the last item arrives in the transform, and ours is equal."""
    stored = pipeline.load("BERT4Rec")
    assert stored["ft_ratio"] == stored["transform_ft_ratio"] == 0.5
    kinds = set()
    for number in range(stored.n_batches):
        batch = stored.batch(number)
        items, lengths = batch["item_id_list"].numpy(), batch["item_length"].numpy()
        read, targets = masked_last(items, lengths, N_ITEMS + 1)
        same = bool((read == batch["Mask_item_id_list"].numpy()).all())
        kinds.add(same)
        if same:
            counted = as_recbole_counts(targets, int(0.2 * pipeline.MAX_HISTORY))
            assert (counted == masks_of(batch)["item_id"].numpy()).all()
        else:
            hidden = batch["Mask_item_id_list"].numpy() == N_ITEMS + 1
            all_targets = np.where(hidden, items, 0)
            counted = as_recbole_counts(all_targets, int(0.2 * pipeline.MAX_HISTORY))
            assert (counted == masks_of(batch)["item_id"].numpy()).all()
    assert kinds == {True, False}


def test_the_pipelines_targets_of_attributes_are_our_tokens():
    stored = pipeline.load("S3Rec-pretrain")
    table = stored.attribute_table()
    for number in range(stored.n_batches):
        batch = stored.batch(number)
        for place in np.ndindex(*batch["pos_items"].shape):
            told = table[batch["pos_items"][place]]
            expected = np.zeros(N_VALUES)
            expected[told[told > 0] - 1] = 1
            assert (batch["features"][place].numpy() == expected).all()


def test_segments_of_the_pipeline_are_of_the_kind_that_ours_are():
    """The mask, the half at most, one stretch: what `test_examples` asks of ours."""
    stored = pipeline.load("S3Rec-pretrain")
    for number in range(stored.n_batches):
        batch = examples_of(stored.batch(number))
        for row, length in enumerate(batch["lengths"].tolist()):
            context = batch["context"][row, -length:].numpy()
            inside = np.flatnonzero(context == N_ITEMS + 1)
            if length > 1:
                assert 1 <= len(inside) <= length // 2 and (np.diff(inside) == 1).all()
            else:
                assert not len(inside)
