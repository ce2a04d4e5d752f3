"""Letters of groups: their rule, broken in every way."""

from __future__ import annotations

import pytest

from harness.checking.leaves import Span
from harness.checking.letters import letter_faults, verdicts
from harness.checking.numbers import Student

ALIKE = {frozenset("ab"): True, frozenset("bc"): True, frozenset("ac"): False}
ALL = dict.fromkeys(ALIKE, True)
OPEN = {**ALIKE, frozenset("ac"): None}


def _faults(letters, alike=ALIKE):
    return list(letter_faults(dict(zip("abc", letters, strict=False)), alike))


@pytest.mark.parametrize(
    ("letters", "alike"),
    [
        (["a", "ab", "b"], ALIKE), (["b", "ba", "a"], ALIKE), (["a", "a", "a"], ALL),
        (["(53)", "(53)Z", "Z"], ALIKE), (["a", "ab", "b"], OPEN), (["a", "a", "a"], OPEN),
        (["a", "b", "c"], dict.fromkeys(ALIKE, False)), ([""], {}),
    ],
)  # fmt: skip
def test_letters_that_follow_the_rule(letters, alike):
    assert _faults(letters, alike) == []


@pytest.mark.parametrize(
    ("letters", "alike", "fault"),
    [
        (["a", "a", "a"], ALIKE, "'a' and 'c' share a letter, though a test tells them apart"),
        (["a", "ab", "c"], ALIKE, "'b' and 'c' share no letter, though no test tells them apart"),
        (["a", "abc", "b"], ALIKE, "says nothing that the other does not"),
        (["ab", "ab", "b"], ALL, "says nothing that the other does not"),
        (["ab", "bc", "ac"], ALL, "leaves out row 'c'"),
        (["a", "ab", ""], ALIKE, "the letters of row 'c' are ''"),
        (["a", "ab", None], ALIKE, "the letters of row 'c' are None"),
        (["a", "ab", "b!"], ALIKE, "the letters of row 'c' are 'b!'"),
        (["aa", "ab", "b"], ALIKE, "the letters of row 'a' are 'aa'"),
        (["a"], {}, "though there is no other row"),
    ],
)
def test_letters_that_break_it(letters, alike, fault):
    assert any(fault in one for one in _faults(letters, alike))


def test_verdicts_are_of_corrected_tests():
    tests = {
        frozenset("ab"): Student(0.1, p=0.02),
        frozenset("ac"): Student(0.1, p=0.03),
        frozenset("bc"): Student(0.0, reason="nothing varies"),
    }
    assert list(verdicts(tests, "holm", 0.05).values()) == [False, False, True]
    assert list(verdicts(tests, "bonferroni", 0.05).values()) == [False, True, True]
    assert list(verdicts(tests, "holm", 0.04).values()) == [None, None, True]  # at the very edge
    tests[frozenset("ab")] = Student(0.1, p=Span(0.01, 0.2))
    assert list(verdicts(tests, "bonferroni", 0.05).values()) == [None, True, True]
