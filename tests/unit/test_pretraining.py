"""Pre-training as it is planned: what makes another run, what makes a cell impossible."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from harness.cells import CellInput, training_data
from harness.data.cards import load_card
from harness.data.prepare import prepare
from harness.errors import DataError, HarnessError, MethodError, UsageError
from harness.method import Input
from harness.planning import choose_methods, plan_cell, plan_cells
from harness.pretraining import NOT_PREPARED, PreparedMixtures
from harness.progress import Progress
from harness.registry import PRETRAINING, load_method, source_hash
from harness.runner import shared_folders
from harness.splits import leave_one_out
from tests.toys import Mixed, mixture_text, random_sequences, write_card


@pytest.fixture
def world(tmp_path, plugin):
    return Mixed(tmp_path, plugin)


def test_a_method_that_names_no_mixture_has_none(world):
    cell = world.cell("lir")
    assert cell.mixture is None
    assert "mixture" not in cell.external
    assert world.prepared == []


def test_the_content_of_the_mixture_is_in_the_row_id(world):
    world.write()
    first = world.cell()
    assert first.obstacle is None
    assert [part.data.card.name for part in first.mixture.parts] == ["films", "games"]
    assert first.external == {
        "mixture": f"sha256:{first.mixture.content_hash}", "mixture verbs": "bought, bought",
    }  # fmt: skip
    assert world.cell().row_id == first.row_id
    ids = {first.row_id}
    world.write(exponent=0.5)
    ids.add(world.cell().row_id)
    world.write(rules=("whole", "leave-one-out"))
    ids.add(world.cell().row_id)
    write_card(world.folder, world.sequences("films", 11), "films")
    ids.add(world.cell().row_id)
    text = (world.folder / "games.toml").read_text()
    (world.folder / "games.toml").write_text(text.replace('verb = "bought"', 'verb = "played"'))
    ids.add(world.cell().row_id)
    assert len(ids) == 5


def test_a_title_of_the_mixture_makes_no_other_run(world):
    world.write()
    first = world.cell()
    world.path.write_text(world.path.read_text().replace("A mixture", "Another title"))
    assert world.cell().row_id == first.row_id


def test_attributes_of_the_parts_count_where_they_are_read(world):
    world.write()
    world.method(inputs="Input.ITEM_ATTRIBUTES")
    first = world.cell()
    assert {"mixture attributes", "item attributes"} <= set(first.external)
    real = world.prepare

    def other(reference):
        data = real(reference)
        if data.card.name != "films":
            return data
        return dataclasses.replace(data, item_attributes={"title": ("x",) * len(data.item_ids)})

    world.prepare = other
    changed = world.cell()
    assert changed.external["mixture attributes"] != first.external["mixture attributes"]
    assert changed.external["item attributes"] == first.external["item attributes"]
    assert changed.row_id != first.row_id


def test_a_mixture_is_prepared_once_for_all_cells(world):
    world.write()
    choices = choose_methods(["toy", "toy:strong"], [])
    cells = plan_cells(
        choices, world.target, [0, 1], "cpu", world.out, False, PreparedMixtures(world.prepare)
    )
    mixed = [cell.mixture for cell in cells if cell.choice.entry.name == "toy"]
    assert len(mixed) == 4
    assert len(set(map(id, mixed))) == 1
    assert world.prepared == ["films", "games"]
    assert {cell.mixture for cell in cells if cell.choice.entry.name != "toy"} == {None}


@pytest.mark.parametrize("rule", ["whole", "all-but-last"])
def test_a_leak_makes_the_cell_impossible_and_names_the_target(world, rule):
    write_card(world.folder, [list("abcd")] * 5)
    world.write(names=("tiny", "games"), rules=(rule, "leave-one-out"))
    cell = world.cell()
    assert cell.obstacle is not None
    assert "mixture mix: part number 1, tiny, may train on validation or test items of tiny" in (
        cell.obstacle
    )
    assert cell.plan == f"cannot run: {cell.obstacle}"


def test_the_target_may_be_a_part_with_items_1_to_n_2(world):
    world.write(names=("tiny", "games"))
    assert world.cell().obstacle is None


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("local-stage-on", "unknown mixture 'local-stage-on'.*did you mean 'local-stage-one'"),
        ("no/such.toml", "no mixture at no/such.toml"),
    ],
)
def test_an_unknown_mixture_is_refused_before_any_data(world, named, message):
    world.method(named=named)
    with pytest.raises(UsageError, match=message):
        choose_methods(["toy"], [])


def test_a_mixture_named_by_a_card_must_exist_too(world):
    world.method(named="settings.backbone if settings.backbone != 'none' else None", code=True)
    choice = choose_methods(["toy"], [])[0]
    card = dataclasses.replace(
        world.target.card, method_settings={"toy": {"backbone": "local-stage-on"}}
    )
    data = dataclasses.replace(world.target, card=card)
    with pytest.raises(UsageError, match="unknown mixture 'local-stage-on'"):
        plan_cell(choice, data, 0, "cpu", world.out, False, PreparedMixtures(world.prepare))


def test_a_part_that_names_no_data_set_is_refused(world):
    world.write(names=("films", "gamez"))
    with pytest.raises(UsageError, match=r"mixture mix: unknown data set 'gamez\.toml'"):
        world.cell()


def test_a_malformed_mixture_is_refused_before_any_data(world):
    world.path.write_text("[mixture]\n")
    with pytest.raises(DataError, match=r"mixture mix\.toml"):
        choose_methods(["toy"], [])


def test_a_part_that_cannot_be_prepared_is_an_obstacle_and_tried_once(world):
    world.write()
    (world.folder / "games-events.jsonl").unlink()
    mixtures = PreparedMixtures(world.prepare)
    cells = [world.cell(seed=seed, mixtures=mixtures) for seed in (0, 1)]
    assert all("games: its events file is missing" in cell.obstacle for cell in cells)
    assert cells[0].external == {"mixture": NOT_PREPARED}
    assert cells[0].mixture is None
    assert world.prepared == ["films", "games"]


def test_a_mixture_where_none_can_be_prepared_is_an_error(world):
    world.write()
    choice = choose_methods(["toy"], [])[0]
    with pytest.raises(HarnessError, match=r"pre-trains on the mixture .*; use `run`"):
        plan_cell(choice, world.target, 0, "cpu", world.out, False)


@pytest.mark.parametrize("declared", ["Input.ITEM_TEXT", "Input.ITEM_ATTRIBUTES"])
def test_every_part_must_have_what_the_method_declares(world, declared):
    world.write()
    world.method(inputs=declared)
    assert world.cell().obstacle is None
    real = world.prepare

    def bare(reference):
        data = real(reference)
        if data.card.name != "games":
            return data
        text = dataclasses.replace(data.card.text, attributes=())
        card = dataclasses.replace(data.card, text=text, attributes=())
        return dataclasses.replace(data, card=card)

    world.prepare = bare
    kind = "texts" if "TEXT" in declared else "attributes"
    assert world.cell().obstacle == (
        f"reads item {kind}, and games has none, which is part number 2 of the mixture mix"
    )


@pytest.mark.parametrize("declared", list(Input))
def test_fit_is_given_of_the_parts_what_the_method_declares(world, declared):
    world.write(rules=("leave-one-out", "all-but-last"), selecting=1)
    toy = world.method(inputs=f"Input.{declared.name}")
    world.prepare = dated(world.prepare)
    cell = world.cell()
    given = training_data(
        CellInput(
            toy.METHOD(cell.settings), "tiny", world.target.item_texts, "bought",
            leave_one_out(world.target.sequences), 0, "cpu", mixture=cell.mixture,
        )
    )  # fmt: skip
    assert [source.name for source in given.sources] == ["films", "games"]
    assert sum(source.probability for source in given.sources) == pytest.approx(1)
    readers = {"item_texts": Input.ITEM_TEXT, "item_attributes": Input.ITEM_ATTRIBUTES}
    for source, part in zip(given.sources, cell.mixture.parts, strict=True):
        assert source.n_items == len(part.data.item_ids)
        assert source.verb == "bought"
        assert source.histories.items.tolist() == part.training.items.tolist()
        assert (source.histories.timestamps is not None) == (declared == Input.TIMESTAMPS)
        for name, reader in readers.items():
            if declared == reader:
                assert getattr(source, name) == getattr(part.data, name)
                continue
            assert getattr(source, f"_{name}") is None
            with pytest.raises(MethodError, match="does not declare"):
                getattr(source, name)
    films, games = given.sources
    assert films.selection_targets is None
    last = [int(items[-1]) for items in cell.mixture.parts[1].data.sequences]
    assert games.selection_targets.tolist() == last


def dated(prepare_part):
    """Give every part timestamps, as the toys' files have none."""

    def prepare_with_times(reference):
        data = prepare_part(reference)
        times = np.arange(len(data.sequences.items), dtype=np.int64)
        return dataclasses.replace(
            data, sequences=dataclasses.replace(data.sequences, timestamps=times)
        )

    return prepare_with_times


