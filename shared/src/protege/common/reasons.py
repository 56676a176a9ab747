"""Why an answer ended, in OpenAI's words: the one table of the reasons of providers, frameworks and tracers."""

from __future__ import annotations

import contextlib
from typing import Any, cast

import orjson

from .checks import MOST_TEXT

_REASONS = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "eos": "stop",
    "end": "stop",
    "complete": "stop",
    "completed": "stop",
    "tool_use": "tool_calls",
    "tool_call": "tool_calls",
    "tool-calls": "tool_calls",
    "function_calls": "tool_calls",
    "max_tokens": "length",
    "max_output_tokens": "length",
    "model_length": "length",
    "model_context_window_exceeded": "length",
    "safety": "content_filter",
    "content-filter": "content_filter",
    "content_filtered": "content_filter",
}
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
    text = said_once(str(value).lower())
    text = text.rpartition("finishreason.")[2].removeprefix("finish_reason_")
    return _REASONS.get(text, text)


def said_once(text: str) -> str:
    """The text without its repetitions, if it is one text several times and short enough for a name."""
    if len(text) > MOST_TEXT:
        return text
    period = (text + text).find(text, 1)
    return text[:period] if _SHORTEST <= period < len(text) else text
