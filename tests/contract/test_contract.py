"""Every registered method against every clause that its card declares."""

from __future__ import annotations

from harness.environment import missing_packages
from harness.registry import load_method
from tests.contract import worlds

_fits: dict[tuple[str, str, int], object] = {}


def fit_once(method, world, seed):
    """Fit a method on a world once for all clauses: they only read it."""
    key = (f"{method.__module__}.{method.__name__}", world.name, seed)
    if key not in _fits:
        _fits[key] = worlds.fitted(method, world, seed)
    return _fits[key]


def test_contract(method_name, clause):
    method = worlds.method_of(method_name)
    missing = missing_packages(method.card.requires)
    assert not missing, f"{method_name} needs {missing}: run `make setup`"
    clause(method, fit_once)


def test_the_card_is_complete(method_name):
    card = load_method(method_name).method.card
    assert card.title
    assert card.paper
    for name, values in card.presets.items():
        assert name == name.lower()
        assert values
