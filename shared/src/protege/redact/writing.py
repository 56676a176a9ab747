"""Surrogates written into a text as what they replace was written there: with its dashes, blanks and escapes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from urllib.parse import quote

from .leaves import Leaf

_RUN = re.compile(r"[^\W_]+")
_ESCAPED = re.compile(r"(?<!\\)(\\+)u[0-9A-Fa-f]{4}")
_WIDE = re.compile(r"[\uff10-\uff19]+")
_WIDE_DIGITS = {ord("0") + i: 0xFF10 + i for i in range(10)}


def edited(text: str, edits: Iterable[tuple[int, int, str]]) -> str:
    """The text with the characters from start to end replaced, for each edit; edits are in order."""
    pieces: list[str] = []
    done = 0
    for start, end, new in edits:
        pieces += (text[done:start], new)
        done = end
    return f"{''.join(pieces)}{text[done:]}" if pieces else text


def written(surrogate: str, leaf: Leaf, start: int, end: int, text: str) -> str:
    """The surrogate as it stands in the original text in place of the leaf's characters from start to end.

    What stands between its words and numbers stays as it was written there.
    """
    old, new = leaf.text[start:end], [*_RUN.finditer(surrogate)]
    runs = [*_RUN.finditer(old)]
    if _RUN.sub("x", old) != _RUN.sub("x", surrogate).replace(" ", "+" if "+" in old else " "):
        first, last = leaf.view.place(start, end)
        return _escaped(surrogate, leaf, text[first:last])
    pieces: list[str] = []
    done = leaf.view.place(start, end)[0]
    for mine, theirs in zip(runs, new, strict=True):
        first, last = leaf.view.place(start + mine.start(), start + mine.end())
        pieces += (text[done:first], _escaped(theirs[0], leaf, text[first:last]))
        done = last
    return f"{''.join(pieces)}{text[done : leaf.view.place(start, end)[1]]}"


def _escaped(word: str, leaf: Leaf, old: str) -> str:
    """A part of a surrogate in the escapes of what it replaces."""
    if _WIDE.fullmatch(old):
        return word.translate(_WIDE_DIGITS)
    if "%" in old:
        return quote(word, safe="")
    for _ in range(leaf.escaped):
        word = json.dumps(word, ensure_ascii=False)[1:-1]
    if word.isascii():
        return word
    found = _ESCAPED.search(old)
    ascii_only = leaf.escaped and old.isascii()
    slashes = found[1] if found else "\\" * 2 ** (leaf.escaped - 1) if ascii_only else ""
    return "".join(c if c.isascii() else _units(c, slashes) for c in word) if slashes else word


def _units(character: str, slashes: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"{slashes}u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2))
