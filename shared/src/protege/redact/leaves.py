"""JSON in a text, taken by its values: `Jos\\u00e9` and `José` are one name, and keys are told from values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

_PART = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?|-?\d[\d.eE+-]*', re.DOTALL)
"""A string, and whether it is a key; or a number."""


def readable(text: str) -> str:
    """The text with the strings of its JSON as they read, those of JSON within them too. To be looked through: it is
    no JSON any more."""
    found = _document(text) if "\\" in text else None
    if found is None:
        return text
    start, end = found
    return f"{text[:start]}{_PART.sub(_as_it_reads, text[start:end])}{text[end:]}"


def rewritten(text: str, change: Callable[[str], str], whole: Callable[[str, bool], str | None]) -> str:
    """The text with its values changed: the strings and numbers of its JSON, and what stands around that.

    whole: what a string becomes as a whole, told whether it is a key; where that is None, a key stays and another
    string is changed as a text. What does not change stays to the letter.
    """
    found = _document(text)
    if found is None:
        return change(text)

    def part(match: re.Match[str]) -> str:
        literal, colon = match.groups()
        if literal is None:
            return change(match[0])
        value: str = json.loads(literal)
        new = whole(value, colon is not None)
        if new is None:
            new = value if colon is not None else rewritten(value, change, whole)
        return match[0] if new == value else f"{json.dumps(new, ensure_ascii=literal.isascii())}{colon or ''}"

    start, end = found
    return f"{change(text[:start])}{_PART.sub(part, text[start:end])}{change(text[end:])}"


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """What a text says, in pieces, and whether each is a key of its JSON."""
    found = _document(text)
    if found is None:
        yield text, False
        return
    start, end = found
    yield text[:start], False
    for match in _PART.finditer(text, start, end):
        literal, colon = match.groups()
        if literal is None:
            yield match[0], False
        elif colon is not None:
            yield json.loads(literal), True
        else:
            yield from pieces(json.loads(literal))
    yield text[end:], False


def _document(text: str) -> tuple[int, int] | None:
    """Where the JSON of a text stands: between its outermost brackets, or all of it, a string; None where none does."""
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    start, end = min(starts, default=0), max(text.rfind("}"), text.rfind("]")) + 1
    if text.lstrip().startswith('"'):
        start, end = 0, len(text)
    if start >= end:
        return None
    try:
        json.loads(text[start:end])
    except (ValueError, RecursionError):  # RecursionError: nested too deep to be read
        return None
    return start, end


def _as_it_reads(match: re.Match[str]) -> str:
    literal, colon = match.groups()
    if literal is None or "\\" not in literal:
        return match[0]
    return f'"{readable(json.loads(literal))}"{colon or ""}'
