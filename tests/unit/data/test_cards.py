from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import harness
from harness.data.card_parsing import parse_card
from harness.data.cards import card_names, load_card
from harness.errors import DataError, UsageError

ROOT = Path(__file__).resolve().parents[3]
ML_100K = (ROOT / "datasets" / "ml-100k.toml").read_text(encoding="utf-8")


def parse(text: str, file_name: str = "ml-100k.toml"):
    return parse_card(text.encode(), file_name, ROOT)


def changed(old: str, new: str) -> str:
    assert ML_100K.count(old) >= 1, old
    return ML_100K.replace(old, new, 1)


def test_the_shipped_cards_load() -> None:
    assert {"gift-cards", "ml-100k", "scientific"} <= set(card_names())
    for name in card_names():
        card = load_card(name)
        assert card.name == name
        assert card.licence and card.citation and card.url.startswith("https://")
        assert len(card.hash) == len(card.data_hash) == 64
        assert card.expected


def test_no_shipped_card_claims_that_its_texts_may_be_published() -> None:
    # MovieLens and Amazon data are for research, without redistribution
    assert [name for name in card_names() if load_card(name).redistributable] == []


def test_the_settings_of_a_card_are_kept_by_method() -> None:
    assert load_card("ml-100k").method_settings["sasrec"]["objective"] == "all-positions"
    assert load_card("ml-100k").verb == "watched"


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'ml-100k'"):
        load_card("ml100k")


def test_a_path_without_a_file_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no data set card at .*mine\.toml"):
        load_card(str(tmp_path / "mine.toml"))


def test_the_datasets_folder_holds_no_python() -> None:
    assert [path.name for path in (ROOT / "datasets").rglob("*") if path.suffix == ".py"] == []


def test_cards_of_an_installed_package_come_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "only.toml").write_text(
        ML_100K.replace('name = "ml-100k"', 'name = "only"', 1), encoding="utf-8"
    )
    monkeypatch.setattr(harness, "__path__", [*harness.__path__, str(tmp_path)])
    try:
        assert card_names() == ["only"]
        assert load_card("only").name == "only"
    finally:
        sys.modules.pop("harness.cards", None)


def test_the_hash_changes_with_any_value_and_not_with_layout() -> None:
    card = parse(ML_100K)
    assert parse("# a remark\n" + ML_100K).hash == card.hash
    renamed = parse(changed("MovieLens 100K", "MovieLens"))
    assert renamed.hash != card.hash
    assert renamed.data_hash == card.data_hash


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("words = 25", "words = 24"),
        ("min_user_events = 5", "min_user_events = 6"),
        ('sha256 = "4e', 'sha256 = "5e'),
        ('label = "Year"', 'label = "Made"'),
    ],
)
def test_the_data_hash_changes_with_what_determines_the_data(old: str, new: str) -> None:
    assert parse(changed(old, new)).data_hash != parse(ML_100K).data_hash


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("min_user_events", "min_user_event", "'min_user_events' is missing"),
        ('split = "leave', 'splitt = 1\nsplit = "leave', "unknown key 'splitt'.*'split'"),
        ("[protocol]", "[protcol]", "'protocol' is missing"),
        ('verb = "watched"', "verb = 3", "'verb' must be a string, found 3"),
        ('verb = "watched"', 'verb = " "', "'verb' must not be blank"),
        ("redistributable = false", "redistributable = 0", "must be true or false, found 0"),
        ("words = 25", "words = true", "'words' must be a whole number, found True"),
        ("words = 25", "words = 0", "'words' must be at least 1, found 0"),
        ("words = 25", "words = 2.5", "'words' must be a whole number, found 2.5"),
        ("min_user_events = 5", "min_user_events = 2", "must be at least 3"),
        ('dedup = "none"', 'dedup = "nope"', "cannot be 'nope': did you mean 'none'"),
        ('split = "leave-one-out"', 'split = "random"', "'split' cannot be 'random'"),
        ('cleaning = "plain"', 'cleaning = "plane"', "did you mean 'plain'"),
        ('kind = "recbole-atomic"', 'kind = "recbole"', "did you mean 'recbole-atomic'"),
        ('package = "recbole"', 'package = "os.path"', "one importable name"),
        ('package = "recbole"', 'package = "a"\nfolder_env = "B"', "either 'package' or"),
        ('package = "recbole"', "", "either 'package' or"),
        ('path = "dataset_example', 'path = "../dataset_example', "must stay inside its folder"),
        ('path = "dataset_example', 'path = "a/../../x', "must stay inside its folder"),
        ('path = "dataset_example', 'path = "/dataset_example', "must stay inside its folder"),
        ('path = "dataset_example', 'path = "C:/dataset_example', "must stay inside its folder"),
        ('sha256 = "4e', 'sha256 = "4E', "64 lower-case hexadecimal digits"),
        ("users = 943", "user = 943", "unknown count 'user': did you mean 'users'"),
        ('label = "Year"', 'label = "Title"', "the same label"),
        ('objective = "all', 'when = 2020-01-01\nobjective = "all', "'when' must be a string"),
        ('objective = "all', 'rate = nan\nobjective = "all', "'rate' must be a string"),
        ("[settings.sasrec]", "[settings]\nsasrec = 3\n[expected2]", "'sasrec' must be a table"),
        ("[source.files.items]", "[source.files.item]", "'items' is missing"),
    ],
)
def test_a_wrong_card_is_refused_with_its_key(old: str, new: str, message: str) -> None:
    with pytest.raises(DataError, match=f"(?s)card ml-100k.toml.*{message}"):
        parse(changed(old, new))


