"""All personal data in a text: what has a form, what keys of JSON say, what the model reads, and a company's own."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from . import countries, patterns, polish
from .keys import NOBODYS, said_by, words_of
from .leaves import Leaf, leaves
from .model import reader
from .policy import RedactionPolicy, compiled
from .span import Span

_LONE = re.compile("[\ud800-\udfff]")
"""A lone surrogate, half of a character: UTF-8 cannot encode it."""
_JOINT = re.compile(r"(?<=[^\W\d_])[_+](?=[^\W\d_])")
"""Anna_Kowalczyk and Anna+Kowalczyk: the model knows no such names, so it sees a blank."""
_FENCE = re.compile(r"```\w{0,20}")
_PLAIN_WORD = re.compile(r"(?:[^\WA-Z_]|[-_./:])*|[A-Z0-9]{1,6}(?:[-/][A-Z0-9]{1,6})*|[\d\s.,:;%$€£+/T-]*Z?", re.ASCII)
"""Values that are no name: of small letters and digits (`in_transit`), codes (`LHR`, `AB-1234`), numbers."""
_OF_BIRTH = re.compile(r"(?i)\b(?:born|birth|dob|geboren|nacid[oa]|naissance|née?|urodzon[ya])\b")
_SURE = frozenset({"EMAIL_ADDRESS", "IBAN_CODE", "IP_ADDRESS"})
"""Types whose form is proof, also under a key whose values are nobody's."""
_BARE = re.compile(r"[0-9]+")
_IN_WORDS = frozenset({"PERSON", "LOCATION", "EMAIL_ADDRESS"})
"""A number of JSON is none of these, whatever its key says: a name in its place would be no JSON."""


class Find(NamedTuple):
    """Personal data in a leaf."""

    leaf: Leaf
    start: int
    """In the leaf, as it reads."""
    end: int
    type: str

    @property
    def text(self) -> str:
        return self.leaf.text[self.start : self.end]


def find(text: str, policy: RedactionPolicy | None = None) -> list[Span]:
    """The spans of personal data in a text, in order and without overlaps.

    Overlapping spans are joined; a span that a pattern found decides the type, because its form was verified.
    Raises NoModel if the policy asks for the model and it is not installed.
    """
    policy = policy or RedactionPolicy()
    return [Span(*found.leaf.view.place(found.start, found.end), found.type) for found in finds(leaves(text), policy)]


def finds(pieces: Sequence[Leaf], policy: RedactionPolicy, *, forms: bool = False) -> list[Find]:
    """The personal data in the pieces of a text, in order and without overlaps within a piece.

    forms: only what has a form that is verified, and a company's own. Raises NoModel as `find` does.
    """
    said = [_said(leaf, policy) for leaf in pieces]
    ranked = list(_with_a_form(pieces, said, policy))
    if not forms:
        named = ((leaf, type_) for leaf, type_ in zip(pieces, said, strict=True) if type_ and leaf.text)
        whole = ((leaf, type_) for leaf, type_ in named if type_ in policy.types)
        ranked += ((2, Find(leaf, 0, len(leaf.text), type_)) for leaf, type_ in whole)
        if policy.model:
            known = {id(found.leaf) for _, found in ranked if len(found.text) == len(found.leaf.text)}
            unknown = ((leaf, type_) for leaf, type_ in zip(pieces, said, strict=True) if id(leaf) not in known)
            ranked += _read(unknown, policy)
    by_leaf: dict[int, list[tuple[int, Find]]] = {}
    for rank, found in ranked:
        if found.text not in policy.allow and found.leaf.text not in policy.allow:
            by_leaf.setdefault(id(found.leaf), []).append((rank, found))
    return [found for leaf in pieces for found in _without_overlaps(by_leaf.get(id(leaf), ()))]


def _said(leaf: Leaf, policy: RedactionPolicy) -> str | None:
    type_ = said_by(leaf, policy.keys) if leaf.kind in ("value", "number") else None
    return None if leaf.kind == "number" and type_ in _IN_WORDS else type_


# What has a form


def _with_a_form(
    pieces: Sequence[Leaf], said: Sequence[str | None], policy: RedactionPolicy
) -> Iterator[tuple[int, Find]]:
    """A company's own, what patterns match, and countries."""
    sheet = _Sheet()
    for leaf in pieces:
        sheet.add(leaf)
    text = sheet.text
    says = {id(leaf): type_ for leaf, type_ in zip(pieces, said, strict=True)}
    yield from ((0, found) for found in sheet.finds(_own(text, policy)))
    for found in sheet.finds(patterns.spans(text, policy.types)):
        if _counts(found, says[id(found.leaf)]):
            yield 1, found
    if policy.model and "PERSON" in policy.types:
        for leaf, type_ in zip(pieces, said, strict=True):
            if leaf.kind in ("text", "value") and type_ != NOBODYS:
                yield from ((4, Find(leaf, *span)) for span in polish.spans(leaf.text))
    if policy.model and "LOCATION" in policy.types:
        for found in sheet.finds(countries.spans(text)):
            if found.leaf.kind != "key" and says[id(found.leaf)] != NOBODYS:
                yield 3, found


