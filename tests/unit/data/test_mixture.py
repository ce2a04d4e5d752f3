"""Mixtures for stage I: their cards, what each part trains on, the draw, and what would leak."""

from __future__ import annotations

import dataclasses
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.stats import chisquare

from harness.data.card import SourceFile
from harness.data.cards import load_card
from harness.data.mixture import (
    DESCRIPTION,
    Mixture,
    describe,
    load_mixture_card,
    mixture_names,
    prepare_mixture,
)
from harness.data.mixture_card import HELD_OUT, MixtureCard, is_mixture, parse_mixture
from harness.data.prepare import build
from harness.data.prepared import PreparedData
from harness.errors import DataError, UsageError
from harness.progress import Progress

ROOT = Path(__file__).resolve().parents[3]
CARD = """\
name = "pair"
title = "Two data sets"
[mixture]
exponent = 0.3
[[mixture.parts]]
dataset = "books"
training = "leave-one-out"
[[mixture.parts]]
dataset = "films"
training = "all-but-last"
selection = true
"""
Prepared = Callable[..., PreparedData]
Mixed = Callable[..., Mixture]


def parse(text: str = CARD, file_name: str = "pair.toml", anchor: Path = ROOT) -> MixtureCard:
    return parse_mixture(text.encode(), file_name, anchor)


def changed(old: str, new: str) -> str:
    assert CARD.count(old) >= 1, old
    return CARD.replace(old, new, 1)


@pytest.fixture
def prepared(tidy_card: Callable[..., str], silent: Progress) -> Prepared:
    """Build a data set from each user's sequence, every letter an item of this data set alone."""

    def make(name: str, sequences: list[str], **options: Any) -> PreparedData:
        items = [
            {"item": f"{name}-{letter}", "title": f"{name} {letter}", "price": "$1"}
            for letter in "abcdefgh"
        ]
        users = [
            {"user": f"{row:04}", "items": [f"{name}-{letter}" for letter in sequence]}
            for row, sequence in enumerate(sequences)
        ]
        return build(load_card(tidy_card(items, users, name=name, **options)), silent)

    return make


@pytest.fixture
def mixed(tmp_path: Path) -> Mixed:
    """Mix prepared data sets, given as (data, rule) or, where one selects, (data, rule, True)."""

    def mix(*parts: Any, exponent: float = 0.3) -> Mixture:
        text = f'name = "mix"\ntitle = "A mix"\n[mixture]\nexponent = {exponent}\n'
        for data, rule, *selection in parts:
            text += f'[[mixture.parts]]\ndataset = "{data.card.name}.toml"\ntraining = "{rule}"\n'
            text += "selection = true\n" if selection else ""
        (tmp_path / "mix.toml").write_text(text, encoding="utf-8")
        by_path = {str(tmp_path / f"{data.card.name}.toml"): data for data, *_ in parts}
        return prepare_mixture(
            load_mixture_card(str(tmp_path / "mix.toml")), lambda path: by_path[path]
        )

    return mix


def letters(data: PreparedData, items: Any) -> str:
    return "".join(data.item_ids[item][-1] for item in items)


def with_card(data: PreparedData, content_hash: str = "other", **changes: Any) -> PreparedData:
    """Return data with another content hash, and with changes to its card."""
    card = dataclasses.replace(data.card, **changes)
    return dataclasses.replace(data, card=card, content_hash=content_hash)


def from_files_of(one: PreparedData, other: PreparedData) -> PreparedData:
    """Return ``other`` as if it had been made from the files of ``one``."""
    data = with_card(other, source=one.card.source)
    return dataclasses.replace(data, source_digests=one.source_digests)


# ---- the card ------------------------------------------------------------------------------------


def test_a_card_says_what_it_says() -> None:
    card = parse()
    assert (card.name, card.title, card.notes, card.exponent) == ("pair", "Two data sets", "", 0.3)
    books, films = card.parts
    assert (books.dataset, books.training, books.selection) == ("books", "leave-one-out", False)
    assert (films.dataset, films.training, films.selection) == ("films", "all-but-last", True)


