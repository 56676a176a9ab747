"""What models put around an answer: fences of Markdown, tags, and their reasoning. The one place that takes it off.

An agent whose teacher writes ```json … ``` takes that off itself, so an answer that it gets is wrapped again
(`Wrapper.around`). Reasoning is no wrapper: it differs each time, and nobody waits for it.

All of it is read in linear time: models that loop write a fence and then thousands of blanks, and a pattern tries each
blank as the end of the block.
"""

from __future__ import annotations

import re
from typing import NamedTuple

FENCES = ("```", "~~~")
_LANGUAGE = re.compile(r"\w*")
_BLANK = re.compile(r"\s*")
_TAG = re.compile(r"\[([A-Za-z][A-Za-z_ ]{0,30})\]|<([A-Za-z][A-Za-z_]{0,30})>")
_TAG_NAMES = "answer final_answer final output result response content json sql label reply"
_TAGS = frozenset(_TAG_NAMES.split())
"""The names of tags around an answer, in square or pointed brackets. Other tags may be the answer itself."""
_THOUGHTS = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<reflection>", "</reflection>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
)
_ENDS = ("</think>", "</seed:think>", "[/THINK]", "◁/think▷", "<|end_of_thought|>", "<|channel|>final<|message|>")
"""What ends reasoning whose beginning the server has cut off: templates put it into the prompt."""
_AFTER = ("<|return|>", "<|end|>", "<|im_end|>", "<|eot_id|>")
_PLAIN = frozenset({"", "json", "json5", "jsonc", "jsonl", "sql", "text", "txt", "plaintext"})
"""The languages whose fence is taken off. What a fence of another language holds is code: the fence says which."""
_SQL = re.compile(r"\s*(?:select|with|insert|update|delete|create)\b", re.IGNORECASE)
_MOST_AROUND = 300
"""So many characters may stand around a fence that holds the answer."""
_MOST_WRAPPERS = 3


class Fenced(NamedTuple):
    """What a fenced block holds."""

    language: str
    """The word after the fence; empty if there is none."""
    rest: str
    """The rest of the first line."""
    body: str | None
    """The lines after the first; None if there is only one line."""


class Wrapper(NamedTuple):
    """What stands around an answer."""

    before: str = ""
    after: str = ""

    def around(self, text: str) -> str:
        """The text with it."""
        return f"{self.before}{text}{self.after}"

    @property
    def fence(self) -> Wrapper:
        """Its fence alone, without words around it; nothing without a fence."""
        for fence in FENCES:
            opens, closes = self.before.rfind(fence), self.after.find(fence)
            if opens >= 0 and closes >= 0:
                return Wrapper(self.before[opens:], self.after[: closes + len(fence)])
        return Wrapper()

    @property
    def language(self) -> str:
        """The language that its fence names; empty without."""
        for fence in FENCES:
            if (word := _LANGUAGE.match(self.before.rpartition(fence)[2])) and fence in self.before:
                return word[0].lower()
        return ""


class Bare(NamedTuple):
    """An answer, and what stood around it besides reasoning."""

    text: str
    wrapper: Wrapper


def unwrapped(text: str) -> Bare:
    """An answer without reasoning, fences, tags and white space around it. A fence of code is part of the answer."""
    text = without_reasoning(text).strip()
    before, after = "", ""
    for _ in range(_MOST_WRAPPERS):
        found = _fence_around(text) or _tag_around(text)
        if found is None:
            break
        start, end = found
        inside = text[start:end].strip()
        start += len(text[start:end]) - len(text[start:end].lstrip())
        before, text, after = before + text[:start], inside, text[start + len(inside) :] + after
    return Bare(text, Wrapper(before, after))


def bare(text: str) -> str:
    """As `unwrapped`, the text alone."""
    return unwrapped(text).text


def without_reasoning(text: str) -> str:
    """A model's answer without the reasoning that its server left in the text; empty if it never came to an end."""
    text = text.lstrip()
    for end in _ENDS:
        head, found, rest = text.partition(end)
        if found and not any(head.startswith(begin) for begin, _ in _THOUGHTS) and "<think" not in head:
            text = _without_ends(rest).lstrip() if end.startswith("<|channel") else rest.lstrip()
    at = 0
    while (ends := next((end for begin, end in _THOUGHTS if text.startswith(begin, at)), None)) is not None:
        if (closes := text.find(ends, at)) < 0:
            return ""
        blank = _BLANK.match(text, closes + len(ends))
        at = blank.end() if blank else len(text)
    return text[at:]


def fenced(text: str) -> Fenced | None:
    """The block that a text consists of, but for white space around it; None if it is not one."""
    text = text.strip()
    fence = text[:3]
    if len(text) < 6 or fence not in FENCES or not text.endswith(fence):
        return None
    first, newline, body = text[3:-3].partition("\n")
    word = _LANGUAGE.match(first)
    end = word.end() if word else 0
    return Fenced(first[:end], first[end:], body if newline else None)


def _without_ends(text: str) -> str:
    for end in _AFTER:
        text = text.partition(end)[0]
    return text


def _fence_around(text: str) -> tuple[int, int] | None:
    """Where the inside of a fence begins and ends, if the text is one, with at most a few words around it."""
    for fence in FENCES:
        opens, closes = text.find(fence), text.rfind(fence)
        if opens < 0 or closes < opens + 3 or text.count(fence) != 2:
            continue
        word = _LANGUAGE.match(text, opens + 3)
        start = word.end() if word else opens + 3
        language, inside = text[opens + 3 : start].lower(), text[start:closes].strip()
        around = opens + len(text) - closes - 3
        if language not in _PLAIN or not inside or around > _MOST_AROUND:
            continue
        # Words around JSON are for nobody. Words around a query, or in a list of steps, may be what is read.
        is_sql = language == "sql" or _SQL.match(inside) is not None
        if inside[0] in "{[" or (not around and (is_sql or "\n" not in inside)):
            return start, closes
    return None


def _tag_around(text: str) -> tuple[int, int] | None:
    """Where the inside of a tag begins and ends, if the text is one."""
    tag = _TAG.match(text)
    if tag is None or (tag[1] or tag[2]).lower().replace(" ", "_") not in _TAGS:
        return None
    end = f"[/{tag[1]}]" if tag[1] else f"</{tag[2]}>"
    return (tag.end(), len(text) - len(end)) if text.endswith(end) and len(text) > tag.end() + len(end) else None
