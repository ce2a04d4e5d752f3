"""Pre-training as a whole: examples, learning, going on after an interruption, sharing."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import MethodError
from harness.histories import Histories
from harness.method import Input, RunContext, SourceDomain
from tests.unit.methods.text_toys import Told, bert

torch = pytest.importorskip("torch")
pytest.importorskip("recbole")

from methods import _text  # noqa: E402
from methods.unisrec import checkpoints, pretraining  # noqa: E402
from methods.unisrec.checkpoints import part_state  # noqa: E402
from methods.unisrec.method import build_model  # noqa: E402
from methods.unisrec.pretraining import PreTraining, examples_of, key_of, pretrained  # noqa: E402
from methods.unisrec.released import load_released  # noqa: E402
from methods.unisrec.settings import Settings  # noqa: E402

WIDTH = 8
N_ITEMS = {"films": 9, "games": 6}
QUICK: dict[str, Any] = {
    "hidden_size": 16, "inner_size": 16, "n_layers": 1, "n_experts": 2, "max_history": 4,
    "items_as": "text", "hidden_dropout": 0.1, "attention_dropout": 0.1, "pretraining": "mix",
    "pretraining_epochs": 3, "pretraining_batch_size": 16, "pretraining_save_every": 1,
    "augmentation_item_share": 0.5,
}  # fmt: skip


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


def planted(data: Any, settings: Any, context: Any, word_drop: float = 0.0, *, owner: str) -> Any:
    """Return random vectors of a domain's items; those with words dropped lie close by."""
    generator = np.random.default_rng([len(data.name), data.n_items])
    vectors = generator.normal(size=(data.n_items, WIDTH))
    if word_drop:
        vectors = vectors + word_drop * generator.normal(size=vectors.shape)
    group = np.arange(data.n_items)
    return _text.ItemVectors(vectors.astype(np.float32), group, 0, "planted")


@pytest.fixture
def vectors(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, float, Any]]:
    """Put planted vectors in place of an encoder; return for which domains they were asked."""
    asked = []

    def item_vectors(data, settings, context, word_drop=0.0, *, owner):
        asked.append((data.name, word_drop, settings.text_attributes))
        return planted(data, settings, context, word_drop, owner=owner)

    monkeypatch.setattr(pretraining._text, "item_vectors", item_vectors)
    return asked


def source(name: str, lists: Any, n_items: int | None = None, **attributes: Any) -> SourceDomain:
    n_items = N_ITEMS[name] if n_items is None else n_items
    attributes = attributes or {"title": tuple(f"item {n} of {name}" for n in range(n_items))}
    return SourceDomain(
        name, n_items, Histories.from_lists(lists), None, 0.5, "bought",
        frozenset({Input.ITEM_ATTRIBUTES, Input.ITEM_TEXT}), None, attributes,
    )  # fmt: skip


def cyclic(name: str, n_users: int = 12, length: int = 6) -> SourceDomain:
    """A domain in which each item is followed by the next one."""
    n_items = N_ITEMS[name]
    lists = [[(user + place) % n_items for place in range(length)] for user in range(n_users)]
    return source(name, lists)


def sources() -> list[SourceDomain]:
    return [cyclic("films"), cyclic("games", 8)]


def settings_of(**values: Any) -> Settings:
    return Settings(**(QUICK | values))


def network_of(settings: Settings, seed: int = 0, n_items: int = 5, width: int = WIDTH) -> Any:
    return build_model(settings, n_items, np.ones((n_items, width), np.float32), "cpu", seed)


class Logged:
    """A context, and the lines that were logged and said through it."""

    def __init__(self, folder: Path, seed: int = 3) -> None:
        self.lines: list[dict[str, Any]] = []
        self.context = RunContext(
            seed, "cpu", folder, Told(), max, lambda values: self.lines.append(dict(values))
        )


class Stopped(Exception):
    """What a process is killed by in these tests."""


