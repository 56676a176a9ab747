"""Gemini's generateContent and streamGenerateContent: https://ai.google.dev/api/generate-content"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import orjson

from ..call import Reply
from . import teacher
from .base import Asked, Dialect, read
from .paths import gemini_model_in
from .reading import ENUM
from .writing import Said, event, new_id, said

_DECLARED = {"functionDeclarations", "function_declarations"}


class Gemini(Dialect):
    """`POST …/models/MODEL:generateContent` and `:streamGenerateContent`, whose stream is an array unless `alt=sse`."""

    name: ClassVar[str] = "gemini"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        model, streams = gemini_model_in(path)
        config = teacher.named(body, "generationConfig", "generation_config") or {}
        thinking = teacher.named(config, "thinkingConfig", "thinking_config") or {}
        tools: Sequence[Any] = body.get("tools") or ()
        return read(
            body,
            {
                teacher.ANSWERS: (teacher.named(config, "candidateCount", "candidate_count") or 1) != 1,
                teacher.LOGPROBS: teacher.named(config, "responseLogprobs", "response_logprobs")
                or config.get("logprobs"),
                teacher.OUTPUT: set(teacher.named(config, "responseModalities", "response_modalities") or ()) - {"TEXT"}
                or teacher.named(config, "speechConfig", "speech_config")
                or _alt(query) not in ("json", "sse")
                or teacher.gives_more_than_text(model),
                teacher.REASONING: teacher.thinks(thinking),
                teacher.STORED: teacher.named(body, "cachedContent", "cached_content"),
                teacher.OWN_TOOLS: any(set(tool) - _DECLARED for tool in tools)
                or teacher.ran_code(body.get("contents")),
                teacher.SOME_TOOLS: len(_allowed(body)) > 1,
                teacher.SIGNED: teacher.signs_calls(model, tools),
                teacher.GUIDED: teacher.named(config, "responseMimeType", "response_mime_type") == ENUM,
                teacher.MEDIA: teacher.holds_media(
                    [body.get("contents"), teacher.named(body, "systemInstruction", "system_instruction")]
                ),
            },
            model=model,
            streams=streams,
            details={"sse": _alt(query) == "sse"},
        )

    def content_type(self, asked: Asked) -> str:
        return "text/event-stream" if asked.streams and asked.details.get("sse") else "application/json; charset=UTF-8"

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        return orjson.dumps(_answer(said(reply, asked), asked))

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        """One part: that is also how Gemini streams a short answer."""
        answer = _answer(said(reply, asked), asked)
        return [event(answer)] if asked.details.get("sse") else [b"[", orjson.dumps(answer), b"]"]


def _allowed(body: Mapping[str, Any]) -> Sequence[Any]:
    """The tools that may be called, where they are named."""
    calling = (
        teacher.named(
            teacher.named(body, "toolConfig", "tool_config") or {}, "functionCallingConfig", "function_calling_config"
        )
        or {}
    )
    return teacher.named(calling, "allowedFunctionNames", "allowed_function_names") or ()


def _alt(query: Mapping[str, str]) -> str:
    """The form of the answer, by either of the names that Google's APIs give it."""
    return query.get("alt") or query.get("$alt") or "json"


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
