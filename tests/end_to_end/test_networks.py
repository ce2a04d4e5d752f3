"""The networks over sequences from the command line: pre-training, checkpoints, what goes wrong."""

from __future__ import annotations

import json

import pytest

from tests.toys import mixture_text, random_sequences, write_card
from tests.unit.methods.text_toys import bert

pytest.importorskip("recbole")

SMALL = {
    "hidden_size": 8, "inner_size": 8, "n_experts": 2, "max_epochs": 2, "pooling": "mean",
    "objective": "all-positions",
}  # fmt: skip


def given(method, **values):
    return [*(f"--set={method}.{key}={value}" for key, value in values.items()), "--quiet"]


def records(shell, method):
    found = (json.loads(path.read_text()) for path in sorted(shell.out.rglob("record.json")))
    return [record for record in found if record["method"]["name"] == method]


def test_unisrec_pre_trains_on_a_mixture_once_and_its_weights_are_a_checkpoint(shell, tmp_path):
    folder = shell.card.parent
    for name, n_users in (("films", 10), ("games", 20)):
        lists = [[f"{name}-{i}" for i in row] for row in random_sequences(n_users)]
        write_card(folder, lists, name)
    path = folder / "mix.toml"
    path.write_text(mixture_text(rules=("whole", "all-but-last"), selecting=1))
    encoder = bert(tmp_path / "encoder")
    values = {**SMALL, "encoder": encoder, "pretraining_epochs": 2, "pretraining_batch_size": 16}
    for preset in ("text", "id-text"):
        done = shell.run(f"unisrec:{preset}", *given("unisrec", **values, pretraining=path))
        assert done.code == 0, done.err
    reports = {record["method"]["preset"]: record["report"] for record in records(shell, "unisrec")}
    assert [reports[preset]["pretraining_reused"] for preset in ("text", "id-text")] == [
        False,
        True,
    ]
    for report in reports.values():
        assert "pre-trained on mix, Transformer kept fixed" in report["note"]
        assert str(tmp_path) not in json.dumps(report)
    (weights,) = shell.cache.rglob("unisrec-*/weights.safetensors")
    done = shell.run("unisrec:text", *given("unisrec", **values, checkpoint=weights))
    assert done.code == 0, done.err
    (report,) = [
        record["report"] for record in records(shell, "unisrec")
        if "checkpoint_report" in record["report"]
    ]  # fmt: skip
    assert "from weights.safetensors" in report["note"]
    other = {**values, "hidden_size": 4}
    done = shell.run("unisrec:text", *given("unisrec", **other, checkpoint=weights))
    assert done.code == 1
    assert "hidden_size" in done.err and "weights.safetensors" in done.err


@pytest.mark.parametrize("method", ["fdsa", "s3rec", "unisrec"])
def test_an_encoder_that_is_not_there_is_named(shell, tmp_path, method):
    done = shell.run(method, *given(method, encoder=tmp_path / "nothing"))
    assert done.code == 2
    assert f"{method}.encoder" in done.err and "tf-idf" in done.err


def test_s3rec_reports_its_pretraining_and_is_kept(shell):
    values = {"hidden_size": 8, "inner_size": 8, "max_epochs": 1, "encoder": "tf-idf"}
    for _ in range(2):
        done = shell.run("s3rec", *given("s3rec", **values, pretraining_epochs=2))
        assert done.code == 0, done.err
    (record,) = records(shell, "s3rec")
    assert record["report"]["pretraining_epochs"] == 2
    assert "of pre-training" in record["report"]["note"]