def test_a_path_starts_from_the_folder_of_the_mixture_and_a_name_is_kept(tmp_path: Path) -> None:
    card = parse(changed('"books"', '"../mine/books.toml"'), anchor=tmp_path / "mixtures")
    assert card.parts[0].dataset == "../mine/books.toml"
    assert card.parts[0].reference == str(tmp_path / "mine" / "books.toml")
    assert card.parts[1].reference == "films"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "pair"\n', "", "'name' is missing"),
        ('name = "pair"', 'name = "Pair"', "'name' may hold a-z, 0-9.*found 'Pair'"),
        ('name = "pair"', 'name = "two"', "is 'two', so the file must be two.toml: rename either"),
        ('title = "Two data sets"\n', "", "'title' is missing"),
        ("title", "titel", "'title' is missing"),
        ("[mixture]\n", "tilte = 1\n[mixture]\n", "unknown key 'tilte': did you mean 'title'"),
        ("exponent = 0.3\n", "", "'exponent' is missing; it must be a number from 0 to 1"),
        ("exponent = 0.3", "exponent = -0.1", "'exponent' must be .* from 0 to 1.*found -0.1"),
        ("exponent = 0.3", "exponent = 1.01", "'exponent' must be .* from 0 to 1.*found 1.01"),
        ("exponent = 0.3", "exponent = nan", "'exponent' must be .*number.*found nan"),
        ("exponent = 0.3", "exponent = true", "'exponent' must be .*number.*found True"),
        ("exponent = 0.3", 'exponent = "0.3"', "'exponent' must be .*number.*found '0.3'"),
        ("exponent", "exponents = 2\nexponent", "unknown key 'exponents'.*'exponent'"),
        ('"books"', '" "', "number 1: 'dataset' must not be blank"),
        ('"books"', '"b\\u0000.toml"', "'dataset' must be a card's name or path"),
        ('"books"', '"films"', "parts number 1 and 2 are the same data set, 'films'"),
        ('"leave-one-out"', '"leave-two-out"', "'training' cannot be .*mean 'leave-one-out'"),
        ('training = "leave-one-out"\n', "", "number 1: the key 'training' is missing"),
        ("selection = true", "select = true", "number 2: unknown key 'select'.*'selection'"),
        ("selection = true", "selection = 1", "'selection' must be true or false, found 1"),
        ('"all-but-last"', '"whole"', 'with training = "whole", which holds nothing out'),
        (
            '"leave-one-out"', '"leave-one-out"\nselection = true',
            "at most one part may have selection = true, found books, films",
        ),
    ],
)  # fmt: skip
def test_a_wrong_mixture_is_refused_with_its_key(old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s)mixture pair.toml.*{message}"):
        parse(changed(old, new))


def test_a_mixture_of_nothing_is_refused() -> None:
    head = CARD[: CARD.index("[[")]
    with pytest.raises(DataError, match="'parts' is missing; it must be an array of tables"):
        parse(head)
    with pytest.raises(DataError, match="'parts' must be an array of one or more tables"):
        parse(head + "parts = []\n")


def test_two_ways_to_write_one_path_are_one_data_set() -> None:
    text = changed('"books"', '"x/books.toml"').replace('"films"', '"y/../x/books.toml"')
    with pytest.raises(DataError, match="parts number 1 and 2 are the same data set"):
        parse(text)


def test_malformed_toml_names_file_and_position() -> None:
    with pytest.raises(DataError, match=r"pair\.toml: not valid TOML: .*line 2, column"):
        parse('name = "pair"\ntitle = = 3\n')
    with pytest.raises(DataError, match=r"pair\.toml.*byte 1"):
        parse_mixture(b'"\xff', "pair.toml", ROOT)


@pytest.mark.parametrize("exponent", ["0", "1", "0.0", "1.0"])
def test_both_ends_of_the_exponent_are_allowed(exponent: str) -> None:
    assert parse(changed("0.3", exponent)).exponent == float(exponent)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('title = "Two data sets"', 'title = "Two sets"'),
        ("[mixture]", 'notes = "new"\n[mixture]'),
        ("exponent = 0.3", "exponent = 0.4"),
        ('"books"', '"boats"'),
        ('"leave-one-out"', '"whole"'),
        ("selection = true", "selection = false"),
    ],
)
def test_the_hash_of_a_card_changes_with_any_value(old: str, new: str) -> None:
    assert parse(changed(old, new)).hash != parse().hash


def test_the_hash_of_a_card_does_not_change_with_layout_or_place(tmp_path: Path) -> None:
    text = changed('"books"', '"books.toml"')
    assert parse("# a remark\n" + text, anchor=tmp_path).hash == parse(text).hash


