"""What writers of answers share: a reply's tool calls, new ids, and the framing of streams."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from ..call import Reply, request_from, text_of
from ..chat.answer import tool_calls_of
from ..chat.tokens import estimated_tokens
from ..errors import InvalidAnswer
from .base import Asked

DONE = b"data: [DONE]\n\n"
"""The end of OpenAI's streams."""


class Made(NamedTuple):
    """A tool call of a specialist."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    text: str
    """The arguments as JSON text."""


class Said(NamedTuple):
    """What a specialist answered."""

    text: str
    calls: tuple[Made, ...]
    cut: bool
    """Whether it reached the most tokens that it might write."""
    read: int
    """Tokens of the request."""
    written: int
    """Tokens of the answer."""


def said(reply: Reply, asked: Asked, *, prefix: str = "call_") -> Said:
    """The answer in a reply. prefix: how this dialect's ids of tool calls begin.

    Raises InvalidAnswer: there is none, a call's arguments are no object, or there are several calls where one was
    asked for.
    """
    message = reply.message
    if message is None:
        raise InvalidAnswer("no answer")
    given = message.get("tool_calls") or ()
    calls = tuple(
        Made(with_prefix(call.get("id"), prefix), name, arguments, orjson.dumps(arguments).decode())
        for call, (name, arguments) in zip(given, tool_calls_of(message), strict=True)
    )
    if len(calls) > 1 and (asked.record.get("parameters") or {}).get("parallel_tool_calls") is False:
        raise InvalidAnswer("several tool calls where one was asked for")
    read, written = reply.input_tokens, reply.output_tokens
    if read is None:
        request = request_from(asked.record)
        read = estimated_tokens(request.messages, request.tools)
    if written is None:
        written = estimated_tokens((message,))
    return Said(text_of(message), calls, reply.finish_reason == "length", read, written)


def with_prefix(call_id: Any, prefix: str) -> str:
    """An id in a dialect's form, which a later request can be told by: the id's own end, or a new one."""
    end = str(call_id or "").rpartition("_")[2]
    return prefix + (end or uuid.uuid4().hex[:24])


def new_id(prefix: str) -> str:
    """An id that was never given."""
    return f"{prefix}{uuid.uuid4().hex}"


def now() -> int:
    """Seconds since 1970."""
    return int(time.time())


def event(document: Mapping[str, Any], *, named: bool = False) -> bytes:
    """A server-sent event. named: whether it is named by its type, as Anthropic and OpenAI's Responses do."""
    name = b"event: " + str(document["type"]).encode() + b"\n" if named else b""
    return name + b"data: " + orjson.dumps(document) + b"\n\n"
