"""Gemini's generateContent and streamGenerateContent: https://ai.google.dev/api/generate-content"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import orjson

from ..call import Reply
from . import teacher
from .base import Asked, Dialect, read
from .paths import gemini_model_in
from .writing import Said, event, new_id, said

_DECLARED = {"functionDeclarations", "function_declarations"}


class Gemini(Dialect):
    """`POST …/models/MODEL:generateContent` and `:streamGenerateContent`, whose stream is an array unless `alt=sse`."""

    name: ClassVar[str] = "gemini"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        model, streams = gemini_model_in(path)
        config = _of(body, "generationConfig", "generation_config") or {}
        thinking = _of(config, "thinkingConfig", "thinking_config") or {}
        tools: Sequence[Any] = body.get("tools") or ()
        return read(
            body,
            {
                teacher.ANSWERS: (_of(config, "candidateCount", "candidate_count") or 1) != 1,
                teacher.LOGPROBS: _of(config, "responseLogprobs", "response_logprobs") or config.get("logprobs"),
                teacher.OUTPUT: set(_of(config, "responseModalities", "response_modalities") or ()) - {"TEXT"}
                or _of(config, "speechConfig", "speech_config")
                or query.get("alt", "json") not in ("json", "sse"),
                teacher.REASONING: _thinks(thinking),
                teacher.STORED: _of(body, "cachedContent", "cached_content"),
                teacher.OWN_TOOLS: any(set(tool) - _DECLARED for tool in tools),
                teacher.SOME_TOOLS: len(_allowed(body)) > 1,
                teacher.SIGNED: teacher.signs_calls(model, tools),
                teacher.MEDIA: teacher.holds_media(body.get("contents")),
            },
            model=model,
            streams=streams,
            details={"sse": query.get("alt") == "sse"},
        )

    def content_type(self, asked: Asked) -> str:
        return "text/event-stream" if asked.streams and asked.details.get("sse") else "application/json; charset=UTF-8"

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        return orjson.dumps(_answer(said(reply, asked), asked))

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        """One part: that is also how Gemini streams a short answer."""
        answer = _answer(said(reply, asked), asked)
        return [event(answer)] if asked.details.get("sse") else [b"[", orjson.dumps(answer), b"]"]


def _of(value: Mapping[str, Any], *names: str) -> Any:
    return next((value[name] for name in names if value.get(name) is not None), None)


def _allowed(body: Mapping[str, Any]) -> Sequence[Any]:
    """The tools that may be called, where they are named."""
    calling = (
        _of(_of(body, "toolConfig", "tool_config") or {}, "functionCallingConfig", "function_calling_config") or {}
    )
    return _of(calling, "allowedFunctionNames", "allowed_function_names") or ()


def _thinks(config: Mapping[str, Any]) -> bool:
    """Whether thinking was asked for; a budget of 0 turns it off."""
    level, budget = _of(config, "thinkingLevel", "thinking_level"), _of(config, "thinkingBudget", "thinking_budget")
    return bool(level or budget or _of(config, "includeThoughts", "include_thoughts"))


def _answer(answer: Said, asked: Asked) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"text": answer.text}] if answer.text or not answer.calls else []
    for call in answer.calls:
        parts.append({"functionCall": {"id": call.id, "name": call.name, "args": call.arguments}})
    candidate = {
        "content": {"parts": parts, "role": "model"},
        "finishReason": "MAX_TOKENS" if answer.cut else "STOP",
        "index": 0,
        "safetyRatings": cast(list[Any], []),
    }
    usage = {
        "promptTokenCount": answer.read,
        "candidatesTokenCount": answer.written,
        "totalTokenCount": answer.read + answer.written,
    }
    named = {"modelVersion": asked.model, "responseId": new_id("")}
    return {"candidates": [candidate], "usageMetadata": usage, **named}