def test_the_code_of_mixtures_counts_for_who_may_name_one(world, monkeypatch, tmp_path):
    from harness import source

    other = tmp_path / "mixture.py"
    other.write_text("changed = True")
    before = {name: source_hash(load_method(name)) for name in ("toy", "lir")}
    real = source.files_of
    changed = {PRETRAINING[0]: [other]}
    monkeypatch.setattr(source, "files_of", lambda module: changed.get(module) or real(module))
    assert source_hash(load_method("toy")) != before["toy"]
    assert source_hash(load_method("lir")) == before["lir"]


def test_shared_folders_are_those_of_code_and_sources_and_not_of_the_target(world, tmp_path):
    world.write()
    world.method(inputs="Input.ITEM_ATTRIBUTES")

    def folder(cell):
        return shared_folders(cell, tmp_path / "cache").folder("key")

    first = folder(world.cell())
    assert first.parent == tmp_path / "cache" / "pretrained"
    card = load_card(str(write_card(world.folder, random_sequences(12), "third")))
    third = prepare(card, tmp_path / "cache", Progress(shown=False))
    assert folder(world.cell(target=third)) == folder(world.cell(seed=1)) == first
    others = {first, folder(world.cell(device="cuda"))}
    world.write(exponent=1)
    others.add(folder(world.cell()))
    world.method(inputs="Input.ITEM_ATTRIBUTES", fit="self.x = 1")
    others.add(folder(world.cell()))
    assert len(others) == 4


def test_the_text_of_a_toy_mixture_holds_what_it_is_asked_for():
    text = mixture_text(("a", "b"), ("whole", "all-but-last"), 1, 0.5)
    assert text.count("[[mixture.parts]]") == 2
    assert text.count("selection = true") == 1
