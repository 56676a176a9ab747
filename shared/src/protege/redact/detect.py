"""All personal data of a text: what has a form, what the model reads, what the company names."""

from __future__ import annotations

import re
from collections.abc import Iterable

from . import patterns, places
from .model import reader
from .policy import Policy, compiled
from .span import Span

_LONE = re.compile("[\ud800-\udfff]")
"""Half of a character: what reads UTF-8 refuses it."""
_ESCAPE = re.compile(r"(?<!\\Users)(?<!\\Users\\)\\[nrt]")  # a user may be called nina


def find(text: str, policy: Policy | None = None) -> list[Span]:
    """The spans of personal data in a text, in order, none overlapping.

    Where two overlap, one that a pattern found, with its checksum, names the type; together they reach as far as both.
    Raises NoModel where the policy asks for the model and it is not installed.
    """
    policy = policy or Policy()
    text = _LONE.sub("?", text)
    readable = _ESCAPE.sub("  ", text)  # the n of `\\n` is no letter of the word behind it
    found = [(0, span) for span in _own(text, policy)]
    found += [(1, span) for span in patterns.spans(readable, policy.types)]
    if policy.model:
        if "LOCATION" in policy.types:
            found += [(2, span) for span in places.spans(readable)]
        found += [(3, span) for span in reader().spans(readable) if span.type in policy.types]
    kept = [(rank, span) for rank, span in found if text[span.start : span.end] not in policy.allow]
    return _without_overlaps(kept)


def _own(text: str, policy: Policy) -> Iterable[Span]:
    for name, pattern in policy.patterns.items():
        for match in compiled(name, pattern).finditer(text):
            start, end = match.span()
            yield Span(start, end, name)


def _without_overlaps(found: list[tuple[int, Span]]) -> list[Span]:
    spans: list[Span] = []
    rank_of_last = 0
    for rank, span in sorted(found, key=lambda item: (item[1].start, item[0])):
        if spans and span.start < spans[-1].end:
            last = spans[-1]
            type_ = span.type if rank < rank_of_last else last.type
            spans[-1] = Span(last.start, max(last.end, span.end), type_)
            rank_of_last = min(rank, rank_of_last)
        else:
            spans.append(span)
            rank_of_last = rank
    return spans
