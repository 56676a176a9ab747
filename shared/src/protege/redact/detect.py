"""All personal data in a text: what patterns match, what the model reads, and the company's own patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import countries, patterns
from .model import reader
from .policy import RedactionPolicy, compiled
from .span import Span

_LONE = re.compile("[\ud800-\udfff]")
"""A lone surrogate, half of a character: UTF-8 cannot encode it."""
_ESCAPE = re.compile(r"(?<!\\Users)(?<!\\Users\\)\\[nrt]")  # a user may be called nina


def find(text: str, policy: RedactionPolicy | None = None) -> list[Span]:
    """The spans of personal data in a text, in order and without overlaps.

    Overlapping spans are joined; a span that a pattern found decides the type, because its form was verified.
    Raises NoModel if the policy asks for the model and it is not installed.
    """
    policy = policy or RedactionPolicy()
    text = _LONE.sub("?", text)
    readable = _ESCAPE.sub("  ", text)  # the n of `\\n` is not a letter of the next word
    ranked = [(0, span) for span in _own(text, policy)]
    ranked += [(1, span) for span in patterns.spans(readable, policy.types)]
    if policy.model:
        if "LOCATION" in policy.types:
            ranked += [(2, span) for span in countries.spans(readable)]
        ranked += [(3, span) for span in reader().spans(readable) if span.type in policy.types]
    return _without_overlaps([(rank, span) for rank, span in ranked if text[span.start : span.end] not in policy.allow])


def _own(text: str, policy: RedactionPolicy) -> Iterable[Span]:
    for name, pattern in policy.patterns.items():
        for match in compiled(name, pattern).finditer(text):
            start, end = match.span()
            yield Span(start, end, name)


def _without_overlaps(ranked: list[tuple[int, Span]]) -> list[Span]:
    """The spans, overlapping ones joined; of these the lowest rank decides the type."""
    spans: list[Span] = []
    rank_of_last = 0
    for rank, span in sorted(ranked, key=lambda item: (item[1].start, item[0])):
        if spans and span.start < spans[-1].end:
            last = spans[-1]
            type_ = span.type if rank < rank_of_last else last.type
            spans[-1] = Span(last.start, max(last.end, span.end), type_)
            rank_of_last = min(rank, rank_of_last)
        else:
            spans.append(span)
            rank_of_last = rank
    return spans
