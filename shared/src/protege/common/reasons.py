"""Why an answer ended, in OpenAI's words: the one table of the reasons of providers, frameworks and tracers."""

from __future__ import annotations

import contextlib
import re
from typing import Any, cast

import orjson

from .checks import MOST_TEXT

_WORDS = {
    "stop": "stop stopped endturn stopsequence eos eostoken end complete completed finished",
    "tool_calls": "toolcalls toolcall tooluse functioncall functioncalls",
    "length": "length maxtokens maxoutputtokens maxlength modellength modelcontextwindowexceeded errorlimit",
    "content_filter": "contentfilter contentfiltered safety guardrailintervened errortoxic",
}
_REASONS = {word: reason for reason, words in _WORDS.items() for word in words.split()}
"""By the words that providers use, in small letters without what parts them."""
_PARTS = re.compile(r"[^a-z]+")
_ENUM = re.compile(r"<?(?:[a-z_]+\.)?([a-z_]+)(?:: ?\d+>)?")
"""How Python writes the member of an enumeration."""
_SHORTEST = 3
"""A shorter text that repeats itself may be meant so."""


def reason_of(value: Any) -> str | None:
    """The reason in OpenAI's words; None for anything else. Of several, such as one for each choice, the first.

    A reason that repeats itself is that reason: frameworks put the last chunks of a stream together as text. A value
    that is no reason stays a text.
    """
    if isinstance(value, str) and value[:1] == "[":  # a list that was written as a text
        with contextlib.suppress(orjson.JSONDecodeError):
            value = orjson.loads(value)
    if isinstance(value, list | tuple):
        value = next(iter(cast(list[Any], value)), None)
    if not isinstance(value, str | int | float) or value == "":
        return None
    text = str(value).strip().lower()
    listed = {item.strip(" '\"") for item in text.strip("[]").split(",")} if len(text) < MOST_TEXT else set[str]()
    text = said_once(listed.pop() if len(listed) == 1 else text)
    member = _ENUM.fullmatch(text)
    text = (member[1] if member else text).removeprefix("finish_reason_")
    if text in ("", "null", "none"):
        return None
    return _REASONS.get(_PARTS.sub("", text), text)


def said_once(text: str) -> str:
    """The text without its repetitions, if it is one text several times and short enough for a name."""
    if len(text) > MOST_TEXT:
        return text
    period = (text + text).find(text, 1)
    return text[:period] if _SHORTEST <= period < len(text) else text
