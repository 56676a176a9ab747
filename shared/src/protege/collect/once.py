"""One call once: of the steps of a trace that tell the same call, one around the other, the innermost is taken."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from ..call import Call, text_of
from .formats.base import Span

MOST_HELD_BYTES = 32 << 20
"""Calls of spans are held back until a file's end, so that those within them are seen first; at most as many as come
from so many bytes."""
_MOST_STEPS = 1_000_000
_MOST_ABOVE = 50


class Once:
    """The steps of one file so far."""

    def __init__(self) -> None:
        self.repeated = 0
        """How many steps told a call that another step tells."""
        self._parents: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._held: dict[str, Call] = {}

    def passed(self, span: Span) -> None:
        """Note a step that is no call: it may stand between two that are."""
        if span.id and len(self._parents) < _MOST_STEPS:
            self._parents[span.id] = span.parent

    def hold(self, span: Span, call: Call) -> None:
        """Hold a call back, and take it for the one of the steps around it that tell the same."""
        self.passed(span)
        self._words[span.id] = _words_of(call)
        self._held[span.id] = call

    def released(self) -> Iterator[Call]:
        """The calls that were held, without those that a step within them tells too."""
        outer = {above for span_id in self._held for above in self._above(span_id)}
        for span_id, call in self._held.items():
            if span_id in outer:
                self.repeated += 1
            else:
                yield call
        self._held.clear()

    def _above(self, span_id: str) -> Iterator[str]:
        """The steps around a step that tell the same call."""
        words, at = self._words[span_id], self._parents.get(span_id, "")
        for _ in range(_MOST_ABOVE):
            if not at or at == span_id:
                return
            if self._words.get(at) == words:
                yield at
            at = self._parents.get(at, "")


def _words_of(call: Call) -> str:
    """A hash of what was said last and what was answered: instrumentations of two layers tell the rest in two ways."""
    answer = call.response or {}
    names = [str(made["function"]["name"]) for made in answer.get("tool_calls") or ()]
    last = call.request.messages[-1]
    said = (text_of(last).split(), text_of(answer).split(), names, call.error is None)
    return hashlib.sha256(repr(said).encode(errors="surrogatepass")).hexdigest()
