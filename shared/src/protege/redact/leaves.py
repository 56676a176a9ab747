"""JSON within a text, handled value by value: `Jos\\u00e9` and `José` are the same name, and keys are not values."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator

_PART = re.compile(r'("(?:[^"\\]|\\.)*+(?:"|\\?+\Z))(\s*+:)?|-?\d[\d.eE+-]*', re.DOTALL)
"""A string, and whether it is a key; or a number. One that is not closed would match too, so that each character is
read once; what is read is valid JSON, which has none."""


def readable(text: str) -> str:
    """The text with the strings of its JSON unescaped, also those of JSON inside them.

    The result is meant to be searched; it is not valid JSON any more.
    """
    span = _document(text) if "\\" in text else None
    if span is None:
        return text
    start, end = span
    return f"{text[:start]}{_PART.sub(_as_it_reads, text[start:end])}{text[end:]}"


def rewritten(text: str, change: Callable[[str], str], whole: Callable[[str, bool], str | None]) -> str:
    """The text with its values changed: the strings and numbers of its JSON, and the text around the JSON.

    change: changes a text or a number.
    whole: given a string and whether it is a key, returns what the whole string becomes. If it returns None, a key
    stays and any other string is changed like a text.
    Whatever does not change stays exactly as it was written.
    """
    span = _document(text)
    if span is None:
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

    start, end = span
    return f"{change(text[:start])}{_PART.sub(part, text[start:end])}{change(text[end:])}"


def pieces(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text, and whether each is a key of its JSON."""
    span = _document(text)
    if span is None:
        yield text, False
        return
    start, end = span
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
    """Start and end of the JSON in a text: from its first to its last bracket, or all of it if it is a string.

    None if there is no valid JSON.
    """
    starts = [at for at in (text.find("{"), text.find("[")) if at >= 0]
    start, end = min(starts, default=0), max(text.rfind("}"), text.rfind("]")) + 1
    if text.lstrip().startswith('"'):
        start, end = 0, len(text)
    if start >= end:
        return None
    try:
        json.loads(text[start:end])
    except (ValueError, RecursionError):  # RecursionError: nested too deeply
        return None
    return start, end


def _as_it_reads(match: re.Match[str]) -> str:
    literal, colon = match.groups()
    if literal is None or "\\" not in literal:
        return match[0]
    return f'"{readable(json.loads(literal))}"{colon or ""}'
