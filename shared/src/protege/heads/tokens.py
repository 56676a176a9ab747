"""The tokens of a prompt, and what is told of each of them: what a tagger sees.

Pure Python, linear in the text, which is bounded. Every feature is a 32-bit hash, so no text of a call is kept.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .features import ROLE, TURN, Hashes, hashed

MOST_TOKENS = 600
"""Tokens of a prompt that are read: the last ones."""
MOST_CHARACTERS = 20_000
"""Characters that tokens are looked for in: the last ones."""
MOST_LINES = 2
"""Lines above a token's whose last word is told of it, such as the field that was asked for."""
AROUND = (-2, -1, 1, 2)
"""The neighbours that are told of a token."""

_RARE, _RARE_BEFORE, _RARE_AFTER = hashed("rare"), hashed("rare before"), hashed("rare after")
_WIDE = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Scripts without spaces between words: each of their characters is a token."""
_TOKEN = re.compile(rf"[{_WIDE}]|[^\W\d_{_WIDE}]+|\d+|[^\w\s]|_")


@dataclass(frozen=True, slots=True)
class Told:
    """A text, and what is told of it."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """Where each token begins and ends in the text."""
    marks: tuple[tuple[int, ...], ...]
    """The features of each token, hashed: its word and its shape first."""
    course: tuple[int, ...]
    """Those of the whole text, which count for each token."""


def text_of(prompt: str) -> str:
    """What a prompt, rendered by the template of `NGRAMS`, shows besides the system's turns: the end of it."""
    turns = [turn.partition(ROLE) for turn in prompt.split(TURN)[1:]]
    return "\n".join(text for role, _, text in turns if role != "system")[-MOST_CHARACTERS:]


def spans_of(text: str) -> tuple[tuple[int, int], ...]:
    """Where each token begins and ends in a text; the last `MOST_TOKENS`."""
    return tuple([match.span() for match in _TOKEN.finditer(text)][-MOST_TOKENS:])


def told_of(text: str, act: str) -> Told:
    """The tokens of a text. act: what the answer does, by which the same words mean other things; may be empty."""
    spans = spans_of(text)
    raw = [text[begin:end] for begin, end in spans]
    words = [word.casefold() for word in raw]
    shapes = [_shape(word) for word in raw]
    breaks = [i > 0 and "\n" in text[spans[i - 1][1] : begin] for i, (begin, _) in enumerate(spans)]
    above: list[str] = []
    marks: list[tuple[int, ...]] = []
    for i, (begin, _) in enumerate(spans):
        if breaks[i]:
            above = [*above, next((w for w in reversed(words[:i]) if w[0].isalnum()), "")][-MOST_LINES:]
        close = "close" if i and spans[i - 1][1] == begin else "line" if breaks[i] else "apart"
        told = [*_of_word(words[i], shapes[i]), *_beside(words, shapes, i), close]
        told += [f"place {min(i, 5)}", f"left {min(len(words) - 1 - i, 5)}", f"act {act}", f"{act} {shapes[i]}"]
        told += [mark for word in above for mark in (f"above {word}", f"above {word} {shapes[i]}")]
        marks.append(tuple(hashed(mark) for mark in told))
    course = tuple(hashed(f"has {word}") for word in sorted(set(words)))
    return Told(text, spans, tuple(marks), course)


def rarities(told: Told, hashes: Hashes) -> list[tuple[int, ...]]:
    """Further features of each token, hashed: that its word, or that of a neighbour, is not among the known features.

    hashes: those, ascending. A word that training showed once is not among them either; so it is learnt what a word may
    mean that was never shown.
    """
    words = np.array([marks[0] for marks in told.marks], np.uint32)
    places = np.minimum(np.searchsorted(hashes, words), len(hashes) - 1)
    rare = [False, *(hashes[places] != words).tolist(), False]
    further: list[tuple[int, ...]] = []
    for before, this, after, marks in zip(rare, rare[1:], rare[2:], told.marks, strict=False):
        found = (_RARE, _RARE ^ marks[1]) if this else ()
        further.append((*found, *((_RARE_BEFORE,) if before else ()), *((_RARE_AFTER,) if after else ())))
    return further


def _of_word(word: str, shape: str) -> Sequence[str]:
    pieces = (f"{name}{n} {piece}" for n in (1, 2, 3) for name, piece in (("^", word[:n]), ("$", word[-n:])))
    return (f"0 {word}", f"shape {shape}", "token", f"long {min(len(word), 7)}", *pieces)


def _beside(words: Sequence[str], shapes: Sequence[str], i: int) -> list[str]:
    """The neighbours of a token, alone and together with it."""

    def at(listed: Sequence[str], by: int) -> str:
        return listed[i + by] if 0 <= i + by < len(listed) else ""

    told = [f"{by} {at(words, by)}" for by in AROUND] + [f"shape{by} {at(shapes, by)}" for by in AROUND]
    told += [f"-1 0 {at(words, -1)} {words[i]}", f"0 1 {words[i]} {at(words, 1)}"]
    return [*told, f"shapes {at(shapes, -1)} {shapes[i]} {at(shapes, 1)}"]


def _shape(word: str) -> str:
    if word.isdigit():
        return "9" * min(len(word), 5)
    if not word.isalpha():
        return word
    return "AA" if word.isupper() and len(word) > 1 else "Aa" if word[0].isupper() else "a"
