"""Templates: the constant text of a task's prompts, told apart from their slots.

Constant are whole lines that occur once in every prompt of a wording, and the text that encloses the rest of a message.
A text is constant if it occurs in all calls that the template was made from; merely frequent text stays in the slot.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..call import Message, Request, text_of
from ..task import Template, TemplatePart, offered
from .document import SMALLEST, Document

KEPT = 0.5
"""Wordings share a template if each keeps this share of its constant text, or of its constant lines; else each has its
own. A state tracker that names another service each time shares one; a reworded prompt does not."""
FEWEST_CHARS = 12
"""Less constant text does not tell one prompt from another."""
MANY = 20
"""With at least this many texts, words that all begin with are no accident. With fewer, only a label or a phrase is
believed."""
ENOUGH = 400
"""At most this many requests of a wording are compared; more would change nothing."""
_LABEL = re.compile(r"\W{0,3}[^\W\d_][^:：\n]{1,30}[:：]\s*")
_PREFIX_ENDS = frozenset(" \t\n\"'“‘([{<>:=|*`#\u3000：。，、；！？「『（【《〈")
_SEPARATORS = frozenset('\n"“([{<>:=|：「『（【《〈')
_SUFFIX_STARTS = frozenset(" \t\n\"'”’)]}<>|*`\u3000。，、；！？」』）】》〉")
_UNSPACED = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]")
"""Thai, Lao, Kana, Han: no blanks between words, and about two characters to a word."""

Opening = tuple[Message, ...]


def templates_for(requests: Sequence[Request], documents: Sequence[Document]) -> tuple[Template, ...]:
    """The templates of a task's wordings, the one with most calls first.

    documents: the constant text of each prompt, as discovery saw it. Prompts with the same document have one wording.
    """
    drafts: list[_Draft] = []
    rare: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for wording in _wordings(requests, documents):
        for i, old in enumerate(drafts):
            if (joined := old.joined(wording)) is not None:
                drafts[i] = joined
                break
        else:
            if len(wording) < SMALLEST:
                rare[_shape(wording[0])] += wording
            elif (new := _Draft.of(wording)).tells:
                drafts.append(new)
    for left in rare.values():  # prompts that each have their own wording may still share a frame
        if len(left) >= SMALLEST and (new := _Draft.of(left[:ENOUGH])).tells:
            drafts.append(new)
    drafts.sort(key=lambda draft: -len(draft.requests))
    return tuple(dict.fromkeys(draft.template() for draft in drafts))


@dataclass(frozen=True, slots=True)
class _Draft:
    """Requests of one wording, and their constant text."""

    requests: tuple[Request, ...]
    parts: tuple[TemplatePart, ...]

    @classmethod
    def of(cls, requests: Sequence[Request]) -> _Draft:
        return cls(tuple(requests), _parts([_opening(r) for r in requests]))

    @property
    def weight(self) -> int:
        return sum(_size(text) for p in self.parts for text in (p.prefix, p.suffix, *p.lines))

    @property
    def tells(self) -> bool:
        """Whether the constant text or the constant tools distinguish these prompts from others."""
        if self.weight >= FEWEST_CHARS or (bool(self.requests[0].tools) and self.template().constant_tools):
            return True
        return len(self.requests) >= MANY and any(_LABEL.fullmatch(part.prefix) for part in self.parts)

    @property
    def lines(self) -> int:
        return sum(len(p.lines) for p in self.parts)

    def joined(self, wording: Sequence[Request]) -> _Draft | None:
        """A draft for both; None if either would lose too much of its constant text."""
        if _shape(self.requests[0]) != _shape(wording[0]):
            return None
        template = self.template()
        if all(template.slots(request) is not None for request in wording):
            return self
        both = _Draft.of(self.requests[:ENOUGH] + tuple(wording[:ENOUGH]))
        if not both.tells:
            return None
        if len(wording) < SMALLEST:  # a few odd prompts must not undo a template that holds for all others
            return both if both.weight >= 0.9 * self.weight else None
        return both if both._keeps(self) and both._keeps(_Draft.of(wording)) else None

    def _keeps(self, other: _Draft) -> bool:
        return self.weight >= KEPT * other.weight or (self.lines > 0 and self.lines >= KEPT * other.lines)

    def template(self) -> Template:
        first = self.requests[0]
        tools = {offered(None, request.tools) for request in self.requests}
        constant_tools = len(tools) == 1
        offer = offered(first.response_format, first.tools if constant_tools else ())
        signature = hashlib.sha256(repr((self.parts, offer)).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        return Template(signature, self.parts, constant_tools, offer)


def _wordings(requests: Sequence[Request], documents: Sequence[Document]) -> list[list[Request]]:
    """The requests by wording, largest first. All prompts of a wording have the same roles and response format."""
    by_wording: dict[tuple[object, ...], list[Request]] = defaultdict(list)
    for request, document in zip(requests, documents, strict=True):
        by_wording[(document.constant, *_shape(request))].append(request)
    return sorted(by_wording.values(), key=lambda wording: -len(wording))


def _shape(request: Request) -> tuple[object, ...]:
    opening = _opening(request)
    plain = tuple(isinstance(m.get("content"), str) for m in opening)
    return tuple(m.get("role") for m in opening), plain, offered(request.response_format, ()), bool(request.tools)


def _opening(request: Request) -> Opening:
    """The messages before the first answer: later turns contain no constant text."""
    for i, message in enumerate(request.messages):
        if message.get("role") not in ("system", "developer", "user"):
            return request.messages[:i]
    return request.messages


def _parts(openings: Sequence[Opening]) -> tuple[TemplatePart, ...]:
    parts: list[TemplatePart] = []
    for position, first in enumerate(openings[0]):
        if all(isinstance(opening[position].get("content"), str) for opening in openings):
            part = _part(position, str(first["role"]), [text_of(opening[position]) for opening in openings])
            if part.lines or part.prefix or part.suffix or position == 0:  # the first message's role always counts
                parts.append(part)
    return tuple(parts)


def _part(position: int, role: str, texts: Sequence[str]) -> TemplatePart:
    """The constant text of one message. `texts` are from different calls; equal ones count as one observation."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1 and len(texts) >= SMALLEST and role != "user":
        text = distinct[0]
        lines = [line for line, n in Counter(text.split("\n")).items() if n == 1 and _says_something(line)]
        return _enclosed(TemplatePart(position, role, tuple(lines)), [text], whole=True)
    lines = _constant_lines(distinct) if len(distinct) >= SMALLEST or role != "user" else ()
    return _enclosed(TemplatePart(position, role, lines), distinct, whole=False)