def test_malformed_toml_names_file_and_position() -> None:
    with pytest.raises(DataError, match=r"ml-100k\.toml: not valid TOML: .*line 2, column"):
        parse('name = "ml-100k"\ntitle = = 3\n')


def test_a_card_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(DataError, match="not UTF-8 at byte 1"):
        parse_card(b'"\xff', "x.toml", ROOT)


def test_the_file_must_be_called_as_the_card() -> None:
    with pytest.raises(DataError, match=r"the file must be ml-100k\.toml"):
        parse(ML_100K, "other.toml")
    with pytest.raises(DataError, match="a-z, 0-9"):
        parse(changed('name = "ml-100k"', 'name = "../x"'))


@pytest.mark.parametrize("dedup", ["consecutive", "global"])
def test_dedup_without_the_fields_it_compares_is_refused(dedup: str) -> None:
    with pytest.raises(DataError, match='this source has no text: say dedup = "none"'):
        parse(changed('dedup = "none"', f'dedup = "{dedup}"'))
    scientific = (ROOT / "datasets" / "scientific.toml").read_text(encoding="utf-8")
    scientific = scientific.replace('dedup = "none"', f'dedup = "{dedup}"')
    with pytest.raises(DataError, match="no text and no rating and no time"):
        parse(scientific, "scientific.toml")


def test_reviews_without_metadata_must_say_what_to_do_without_text() -> None:
    text = (ROOT / "datasets" / "gift-cards.toml").read_text(encoding="utf-8")
    text = re.sub(r"\[source\.files\.items\]\n.*\n.*\n", "", text)
    with pytest.raises(DataError, match="without an items file no item has text"):
        parse(text, "gift-cards.toml")
    allowed = text.replace('items_without_text = "error"', 'items_without_text = "unknown"')
    assert set(parse(allowed, "gift-cards.toml").source.files) == {"events"}


@pytest.mark.parametrize(
    ("sample", "message"),
    [
        ("{seed = 1}", "either 'count' or 'fraction'"),
        ("{seed = 1, count = 3, fraction = 0.5}", "either 'count' or 'fraction'"),
        ("{count = 3}", "'seed' is missing"),
        ("{seed = 1, fraction = 1.5}", "between 0 and 1"),
        ("{seed = 1, fraction = nan}", "between 0 and 1"),
        ("{seed = 1, count = 0}", "at least 1"),
        ("{seed = 1, count = 2, size = 2}", "unknown key 'size'"),
    ],
)
def test_a_wrong_user_sample_is_refused(sample: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(changed("[expected]", f"user_sample = {sample}\n[expected]"))


def test_every_shipped_card_says_why_nothing_is_dropped() -> None:
    notes = tomllib.loads((ROOT / "datasets" / "scientific.toml").read_text("utf-8"))["notes"]
    assert "dedup is off" in notes and "nothing is dropped" in notes


def test_listing_cards_loads_no_heavy_package() -> None:
    code = (
        "import sys; from harness.data.cards import card_names, load_card; "
        "from harness.data.sources import why_absent; import harness.data.prepare; "
        "[why_absent(load_card(name)) for name in card_names()]; "
        "print([name for name in ('torch', 'pandas', 'pyarrow', 'recbole', 'transformers') "
        "if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