def test_only_a_card_with_a_mixture_table_is_a_mixture() -> None:
    assert is_mixture(CARD.encode())
    for content in (b'name = "x"\n[source]\n', b"mixture = 3\n", b"mixture = = 3\n", b"\xff"):
        assert not is_mixture(content)


# ---- finding mixtures ----------------------------------------------------------------------------


def test_the_shipped_mixtures_load() -> None:
    assert {"calrec-stage-one", "local-stage-one"} <= set(mixture_names())
    for name in mixture_names():
        card = load_mixture_card(name)
        assert card.name == name and card.notes and len(card.hash) == 64
        # a name means the same in a checkout and in an installed wheel; a path would not
        assert not [part.dataset for part in card.parts if part.dataset.endswith(".toml")]
    assert "scientific" not in mixture_names()


def test_the_paper_s_mixture_has_its_fourteen_categories() -> None:
    card = load_mixture_card("calrec-stage-one")
    rules = Counter(part.training for part in card.parts)
    assert rules == {"whole": 7, "all-but-last": 1, "leave-one-out": 6}
    assert [part.dataset for part in card.parts if part.selection] == ["amazon-cds"]
    assert card.exponent == 0.3
    evaluated = {part.dataset for part in card.parts if part.training == "leave-one-out"}
    names = ("scientific", "instruments", "arts", "office", "games", "pet")
    assert evaluated == {f"amazon-{name}" for name in names}


def test_an_unknown_mixture_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown mixture 'local-stage-1': did you mean 'local-"):
        load_mixture_card("local-stage-1")
    with pytest.raises(UsageError, match="unknown mixture 'scientific'"):
        load_mixture_card("scientific")  # a data set, not a mixture
    with pytest.raises(UsageError, match=r"no mixture at .*mine\.toml"):
        load_mixture_card(str(tmp_path / "mine.toml"))


def test_an_unknown_data_set_is_told_before_any_other_is_prepared() -> None:
    card = parse(changed('"books"', '"scientific"').replace('"films"', '"scientifik"'))
    with pytest.raises(UsageError, match=r"unknown data set 'scientifik': .*'scientific'"):
        prepare_mixture(card, lambda name: pytest.fail(f"{name} was prepared"))
    card = parse(changed('"books"', '"local-stage-onf"'))
    with pytest.raises(UsageError, match="unknown data set 'local-stage-onf'") as refused:
        prepare_mixture(card, lambda name: pytest.fail(f"{name} was prepared"))
    assert "local-stage-one" not in str(refused.value)  # which could not be a part
    card = parse(changed('"books"', '"no/such.toml"'))
    with pytest.raises(UsageError, match=r"unknown data set 'no/such\.toml'"):
        prepare_mixture(card, lambda name: pytest.fail(f"{name} was prepared"))


def test_a_mixture_within_a_mixture_is_refused(tmp_path: Path) -> None:
    (tmp_path / "inner.toml").write_text(CARD, encoding="utf-8")
    for dataset in ("inner.toml", "local-stage-one"):
        card = parse(changed('"books"', f'"{dataset}"'), anchor=tmp_path)
        with pytest.raises(DataError, match=f"'{re.escape(dataset)}' is a mixture, which cannot"):
            prepare_mixture(card, lambda name: pytest.fail(f"{name} was prepared"))


# ---- what each part trains on --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "training", "following"),
    [
        ("whole", ["abcde", "hgfe"], None),
        ("all-but-last", ["abcd", "hgf"], "ee"),
        ("leave-one-out", ["abc", "hg"], "df"),
    ],
)
def test_the_training_events_of_each_rule(
    prepared: Prepared, mixed: Mixed, rule: str, training: list[str], following: str | None
) -> None:
    data = prepared("books", ["abcde", "hgfe"])
    dated = dataclasses.replace(data.sequences, timestamps=np.arange(9, dtype=np.int64))
    data = dataclasses.replace(data, sequences=dated)
    (part,) = mixed((data, rule)).parts
    assert [letters(data, items) for items in part.training] == training
    assert part.selection_targets is None and part.users_too_short == 0
    times = part.training.timestamps
    assert times is not None and len(times) == len(part.training.items)
    assert [times[start] for start in part.training.offsets[:-1]] == [0, 5]
    if following is not None:
        (part,) = mixed((data, rule, True)).parts
        assert part.selection_targets is not None
        assert part.selection_targets.dtype == np.int32
        assert letters(data, part.selection_targets) == following
        assert not part.selection_targets.flags.writeable


