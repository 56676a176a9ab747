"""What models put around an answer: fences, tags, words, and their reasoning. The one place that takes it off.

An agent whose teacher writes ```json … ``` takes that off itself, so an answer that it gets is wrapped again
(`Wrapper.around`). Reasoning is no wrapper: it differs each time, and nobody waits for it. Words beside JSON are for
nobody, as long as there are few of them and one JSON: who reads JSON out of prose does not read the prose.

All of it is read in linear time: models that loop write a fence and then thousands of blanks, and a pattern tries each
blank as the end of the block.
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, NamedTuple

import orjson

FENCES = ("```", "~~~")
_LANGUAGE = re.compile(r"\w*")
_BLANK = re.compile(r"\s*")
_OPENING = re.compile(r"(`{3,}|~{3,})(?:[ \t]*([\w.+#-]*(?:/[\w.+-]*)?))")
_ATTRIBUTES = re.compile(r"[ \t]+[^\n={}\[\]]{1,60}=[^\n{}\[\]]{0,200}(?=\n)")
"""What may follow a fence's language on its line."""
_TAG = re.compile(r"\[([A-Za-z][A-Za-z_ ]{0,30})\]|<([A-Za-z][A-Za-z_-]{0,30})(?:\s[^<>]{0,80})?>")
_UNSEEN = "\ufeff\u200b\u2060"
"""Marks that nobody sees, which some servers put around an answer."""
_TAG_NAMES = "answer final_answer final output result response content json sql label reply"
_TAGS = frozenset(_TAG_NAMES.split())
"""The names of tags around an answer, in square or pointed brackets. Other tags may be the answer itself."""
_LONGEST_TAG = 40
_THOUGHT = re.compile(
    r"<(/?)(think(?:ing)?|thoughts?|reasoning|reflection|antthinking|inner_monologue|(?:seed|mm):think|analysis"
    r"|scratchpad)(?:\s[^<>]{0,80})?>",
    re.IGNORECASE,
)
_MAYBE = frozenset({"analysis", "scratchpad", "reflection", "inner_monologue"})
"""Tags whose text is reasoning where an answer follows it, and else may be the answer."""
_THOUGHTS = (
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|think|>", "<|/think|>"),
    ("<|channel>thought", "<channel|>"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ('<details type="reasoning"', "</details>"),
)
_ENDS = ("</think>", "</seed:think>", "[/THINK]", "◁/think▷", "<|end_of_thought|>")
"""What ends reasoning whose beginning the server has cut off: templates put it into the prompt."""
_FINAL = re.compile(r"<\|channel\|>final[^<]{0,40}(?:<\|constrain\|>[^<]{0,40})?<\|message\|>")
_SOLUTION = "<|begin_of_solution|>"
_AFTER = ("<|return|>", "<|end|>", "<|im_end|>", "<|eot_id|>", "<|end_of_solution|>")
_PLAIN = frozenset({"", "json", "json5", "jsonc", "jsonl", "sql", "text", "txt", "plaintext"})
"""The languages whose fence is taken off. What a fence of another language holds is code: the fence says which; but
not JSON objects."""
_SQL = re.compile(r"\s*(?:select|with|insert|update|delete|create)\b", re.IGNORECASE)
_MOST_AROUND = 300
"""So many characters may stand around a fence, a tag or JSON that is the answer."""
_JSON_LINE = re.compile(r"^[{\[]", re.MULTILINE)
_LABELLED = re.compile(r"^\w[\w ]{0,30}:[ \t]*\S", re.MULTILINE)
"""A line "Action: search" beside JSON is a part of the answer."""
_DECIDES = re.compile(
    r"^\W{0,4}(?:action|tool|function|command|decision|verdict|status|label|category|intent)\b[\w ]{0,20}:[ \t]*\S",
    re.MULTILINE | re.IGNORECASE,
)
"""So is this beside a fence."""
_MOST_TRIED = 3
"""In so many places JSON is looked for in prose."""
_DECODER = json.JSONDecoder()
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
    def marks(self) -> Wrapper:
        """Its fence and tags alone, without the words around them; nothing without either."""
        begins = [at for fence in FENCES if (at := self.before.find(fence)) >= 0]
        ends = [at + len(fence) for fence in FENCES if (at := self.after.rfind(fence)) >= 0]
        for tag in _TAG.finditer(self.before):
            if _holds_an_answer(tag) and (at := self.after.rfind(_closing(tag))) >= 0:
                begins.append(tag.start())
                ends.append(at + len(_closing(tag)))
        return Wrapper(self.before[min(begins) :], self.after[: max(ends)]) if begins and ends else Wrapper()

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
    text = without_reasoning(text).strip().strip(_UNSEEN).strip()
    before, after = "", ""
    for _ in range(_MOST_WRAPPERS):
        found = _fence_around(text) or _tag_around(text) or _prose_around(text)
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
    if final := _FINAL.search(text):
        text = _without_ends(text[final.end() :]).lstrip()
    for end in _ENDS:
        head, found, rest = text.partition(end)
        if found and not any(head.startswith(begin) for begin, _ in _THOUGHTS) and not _THOUGHT.search(head):
            text = rest.lstrip()
    at = 0
    while (ends := _thought_ends(text, at)) is not None:
        blank = _BLANK.match(text, ends)
        at = blank.end() if blank else len(text)
    text = text[at:]
    if text.endswith("</think>") and (begins := text.rfind("<think>")) > 0:
        text = text[:begins].rstrip()
    return _without_ends(text.removeprefix(_SOLUTION)) if text.startswith(_SOLUTION) else text


def _thought_ends(text: str, at: int) -> int | None:
    """Where the reasoning ends that begins here; None if none does."""
    for begin, end in _THOUGHTS:
        if text.startswith(begin, at):
            closes = text.find(end, at)
            return len(text) if closes < 0 else closes + len(end)
    opens = _THOUGHT.match(text, at)
    if opens is None or opens[1]:
        return None
    name, depth, last = opens[2].lower(), 0, -1
    for mark in _THOUGHT.finditer(text, at):
        if mark[2].lower() != name:
            continue
        depth += -1 if mark[1] else 1
        last = mark.end() if mark[1] else last
        if not depth:
            break
    if name in _MAYBE:
        follows = _BLANK.match(text, last) if last >= 0 else None
        return last if follows and follows.end() < len(text) else None
    return len(text) if last < 0 else last


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
    opening = _OPENING.search(text)
    if opening is None:
        return None
    fence, language = opening[1], opening[2].lower().rpartition("/")[2]
    attributes = _ATTRIBUTES.match(text, opening.end())
    start = attributes.end() if attributes else opening.end()
    closes = text.rfind(fence)
    if closes < opening.end(1):
        return _half_fence(text, opening.start(), start)
    inside = text[start:closes].strip()
    around = opening.start() + len(text) - closes - len(fence)
    is_json = inside[:1] in ("{", "[")
    nested = not around and language in ("", "markdown", "md") and inside.startswith(FENCES)
    if not inside or around > _MOST_AROUND:
        return None
    if not (nested or language in _PLAIN or (is_json and _holds_objects(inside))):
        return None
    if text.count(fence) != 2 and not (is_json and not around and _holds_objects(inside)):
        return None
    # Words around JSON are for nobody. Words around a query, or in a list of steps, may be what is read.
    is_sql = language == "sql" or _SQL.match(inside) is not None
    decides = around and (_DECIDES.search(text[: opening.start()]) or _DECIDES.search(text[closes + len(fence) :]))
    if nested or (is_json and not decides) or (not around and (is_sql or "\n" not in inside)):
        return start, closes
    return None


def _half_fence(text: str, opens: int, start: int) -> tuple[int, int] | None:
    """Where JSON begins and ends of whose fence one half is missing, as stop sequences leave it."""
    begin, end = (start, len(text)) if opens == 0 else (0, opens)
    return (begin, end) if not text[end:].strip("`~ \n") and _holds_objects(text[begin:end]) else None


def _holds_objects(text: str) -> bool:
    """Whether a text is JSON, and an object or a list of objects."""
    text = text.strip()
    if text[:1] not in ("{", "["):
        return False
    try:
        return _is_structured(orjson.loads(text))
    except orjson.JSONDecodeError:
        return False


def _tag_around(text: str) -> tuple[int, int] | None:
    """Where the inside of a tag begins and ends, if the text is one; with a few words around it if it holds JSON."""
    for tag in _TAG.finditer(text, 0, _MOST_AROUND + _LONGEST_TAG):
        if not _holds_an_answer(tag):
            if tag.start() == 0:
                return None
            continue
        closing = _closing(tag)
        closes = max(text.rfind(closing), text.rfind(closing.lower()), text.rfind(closing.upper()))
        around = tag.start() + len(text) - closes - len(closing)
        is_json = text[tag.end() : tag.end() + _MOST_AROUND].lstrip()[:1] in ("{", "[")
        if closes > tag.end() and (not around or (is_json and around <= _MOST_AROUND)):
            return tag.end(), closes
    return None


def _holds_an_answer(tag: re.Match[str]) -> bool:
    return (tag[1] or tag[2]).lower().replace(" ", "_").replace("-", "_") in _TAGS


def _closing(tag: re.Match[str]) -> str:
    return f"[/{tag[1]}]" if tag[1] else f"</{tag[2]}>"


def _prose_around(text: str) -> tuple[int, int] | None:
    """Where JSON begins and ends that stands on lines of its own with a few words around it, if it is the only one."""
    whole = text[:1] in ("{", "[") and text[-1] in ("}", "]")
    if whole or any(fence in text for fence in FENCES):
        return None
    for begin in itertools.islice(_JSON_LINE.finditer(text, 0, _MOST_AROUND), _MOST_TRIED):
        try:
            value, end = _DECODER.raw_decode(text, begin.start())
        except (ValueError, RecursionError):
            continue
        if _is_structured(value):
            return (begin.start(), end) if _is_prose(text[: begin.start()], text[end:]) else None
    return None


def _is_prose(before: str, after: str) -> bool:
    """Whether what stands before and after JSON is a few words for nobody."""
    ends_its_line = not after.partition("\n")[0].strip()
    parts = (before, after)
    told = any(_LABELLED.search(part) or _JSON_LINE.search(part) for part in parts)
    return ends_its_line and not told and len(before) + len(after) <= _MOST_AROUND


def _is_structured(value: Any) -> bool:
    """Whether JSON is an object or a list of objects, and not empty: "[1]" in prose is a reference."""
    items = [value] if isinstance(value, dict) else value
    return bool(value) and all(isinstance(item, dict) for item in items)
