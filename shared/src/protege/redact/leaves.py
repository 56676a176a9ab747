"""A text in its pieces: the strings, keys and numbers of the JSON in it, and what stands around that.

Each piece reads as it means (`Jos\\u00e9` and `José` are one name) and knows its place in the text; a string that holds
JSON is taken apart again. Keys are not values, and say what a value is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from .folding import View, folded, unescaped

_TOKEN = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\\?+\Z))(\s*+:)?|-?\d[\d.eE+-]*|[{}\[\]]', re.DOTALL)
"""A string, and whether it is a key; or a number; or a bracket. A string that is not closed would match too, so that
each character is read once; what is read is valid JSON, which has none."""
_OPEN = re.compile(r"[{\[]")
_DECODER = json.JSONDecoder()
TRIES = 16
"""So many brackets of a text may open no JSON; what comes after them is taken as text."""
LEVELS = 8
"""So many levels of JSON within strings of JSON are taken apart."""
PATH = 4
"""So many keys around a value are known."""


@dataclass(frozen=True, eq=False)
class Object:
    """An object of JSON, or a list."""

    path: tuple[str, ...] = ()
    """The keys around it, outermost first: the last `PATH`."""
    keys: set[str] = field(default_factory=set[str])
    """Its keys."""
    named: list[str] = field(default_factory=list[str])
    """What it says of itself under a key such as `name` or `field`: it may be the key of its `value`."""


NAMING = frozenset(("key", "name", "field", "fieldName", "field_name", "label", "question", "attribute", "property"))
"""Keys that name what stands beside them: `{"key": "first_name", "value": "Anna"}`."""
MOST_NAMED = 8
"""So many of them count: each value beside them is looked at for each."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A piece of a text."""

    view: View
    """What it says, folded."""
    kind: Literal["text", "key", "value", "number"]
    """"text" is what is no JSON."""
    key: str
    """The key of a value; empty if it stands in no object."""
    inside: Object
    """The object around it."""
    escaped: int
    """How many strings of JSON it stands in."""

    @property
    def text(self) -> str:
        return self.view.text


def leaves(text: str) -> list[Leaf]:
    """The pieces of a text, in order. Time is linear."""
    return list(_leaves(View(text), "text", "", Object(), 0))


def readable(text: str) -> str:
    """What a text says: its pieces, one on a line, keys of JSON too. It is meant to be searched."""
    return "\n".join(leaf.text for leaf in leaves(text))


def _leaves(view: View, kind: Literal["text", "value"], key: str, inside: Object, escaped: int) -> Iterator[Leaf]:
    done = 0
    for start, end in _documents(view.text) if escaped < LEVELS else ():
        if start > done:
            yield Leaf(folded(view.part(done, start)), kind, key, inside, escaped)
        yield from _of_document(view, start, end, key, inside, escaped)
        done = end
    if done < len(view.text) or not view.text:
        yield Leaf(folded(view.part(done, len(view.text))), kind, key, inside, escaped)


def _of_document(view: View, start: int, end: int, key: str, inside: Object, escaped: int) -> Iterator[Leaf]:
    around: list[tuple[str, Object]] = []
    for match in _TOKEN.finditer(view.text, start, end):
        literal, colon = match.groups()
        if literal is not None:
            string = unescaped(view.part(match.start() + 1, match.end(1) - 1))
            if colon is None:
                if key in NAMING and len(inside.named) < MOST_NAMED:
                    inside.named.append(string.text)
                yield from _leaves(string, "value", key, inside, escaped + 1)
            else:
                key = string.text
                inside.keys.add(key)
                yield Leaf(folded(string), "key", key, inside, escaped + 1)
        elif match[0] in "{[":
            around.append((key, inside))
            inside = Object((*inside.path, key)[-PATH:] if key else inside.path)
            key = key if match[0] == "[" else ""
        elif match[0] in "}]":
            if around:  # else it stands within a string that is a document of its own
                key, inside = around.pop()
        else:
            yield Leaf(view.part(*match.span()), "number", key, inside, escaped)


def _documents(text: str) -> Iterator[tuple[int, int]]:
    """Start and end of each object or list of JSON in a text, or of all of it if it is a string of JSON."""
    if text.lstrip()[:1] == '"' and _is_json(text):
        yield 0, len(text)
        return
    at = tries = 0
    while tries < TRIES and (match := _OPEN.search(text, at)):
        try:
            _, at = _DECODER.raw_decode(text, match.start())
        except (ValueError, RecursionError):  # RecursionError: nested too deeply
            at, tries = match.end(), tries + 1
        else:
            yield match.start(), at


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
