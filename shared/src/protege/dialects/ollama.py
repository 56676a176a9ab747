"""Ollama's chat and generate: https://github.com/ollama/ollama/blob/main/docs/api.md"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson

from ..call import Reply
from ..errors import InvalidAnswer
from . import teacher
from .base import Asked, Dialect, read
from .reading import tools_of
from .writing import Said, said

_RAW = ("raw", "template", "context", "suffix")


class OllamaChat(Dialect):
    """`POST /api/chat`, which streams unless told otherwise."""

    name: ClassVar[str] = "ollama-chat"
    stream_type: ClassVar[str] = "application/x-ndjson"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        more = {
            teacher.OWN_TOOLS: teacher.offers_own_tools(tools_of(body)),
            teacher.PREFILLED: teacher.prefills(body.get("messages")),
        }
        return read(body, {**_reasons(body), **more}, streams=body.get("stream") is not False)

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        answer = said(reply, asked)
        return orjson.dumps({**_head(asked), "message": _message(answer), **_ended(answer)})

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        answer, head = said(reply, asked), _head(asked)
        lines = [
            {**head, "message": _message(answer), "done": False},
            {**head, "message": {"role": "assistant", "content": ""}, **_ended(answer)},
        ]
        return [orjson.dumps(line) + b"\n" for line in lines]


class OllamaGenerate(Dialect):
    """`POST /api/generate`, which streams unless told otherwise."""

    name: ClassVar[str] = "ollama-generate"
    stream_type: ClassVar[str] = "application/x-ndjson"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        raw = {teacher.OUTPUT: any(body.get(name) for name in _RAW)}
        return read(body, {**_reasons(body), **raw}, streams=body.get("stream") is not False)

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        answer = _text(reply, asked)
        return orjson.dumps({**_head(asked), "response": answer.text, **_ended(answer)})

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        answer, head = _text(reply, asked), _head(asked)
        lines = [{**head, "response": answer.text, "done": False}, {**head, "response": "", **_ended(answer)}]
        return [orjson.dumps(line) + b"\n" for line in lines]


def _reasons(body: Mapping[str, Any]) -> dict[str, Any]:
    return {
        teacher.REASONING: body.get("think"),
        teacher.LOGPROBS: body.get("logprobs") or body.get("top_logprobs"),
        teacher.MEDIA: body.get("images") or teacher.holds_media(body.get("messages")),
    }


def _text(reply: Reply, asked: Asked) -> Said:
    answer = said(reply, asked)
    if answer.calls:
        raise InvalidAnswer("a tool call where a text was asked for")
    return answer


def _head(asked: Asked) -> dict[str, Any]:
    return {"model": asked.model, "created_at": datetime.now(UTC).isoformat().replace("+00:00", "Z")}


def _message(answer: Said) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": answer.text}
    if answer.calls:
        message["tool_calls"] = [
            {"id": call.id, "function": {"index": index, "name": call.name, "arguments": call.arguments}}
            for index, call in enumerate(answer.calls)
        ]
    return message


def _ended(answer: Said) -> dict[str, Any]:
    """The times are those of a model that was loaded; what a specialist takes is in the call's record."""
    return {
        "done": True,
        "done_reason": "length" if answer.cut else "stop",
        "total_duration": 0,
        "load_duration": 0,
        "prompt_eval_count": answer.read,
        "prompt_eval_duration": 0,
        "eval_count": answer.written,
        "eval_duration": 0,
    }