def test_no_event_that_is_held_out_stands_in_training(prepared: Prepared, mixed: Mixed) -> None:
    # every user's last events are items that occur nowhere else
    data = prepared("books", ["abcgh", "cabgh", "bcagh"])
    for rule, cut in HELD_OUT.items():
        (part,) = mixed((data, rule)).parts
        held_out = set("gh"[2 - cut :])
        assert set(letters(data, part.training.items)) == set("abcgh") - held_out
        assert part.training.lengths.tolist() == [5 - cut] * 3


def test_whole_records_are_not_copied(prepared: Prepared, mixed: Mixed) -> None:
    data = prepared("books", ["abcde", "hgfe"])
    (part,) = mixed((data, "whole")).parts
    assert np.shares_memory(part.training.items, data.sequences.items)
    assert part.data.item_texts is data.item_texts


def test_users_too_short_for_a_rule_are_left_out_and_counted(
    prepared: Prepared, mixed: Mixed
) -> None:
    data = prepared("books", ["abc", "abcd", "cba", "dcbae"])
    (part,) = mixed((data, "leave-one-out", True)).parts
    assert part.users_too_short == 2
    assert part.training.users.tolist() == [1, 3]  # indices in the data set
    assert [letters(data, items) for items in part.training] == ["ab", "dcb"]
    assert letters(data, part.selection_targets) == "ca"
    for rule in ("whole", "all-but-last"):
        assert mixed((data, rule)).parts[0].users_too_short == 0


def test_a_part_without_a_user_to_draw_is_refused(prepared: Prepared, mixed: Mixed) -> None:
    data = prepared("books", ["abc", "cba"])
    with pytest.raises(DataError, match=r"no user of 'books\.toml' has the 4 events"):
        mixed((data, "leave-one-out"))


def test_two_parts_with_the_same_data_are_refused(prepared: Prepared, mixed: Mixed) -> None:
    books, films = prepared("books", ["abcde"]), prepared("films", ["abcde"])
    again = dataclasses.replace(films, content_hash=books.content_hash)
    with pytest.raises(DataError, match="parts number 1 and 2 hold the same data set, films"):
        mixed((books, "whole"), (again, "leave-one-out"))
    card = mixed((books, "whole"), (films, "leave-one-out")).card
    both = iter([books, with_card(films, name="books")])
    with pytest.raises(DataError, match="parts number 1 and 2 hold the same data set, books"):
        prepare_mixture(card, lambda _: next(both))


def test_events_that_select_the_checkpoint_are_trained_on_nowhere(
    prepared: Prepared, mixed: Mixed
) -> None:
    books, films = prepared("books", ["abcde"]), prepared("films", ["edcba"])
    sharing = from_files_of(books, films)
    message = "part number 2, films, may train on the events of books that select"
    with pytest.raises(DataError, match=message):
        mixed((books, "all-but-last", True), (sharing, "whole"))
    assert mixed((books, "all-but-last", True), (sharing, "all-but-last")).selection is not None


# ---- the draw ------------------------------------------------------------------------------------


@pytest.fixture
def uneven(prepared: Prepared, mixed: Mixed) -> Mixture:
    many, few = prepared("many", ["abcde"] * 1000), prepared("few", ["abcde"] * 10)
    return mixed((many, "whole"), (few, "leave-one-out"))


def test_probabilities_follow_the_number_of_users_to_the_power(
    uneven: Mixture, prepared: Prepared, mixed: Mixed
) -> None:
    many, few = uneven.probabilities
    assert many + few == pytest.approx(1)
    assert many / few == pytest.approx(1000**0.3 / 10**0.3)
    data = [(part.data, part.rule) for part in uneven.parts]
    np.testing.assert_allclose(mixed(*data, exponent=0).probabilities, [0.5, 0.5])
    np.testing.assert_allclose(mixed(*data, exponent=1).probabilities, [1000 / 1010, 10 / 1010])