def trained(folder: Path, kills: tuple[int, ...] = (), monkeypatch=None, **values: Any) -> Any:
    """Pre-train with interruptions, each after some steps; return network, cost, lines, files."""
    settings, logged = settings_of(**values), Logged(folder)
    real = PreTraining._step
    for n_steps in (*kills, None):
        done: list[int] = []

        def step(self, rows, number, done=done, most=n_steps):
            if len(done) == most:
                raise Stopped
            done.append(number)
            return real(self, rows, number)

        torch.rand(5)  # whatever ran before is of no consequence
        network = network_of(settings, seed=len(kills))
        if n_steps is None:
            cost = pretrained(network, sources(), settings, logged.context)
            continue
        with monkeypatch.context() as patch, pytest.raises(Stopped):
            patch.setattr(PreTraining, "_step", step)
            pretrained(network, sources(), settings, logged.context)
    (weights,) = folder.rglob(checkpoints.WEIGHTS)
    return network, cost, logged.lines, weights


def same(one: Any, other: Any) -> bool:
    states = part_state(one), part_state(other)
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


# ---- examples ------------------------------------------------------------------------------------


def test_items_are_counted_through_all_domains_and_every_prefix_is_read(tmp_path, vectors) -> None:
    films, games = source("films", [[0, 8, 1, 2, 3, 4], [5]]), source("games", [[5, 0], [3, 3, 1]])
    settings = settings_of()
    found = examples_of([films, games], settings, Logged(tmp_path).context, "unisrec")
    rows = np.arange(len(found.prefixes))
    read = [
        ([item for item in row if item], int(following))
        for row, following in zip(
            found.prefixes.padded(rows), found.prefixes.next_items(rows), strict=True
        )
    ]
    assert read == [
        ([1], 9), ([1, 9], 2), ([1, 9, 2], 3), ([1, 9, 2, 3], 4),
        ([9, 2, 3, 4], 5),  # the newest four
        ([15], 10), ([13], 13), ([13, 13], 11),
    ]  # fmt: skip
    assert vectors == [("films", 0.0, None), ("games", 0.0, None), ("films", 0.15, None),
                       ("games", 0.15, None)]  # fmt: skip
    context = Logged(tmp_path).context
    items = np.array([1, 9, 10, 15])
    first = found.vectors_of(items, None).numpy()
    second = found.vectors_of(items, np.array([False, True, True, False])).numpy()
    for drop, rows_, given in ((0.0, (0, 1, 2, 3), first), (0.15, (1, 2), second)):
        of = [planted(part, settings, context, drop, owner="x").vectors for part in (films, games)]
        expected = np.stack([of[0][0], of[0][8], of[1][0], of[1][5]])
        assert (given[list(rows_)] == expected[list(rows_)]).all()
    assert (second[[0, 3]] == first[[0, 3]]).all()


@pytest.mark.parametrize("values", [{"seq_seq_weight": 0.0}, {"augmentation_item_share": 1.0}])
def test_second_vectors_are_made_only_where_they_are_read(tmp_path, vectors, values) -> None:
    _, cost, lines, _ = trained(tmp_path, **values)
    assert [drop for _, drop, _ in vectors] == [0.0, 0.0]
    assert (cost.seq_seq_loss == 0) is ("seq_seq_weight" in values)
    assert lines[-1]["loss"] >= cost.seq_item_loss


def test_a_domain_is_read_by_the_attributes_asked_for_that_it_has(tmp_path, vectors) -> None:
    films = source("films", [[0, 1]], genre=("a",) * 9, title=("b",) * 9)
    games = source("games", [[0, 1]], brand=("c",) * 6)
    settings = settings_of(text_attributes="genre, plot", augmentation_item_share=1.0)
    examples_of([films, games], settings, Logged(tmp_path).context, "unisrec")
    assert vectors == [("films", 0.0, "genre"), ("games", 0.0, None)]


def test_real_texts_are_encoded(tmp_path: Path) -> None:
    settings = settings_of(encoder=str(bert(tmp_path / "encoder")), pretraining_epochs=1)
    width = examples_of(sources(), settings, Logged(tmp_path).context, "unisrec").vectors.shape[1]
    cost = pretrained(
        network_of(settings, width=width), sources(), settings, Logged(tmp_path).context
    )
    assert cost.sequences == 20 * 5
    assert np.isfinite(cost.seq_item_loss)


