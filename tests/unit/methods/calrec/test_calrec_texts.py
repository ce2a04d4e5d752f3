"""Generated texts on disk, who finds them again, and which setting decides which by-product."""

from __future__ import annotations

import dataclasses
import json
import typing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import MethodError
from harness.histories import Histories
from methods.calrec import METHOD, keys
from methods.calrec.retrieval import GeneratedText
from methods.calrec.settings import Settings
from methods.calrec.texts import name_of, read_texts, write_texts
from methods.calrec.writing import Writer, Written

pytest.importorskip("torch")

Make = Callable[..., Any]
ALL = np.arange(12)
TESTED = Histories.from_lists([[1, 2, 3], [7, 8], [], [11, 0, 1, 2]], users=[3, 5, 8, 9])
WRITTEN = [
    Written([GeneratedText("Title: Café “Rouge”.", -0.1), GeneratedText("", -1e-300)], 12, 1),
    Written([GeneratedText('quotes " and \\ slashes \\n', -1234.000000000001)], 3, 0),
    Written([], 0, 0),
    Written([GeneratedText("絵文字 🙂\ttab", -1 / 3), GeneratedText("絵文字 🙂\ttab", -0.0)], 7, 0),
]


# ---- files ---------------------------------------------------------------------------------------


def test_what_was_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "of" / name_of(TESTED)
    write_texts(path, TESTED, WRITTEN)
    assert read_texts(path, TESTED) == WRITTEN
    assert len(path.read_bytes().splitlines()) == len(TESTED)


@pytest.mark.parametrize("character", ["\x0b", "\x0c", "\x1c", "\x7f", "\x85", "\u2028", "\u2029"])
def test_a_text_may_hold_what_some_take_for_the_end_of_a_line(
    tmp_path: Path, character: str
) -> None:
    """A byte-level tokeniser can write any of them; only a line feed ends a text."""
    written = [Written([GeneratedText(f"Red{character}Lamp", -1.5)], 4, 0)]
    users = TESTED.select(np.array([1]))
    write_texts(tmp_path / "texts", users, written)
    assert read_texts(tmp_path / "texts", users) == written


TEXTS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"]), max_size=20)
SAMPLES = st.builds(GeneratedText, TEXTS, st.floats(max_value=0, allow_nan=False))
USERS = st.lists(
    st.builds(Written, st.lists(SAMPLES, max_size=4), st.integers(0), st.integers(0)), max_size=4
)


@given(USERS)
def test_scores_are_read_back_to_the_bit(
    tmp_path_factory: pytest.TempPathFactory, written: list[Written]
) -> None:
    path = tmp_path_factory.getbasetemp() / "drawn.jsonl"
    users = Histories.from_lists([[1]] * len(written))
    write_texts(path, users, written)
    assert repr(read_texts(path, users)) == repr(written)  # repr tells -0.0 from 0.0


def test_a_file_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read_texts(tmp_path / "absent" / name_of(TESTED), TESTED) is None
    assert list(tmp_path.iterdir()) == []


def other_users(**changes: Any) -> Histories:
    return dataclasses.replace(TESTED, **changes)


@pytest.mark.parametrize(
    "histories",
    [
        other_users(users=np.array([3, 5, 9, 8])),
        other_users(users=np.array([3, 5, 8, 10])),
        TESTED.select(np.array([0, 1, 2])),
        TESTED.select(np.array([1, 0, 2, 3])),
        Histories.from_lists([*TESTED, [1]], users=[*TESTED.users, 10]),
        Histories.from_lists([], users=[]),
    ],
)
def test_the_file_of_other_users_is_refused(tmp_path: Path, histories: Histories) -> None:
    path = tmp_path / "texts.jsonl"
    write_texts(path, TESTED, WRITTEN)
    with pytest.raises(
        MethodError, match=r"texts\.jsonl \(it is of other users\): delete the file"
    ):
        read_texts(path, histories)


def damages() -> Iterator[tuple[str, Callable[[dict[str, Any]], Any]]]:
    """Names and what they do to a line of the file, which is then written as JSON."""
    for name in ("user", "texts", "log_probabilities", "tokens", "cut_off"):
        yield f"no {name}", lambda line, name=name: (line.pop(name) and line) or line
        yield f"{name} is null", lambda line, name=name: {**line, name: None}
    yield "a score too few", lambda line: {**line, "log_probabilities": [-0.1]}
    yield "a text too many", lambda line: {**line, "texts": [*line["texts"], "x"]}
    yield "a score that is a word", lambda line: {**line, "log_probabilities": ["low", -1]}
    yield "a score that is null", lambda line: {**line, "log_probabilities": [None, -1]}
    yield "texts in one string", lambda line: {**line, "texts": "ab"}
    yield "tokens that are no number", lambda line: {**line, "tokens": "many"}
    yield "a list", lambda line: [line]
    yield "a number", lambda line: 7
    yield "null", lambda line: None


