"""Settings: parsed by type, checked, filled in layers, each value with its origin."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data.cards import card_names, load_card
from harness.errors import UsageError
from harness.registry import load_method, method_modules
from harness.settings import Layer, parse_assignment, resolve, setting


@dataclass(frozen=True)
class Sample:
    count: int = setting(3, "a count", minimum=1, maximum=9)
    rate: float = setting(0.5, "a rate", minimum=0.0)
    on: bool = setting(False, "a switch")
    name: str = setting("plain", "a name")
    mode: str = setting("first", "a mode", choices=("first", "second"))
    limit: int | None = setting(None, "a limit", minimum=2)
    sizes: tuple[int, ...] = setting((1, 2), "sizes", minimum=1)
    names: tuple[str, ...] = setting((), "names", choices=("a", "b"))

    def __post_init__(self) -> None:
        if self.count > self.rate * 100:
            raise ValueError(f"count {self.count} is too large for rate {self.rate}")


def _set(**values):
    return resolve(Sample, "sample", [Layer("--set", values)])[0]


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("count", "7", 7), ("rate", "1e-1", 0.1), ("rate", "3", 3.0),
        ("on", "true", True), ("on", "No", False), ("on", "1", True),
        ("name", "a b/c", "a b/c"), ("name", "7", "7"), ("name", "none", "none"),
        ("mode", "second", "second"), ("limit", "none", None), ("limit", "4", 4),
        ("sizes", "3, 4,", (3, 4)), ("sizes", "", ()), ("names", "a,b", ("a", "b")),
    ],
)  # fmt: skip
def test_text_is_read_by_the_type_of_the_field(name, text, value):
    found = getattr(resolve(Sample, "sample", [Layer("t", {"rate": 1, name: text})])[0], name)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("name", "raw", "message"),
    [
        ("count", "0", "at least 1, found 0"), ("count", "10", "at most 9, found 10"),
        ("count", "2.5", "whole number"), ("count", 2.5, "whole number"),
        ("count", "", "whole number"), ("count", True, "must be a number"),
        ("count", "len('abc')", "whole number"), ("count", float("inf"), "whole number"),
        ("rate", "nan", "finite number"), ("rate", "inf", "finite number"),
        ("rate", 10**400, "finite number"), ("rate", "-0.1", "at least 0.0"),
        ("rate", [1], "must be a number"), ("rate", "half", "finite number"),
        ("on", "maybe", "true or false"), ("on", 2, "true or false"),
        ("name", 7, "must be text"), ("name", "two\nlines", "one line"),
        ("name", "a | b", "without |"), ("name", "`x`", "without |"),
        ("mode", "secnd", "did you mean 'second'?"), ("limit", "1", "at least 2"),
        ("sizes", "3,x", "whole number"), ("sizes", 3, "must be a list"),
        ("sizes", "3,0", "at least 1, found 0"), ("names", "a,c", "cannot be 'c'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(name, raw, message):
    with pytest.raises(UsageError) as caught:
        _set(**{name: raw})
    assert message in str(caught.value)
    assert f"sample.{name} (given by --set)" in str(caught.value)


def test_an_unknown_setting_is_refused_with_a_suggestion():
    with pytest.raises(UsageError, match=r"no setting 'cuont' .* did you mean 'count'\?"):
        _set(cuont="1")


def test_values_that_do_not_go_together():
    with pytest.raises(UsageError, match="sample: count 3 is too large"):
        _set(rate="0.01")


def test_later_layers_win_and_origins_are_kept():
    settings, origins = resolve(
        Sample, "sample",
        [
            Layer("data set card", {"count": 4, "rate": 2, "name": "card"}),
            Layer("preset big", {"count": 5, "rate": 3}),
            Layer("--set", {"count": "6"}),
        ],
    )  # fmt: skip
    assert (settings.count, settings.rate, settings.name) == (6, 3.0, "card")
    assert origins == {
        "count": "--set", "rate": "preset big", "name": "data set card", "on": "default",
        "mode": "default", "limit": "default", "sizes": "default", "names": "default",
    }  # fmt: skip


@given(
    count=st.integers(1, 9), rate=st.floats(0.1, 1e300), on=st.booleans(),
    limit=st.none() | st.integers(2, 10**18), sizes=st.lists(st.integers(1, 10**6)),
)  # fmt: skip
def test_what_is_printed_is_read_back(count, rate, on, limit, sizes):
    values = {"count": count, "rate": rate, "on": on, "limit": limit, "sizes": tuple(sizes)}
    typed = {**values, "sizes": ",".join(map(str, sizes))}
    settings = _set(**{name: str(value) for name, value in typed.items()})
    assert {name: getattr(settings, name) for name in values} == values


@given(st.text())
def test_any_text_is_read_or_refused(text):
    for field in dataclasses.fields(Sample):
        try:
            _set(**{field.name: text})
        except UsageError as error:
            assert field.name in str(error)


def test_assignments():
    assert parse_assignment("calrec.backbone=a=b.c") == ("calrec", "backbone", "a=b.c")
    assert parse_assignment("m.x=") == ("m", "x", "")
    for wrong in ("m.x", "x=1", ".x=1", "m.=1", "=1", ""):
        with pytest.raises(UsageError, match=r"method\.field=value"):
            parse_assignment(wrong)


@pytest.mark.parametrize("name", sorted(method_modules()))
def test_every_preset_and_quick_setting_of_every_method_resolves(name):
    method = load_method(name).method
    for preset, values in {**method.card.presets, "quick": method.card.quick_settings}.items():
        resolve(method.Settings, name, [Layer(preset, values)])
    for field in dataclasses.fields(method.Settings):
        assert field.metadata.get("doc"), f"{name}.{field.name} has no description"


@pytest.mark.parametrize("card", card_names())
def test_the_settings_of_every_shipped_card_resolve(card):
    for name, values in load_card(card).method_settings.items():
        resolve(load_method(name).method.Settings, name, [Layer(card, values)])
