"""Recformer pre-trained on a mixture, from the command line: its cost, and that it is shared."""

from __future__ import annotations

import json

import pytest

from tests.toys import mixture_text, random_sequences, write_card

pytest.importorskip("torch")

QUICK = {
    "random_width": 16, "random_layers": 1, "max_tokens": 32, "attention_window": 8,
    "stage1_epochs": 1, "stage2_epochs": 0, "pretraining_epochs": 2,
}  # fmt: skip


def test_what_is_pre_trained_once_serves_other_data_sets(shell):
    folder = shell.card.parent
    for name, n_users in (("films", 10), ("games", 20)):
        lists = [[f"{name}-{i}" for i in row] for row in random_sequences(n_users)]
        write_card(folder, lists, name)
    other = write_card(folder, name="other")
    path = folder / "mix.toml"
    path.write_text(mixture_text(rules=("whole", "all-but-last"), selecting=1))
    given = [f"--set=recformer.{key}={value}" for key, value in QUICK.items()]
    given += [f"--set=recformer.pretraining={path}", "--quiet", "--set=recformer.learning_rate=0.1"]
    first = shell.run("recformer", *given)
    assert first.code == 0, first.err
    second = shell.run("recformer", *given, "--datasets", f"{shell.card},{other}")
    assert second.code == 0, second.err
    found = {
        record["dataset"]["name"]: record
        for record in (json.loads(path.read_text()) for path in shell.out.rglob("record.json"))
        if record["method"]["name"] == "recformer"
    }
    described = [found[name]["report"] for name in ("tiny", "other")]
    assert [facts["pretraining_reused"] for facts in described] == [False, True]
    for facts in described:
        assert "; pre-trained on mix" in facts["note"]
        assert (facts["pretraining_epochs"], facts["pretraining_pairs"]) == (2, 60)
        assert facts["pretraining_seconds"] == described[0]["pretraining_seconds"] > 0
        assert facts["pretraining_tokens"] > 60
        assert 0 <= facts["pretraining_best_accuracy"] <= 1
    (place,) = (shell.cache / "pretrained").glob("recformer-*/")
    assert sorted(file.name for file in place.iterdir()) == ["cost.json", "encoder.safetensors"]
