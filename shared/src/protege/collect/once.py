"""One call once: of the steps of a trace that tell the same call, one around the other, the innermost is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..call import Call, text_of
from .formats.base import Span

MOST_HELD_BYTES = 32 << 20
"""Calls of spans are held back until a file's end, so that those within them are seen first; at most as many as come
from so many bytes. One that comes later around a call that was released is still known as its repeat."""
_MOST_STEPS = 1_000_000
_MOST_ABOVE = 50


class Once:
    """The steps of one file so far."""

    def __init__(self) -> None:
        self.repeated = 0
        """How many steps told a call that another step tells."""
        self._parents: dict[str, str] = {}
        self._held: list[tuple[str, str, Call]] = []
        self._told: dict[str, set[str]] = {}
        """By the id of a step: the words of the calls within it that were released."""
        self._told_count = 0

    def passed(self, span: Span) -> None:
        """Note a step that is no call: it may stand between two that are."""
        if span.id and len(self._parents) < _MOST_STEPS:
            self._parents[span.id] = span.parent
            for words in self._told.get(span.id, ()):  # its calls came first
                self._tell_above(span.id, words)

    def hold(self, span: Span, call: Call) -> None:
        """Hold a call back, and take it for the one of the steps around it that tell the same."""
        self.passed(span)
        self._held.append((span.id, _words_of(call), call))

    def released(self) -> Iterator[Call]:
        """The calls that were held, without those that a step within them tells too."""
        for span_id, words, _ in self._held:
            if words not in self._told.get(span_id, ()):  # else a step within it told those above
                self._tell_above(span_id, words)
        for span_id, words, call in self._held:
            if words in self._told.get(span_id, ()):
                self.repeated += 1
            else:
                yield call
        self._held.clear()

    def _tell_above(self, span_id: str, words: str) -> None:
        """Note that the steps around this one hold a call of these words."""
        at = self._parents.get(span_id, "")
        for _ in range(_MOST_ABOVE):
            if not at or at == span_id or words in (told := self._told.setdefault(at, set())):
                return
            if self._told_count >= _MOST_STEPS:
                return
            told.add(words)
            self._told_count += 1
            at = self._parents.get(at, "")


def _words_of(call: Call) -> str:
    """A hash of what was said last and what was answered: instrumentations of two layers tell the rest in two ways."""
    answer = call.response or {}
    names = [str(made["function"]["name"]) for made in answer.get("tool_calls") or ()]
    last = call.request.messages[-1]
    said = (text_of(last).split(), text_of(answer).split(), names, call.error is None)
    return hashlib.sha256(repr(said).encode(errors="surrogatepass")).hexdigest()
