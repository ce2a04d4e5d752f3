from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import harness
from harness.data.card import TABLE_1_FIGURES
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
    assert {"amazon-gift-cards", "ml-100k", "scientific"} <= set(card_names())
    for name in card_names():
        card = load_card(name)
        assert card.name == name
        assert card.licence and card.citation and card.url.startswith("https://")
        assert len(card.hash) == len(card.data_hash) == 64
        assert card.expected or card.url.endswith("/amazon/index.html")


PAPER_EVALUATES = ("scientific", "instruments", "arts", "office", "games", "pet")
STAGE_ONE_ONLY = (
    "automotive", "cell-phones", "clothing", "electronics", "grocery", "home", "movies",
)  # fmt: skip
SMALL = ("gift-cards", "magazine-subscriptions", "fashion", "all-beauty", "appliances")
AMAZON = [f"amazon-{name}" for name in (*PAPER_EVALUATES, *STAGE_ONE_ONLY, "cds", *SMALL)]


def test_there_is_a_card_for_each_of_the_papers_categories_and_the_small_ones() -> None:
    assert [name for name in card_names() if name.startswith("amazon-")] == sorted(AMAZON)


@pytest.mark.parametrize("name", AMAZON)
def test_an_amazon_card_says_where_its_files_are_and_follows_the_paper(name: str) -> None:
    card = load_card(name)
    reviews, metadata = card.source.files["events"], card.source.files["items"]
    category = metadata.path.removeprefix("amazon2018_raw/meta_").removesuffix(".json.gz")
    assert reviews.path == f"amazon2018_raw/{category}_5.json.gz"
    for file, folder in ((reviews, "categoryFilesSmall"), (metadata, "metaFiles2")):
        name_of_file = file.path.removeprefix("amazon2018_raw/")
        assert len(file.urls) == 3
        assert all(url.endswith(f"/{folder}/{name_of_file}") for url in file.urls)
    assert card.protocol.dedup == "consecutive" and card.protocol.min_user_events == 5
    assert [(part.label, part.field, part.words) for part in card.text.attributes] == [
        ("Title", "title", 25), ("Category", "main_cat", 15), ("Brand", "brand", 15),
        ("Price", "price", 15),
    ]  # fmt: skip


def test_the_papers_table_1_stands_in_the_cards_of_the_six_categories() -> None:
    with_figures = [name for name in card_names() if load_card(name).paper]
    assert with_figures == sorted(f"amazon-{name}" for name in PAPER_EVALUATES)
    pet = load_card("amazon-pet").paper
    assert (pet["users"], pet["items"], pet["purchases"]) == (43135, 37712, 380623)
    assert sum(load_card(name).paper["users"] for name in with_figures) == 221046
    for name in with_figures:
        figures = load_card(name).paper
        assert tuple(figures) == TABLE_1_FIGURES
        assert figures["purchases"] / figures["users"] == pytest.approx(
            figures["items_per_user"], abs=0.006
        )


def test_only_office_and_pet_keep_a_sample_of_users() -> None:
    samples = {name: load_card(name).protocol.user_sample for name in AMAZON}
    drawn = {name: sample.fraction for name, sample in samples.items() if sample}
    assert drawn == {"amazon-office": 0.5, "amazon-pet": 0.2}
    assert {samples[name].seed for name in drawn} == {0}


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
        ('sha256 = "4e', 'urls = "x"\nsha256 = "4e', "'urls' must be a list of strings, found 'x'"),
        ('sha256 = "4e', 'urls = [3]\nsha256 = "4e', "'urls' must be a list of strings"),
        ('sha256 = "4e', 'urls = ["ftp://x"]\nsha256 = "4e', "must begin with https://"),
        ("[source.fields]", "fault_limit = -1\n[source.fields]", "must be at least 0, found -1"),
        ("[source.fields]", 'time_unit = "s"\n[source.fields]', "unknown key 'time_unit'"),
        ("[text]", '[text]\nverbatim = "title"', "either 'verbatim' or 'attributes'"),
        ("[expected]", '[paper]\nusers = "x"\n[expected]', "'users' must be a finite number"),
        ("[expected]", "[paper]\nusers = inf\n[expected]", "'users' must be a finite number"),
        ("[expected]", "[paper]\nuser = 3\n[expected]", "unknown key 'user'"),
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


