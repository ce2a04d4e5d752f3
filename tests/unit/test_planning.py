"""From the command line to cells: who joins, what a row is called, what makes another run."""

from __future__ import annotations

import dataclasses

import pytest

from harness import environment
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import UsageError
from harness.planning import choose_methods, plan_cell, plan_cells
from harness.progress import Progress
from harness.protocol import BASELINES, protocol_of, row_id, run_id
from tests.toys import write_card


@pytest.fixture
def data(tmp_path):
    card = load_card(str(write_card(tmp_path / "data")))
    return prepare(card, tmp_path / "cache", Progress(shown=False))


def _cell(data, tmp_path, name="toy", *assigned, seed=0, device="cpu", fresh=False):
    choice = choose_methods([name], assigned)[0]
    return plan_cell(choice, data, seed, device, tmp_path / "runs", fresh)


def test_baselines_come_last_and_once(plugin):
    plugin("toy")
    names = [choice.name for choice in choose_methods(["random", "toy", "toy:strong"], [])]
    assert names == ["random", "toy", "toy:strong", "popularity", "lir"]
    assert set(BASELINES) <= set(names)


def test_set_applies_to_every_preset_of_its_method_and_to_no_other(plugin, data, tmp_path):
    plugin("toy")
    choices = choose_methods(["toy", "toy:strong"], ["toy.layers=3", "lir.exclude_last=true"])
    cells = [plan_cell(choice, data, 0, "cpu", tmp_path, False) for choice in choices]
    labels = [cell.label for cell in cells]
    assert labels == [
        "toy (layers=3)", "toy:strong (layers=3)", "popularity", "random",
        "lir (exclude_last=True)", "lir",
    ]  # fmt: skip
    assert cells[-1].settings.exclude_last is False


def test_a_named_baseline_that_is_changed_joins_untouched_too():
    names = [(choice.name, dict(choice.assigned)) for choice in choose_methods(
        ["lir"], ["lir.exclude_last=true"]
    )]  # fmt: skip
    assert names == [
        ("lir", {"exclude_last": "true"}), ("lir", {}), ("popularity", {}), ("random", {}),
    ]  # fmt: skip


@pytest.mark.parametrize("value", ["true", "false"])
def test_no_cell_is_planned_twice(data, tmp_path, value):
    choices = choose_methods(["lir"], [f"lir.exclude_last={value}"])
    cells = plan_cells(choices, data, [0, 1], "cpu", tmp_path, True)
    assert len({cell.run_id for cell in cells}) == len(cells) == (8 if value == "true" else 6)
    assert len({cell.name for cell in cells}) == len(cells)


def test_a_card_with_settings_of_no_method_is_refused(plugin, data, tmp_path):
    plugin("toy")
    card = dataclasses.replace(data.card, method_settings={"toyy": {"layers": 3}})
    with pytest.raises(UsageError, match=r"card of tiny .*'toyy'.*did you mean 'toy'"):
        _cell(dataclasses.replace(data, card=card), tmp_path)


def test_the_state_of_the_code_is_read_once_before_anything_runs(monkeypatch):
    states = iter([{"commit": "a", "dirty": False}, {"commit": "b", "dirty": True}])
    monkeypatch.setattr(environment, "code_state", lambda: next(states))
    assert {choice.code["commit"] for choice in choose_methods(["lir", "random"], [])} == {"a"}


def test_the_label_holds_what_set_changed_and_only_that(plugin, data, tmp_path):
    plugin("toy")
    assert _cell(data, tmp_path, "toy", "toy.layers=2").label == "toy"
    same = _cell(data, tmp_path, "toy:strong", "toy.strength=5")
    assert same.label == "toy:strong"
    assert same.origins["strength"] == "default, card or preset, repeated by --set"
    both = _cell(data, tmp_path, "toy", "toy.strength=2", "toy.layers=7")
    assert both.label == "toy (layers=7, strength=2.0)"


