"""What was extracted from a text: a set of spans."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .base import Grader
from .values import Rules, parsed

_BULLET = re.compile(r"\A\s*(?:[-*•]\s+|\d+[.)]\s+)?")


class Spans(Grader):
    """The same set of spans, whatever their order and however often each is named.

    An answer is one of: a JSON list of texts, or of objects such as {"start": 0, "end": 4, "type": "PERSON"}; an object
    that maps types to texts, where an empty value means none; lines of text, one span a line, with or without bullets.
    White space in texts does not count, also inside objects; all fields of an object must be equal. Score: F1 over the
    spans.
    """

    name = "sets of spans"

    def agree(self, answer: str, teacher: str) -> bool:
        return _spans(answer) == _spans(teacher)

    def score(self, answer: str, teacher: str) -> float:
        mine, theirs = _spans(answer), _spans(teacher)
        return 2 * len(mine & theirs) / (len(mine) + len(theirs)) if mine or theirs else 1.0


def _spans(text: str) -> set[str]:
    value = parsed(text)
    if value is None or not isinstance(value[0], list | dict):
        lines = (_BULLET.sub("", line, count=1) for line in text.splitlines())
        return {_form(line) for line in lines if line.strip()}
    return {_form(span) for span in _named(value[0])}


def _named(value: list[Any] | dict[str, Any]) -> Iterator[Any]:
    """The items of a list; the texts of an object, each together with its type."""
    if isinstance(value, list):
        yield from value
        return
    for kind, items in value.items():
        for item in items if isinstance(items, list) else [] if items in (None, "") else [items]:
            yield [kind, _tight(item)]


def _form(span: Any) -> str:
    return Rules().form(_tight(span))


def _tight(value: Any) -> Any:
    if isinstance(value, str):
        return " ".join(value.split())
    return {key: _tight(item) for key, item in value.items()} if isinstance(value, dict) else value
