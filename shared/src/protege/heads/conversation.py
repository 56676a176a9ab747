"""A rendered prompt as a conversation: its turns, what the tools answered, and the texts that an argument may copy.

Pure Python, for one prompt of a few thousand words at a time; what is read is bounded, and each rule is linear.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from ..chat.acts import act_in
from ..chat.results import RESULT
from ..common.checks import MOST_LEVELS, too_deep
from .features import ROLE, TURN

MOST_FOUND = 4_000
"""Texts of a prompt, the newest first, that are looked at."""
LONGEST = 200
"""Characters of a text that an argument may copy, and of the keys that lead to it."""
LINE_WORDS = 12

_TOKEN = re.compile(r"[^\s,;()<>{}\[\]\"'“”‘’`*=|]+")
_ENDS = ".:!?…-"


@dataclass(frozen=True, slots=True)
class Said:
    """A part of a conversation: what the user says, what a tool answers, or what the assistant says or asks for."""

    who: str
    """"user", "result" or "assistant"."""
    text: str
    value: Any = None
    """The JSON that the text is; None if it is none."""


@dataclass(slots=True)
class Found:
    """A text of a conversation that an argument may copy."""

    text: str
    marks: set[str] = field(default_factory=set[str])
    """Where it stands, in a few words each: who said it and how long ago, under which key, beside which words."""
    first: int = 0
    """The place of its first occurrence."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """What a prompt shows."""

    parts: tuple[Said, ...]
    """Oldest first."""

    @classmethod
    def of(cls, prompt: str) -> Conversation:
        """The conversation in a prompt that was rendered by the template of `NGRAMS`."""
        parts: list[Said] = []
        for turn in prompt.split(TURN)[1:]:
            role, _, text = turn.partition(ROLE)
            if role == "assistant":
                parts.append(Said("assistant", text, json_in(text)))
            elif role != "system":
                parts += _user_parts(text)
        return cls(tuple(parts))

    @property
    def acts(self) -> list[tuple[str, Any]]:
        """The name of each action that the assistant asked for, and the JSON that says it, oldest first."""
        return [
            (act_in(item), item)
            for part in self.parts
            if part.who == "assistant" and part.value is not None
            for item in (part.value if isinstance(part.value, list) else [part.value])
        ]

    @property
    def last_json(self) -> Any:
        """The assistant's newest turn that is JSON; None without one."""
        return next((p.value for p in reversed(self.parts) if p.who == "assistant" and p.value is not None), None)

    def newest(self, who: str) -> str:
        """What was last said by them; empty if nothing."""
        return next((part.text for part in reversed(self.parts) if part.who == who), "")

    def found(self) -> list[Found]:
        """The texts that an argument may copy, each once, in the order in which they come."""
        used = {text for _, value in self.acts for _, text in leaves(value)}
        by_text: dict[str, Found] = {}
        ages = {"user": 0, "result": 0, "assistant": 0}
        left = MOST_FOUND
        for place in range(len(self.parts) - 1, -1, -1):
            part = self.parts[place]
            age, ages[part.who] = ages[part.who], ages[part.who] + 1
            if part.who == "assistant" and part.value is not None:
                continue  # what it asked for, it copied itself
            where = f"{part.who}{min(age, 2)}"
            at = place * MOST_FOUND
            for number, (text, marks) in enumerate(_texts(part)):
                if left == 0:
                    break
                left -= 1
                known = by_text.setdefault(text, Found(text))
                known.first = at + number
                known.marks.add(f"in {where}")
                known.marks.update(marks, (f"{where} {mark}" for mark in marks if mark[0] == "k"))
        for text in used & by_text.keys():
            by_text[text].marks.add("used")
        return sorted(by_text.values(), key=lambda found: found.first)


def shape(text: str) -> str:
    """What sort of text it is: runs of letters and digits as one sign each, and how many digits where they are many."""
    if "://" in text:
        return "url"
    if "@" in text[1:-1]:
        return "@"
    signs: list[str] = []
    for run in re.findall(r"\d+|[^\W\d_]+|[\W_]", text[:LONGEST]):
        if run[0].isdigit():
            signs.append("9" if len(run) < 4 else f"9{min(len(run), 20)}")
        elif run[0].isalpha():
            signs.append("A" if run[0].isupper() else "a")
        else:
            signs.append(" " if run.isspace() else run)
    return "".join(signs[:24])


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Each text and number in JSON, with the keys that lead to it: `LONGEST` characters of them, the last ones."""
    stack: list[tuple[str, Any]] = [(path, value)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, Mapping):
            fields = cast(Mapping[str, Any], value)
            stack += [((f"{path}.{key}" if path else key)[-LONGEST:], fields[key]) for key in reversed(list(fields))]
        elif isinstance(value, list):
            inner = f"{path}[]"[-LONGEST:]
            stack += [(inner, item) for item in reversed(cast(list[Any], value))]
        elif isinstance(value, str):
            yield path, value
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield path, orjson.dumps(value).decode()


def words(text: str) -> list[str]:
    """Its words in lower case."""
    return re.findall(r"[^\W_]+", text.lower())


def _user_parts(text: str) -> list[Said]:
    """A user's turn: what tools answered, and what the user says."""
    first, *results = f"\n{text}".split(f"\n{RESULT}")
    said = [Said("user", first.strip())] if first.strip() else []
    return [*said, *(Said("result", result, json_in(result)) for result in results)]


def json_in(text: str) -> Any:
    """The object or list that a text is; None if it is none, or is nested too deeply to be read by recursion."""
    if text[:1] not in ("{", "["):
        return None
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return None if text.count("{") + text.count("[") > MOST_LEVELS and too_deep(value) else value


def _texts(part: Said) -> Iterator[tuple[str, Sequence[str]]]:
    """The texts of a part, each with its marks."""
    if part.value is not None:
        yield from _of_json(part.value)
        return
    whole = part.text.strip()
    if 0 < len(whole) <= LONGEST and "\n" not in whole:
        yield whole, ("k whole",)
    for line in part.text.splitlines():
        yield from _of_line(line)


def _of_json(value: Any) -> Iterator[tuple[str, Sequence[str]]]:
    for path, text in leaves(value):
        keys = path.replace("[]", "").split(".")
        if len(text) <= LONGEST:
            yield text, (f"k {keys[-1]}", f"kk {'.'.join(keys[-2:])}")
        for key in keys[:-1]:
            if any(c.isdigit() for c in key):  # an object whose keys are ids
                yield key, ("k key",)


def _of_line(line: str) -> Iterator[tuple[str, Sequence[str]]]:
    """The words of a line. The first one may name what the rest of the line describes, such as an element of a page."""
    tokens = [(match, match[0].rstrip(_ENDS)) for match in _TOKEN.finditer(line)]
    before = ("^", "^")
    for number, (match, text) in enumerate(tokens):
        if text and len(text) <= LONGEST:
            after = tokens[number + 1][1].lower() if number + 1 < len(tokens) else "$"
            beside = (f"b {before[1]}", f"bb {before[0]} {before[1]}", f"a {after}")
            named = [f"l {word}" for word in dict.fromkeys(words(line))][:LINE_WORDS] if number == 0 else []
            yield text, (*beside, *named)
        before = (before[1], match[0].lower())