def test_users_who_cannot_be_drawn_count_for_nothing(prepared: Prepared, mixed: Mixed) -> None:
    short, long = prepared("short", ["abc"] * 7 + ["abcde"]), prepared("long", ["abcde"] * 3)
    mixture = mixed((short, "leave-one-out"), (long, "leave-one-out"), exponent=1)
    np.testing.assert_allclose(mixture.probabilities, [1 / 4, 3 / 4])


def test_parts_are_drawn_as_often_as_their_probabilities_say(uneven: Mixture) -> None:
    drawn = np.concatenate([uneven.draw(7, step, 512)[0] for step in range(100)])
    counts = np.bincount(drawn, minlength=2)
    assert chisquare(counts, uneven.probabilities * len(drawn)).pvalue > 0.01


def test_users_are_drawn_uniformly_within_a_part(uneven: Mixture) -> None:
    draws = [uneven.draw(7, step, 512) for step in range(200)]
    parts, rows = (np.concatenate(column) for column in zip(*draws, strict=True))
    for part, n_users in enumerate((1000, 10)):
        counts = np.bincount(rows[parts == part], minlength=n_users)
        assert len(counts) == n_users
        assert chisquare(counts).pvalue > 0.01


def test_a_draw_depends_on_seed_and_step_alone(uneven: Mixture, mixed: Mixed) -> None:
    forwards = {step: uneven.draw(3, step, 64) for step in range(5)}
    again = mixed(*((part.data, part.rule) for part in uneven.parts))
    np.random.seed(0)
    for step in reversed(range(5)):  # another object, another order, another global state
        for one, other in zip(forwards[step], again.draw(3, step, 64), strict=True):
            assert one.dtype == np.int64 and one.shape == (64,)
            np.testing.assert_array_equal(one, other)
    rows = [draw[1].tolist() for draw in forwards.values()]
    rows += [uneven.draw(seed, 0, 64)[1].tolist() for seed in (4, 5)]
    assert len({tuple(row) for row in rows}) == 7


def test_seed_and_step_are_not_interchangeable(uneven: Mixture) -> None:
    assert uneven.draw(1, 2, 64)[1].tolist() != uneven.draw(2, 1, 64)[1].tolist()


def test_a_mixture_of_one_part_draws_that_part(prepared: Prepared, mixed: Mixed) -> None:
    parts, rows = mixed((prepared("books", ["abcde", "edcba"]), "whole")).draw(0, 0, 100)
    assert set(parts.tolist()) == {0} and set(rows.tolist()) == {0, 1}
    assert [array.shape for array in mixed((prepared("b", ["abc"]), "whole")).draw(0, 0, 0)] == [
        (0,),
        (0,),
    ]


# ---- leaks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", ["whole", "all-but-last"])
@pytest.mark.parametrize("kinship", ["content", "file", "name"])
def test_a_part_that_shows_held_out_items_of_the_target_is_refused(
    prepared: Prepared, mixed: Mixed, rule: str, kinship: str
) -> None:
    films, books = prepared("films", ["edcba"]), prepared("books", ["abcde"])
    mixture = mixed((films, "leave-one-out"), (books, rule))
    unrelated = prepared("target", ["abcde"])
    target = {
        "content": dataclasses.replace(unrelated, content_hash=books.content_hash),
        "file": from_files_of(books, unrelated),
        "name": with_card(unrelated, name="books"),
    }[kinship]
    told = {"content": "same content", "file": "made from events.jsonl", "name": "same name"}
    message = (
        f"mixture mix: part number 2, books, may train on validation or test items of "
        f'{target.card.name}: both .*{told[kinship]}, and training = "{rule}": say training = '
        '"leave-one-out" there; or take the part out'
    )
    with pytest.raises(DataError, match=message):
        mixture.refuse_leaks(target)
    mixed((films, "leave-one-out"), (books, "leave-one-out")).refuse_leaks(target)


def test_other_data_leak_nothing(prepared: Prepared, mixed: Mixed) -> None:
    mixture = mixed((prepared("books", ["abcde"]), "whole"))
    mixture.refuse_leaks(prepared("films", ["abcde"]))


