"""Fenced blocks of Markdown, read in linear time: models that loop write a fence and then thousands of blanks, and a
pattern tries each blank as the end of the block."""

from __future__ import annotations

import re
from typing import NamedTuple

FENCE = "```"
_LANGUAGE = re.compile(r"\w*")


class Fenced(NamedTuple):
    """What a fenced block holds."""

    language: str
    """The word after the fence; empty if there is none."""
    rest: str
    """The rest of the first line."""
    body: str | None
    """The lines after the first; None if there is only one line."""


def fenced(text: str) -> Fenced | None:
    """The block that a text consists of, but for white space around it; None if it is not one."""
    text = text.strip()
    if len(text) < 2 * len(FENCE) or not (text.startswith(FENCE) and text.endswith(FENCE)):
        return None
    first, newline, body = text[len(FENCE) : -len(FENCE)].partition("\n")
    word = _LANGUAGE.match(first)
    end = word.end() if word else 0
    return Fenced(first[:end], first[end:], body if newline else None)