def test_the_run_id_depends_on_all_that_decides_the_result(plugin, data, tmp_path):
    plugin("toy")
    first = _cell(data, tmp_path)
    assert _cell(data, tmp_path).run_id == first.run_id
    other_data = dataclasses.replace(data, content_hash="0" * 64)
    other_verb = dataclasses.replace(data, card=dataclasses.replace(data.card, verb="watched"))
    other_rules = dataclasses.replace(
        data,
        card=dataclasses.replace(
            data.card, protocol=dataclasses.replace(data.card.protocol, min_user_events=4)
        ),
    )
    others = [
        _cell(data, tmp_path, seed=1),
        _cell(data, tmp_path, device="cuda"),
        _cell(data, tmp_path, "toy", "toy.layers=3"),
        _cell(data, tmp_path, "toy:strong"),
        *(_cell(changed, tmp_path) for changed in (other_data, other_verb, other_rules)),
    ]
    plugin("toy", fit="self.x = 1")
    others.append(_cell(data, tmp_path))
    plugin("toy", inputs="Input.ITEM_TEXT")
    others.append(_cell(data, tmp_path))
    ids = [first.run_id, *(cell.run_id for cell in others)]
    assert len(set(ids)) == len(ids)
    assert len({cell.folder for cell in [first, *others]}) == len(ids)


def test_a_title_or_a_comment_makes_no_other_run(plugin, data, tmp_path):
    plugin("toy")
    first = _cell(data, tmp_path)
    renamed = dataclasses.replace(data, card=dataclasses.replace(data.card, title="New"))
    assert _cell(renamed, tmp_path).run_id == first.run_id
    plugin("toy", fit="pass  # a comment")
    assert _cell(data, tmp_path).run_id == first.run_id


def test_a_preset_spelt_out_is_the_same_run(plugin, data, tmp_path):
    plugin("toy")
    typed = _cell(data, tmp_path, "toy", "toy.strength=5")
    assert _cell(data, tmp_path, "toy:strong").run_id == typed.run_id


def test_settings_are_checked_before_any_data(plugin):
    plugin("toy")
    with pytest.raises(UsageError, match="did you mean 'layers'"):
        choose_methods(["toy"], ["toy.layer=3"])


def test_item_texts_are_needed_by_who_reads_them(plugin, data, tmp_path):
    plugin("toy", inputs="Input.ITEM_TEXT")
    text = dataclasses.replace(data.card.text, attributes=())
    bare = dataclasses.replace(data, card=dataclasses.replace(data.card, text=text))
    assert _cell(data, tmp_path).obstacle is None
    cell = _cell(bare, tmp_path)
    assert cell.obstacle == "reads item texts, and tiny has none"
    assert cell.plan == "cannot run: reads item texts, and tiny has none"


def test_the_id_is_a_digest_of_canonical_json():
    facts = {
        "method": "m", "settings": {"a": 1, "b": (1, 2)}, "inputs": [], "split_hash": "s",
        "protocol": protocol_of({"split": "x"}), "verb": "bought",
        "device": "cpu", "threads": 2,
        "source": "c", "external": {"weights": "1"},
    }  # fmt: skip
    again = facts | {"settings": {"b": [1, 2], "a": 1}}
    assert row_id(**facts) == row_id(**again)
    assert len(row_id(**facts)) == 64
    for key, value in facts.items():
        changed = value + 1 if isinstance(value, int) else "other"
        if isinstance(value, dict):
            changed = value | {"extra": 1}
        elif isinstance(value, list):
            changed = ["item text"]
        assert row_id(**facts | {key: changed}) != row_id(**facts), key
    row = row_id(**facts)
    assert len({row, run_id(row, 0), run_id(row, 1), run_id("other", 0)}) == 4
    assert run_id(row, 0) == run_id(row, 0)


def test_what_lies_outside_decides_too(plugin, data, tmp_path):
    weights = tmp_path / "weights"
    weights.write_text("first")
    toy = plugin("toy")
    outside = classmethod(lambda cls, settings: {"weights": weights.read_text()})
    toy.METHOD.external_inputs = outside
    first = _cell(data, tmp_path)
    weights.write_text("second")
    assert _cell(data, tmp_path).run_id != first.run_id
    assert first.external == {"weights": "first"}


def test_what_is_absent_outside_is_refused_before_any_data(plugin):
    def absent(cls, settings):
        raise UsageError("no weights there")

    plugin("toy").METHOD.external_inputs = classmethod(absent)
    with pytest.raises(UsageError, match="no weights there"):
        choose_methods(["toy"], [])
