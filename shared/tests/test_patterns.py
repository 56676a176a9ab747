"""Every regular expression of Python's `re` in the product takes time linear in the text, as the product uses it.

The patterns are found by introspection, and the hostile texts are made from each of them.
"""

from __future__ import annotations

import re

import pytest
from hostile import modules, seconds
from patterns import Used, texts, used_in

CHARACTERS = 8_000
LONGEST_S = 0.05
"""For that many. Linear patterns take up to 5 ms; what takes the square of the length takes 150 ms or more."""
FEW, LONGEST_OF_FEW_S = 20, 0.005
"""What takes a power of two takes 20 ms or more for so few."""
PACKAGES = (
    "protege",
    "protege_langchain",
    "protege_langgraph",
    "protege_llamaindex",
    "protege_autogen",
    "protege_clients",
)
BOUNDED = {
    "protege.chat.refusal._REFUSAL": 400,
    "protege.collect.formats.calls._NAMED": 120,
    "protege.collect.formats.calls._UNSURE": 120,
    "protege.masking.masking._LAST_WORD": 40,
}
"""Patterns that are shown only so many characters."""
FOUND = used_in(list(modules(*PACKAGES)))


def repeated(begin: str, unit: str, end: str, characters: int) -> str:
    return begin + (unit * (characters // len(unit) + 1))[:characters] + end


def slowest(used: Used) -> str:
    """What hostile text makes the pattern slow; empty if none does."""
    most = BOUNDED.get(used.where, CHARACTERS)
    kinds = texts(used.pattern)
    for kind in kinds:
        few = repeated(*kind, min(FEW, most))
        if min(seconds(lambda few=few: used.work(few)) for _ in range(2)) > LONGEST_OF_FEW_S:
            return repr(kind)
    took = [(seconds(lambda kind=kind: used.work(repeated(*kind, most // 8))), kind) for kind in kinds]
    for _, kind in sorted(took, reverse=True)[:3]:
        text = repeated(*kind, most)
        if min(seconds(lambda text=text: used.work(text)) for _ in range(3)) > LONGEST_S:
            return repr(kind)
    return ""


@pytest.mark.parametrize("used", FOUND, ids=lambda used: used.where)
def test_a_pattern_is_linear_in_the_text(used: Used) -> None:
    assert slowest(used) == ""


def test_all_patterns_are_found() -> None:
    assert len(FOUND) > 100
    assert not BOUNDED.keys() - {used.where for used in FOUND}


@pytest.mark.parametrize(
    ("pattern", "method"),
    [
        (r"\s*x", "search"),
        (r"(a+)+$", "match"),
        (r"^(\w+\s?)*$", "match"),
        (r'"(?:[^"\\]|\\.)*"', "finditer"),
    ],
)
def test_a_pattern_that_is_not_linear_is_noticed(pattern: str, method: str) -> None:
    assert slowest(Used("", re.compile(pattern), frozenset({method}))) != ""
