"""JSON in a text, taken by its values: `Jos\\u00e9` and `José` are one name, and a key is no value."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

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


def rewritten(text: str, change: Callable[[str], str], alone: Mapping[str, str]) -> str:
    """The text with its values changed: the strings and numbers of its JSON, and what stands around that; no key.

    alone: what a string becomes that is this text and no more. What does not change stays to the letter.
    """
    found = _document(text)
    if found is None:
        return change(text)

    def part(match: re.Match[str]) -> str:
        literal, colon = match.groups()
        if literal is None:
            return change(match[0])
        if colon is not None:
            return match[0]
        value: str = json.loads(literal)
        new = alone.get(value) or rewritten(value, change, alone)
        return literal if new == value else json.dumps(new, ensure_ascii=literal.isascii())

    start, end = found
    return f"{change(text[:start])}{_PART.sub(part, text[start:end])}{change(text[end:])}"


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
