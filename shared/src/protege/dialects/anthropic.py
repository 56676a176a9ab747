"""Anthropic's messages: https://docs.anthropic.com/en/api/messages"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import orjson

from ..call import Reply
from ..errors import InvalidAnswer
from . import teacher
from .base import Asked, Dialect, read
from .reading import tools_of
from .writing import Said, event, new_id, said


class Anthropic(Dialect):
    """`POST …/messages`."""

    name: ClassVar[str] = "anthropic"
    id_header: ClassVar[str] = "request-id"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        thinking, choice = body.get("thinking") or {}, body.get("tool_choice") or {}
        return read(
            body,
            {
                teacher.REASONING: thinking.get("type", "disabled") != "disabled"
                or (body.get("output_config") or {}).get("effort"),
                teacher.OWN_TOOLS: body.get("mcp_servers") or teacher.offers_own_tools(tools_of(body)),
                teacher.STORED: body.get("container"),
                teacher.OUTPUT: body.get("context_management"),
                teacher.CITED: teacher.cites(body.get("messages")),
                teacher.PREFILLED: teacher.prefills(body.get("messages")),
                teacher.MEDIA: teacher.holds_media(body.get("messages")),
            },
            streams=body.get("stream"),
            details={"one_call": bool(choice.get("disable_parallel_tool_use"))},
        )

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        answer = _answer(reply, asked)
        usage = {**_usage(answer.read, answer.written)}
        ended = {"content": _blocks(answer), "stop_reason": _reason(answer), "usage": usage}
        return orjson.dumps({**_begun(asked), **ended})

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        answer = _answer(reply, asked)
        begun = {**_begun(asked), "usage": _usage(answer.read, min(answer.written, 1))}
        events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}]
        for index, block in enumerate(_blocks(answer)):
            events += _of_block(index, block)
        events.insert(2, {"type": "ping"})
        delta = {"stop_reason": _reason(answer), "stop_sequence": None}
        counted = {name: count for name, count in _usage(answer.read, answer.written).items() if isinstance(count, int)}
        events.append({"type": "message_delta", "delta": delta, "usage": counted})
        events.append({"type": "message_stop"})
        return [event(each, named=True) for each in events]


def _answer(reply: Reply, asked: Asked) -> Said:
    answer = said(reply, asked, prefix="toolu_")
    if len(answer.calls) > 1 and asked.details.get("one_call"):
        raise InvalidAnswer("several tool calls where one was asked for")
    return answer


def _begun(asked: Asked) -> dict[str, Any]:
    kind = {"id": new_id("msg_"), "type": "message", "role": "assistant", "model": asked.model}
    return {**kind, "content": [], "stop_reason": None, "stop_sequence": None}


def _blocks(answer: Said) -> list[dict[str, Any]]:
    texts = [{"type": "text", "text": answer.text}] if answer.text or not answer.calls else []
    calls = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in answer.calls]
    return [*texts, *calls]


def _of_block(index: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    if block["type"] == "text":
        empty, deltas = {"text": ""}, [{"type": "text_delta", "text": block["text"]}]
    else:
        empty = {"input": {}}
        arguments = orjson.dumps(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": text} for text in ("", arguments)]
    yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _usage(read: int, written: int) -> dict[str, Any]:
    return {
        "input_tokens": read,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        "output_tokens": written,
        "service_tier": "standard",
    }


def _reason(answer: Said) -> str:
    return "max_tokens" if answer.cut else "tool_use" if answer.calls else "end_turn"
