"""Finds again what was found once, in time that is linear in the text however much was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from .scripts import UNSPACED

_RUN = re.compile(r"[^\W\d_]+|\d+")
_LETTERS = UNSPACED.pattern
_MIXED = re.compile(rf"{_LETTERS}+|(?:(?!{_LETTERS})[^\W\d_])+|\d+")


class Match(NamedTuple):
    """A text that stands in another."""

    start: int
    end: int
    text: str


class Finder:
    """Finds any of the texts that were added: the first, and of those that begin at one place the longest.

    A text stands by itself if no letter, digit or low line is beside it; a word may be a part of a_name2, but of no
    other word. In scripts that put no blanks between words, it may stand anywhere.
    """

    def __init__(self) -> None:
        self._words: dict[str, bool] = {}
        """Whether a text may stand within a name."""
        self._shapes: dict[str, set[tuple[int, int]]] = {}
        """By the first run of letters or digits of a text: the characters before it, and those from it on."""
        self._unspaced: set[str] = set()
        self._anywhere: re.Pattern[str] | None = None

    def add(self, text: str, *, word: bool) -> None:
        """Look for a text from now on; word: whether it may be a part of a name such as a_name2."""
        run = next(_runs(text), None)
        if run is None or (self._words.get(text, False) >= word and text in self._words):
            return
        self._words[text] = word
        self._shapes.setdefault(run[0], set()).add((run.start(), len(text) - run.start()))
        if UNSPACED.search(text):
            self._unspaced.add(text)
            self._anywhere = None

    def matches(self, text: str) -> Iterator[Match]:
        """Where the texts stand in this one, in order and without overlaps."""
        if not self._words:
            return
        found = [*self._standing(text), *self._within(text)]
        end = 0
        for match in sorted(found, key=lambda match: (match.start, -match.end)):
            if match.start >= end:
                yield match
                end = match.end

    def _standing(self, text: str) -> Iterator[Match]:
        end = 0
        for run in _runs(text):
            if run.start() < end:
                continue
            best: Match | None = None
            for before, behind in self._shapes.get(run[0], ()):
                start, stop = run.start() - before, run.start() + behind
                match = self._match(text, start, stop) if start >= end else None
                if match and (best is None or (match.start, -match.end) < (best.start, -best.end)):
                    best = match
            if best:
                yield best
                end = best.end

    def _match(self, text: str, start: int, end: int) -> Match | None:
        if end > len(text):  # a longer text that begins like this one
            return None
        written = text[start:end].replace("+", " ") if "+" in text[start + 1 : end] else text[start:end]
        for form in (text[start:end], written):
            word = self._words.get(form)
            if word is not None and _stands(text, start, end, word=word):
                return Match(start, end, form)
        return None

    def _within(self, text: str) -> Iterator[Match]:
        """Texts in scripts without blanks between words."""
        if not self._unspaced or UNSPACED.search(text) is None:
            return
        if self._anywhere is None:
            longest_first = sorted(self._unspaced, key=lambda form: (-len(form), form))
            self._anywhere = re.compile("|".join(map(re.escape, longest_first)))
        for match in self._anywhere.finditer(text):
            yield Match(*match.span(), match[0])


def _runs(text: str) -> Iterator[re.Match[str]]:
    """The runs of letters or digits; letters of scripts without blanks are runs of their own."""
    return (_RUN if text.isascii() or not UNSPACED.search(text) else _MIXED).finditer(text)


def _stands(text: str, start: int, end: int, *, word: bool) -> bool:
    beside = [c for c in (text[start - 1 : start], text[end : end + 1]) if c and not UNSPACED.match(c)]
    return not any(c.isalpha() or (not word and (c.isalnum() or c == "_")) for c in beside)