def test_what_cannot_be_pre_trained_on_is_refused(tmp_path, vectors, monkeypatch) -> None:
    context, settings = Logged(tmp_path).context, settings_of()
    tf_idf = replace(settings, pretraining=None, encoder=_text.TF_IDF)
    with pytest.raises(MethodError, match=r"encoder=tf-idf: .* space of its own.*name a text enc"):
        pretrained(network_of(settings), sources(), tf_idf, context)
    with pytest.raises(MethodError, match="nothing to pre-train on: no user of the mixture"):
        pretrained(network_of(settings), [source("films", [[1], [2]])], settings, context)

    def wider(data, *arguments, owner):
        found = planted(data, *arguments, owner=owner)
        return replace(found, vectors=found.vectors[:, : 5 if data.name == "games" else 8])

    monkeypatch.setattr(pretraining._text, "item_vectors", wider)
    with pytest.raises(MethodError, match=r"different widths \(films: 8, games: 5\)"):
        pretrained(network_of(settings), sources(), settings, context)


# ---- training ------------------------------------------------------------------------------------


def test_it_learns_which_item_follows_in_two_domains(tmp_path, vectors) -> None:
    still = {"hidden_dropout": 0.0, "attention_dropout": 0.0, "adaptor_dropout": 0.0}
    _, cost, lines, _ = trained(
        tmp_path, pretraining_epochs=30, pretraining_learning_rate=1e-2,
        pretraining_batch_size=25, hidden_size=32, n_experts=4, **still,
    )  # fmt: skip
    assert [line["epoch"] for line in lines] == list(range(1, 31))
    assert {line["stage"] for line in lines} == {"pre-training"}
    assert lines[0]["accuracy"] < 0.2
    assert lines[-1]["accuracy"] > 0.9
    assert lines[-1]["seq_item_loss"] < 0.1 * lines[0]["seq_item_loss"]
    assert (cost.epochs, cost.sequences, cost.reused) == (30, 30 * 100, False)
    assert (cost.accuracy, cost.seq_item_loss) == (
        lines[-1]["accuracy"], lines[-1]["seq_item_loss"],
    )  # fmt: skip
    assert lines[-1]["loss"] == pytest.approx(cost.seq_item_loss + 1e-3 * cost.seq_seq_loss)


def test_an_epoch_reads_every_prefix_once_in_mixed_batches(tmp_path, vectors, monkeypatch) -> None:
    batches, real = [], PreTraining._step

    def step(self, rows, number):
        batches.append(rows)
        return real(self, rows, number)

    monkeypatch.setattr(PreTraining, "_step", step)
    trained(tmp_path, pretraining_epochs=2)
    first, second = (np.concatenate(batches[n * 7 : n * 7 + 7]) for n in (0, 1))
    assert sorted(first) == sorted(second) == list(range(100))
    assert first.tolist() != second.tolist()
    films = 12 * 5
    assert all(len({*(rows < films)}) == 2 for rows in batches if len(rows) > 8)


