"""What datasets/README.md shows can be copied, and it leaves out no key."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from harness.data import card_parsing
from harness.data.card import CLEANINGS, DEDUPS, SOURCE_FILES, TIME_UNITS
from harness.data.cards import load_card
from harness.data.mixture import load_mixture_card, prepare_mixture
from harness.errors import DataError

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "datasets" / "README.md").read_text(encoding="utf-8")
ABOUT_CARDS = README.partition("## A card\n")[2].partition("## A mixture\n")[0]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in ABOUT_CARDS.splitlines()
    if line.startswith("| `")
]


def block_under(title: str) -> str:
    """Return the first TOML block of a section."""
    (block,) = re.findall(r"```toml\n(.*?)```", README.partition(title)[2], re.DOTALL)[:1]
    return block


def test_the_card_that_is_shown_is_one_for_a_copier(tmp_path: Path) -> None:
    text = block_under("## A card\n")
    path = tmp_path / "amazon-software.toml"
    path.write_text(text, encoding="utf-8")
    card = load_card(str(path))
    assert card.name == "amazon-software"
    assert not (card.expected or card.paper or card.paper_lir)
    shipped = load_card("amazon-games")
    for role, file in card.source.files.items():
        model = shipped.source.files[role]
        assert file.sha256 is None
        assert file.path == model.path.replace("Video_Games", "Software")
        wanted = tuple(url.replace("Video_Games", "Software") for url in model.urls)
        assert file.urls == wanted[: len(file.urls)]
    assert card.protocol == shipped.protocol
    assert card.text == shipped.text
    assert "…" not in text


def test_the_mixture_that_is_shown_is_one(tmp_path: Path) -> None:
    text = block_under("## A mixture\n")
    path = tmp_path / f"{tomllib.loads(text)['name']}.toml"
    path.write_text(text, encoding="utf-8")
    card = load_mixture_card(str(path))

    def stop(part: str) -> None:
        raise DataError(part)

    # every part was seen to exist before the first is prepared
    with pytest.raises(DataError, match=rf"^{card.parts[0].reference}$"):
        prepare_mixture(card, stop)  # type: ignore[arg-type]


def test_every_key_that_a_card_may_have_is_told() -> None:
    code = Path(card_parsing.__file__).read_text(encoding="utf-8")
    methods = "text|texts|choice|flag|whole|fraction|figure|figures|table|tables"
    asked = set(re.findall(rf'(?:table|entry)\.(?:{methods})\(\s*"(\w+)"', code))
    asked |= set(re.findall(r'"(\w+)" (?:not )?in (?:table|entry|values)', code))
    assert {"fault_share", "without_text_limit", "user_sample", "paper_lir", "seed"} <= asked
    names = [name for row in ROWS for cell in row for name in re.findall(r"`([^`]+)`", cell)]
    told = {part for name in names for part in name.split(".")}
    assert asked - told == set()


def test_every_value_that_a_key_may_have_is_told() -> None:
    for value in (*DEDUPS, *TIME_UNITS, *CLEANINGS):
        assert f'"{value}"' in ABOUT_CARDS


def test_the_roles_of_files_are_those_of_each_kind() -> None:
    told = {}
    for kinds, required, optional in (row for row in ROWS if len(row) == 3):
        for kind in re.findall(r"`([^`]+)`", kinds):
            roles = (set(re.findall(r"`(\w+)`", cell)) for cell in (required, optional))
            told[kind] = tuple(roles)
    assert told == SOURCE_FILES
    (kinds,) = (row[1] for row in ROWS if row[0] == "`source.kind`")
    assert set(re.findall(r"`([^`]+)`", kinds)) == set(SOURCE_FILES)


@pytest.mark.parametrize("key", ["url", "source.time_unit", "text.verbatim", "settings.METHOD"])
def test_a_row_says_something(key: str) -> None:
    (row,) = (row for row in ROWS if key in re.findall(r"`([^`]+)`", row[0]))
    assert len(row[1].split()) > 3