def _constant_lines(texts: Sequence[str]) -> tuple[str, ...]:
    """The lines that occur exactly once in every text, in the order of the first text."""
    first = Counter(texts[0].split("\n"))
    constant = {line for line, n in first.items() if n == 1 and _says_something(line)}
    for text in texts[1:]:
        if not constant:
            break
        counts = Counter(text.split("\n"))
        constant = {line for line in constant if counts[line] == 1}
    return tuple(line for line in first if line in constant)


def _says_something(line: str) -> bool:
    return sum(c.isalpha() for c in line) >= 3


def _enclosed(part: TemplatePart, texts: Sequence[str], *, whole: bool) -> TemplatePart:
    """The part with its prefix and suffix: the common beginning and end of the texts without its lines.

    Both are cut where words end.
    """
    rests = [rest for text in texts if (rest := part.slot({"role": part.role, "content": text})) is not None]
    if whole:
        return replace(part, prefix=rests[0])
    few = part.role == "user" and len(texts) < MANY
    anywhere = len(texts) >= MANY
    prefix = _cut(_common_beginning(rests), _PREFIX_ENDS, anywhere=anywhere)
    if few and _words(prefix) < 4:
        label = _cut(prefix, _SEPARATORS)
        after = prefix[len(label) :]
        prefix = label + after[: len(after) - len(after.lstrip(" "))]
    rests = [rest[len(prefix) :] for rest in rests]
    suffix = _cut(_common_beginning([rest[::-1] for rest in rests]), _SUFFIX_STARTS, anywhere=anywhere)[::-1]
    if 0 < _size(suffix.strip()) < 3 or (few and _words(suffix) < 4 and not _closes(prefix, suffix)):
        suffix = ""  # a full stop or a last word that the texts happen to share
    return replace(part, prefix=prefix, suffix=suffix)


def _cut(text: str, ends: frozenset[str], *, anywhere: bool = False) -> str:
    """The text up to and including the last of these characters. anywhere: in a script without blanks, any ends it."""
    n = len(text)
    while n and text[n - 1] not in ends and not (anywhere and _UNSPACED.match(text[n - 1])):
        n -= 1
    return text[:n]


def _words(text: str) -> int:
    """About how many words a text has."""
    unspaced = len(_UNSPACED.findall(text))
    return len(text.split()) + max(0, unspaced // 2 - 1)


def _size(text: str) -> int:
    """The characters of a text, those of scripts without blanks twice: each says as much as several letters."""
    return len(text) if text.isascii() else len(text) + len(_UNSPACED.findall(text))


def _closes(prefix: str, suffix: str) -> bool:
    """Whether the suffix mirrors the end of the prefix, as quotation marks do."""
    return bool(suffix.strip()) and prefix.rstrip().endswith(suffix.strip()[::-1])


def _common_beginning(texts: Sequence[str]) -> str:
    low, high = min(texts), max(texts)
    n = 0
    for a, b in zip(low, high, strict=False):
        if a != b:
            break
        n += 1
    return low[:n]
