"""The parts of a request that may be constant: its system text and its opening, masked and cut into sentences.

Only the standard library is imported, because the assigner uses this inside the agent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass

from ..call import Request, text_of
from ..task import offered

MASK = "\N{SECTION SIGN}"
"""Replaces text that varies by its nature: numbers, ids, dates, quoted text, URLs, e-mail addresses."""

FREE_FORM, FREE_FORM_WITH_TOOLS = "\N{EMPTY SET}", "\N{EMPTY SET}+"
"""Marks in a centre that there is no constant text: the agent passes on what its user says."""

FREE = frozenset({FREE_FORM, FREE_FORM_WITH_TOOLS})

BIAS = "\N{EMPTY SET}="
"""In the centre of a kind without constant text, the weight of that kind's frequency."""

HEAD_CHARS, TAIL_CHARS = 20_000, 4_000
"""Only these characters of a text are read: instructions stand at the ends of a prompt."""

_VARIABLE = re.compile(
    r"https?://\S+"
    r"|[\w.+-]{1,64}@[\w-]{1,64}\.[\w.-]{1,64}"
    r"|\b(?=[A-Za-z_-]{0,63}\d)[\w-]{16,64}\b"  # long identifiers hold a digit; long words do not
    r'|"[^"\n]{0,80}"|“[^”\n]{0,80}”|«[^»\n]{0,80}»'
    r"|\d+(?:[.,:/-]\d+)*"
)
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|(?<=[。！？；])|\n+")
# Scripts without spaces between words are read one character at a time.
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\W\d_\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_NAME_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[^\W\d_A-Z]+")
_LABEL = re.compile(r"^\W{0,3}([^\W\d_][^:\n]{0,30}):(?!//)", re.MULTILINE)
_IN_BRACKETS = re.compile(r"(?<!\s)\s*+[(\[].*")
_SPACE = re.compile(r"\s+")
_LABELS = 12


@dataclass(frozen=True, slots=True)
class Wording:
    """The parts of a request that an agent's author may have written."""

    system: tuple[str, ...]
    """Masked sentences of the system text."""
    opening: tuple[str, ...]
    """Masked sentences of the user's messages before the first answer."""
    labels: tuple[str, ...]
    """What stands before a colon at the beginning of the opening's lines, such as "question:"."""
    tools: tuple[str, ...]
    """Names of the tools, sorted."""
    offered: str
    """Hash of the response format."""
    number: int
    """Equal for equal openings, before masking."""

    @classmethod
    def of(cls, request: Request) -> Wording:
        opening = opening_text(request)
        return cls(
            system=system_sentences(request.system),
            opening=tuple(sentences(opening)),
            labels=labels(opening),
            tools=tuple(sorted(request.tool_names)),
            offered=offered(request.response_format, ()),
            number=hash(opening),
        )


def opening_text(request: Request) -> str:
    """The user's messages before the first answer, joined by newlines; of a long text, its two ends."""
    texts: list[str] = []
    for message in request.messages:
        role = message.get("role")
        if role == "assistant":
            break
        if role == "user":
            texts.append(_ends(text_of(message)))
    return _ends("\n".join(texts))


def labels(opening: str) -> tuple[str, ...]:
    """What stands before a colon at the beginning of lines, in order, in lower case and without text in brackets."""
    names: dict[str, None] = {}
    for match in _LABEL.finditer(opening[:HEAD_CHARS]):
        name = _SPACE.sub(" ", _IN_BRACKETS.sub("", match[1])).strip(" \"'*_").lower()
        if name:
            names[f"{name}:"] = None
        if len(names) == _LABELS:
            break
    return tuple(names)


def free_words(opening: str) -> set[str]:
    """`opening_words`, and a number that says roughly how many there are."""
    said = opening_words(opening)
    return {*said, f"{len(said).bit_length()}"}


def opening_words(opening: str) -> set[str]:
    """The words and labels of an opening's two ends."""
    said = words((opening[:2_000], opening[-500:] if len(opening) > 2_500 else opening[2_000:]))
    return {*said, *labels(opening[:2_000])}


def sentences(text: str) -> list[str]:
    """The masked sentences and lines of a text, whitespace folded; of a long text, those of its two ends."""
    masked = _VARIABLE.sub(MASK, _ends(text))
    return [part for part in (_SPACE.sub(" ", s).strip() for s in _SENTENCE_END.split(masked)) if len(part) > 1]


@functools.lru_cache(maxsize=512)
def system_sentences(text: str) -> tuple[str, ...]:
    """As `sentences`, cached: the same system text comes again and again."""
    return tuple(sentences(text))


@functools.lru_cache(maxsize=512)
def system_words(text: str) -> frozenset[str]:
    """The words of a system text, cached."""
    return frozenset(words(system_sentences(text)))


def words(parts: Iterable[str]) -> list[str]:
    """The lower-case words of some text."""
    return [word for part in parts for word in _WORD.findall(part.lower())]


def name_words(names: Iterable[str]) -> list[str]:
    """The lower-case words in identifiers: `SearchFlights` and `search_flights` both give search, flights."""
    return [word.lower() for name in names for word in _NAME_PART.findall(name)]


def _ends(text: str) -> str:
    if len(text) <= HEAD_CHARS + TAIL_CHARS:
        return text
    return f"{text[:HEAD_CHARS]}\n{text[-TAIL_CHARS:]}"