DAMAGES = dict(damages())


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_line_is_an_error_that_names_the_file(tmp_path: Path, name: str) -> None:
    path = tmp_path / "texts.jsonl"
    write_texts(path, TESTED, WRITTEN)
    first, *others = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text(json.dumps(DAMAGES[name](json.loads(first))) + "\n" + "".join(others), "utf-8")
    with pytest.raises(MethodError, match=r"cannot read the texts generated earlier, .*texts\.js"):
        read_texts(path, TESTED)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}\n", b"\n\n\n\n"])
def test_a_file_of_another_kind_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_bytes(content)
    with pytest.raises(MethodError, match="delete the file to generate them anew"):
        read_texts(path, TESTED)


def test_half_a_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "texts.jsonl"
    write_texts(path, TESTED, WRITTEN)
    whole = path.read_bytes()
    for end in (len(whole) // 2, whole.index(b"\n") + 1, len(whole) - 2):
        path.write_bytes(whole[:end])
        with pytest.raises(MethodError, match="cannot read the texts generated earlier"):
            read_texts(path, TESTED)


def test_the_name_depends_on_users_and_histories_alone() -> None:
    names = [
        name_of(histories)
        for histories in (
            TESTED,
            TESTED.select(np.array([0, 1, 2])),
            TESTED.select(np.array([1, 0, 2, 3])),
            other_users(users=np.array([3, 5, 8, 10])),
            other_users(items=TESTED.items[::-1].copy()),
            other_users(offsets=np.array([0, 2, 5, 5, 9])),
        )
    ]
    assert len(set(names)) == len(names)
    stamped = other_users(timestamps=np.arange(9))
    assert name_of(stamped) == name_of(TESTED.select(np.arange(4))) == names[0]
    assert name_of(other_users(items=TESTED.items.astype(np.int64))) == names[0]


# ---- who finds them again ------------------------------------------------------------------------


class Runs:
    """Runs of the method in one folder, with a count of the users generated for."""

    def __init__(self, make_settings: Make, make_context: Make, data: Any) -> None:
        self._make_settings, self._make_context, self._data = make_settings, make_context, data
        self.generated = 0

    def fitted(self, seed: int = 0, data: Any = None, **values: Any) -> Any:
        small = {"epochs": 0, "tiny_pretraining_epochs": 1, "validation_users": 0}
        method = METHOD(self._make_settings(**{**small, **values}))
        method.fit(data or self._data, self._make_context(seed))
        return method

    def fresh(self, method: Any, histories: Histories = TESTED) -> int:
        """Score, and return for how many users texts were generated."""
        before = self.generated
        method.score(histories, ALL)
        return self.generated - before


@pytest.fixture
def runs(
    make_settings: Make, make_context: Make, make_data: Make, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    found = Runs(make_settings, make_context, make_data([[0, 1, 2, 3], [4, 5, 6], [7, 8]]))
    original = Writer.write

    def counted(writer: Any, *arguments: Any, **named: Any) -> Any:
        for row in original(writer, *arguments, **named):
            found.generated += 1
            yield row

    monkeypatch.setattr(Writer, "write", counted)
    return found


@pytest.mark.parametrize("trained", [{}, {"epochs": 1}, {"decoding": "trie"}])
def test_a_second_run_takes_the_texts_of_the_first(runs: Runs, trained: dict[str, Any]) -> None:
    first = runs.fitted(**trained)
    scores = first.score(TESTED, ALL)
    assert runs.generated == 4
    second = runs.fitted(**trained)
    np.testing.assert_array_equal(second.score(TESTED, ALL), scores)
    assert runs.generated == 4
    assert "users_with_texts_of_an_earlier_run" not in first.describe()
    found = second.describe()
    assert found["users_with_texts_of_an_earlier_run"] == found["users_generated_for"] == 4
    for name in ("generated_tokens", "distinct_texts_per_user", "cut_off_share"):
        assert found[name] == first.describe()[name]


@pytest.mark.parametrize(
    "changed",
    [
        {"matching": "hierarchical"},
        {"epsilon": 0.5},
        {"pooling": "mean"},
        {"modulation": False},
        {"n_predictions": 2},
        {"validation_samples": 3},
        {"price_per_hour": 2.0},
        {"save_minutes": 1.0},
    ],
)
def test_a_run_that_retrieves_otherwise_takes_the_same_texts(
    runs: Runs, changed: dict[str, Any], make_context: Make
) -> None:
    assert runs.fresh(runs.fitted()) == 4
    texts = make_context().work_dir / "generated" / name_of(TESTED)
    before = texts.read_bytes()
    texts.unlink()
    assert runs.fresh(runs.fitted(**changed)) == 0
    assert texts.read_bytes() == before  # a run's own folder has them whoever wrote them


def test_other_retrieval_from_the_same_texts_gives_other_scores(runs: Runs) -> None:
    scores = runs.fitted().score(TESTED, ALL)
    matched = runs.fitted(matching="hierarchical").score(TESTED, ALL)
    flat = runs.fitted(epsilon=0.5).score(TESTED, ALL)
    assert runs.generated == 4
    assert not np.array_equal(matched, scores)
    assert not np.array_equal(flat, scores)


@pytest.mark.parametrize(
    "changed",
    [
        {"temperature": 0.9},
        {"n_generated": 5},
        {"max_new_tokens": 3},
        {"decoding": "trie"},
        {"generation_precision": "bfloat16"},
        {"epochs": 1},
        {"tiny_pretraining_epochs": 2},
        {"max_history_items": 5},
        {"template": "gpt4rec"},
        {"seed": 1},
    ],
)
def test_a_run_that_writes_otherwise_generates_anew(runs: Runs, changed: dict[str, Any]) -> None:
    first = runs.fitted()
    assert runs.fresh(first) == 4
    assert runs.fresh(runs.fitted(**changed)) == 4
    assert runs.fresh(first) == 0


def test_other_training_data_or_another_catalogue_generate_anew(
    runs: Runs, make_data: Make, catalogue: tuple[str, ...]
) -> None:
    assert runs.fresh(runs.fitted()) == 4
    histories = make_data([[0, 1, 2, 3], [4, 5, 6], [7, 9]])
    assert runs.fresh(runs.fitted(data=histories)) == 4
    texts = make_data([[0, 1, 2, 3], [4, 5, 6], [7, 8]], (*catalogue[:-1], "Title: Sofa."))
    assert runs.fresh(runs.fitted(data=texts)) == 4


def test_other_histories_of_the_same_users_generate_anew(runs: Runs) -> None:
    method = runs.fitted()
    assert runs.fresh(method) == 4
    longer = Histories.from_lists([[*items, 5] for items in TESTED], users=TESTED.users.tolist())
    assert runs.fresh(method, longer) == 4
    assert runs.fresh(method, TESTED.select(np.array([3, 2, 1, 0]))) == 4
    assert runs.fresh(method, longer) == 0


def test_a_run_that_was_stopped_goes_on_with_the_users_that_are_left(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("methods.calrec.texts.USERS_PER_FILE", {"cpu": 2})
    first = runs.fitted()
    scores = first.score(TESTED, ALL)
    folder = first._texts
    assert len(list(folder.glob("*.jsonl"))) == 2
    (folder / name_of(TESTED.select(np.array([2, 3])))).unlink()
    second = runs.fitted()
    assert runs.fresh(second) == 2
    np.testing.assert_allclose(second.score(TESTED, ALL), scores, atol=1e-7)
    assert second.describe()["users_with_texts_of_an_earlier_run"] == 2 + 4


def test_damaged_texts_of_an_earlier_run_are_an_error(runs: Runs) -> None:
    first = runs.fitted()
    first.score(TESTED, ALL)
    path = first._texts / name_of(TESTED)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(MethodError, match="cannot read the texts generated earlier"):
        runs.fitted().score(TESTED, ALL)


def test_texts_of_validation_are_never_taken_for_those_of_the_test(runs: Runs) -> None:
    method = runs.fitted(epochs=1)
    method._validating = 1
    assert runs.fresh(method) == 4
    assert runs.fresh(method) == 0  # a run that was stopped while it validated goes on
    method._validating = 2
    assert runs.fresh(method) == 4  # the weights change from epoch to epoch
    method._validating = None
    assert list(method._texts.iterdir()) == []
    assert runs.fresh(method) == 4


# ---- keys ----------------------------------------------------------------------------------------

FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
NOT_OF_TRAINING = keys.NO_RESULT | keys.AFTER_TRAINING
DATA = ["one", "other", "target"]


def changed(settings: Settings, name: str) -> Settings:
    """The settings with another allowed value of one field."""
    value, field = getattr(settings, name), FIELDS[name]
    kinds = typing.get_type_hints(Settings)[name]
    kind = next(
        part for part in typing.get_args(kinds) or (kinds,) if part is not type(None)
    )  # fmt: skip
    new: Any
    if field.metadata["choices"]:
        new = next(choice for choice in field.metadata["choices"] if choice != value)
    elif kind is bool:
        new = not value
    elif kind is str:
        new = f"{value}-other" if value else "popularity"
    elif value is None:
        new = kind(7)
    elif kind is int:
        new = 2 * value or 1
    else:
        new = value / 2 or 0.5
    return dataclasses.replace(settings, **{name: new})


@pytest.fixture
def trained(make_settings: Make) -> Settings:
    """Everything is trained, and validated."""
    return make_settings(
        stage1="calrec-stage-one", validation_users=3, epochs=2, max_history_items=None
    )


def stage_one(settings: Settings, validated: bool = True) -> str:
    return keys.stage_one_key(settings, 1, DATA, validated)


def stage_two(settings: Settings) -> str:
    return keys.stage_two_key(settings, 1, DATA)


def test_the_groups_name_settings_alone() -> None:
    groups = {name: value for name, value in vars(keys).items() if isinstance(value, set)}
    assert len(groups) >= 7
    for group in groups.values():
        assert group <= set(FIELDS)
    assert not keys.NO_RESULT & set.union(
        *(group for name, group in groups.items() if name != "NO_RESULT")
    )


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_decides_the_weights_or_is_known_not_to(trained: Settings, name: str) -> None:
    """A setting added later decides them until somebody says that it does not."""
    other = changed(trained, name)
    assert other != trained
    assert (stage_two(other) == stage_two(trained)) == (name in NOT_OF_TRAINING)


@pytest.mark.parametrize("name", FIELDS)
def test_each_setting_decides_stage_one_or_is_known_not_to(trained: Settings, name: str) -> None:
    free = NOT_OF_TRAINING | keys.OF_STAGE_TWO
    other = changed(trained, name)
    assert (stage_one(other) == stage_one(trained)) == (name in free)
    unvalidated = stage_one(other, False) == stage_one(trained, False)
    assert unvalidated == (name in free | keys.OF_VALIDATION)


@pytest.mark.parametrize("name", FIELDS)
def test_without_validation_nothing_of_it_decides_the_weights(trained: Settings, name: str) -> None:
    bare = dataclasses.replace(trained, validation_users=0)
    assert stage_two(bare) != stage_two(trained)
    if name == "validation_users":
        return
    free = NOT_OF_TRAINING | keys.OF_VALIDATION
    assert (stage_two(changed(bare, name)) == stage_two(bare)) == (name in free)


@pytest.mark.parametrize("name", FIELDS)
def test_a_stage_that_is_left_out_has_no_settings(trained: Settings, name: str) -> None:
    """Nothing fine-tuned: nothing is validated either, where stage I is left out too."""
    only_second = dataclasses.replace(trained, stage1=None)
    if name != "stage1":
        free = NOT_OF_TRAINING | keys.OF_STAGE_ONE
        same = stage_two(changed(only_second, name)) == stage_two(only_second)
        assert same == (name in free)
    only_first = dataclasses.replace(trained, epochs=0)
    if name != "epochs":
        free = NOT_OF_TRAINING | keys.OF_STAGE_TWO
        same = stage_two(changed(only_first, name)) == stage_two(only_first)
        assert same == (name in free)
    neither = dataclasses.replace(trained, stage1=None, epochs=0)
    if name not in {"stage1", "epochs"}:
        free = NOT_OF_TRAINING | keys.OF_STAGE_ONE | keys.OF_STAGE_TWO | keys.OF_VALIDATION
        same = stage_two(changed(neither, name)) == stage_two(neither)
        assert same == (name in free)


@pytest.mark.parametrize("name", FIELDS)
def test_the_stand_in_is_decided_by_its_own_settings(trained: Settings, name: str) -> None:
    other = changed(trained, name)
    same = keys.stand_in_key(other, 1, DATA) == keys.stand_in_key(trained, 1, DATA)
    assert same != (name in keys.OF_STAND_IN or name.startswith("tiny_"))


@pytest.mark.parametrize("name", FIELDS)
def test_texts_are_decided_by_weights_and_generation(trained: Settings, name: str) -> None:
    """What decides the weights comes in by their key."""
    other = changed(trained, name)
    same = keys.texts_key(other, "weights") == keys.texts_key(trained, "weights")
    assert same == (name not in keys.OF_GENERATION)


def test_seed_data_and_weights_decide_every_key(trained: Settings) -> None:
    def made(seed: int, data: list[str]) -> list[str]:
        two = keys.stage_two_key(trained, seed, data)
        return [
            keys.stand_in_key(trained, seed, data),
            keys.stage_one_key(trained, seed, data, True),
            two,
            keys.texts_key(trained, two),
        ]

    every = [*made(1, DATA), *made(2, DATA), *made(1, DATA[::-1]), *made(1, DATA[:2])]
    assert len(set(every)) == 16
    assert made(1, list(DATA)) == made(1, DATA)
