"""The product's regular expressions of Python's `re`, how each is used, and texts that are hostile to one.

`re` backtracks: a pattern may take the square, the cube or a power of two of a text's length, and holds the
interpreter's lock meanwhile. The hostile texts are made from the pattern itself: what may stand in it, repeated, after
what may stand before it, and before something that makes the match fail.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The parser of `re` itself; its tree is the only description of a pattern that is sure to be right.
from re import _constants as code  # pyright: ignore # isort: skip
from re import _parser as parser  # pyright: ignore # isort: skip

METHODS = {"match", "fullmatch", "search", "findall", "finditer", "sub", "subn", "split"}
_PROBE = [chr(n) for n in (9, 10, *range(32, 127))] + ["é", "٣", "語", "’", "\u00a0"]
_CLASSES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}
_FAILS = ("", "\x00", "!")


@dataclass(frozen=True)
class Used:
    """A pattern, and the methods by which the product uses it."""

    where: str
    pattern: re.Pattern[Any]
    methods: frozenset[str]

    def work(self, text: str) -> None:
        """All that the product may do with the pattern and this text."""
        given: Any = text.encode("utf-8", "replace") if isinstance(self.pattern.pattern, bytes) else text
        for method in self.methods & {"match", "fullmatch", "search"}:
            getattr(self.pattern, method)(given)
        if self.methods - {"match", "fullmatch", "search"}:
            for _ in self.pattern.finditer(given):
                pass


def used_in(modules: Sequence[str]) -> list[Used]:
    """Each pattern that stands in these modules: by a name, in a table, or in a call of `re`."""
    trees = {name: ast.parse(Path(str(importlib.import_module(name).__file__)).read_text()) for name in modules}
    calls = [(name, node) for name, tree in trees.items() for node in ast.walk(tree) if isinstance(node, ast.Call)]
    by_name: dict[str, set[str]] = {}
    for tree in trees.values():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in METHODS and isinstance(node.value, ast.Name):
                by_name.setdefault(node.value.id, set()).add(node.attr)
    found: dict[tuple[Any, int], Used] = {}
    for name in modules:
        for variable, value in vars(importlib.import_module(name)).items():
            for pattern in _patterns(value):
                methods = frozenset(by_name.get(variable, METHODS))
                known = found.get((pattern.pattern, pattern.flags))
                where = known.where if known else f"{name}.{variable}"
                both = methods | (known.methods if known else frozenset())
                found[pattern.pattern, pattern.flags] = Used(where, pattern, both)
    for name, call in calls:
        if used := _called(name, call):
            found.setdefault((used.pattern.pattern, used.pattern.flags), used)
    return list(found.values())


def _patterns(value: Any, depth: int = 3) -> Iterator[re.Pattern[Any]]:
    """The patterns in a value, and in the tables that it holds."""
    if isinstance(value, re.Pattern):
        yield value
    elif depth and isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from _patterns(item, depth - 1)
    elif depth and isinstance(value, dict):
        yield from _patterns(list(value.values()), depth)
    elif depth and type(value).__module__.startswith("protege") and hasattr(value, "__slots__"):
        yield from _patterns([getattr(value, name, None) for name in value.__slots__], depth - 1)


def _called(module: str, call: ast.Call) -> Used | None:
    """The pattern of `re.sub("…", …)` and its like; None if the call is none, or makes a pattern with a name."""
    made = call.func
    if not (isinstance(made, ast.Attribute) and isinstance(made.value, ast.Name) and made.value.id == "re"):
        return None
    if made.attr not in METHODS or not isinstance(call.args[0], ast.Constant):
        return None
    flags = 0
    for node in ast.walk(ast.Tuple([*call.args[1:], *(word.value for word in call.keywords)])):
        if isinstance(node, ast.Attribute) and node.attr.isupper():
            flags |= getattr(re, node.attr)
    text: Any = call.args[0].value
    return Used(f"{module}: re.{made.attr}({text!r})", re.compile(text, flags), frozenset({made.attr}))


def texts(pattern: re.Pattern[Any], most: int = 60) -> list[tuple[str, str, str]]:
    """What hostile texts are made of: a beginning, a unit to repeat, and an end; at most about so many of each kind."""
    drawn = random.Random(0)
    plain = isinstance(pattern.pattern, str)
    flags = pattern.flags & ~re.DEBUG
    tree = parser.parse(
        pattern.pattern if plain else pattern.pattern.decode("latin-1"), flags if plain else flags | re.A
    )
    units: set[str] = set("a0 \n\"'")
    _samples(tree, drawn, units)
    ordered = sorted((unit for unit in units if 0 < len(unit) < 100), key=lambda unit: (len(unit), unit))
    short = ordered[:12]
    repeated = list(dict.fromkeys([*ordered[:40], *(a + b for a, b in itertools.product(short, repeat=2))]))
    alone = [("", unit, end) for unit in repeated for end in _FAILS]
    after = [(begin, unit, end) for begin in _beginnings(tree, drawn)[:16] for unit in repeated for end in _FAILS]
    return [*_drawn(alone, most, drawn), *_drawn(after, most, drawn)]


def _drawn(items: list[Any], most: int, drawn: random.Random) -> list[Any]:
    return items if len(items) <= most else drawn.sample(items, most)


def _samples(tree: Any, drawn: random.Random, units: set[str]) -> list[str]:
    """A few texts that a part of a pattern matches; they and those of its parts are put into `units`."""
    out = [""]
    for kind, value in tree:
        parts = list(dict.fromkeys(_parts(kind, value, drawn, units))) or [""]
        joined = [a + b for a in out for b in parts]
        out = list(dict.fromkeys(_drawn(joined, 16, drawn)))
    units.update(text for text in out if text)
    return out


def _parts(kind: Any, value: Any, drawn: random.Random, units: set[str]) -> list[str]:
    if kind is code.LITERAL:
        return [chr(value)]
    if kind is code.NOT_LITERAL:
        return [c for c in 'a0 \n"' if ord(c) != value][:3]
    if kind is code.ANY:
        return ["a", " ", '"']
    if kind is code.IN:
        return _characters(value)
    if kind is code.BRANCH:
        return _drawn([text for branch in value[1] for text in _samples(branch, drawn, units)[:2]], 12, drawn)
    if kind is code.SUBPATTERN:
        return _samples(value[3], drawn, units)
    if kind is code.ATOMIC_GROUP:
        return _samples(value, drawn, units)
    if kind in (code.MAX_REPEAT, code.MIN_REPEAT, code.POSSESSIVE_REPEAT):
        least, most, body = value
        return [text * times for text in _samples(body, drawn, units)[:4] for times in {least, min(most, least + 1)}]
    if kind in (code.ASSERT, code.ASSERT_NOT):
        _samples(value[1], drawn, units)
    return [""]


def _characters(items: Any) -> list[str]:
    """Some characters of a set."""
    negated = items[0][0] is code.NEGATE

    def holds(character: str) -> bool:
        at = ord(character)
        hit = False
        for kind, value in items:
            if kind is code.LITERAL:
                hit |= at == value
            elif kind is code.RANGE:
                hit |= value[0] <= at <= value[1]
            elif kind is code.CATEGORY:
                hit |= bool(re.match(_CLASSES[str(value).removeprefix("CATEGORY_")], character))
        return hit != negated

    held = [c for c in (*"a0 \n-_.\"'A", *_PROBE) if holds(c)]
    return list(dict.fromkeys(held))[:4] or [chr(v if k is code.LITERAL else v[0]) for k, v in items[:2]]


def _beginnings(tree: Any, drawn: random.Random) -> list[str]:
    """What may stand before each part of a pattern, in its groups too."""
    parts = list(tree)
    found: list[str] = []
    for n in range(1, len(parts) + 1):
        heads = _samples(parts[: n - 1], drawn, set())[:2]
        found += heads
        if parts[n - 1][0] is code.SUBPATTERN:
            found += [head + inner for head in heads[:1] for inner in _beginnings(parts[n - 1][1][3], drawn)[:8]]
    return [text for text in dict.fromkeys(found) if text]