def _own(text: str, policy: RedactionPolicy) -> Iterable[Span]:
    for name, pattern in policy.patterns.items():
        for match in compiled(name, pattern).finditer(text):
            start, end = match.span()
            yield Span(start, end, name)


def _counts(found: Find, said: str | None) -> bool:
    """Whether a match is personal where it stands. In sentences each is; in JSON its key may say otherwise."""
    leaf = found.leaf
    if leaf.kind == "text":
        return True
    if found.type == "DATE_TIME":
        near = leaf.text[max(0, found.start - 20) : found.start]
        return leaf.kind == "value" and (said == "DATE_TIME" or _OF_BIRTH.search(near) is not None)
    if said == NOBODYS:
        return found.type in _SURE or not (found.type == "URL" or _BARE.fullmatch(found.text))
    return True


# What the model reads


def _read(pieces: Iterable[tuple[Leaf, str | None]], policy: RedactionPolicy) -> Iterator[tuple[int, Find]]:
    """What the model reads: text as it stands, and of JSON each value that may be a name, behind its key."""
    sheet, lines = _Sheet(), list[tuple[str, Leaf, str]]()
    for leaf, type_ in pieces:
        if leaf.kind == "text":
            sheet.add(leaf)
        elif leaf.kind == "value" and type_ is None and _PLAIN_WORD.fullmatch(leaf.text) is None:
            label = f"{' '.join(words_of(leaf.key))}: " if leaf.key else ""
            lines.append((label, leaf, _seen(f"{label}{leaf.text}")))
    read = list(sheet.finds(reader().spans(_seen(sheet.text)))) if sheet.leaves else []
    for (label, leaf, _), spans in zip(lines, reader().lines([line for _, _, line in lines]), strict=True):
        clipped = ((max(0, span.start - len(label)), span.end - len(label), span.type) for span in spans)
        theirs = (Find(leaf, start, end, type_) for start, end, type_ in clipped if start < end)
        # A whole value in small letters is a word of a program, not a name.
        read += [found for found in theirs if not (found.text == leaf.text and leaf.text.islower())]
    return ((4, found) for found in read if found.type in policy.types)


def _seen(text: str) -> str:
    """A text as the model sees it: as long as it is."""
    readable = _JOINT.sub(" ", _LONE.sub("?", text))
    return _FENCE.sub(lambda match: " " * len(match[0]), readable) if "```" in readable else readable


@dataclass(slots=True)
class _Sheet:
    """Pieces of text, one below the other, to be searched at once: nothing is found across them."""

    parts: list[str] = field(default_factory=list[str])
    starts: list[int] = field(default_factory=list[int])
    """Where each piece begins in the text."""
    leaves: list[Leaf] = field(default_factory=list[Leaf])
    size: int = 0

    @property
    def text(self) -> str:
        return "\n".join(self.parts)

    def add(self, leaf: Leaf) -> None:
        self.parts.append(leaf.text)
        self.starts.append(self.size)
        self.leaves.append(leaf)
        self.size += len(self.parts[-1]) + 1

    def finds(self, spans: Iterable[Span]) -> Iterator[Find]:
        """The spans in the text as finds in its pieces."""
        for span in spans:
            number = max(0, bisect_right(self.starts, span.end - 1) - 1)
            leaf, begin = self.leaves[number], self.starts[number]
            start, end = max(0, span.start - begin), min(len(leaf.text), span.end - begin)
            if start < end:
                yield Find(leaf, start, end, span.type)


def _without_overlaps(ranked: Iterable[tuple[int, Find]]) -> list[Find]:
    """The finds of a leaf, overlapping ones joined; of these the lowest rank decides the type."""
    joined: list[Find] = []
    rank_of_last = 0
    for rank, found in sorted(ranked, key=lambda item: (item[1].start, item[0])):
        if joined and found.start < joined[-1].end:
            last = joined[-1]
            type_ = found.type if rank < rank_of_last else last.type
            joined[-1] = last._replace(end=max(last.end, found.end), type=type_)
            rank_of_last = min(rank, rank_of_last)
        else:
            joined.append(found)
            rank_of_last = rank
    return joined