def test_files_whose_digest_no_card_states_are_told_by_what_was_read(
    prepared: Prepared, mixed: Mixed
) -> None:
    def unstated(data: PreparedData) -> PreparedData:
        files = {role: SourceFile(file.path, None) for role, file in data.card.source.files.items()}
        return with_card(
            data, data.content_hash, source=dataclasses.replace(data.card.source, files=files)
        )

    books = unstated(prepared("books", ["abcde"]))
    mixture = mixed((books, "whole"))
    mixture.refuse_leaks(unstated(prepared("films", ["abcde"])))
    with pytest.raises(DataError, match=r"both are made from events\.jsonl"):
        mixture.refuse_leaks(from_files_of(books, unstated(prepared("copies", ["abcde"]))))


@pytest.mark.parametrize(
    ("part", "target", "leaks"),
    [
        ("none", "none", False),
        ("none", "consecutive", True),
        ("none", "global", True),
        ("consecutive", "none", False),
        ("consecutive", "global", True),
        ("global", "consecutive", False),
    ],
)
def test_cutting_two_events_is_not_enough_where_the_target_drops_more_duplicates(
    prepared: Prepared, mixed: Mixed, part: str, target: str, leaks: bool
) -> None:
    # a, b, c, c: with the duplicate, items 1 to n-2 are a, b; without it, b is the validation item
    def deduplicated(dedup: str) -> PreparedData:
        books = prepared("books", ["abcc"])
        protocol = dataclasses.replace(books.card.protocol, dedup=dedup)
        return with_card(books, dedup, protocol=protocol)

    mixture = mixed((deduplicated(part), "leave-one-out"))
    if not leaks:
        mixture.refuse_leaks(deduplicated(target))
        return
    with pytest.raises(DataError, match=r"drops fewer duplicates.*the same \[source\] and dedup"):
        mixture.refuse_leaks(deduplicated(target))


def test_the_same_events_read_in_another_way_may_end_otherwise(
    prepared: Prepared, mixed: Mixed
) -> None:
    books = prepared("books", ["abcde"])
    source = dataclasses.replace(books.card.source, fields={"time": "day"})
    later = dataclasses.replace(books.card.source, time_unit="ms")
    for other in (source, later):
        with pytest.raises(DataError, match="reads it in another way"):
            mixed((books, "leave-one-out")).refuse_leaks(with_card(books, source=other))


# ---- its hash, and the table ---------------------------------------------------------------------


def test_the_content_hash_changes_with_whatever_is_trained_on(
    prepared: Prepared, mixed: Mixed
) -> None:
    books, films = prepared("books", ["abcde"]), prepared("films", ["edcba"])
    parts = ((books, "leave-one-out"), (films, "all-but-last", True))
    same = mixed(*parts).content_hash
    assert mixed(*parts).content_hash == same and len(same) == 64
    others = [
        mixed((books, "whole"), parts[1]),
        mixed(parts[0], (films, "leave-one-out", True)),
        mixed(parts[0], (films, "all-but-last")),
        mixed((books, "leave-one-out", True), (films, "all-but-last")),
        mixed(parts[0]),
        mixed(parts[1]),
        mixed(*reversed(parts)),
        mixed(*parts, exponent=0.4),
        mixed((prepared("books", ["abced"]), "leave-one-out"), parts[1]),
        mixed(parts[0], (prepared("films", ["edcba", "abc"]), "all-but-last", True)),
    ]
    assert len({same, *(mixture.content_hash for mixture in others)}) == len(others) + 1


def test_the_content_hash_does_not_change_with_a_title(prepared: Prepared, mixed: Mixed) -> None:
    mixture = mixed((prepared("books", ["abcde"]), "whole"))
    card = dataclasses.replace(mixture.card, title="Another", hash="another")
    again = prepare_mixture(card, lambda _: mixture.parts[0].data)
    assert again.content_hash == mixture.content_hash


def test_the_table_of_a_mixture(prepared: Prepared, mixed: Mixed) -> None:
    books = prepared("books", ["abcde"] * 1200)
    films = prepared("films", ["edcb"] * 300 + ["abc"])
    rows = describe(mixed((books, "whole"), (films, "all-but-last", True), exponent=0))
    assert rows == [
        ["books", "whole", "1,200", "0", "6,000", "50.00"],
        ["films", "all-but-last, selects", "301", "0", "902", "50.00"],
    ]
    assert {len(row) for row in rows} == {len(DESCRIPTION)}
    # of abc, items 1 to n-2 are a alone: no history and target
    (row,) = describe(mixed((films, "leave-one-out")))
    assert row[2:4] == ["300", "1"]