REVIEWS = """
name = "reviews"
title = "Reviews"
licence = "none"
citation = "none"
url = "none"
redistributable = false
verb = "bought"
[source]
kind = "amazon-2018"
folder_default = "."
files.events = {path = "reviews.json.gz"}
[text]
attributes = [{label = "Title", field = "title", words = 25, cleaning = "html"}]
[protocol]
dedup = "consecutive"
min_user_events = 5
split = "leave-one-out"
"""


def test_reviews_without_metadata_must_say_what_to_do_without_text() -> None:
    with pytest.raises(DataError, match="without an items file no item has text"):
        parse(REVIEWS, "reviews.toml")
    allowed = REVIEWS.replace("[text]", '[text]\nitems_without_text = "unknown"')
    assert set(parse(allowed, "reviews.toml").source.files) == {"events"}
    without = re.sub(r"\[text\]\n.*\n", "", REVIEWS)
    assert not parse(without, "reviews.toml").text


def test_a_digest_and_addresses_are_optional() -> None:
    card = parse(changed('sha256 = "4edb74e2', '# sha256 = "'))
    assert card.source.files["events"].sha256 is None
    assert card.source.files["events"].urls == ()
    urls = 'urls = ["https://example.org/a", "http://example.org/b"]\nsha256 = "4e'
    addressed = parse(changed('sha256 = "4e', urls))
    assert addressed.source.files["events"].urls[1] == "http://example.org/b"
    assert addressed.data_hash == parse(ML_100K).data_hash
    assert card.data_hash != addressed.data_hash


BASE = ML_100K.replace('name = "ml-100k"', "", 1).encode()


def extending(text: str, base: bytes = BASE):
    return parse_card(text.encode(), "mine.toml", ROOT, {"_base": base})


def test_a_card_may_extend_a_base_and_change_single_keys() -> None:
    card = extending('extends = "_base"\nname = "mine"\n[protocol]\nmin_user_events = 7\n')
    assert (card.name, card.protocol.min_user_events, card.protocol.dedup) == ("mine", 7, "none")
    assert card.source == parse(ML_100K).source
    assert card.hash != parse(ML_100K).hash
    whole = BASE.decode().replace("min_user_events = 5", "min_user_events = 7")
    assert parse(f'name = "mine"\n{whole}', "mine.toml").hash == card.hash


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('extends = "_bas"\nname = "mine"', "names '_bas', which is no base: did you mean '_base'"),
        ('extends = 3\nname = "mine"', "names 3, which is no base"),
        ('extends = "_base"\nname = "mine"\nprotocol = 3', "'protocol' must be a table"),
        ('extends = "_base"\nname = "mine"\nsplat = 3', "unknown key 'splat'"),
    ],
)
def test_a_wrong_extension_is_refused(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        extending(text)


def test_a_base_is_no_card_and_extends_nothing() -> None:
    assert "_amazon-2018" not in card_names()
    with pytest.raises(UsageError, match="unknown data set '_amazon-2018'"):
        load_card("_amazon-2018")
    with pytest.raises(DataError, match="unknown key 'extends'"):
        extending('extends = "_base"\nname = "mine"', b'extends = "_base"\n' + BASE)


def test_a_mixture_is_no_data_set() -> None:
    assert "calrec-stage-one" not in card_names()
    with pytest.raises(UsageError, match=r"calrec-stage-one\.toml is a mixture"):
        load_card("calrec-stage-one")


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
