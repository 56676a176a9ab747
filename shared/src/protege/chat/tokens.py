"""Tokens that nobody told, estimated at four bytes of UTF-8 each.

Teachers' tokenizers are not here; English takes about four characters for a token, and other scripts more tokens for a
character, as they take more bytes. Streams of OpenAI's kind tell no usage unless the client asks for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from ..call import Call, Message, text_of

BYTES = 4
"""Of a token."""


def estimated_tokens(messages: Iterable[Message], tools: Iterable[Mapping[str, Any]] = ()) -> int:
    """The tokens of messages and tools. Images and the like count nothing."""
    return (sum(map(_of_message, messages)) + sum(map(_of_json, tools)) + BYTES - 1) // BYTES


def counted(call: Call) -> Call:
    """The call with estimates in place of the counts that its provider did not tell; one without an answer as it is."""
    if call.response is None or (call.input_tokens is not None and call.output_tokens is not None):
        return call
    read, written = call.input_tokens, call.output_tokens
    if read is None:
        read = estimated_tokens(call.request.messages, call.request.tools)
    if written is None:
        written = estimated_tokens((call.response,))
    return replace(call, input_tokens=read, output_tokens=written, tokens_estimated=True)


def _of_message(message: Message) -> int:
    calls = message.get("tool_calls")
    return len(text_of(message).encode("utf-8", "replace")) + (_of_json(calls) if calls else 0)


def _of_json(value: Any) -> int:
    try:
        return len(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))
    except orjson.JSONEncodeError:  # a lone surrogate
        return len(repr(value))