def test_a_steps_loss_is_that_of_the_formulas(tmp_path, vectors) -> None:
    """Without dropout and noise: the step against cosines and exponentials written out."""
    settings = settings_of(
        hidden_dropout=0.0, attention_dropout=0.0, adaptor_dropout=0.0, item_drop=0.0
    )
    context = Logged(tmp_path).context
    network = network_of(settings)
    network.moe_adaptor._gate_logits = lambda x: x @ network.moe_adaptor.w_gate  # no noise
    examples = examples_of(sources(), settings, context, "unisrec")
    training = PreTraining(network, examples, settings, context, tmp_path, "unisrec")
    training._begin()
    rows = np.array([3, 70, 41, 8, 99, 12])
    items, lengths = examples.prefixes.padded(rows), examples.prefixes.lengths[rows]
    targets = examples.prefixes.next_items(rows)
    with torch.no_grad():
        adapted = network.moe_adaptor(examples.vectors[examples.rows[items]])
        states = network.encode(torch.from_numpy(items), adapted, torch.from_numpy(lengths))
        wanted = network.moe_adaptor(examples.vectors[examples.rows[targets]])
    losses = []
    for others in (wanted, states):
        cosine = torch.cosine_similarity(states[:, None].double(), others[None].double(), dim=-1)
        logits = (cosine / 0.07).numpy()
        equal = (targets[:, None] == targets[None, :]) & ~np.eye(6, dtype=bool)
        below = np.exp(np.where(equal, 0.0, logits)).sum(axis=1)
        losses.append(-np.log(np.exp(logits.diagonal()) / below).mean())
    seq_item, seq_seq, _ = training._step(rows, 0)
    assert (seq_item, seq_seq) == pytest.approx(losses, rel=1e-4)


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_batch_is_augmented_one_way_or_the_other(tmp_path, vectors, monkeypatch, share) -> None:
    seen, real = [], PreTraining._states

    def states(self, items, lengths, swapped):
        seen.append((lengths.sum(), swapped))
        return real(self, items, lengths, swapped)

    monkeypatch.setattr(PreTraining, "_states", states)
    trained(tmp_path, augmentation_item_share=share, pretraining_epochs=1, item_drop=0.5)
    for (n_first, none), (n_second, swapped) in zip(seen[::2], seen[1::2], strict=True):
        assert none is None
        assert bool(n_second < n_first) is (share == 1.0)
        assert (swapped is None) is (share == 1.0)
        assert swapped is None or 0 < swapped.sum() < n_first


def test_a_loss_that_is_no_number_keeps_the_last_state(tmp_path, vectors, monkeypatch) -> None:
    real = pretraining.contrast.contrastive_loss
    calls = []

    def loss(*arguments):
        calls.append(1)
        return real(*arguments) * (torch.nan if len(calls) > 14 + 2 * 2 else 1.0)

    monkeypatch.setattr(pretraining.contrast, "contrastive_loss", loss)
    network, settings, context = network_of(settings_of()), settings_of(), Logged(tmp_path).context
    message = r"loss became nan in epoch 2, step 3: lower unisrec\.pretraining_learning_rate \(now"
    with pytest.raises(MethodError, match=message):
        pretrained(network, sources(), settings, context)
    assert all(weights.isfinite().all() for weights in network.parameters())
    (path,) = tmp_path.rglob(checkpoints.STATE)
    assert torch.load(path, weights_only=True)["standing"]["epoch"] == 1


def test_item_embeddings_take_no_part(tmp_path, vectors) -> None:
    """The result serves both kinds of items and every target, whatever was drawn for it before."""
    plain, with_ids = settings_of(), settings_of(items_as="id-text", batch_size=7)
    first, second = network_of(plain, seed=1), network_of(with_ids, seed=2, n_items=77)
    embeddings = second.item_embedding.weight.clone()
    pretrained(first, sources(), plain, Logged(tmp_path / "a").context)
    pretrained(second, sources(), with_ids, Logged(tmp_path / "b").context)
    assert same(first, second)
    assert torch.equal(embeddings, second.item_embedding.weight)
    assert "item_embedding.weight" in dict(second.named_parameters())


def test_first_weights_are_those_of_the_network(vectors) -> None:
    network = network_of(settings_of(hidden_size=64, inner_size=128))
    before = {key: weights.clone() for key, weights in part_state(network).items()}
    torch.manual_seed(1)
    pretraining.draw_weights(network, 0.02)
    for key, weights in part_state(network).items():
        if before[key].std() > 0:
            assert weights.std().item() == pytest.approx(before[key].std().item(), rel=0.3), key
            assert not torch.equal(weights, before[key])
        else:
            assert torch.equal(weights, before[key]), key


# ---- going on ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [(1,), (9,), (14,), (8, 6)])
@pytest.mark.parametrize("save_every", [1, 2])
def test_a_stopped_run_ends_with_the_same_bits(
    tmp_path, monkeypatch, vectors, kills, save_every
) -> None:
    whole, cost, lines, stored = trained(tmp_path / "whole")
    parts, again, _, stored_again = trained(
        tmp_path / "parts", kills, monkeypatch, pretraining_save_every=save_every
    )
    assert same(whole, parts)
    assert stored.read_bytes() == stored_again.read_bytes()
    assert replace(cost, seconds=0.0) == replace(again, seconds=0.0)
    assert len(lines) == 3
    assert sorted(path.name for path in stored.parent.iterdir()) == [
        "cost.json", "weights.safetensors",
    ]  # fmt: skip


def test_a_state_is_written_after_every_few_epochs(tmp_path, vectors, monkeypatch) -> None:
    written, real = [], checkpoints.save_state

    def save_state(folder, standing, *others):
        written.append(standing.epoch)
        real(folder, standing, *others)

    monkeypatch.setattr(checkpoints, "save_state", save_state)
    trained(tmp_path, pretraining_epochs=7, pretraining_save_every=3)
    assert written == [3, 6]


def test_a_damaged_state_says_what_to_delete(tmp_path, vectors) -> None:
    settings, context = settings_of(), Logged(tmp_path).context
    folder = context.shared_dir(key_of(settings, 3))
    (folder / checkpoints.STATE).write_bytes(b"nothing")
    with pytest.raises(MethodError, match=r"state\.pt is damaged .* delete it to begin anew"):
        pretrained(network_of(settings), sources(), settings, context)


# ---- sharing -------------------------------------------------------------------------------------


def test_a_second_run_takes_what_the_first_one_made(tmp_path, vectors) -> None:
    settings = settings_of()
    first, second = network_of(settings), network_of(settings, seed=9, n_items=31)
    before = torch.get_rng_state()
    cost = pretrained(first, sources(), settings, Logged(tmp_path).context)
    assert torch.equal(before, torch.get_rng_state())
    vectors.clear()
    logged = Logged(tmp_path)
    again = pretrained(second, sources(), settings, logged.context)
    assert again == replace(cost, reused=True)
    assert asdict(again)["reused"] is True
    assert same(first, second)
    assert logged.lines == []
    assert vectors == []  # nothing is encoded for it
    assert logged.context.progress.lines == [
        "unisrec: weights that an earlier run pre-trained are used (3 epochs, 300 sequences)"
    ]


def test_the_finished_weights_are_a_checkpoint(tmp_path, vectors) -> None:
    network, _, _, path = trained(tmp_path)
    other = network_of(settings_of(), seed=5)
    load_released(path, other)
    assert same(network, other)


def test_a_damaged_result_says_what_to_delete(tmp_path, vectors) -> None:
    _, _, _, path = trained(tmp_path)
    path.write_bytes(b"")
    with pytest.raises(MethodError, match="delete the folder to pre-train anew"):
        trained(tmp_path)
    path.with_name(checkpoints.COST).write_text('{"epochs": 1}')
    with pytest.raises(MethodError, match="delete the folder to pre-train anew"):
        trained(tmp_path)


def test_the_key_names_what_matters_and_not_the_target() -> None:
    settings = settings_of()
    key = key_of(settings, 0)
    for values in (
        {"items_as": "id-text"}, {"fix_encoder": False}, {"learning_rate": 1.0}, {"batch_size": 3},
        {"pretraining": "other.toml"}, {"pretraining_save_every": 9}, {"max_epochs": 2},
        {"objective": "all-positions"}, {"encoder_precision": "float32"},
        {"encoder": "another/path"},  # the harness knows the digest of what it leads to
    ):  # fmt: skip
        assert key_of(replace(settings, **values), 0) == key, values
    for values in (
        {"hidden_size": 32}, {"n_experts": 3}, {"adaptor_dropout": 0.3}, {"temperature": 0.1},
        {"pretraining_epochs": 4}, {"pretraining_batch_size": 8}, {"seq_seq_weight": 0.1},
        {"pretraining_learning_rate": 0.1}, {"item_drop": 0.3}, {"word_drop_ratio": 0.3},
        {"augmentation_item_share": 0.3}, {"max_history": 9}, {"hidden_dropout": 0.4},
        {"pooling": "mean"}, {"text": "template"}, {"encoder_tokens": 9},
        {"text_attributes": "title"}, {"initializer_range": 0.1}, {"encoder_precision": "bfloat16"},
    ):  # fmt: skip
        assert key_of(replace(settings, **values), 0) != key, values
    assert key_of(settings, 1) != key
