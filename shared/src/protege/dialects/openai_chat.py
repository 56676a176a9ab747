"""OpenAI's chat completions, which most servers speak; Azure's are the same, with the results of its filters.

https://platform.openai.com/docs/api-reference/chat
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, cast

import orjson

from ..call import Reply
from . import teacher
from .base import Asked, Dialect, read
from .paths import deployment_in, place_of
from .reading import tools_of
from .writing import DONE, Said, event, new_id, now, said


class OpenAIChat(Dialect):
    """`POST …/chat/completions`."""

    name: ClassVar[str] = "openai-chat"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        deployment = deployment_in(path)
        model = str(deployment or body.get("model") or "")
        options = body.get("stream_options") or {}
        return read(
            body,
            {
                teacher.ANSWERS: (body.get("n") or 1) != 1
                or (body.get("best_of") or 1) != 1
                or body.get("use_beam_search"),
                teacher.LOGPROBS: body.get("logprobs")
                or body.get("top_logprobs")
                or body.get("prompt_logprobs") is not None,
                teacher.OUTPUT: body.get("audio")
                or set(body.get("modalities") or ()) - {"text"}
                or teacher.gives_more_than_text(model),
                teacher.STORED: body.get("store") is True,
                teacher.REASONING: _reasons(body),
                teacher.OWN_TOOLS: body.get("web_search_options")
                or body.get("data_sources")
                or body.get("plugins")
                or _of_xai(body.get("search_parameters"))
                or teacher.searches(model)
                or teacher.offers_own_tools(tools_of(body)),
                teacher.SOME_TOOLS: teacher.restricts_tools(body.get("tool_choice")),
                teacher.OLDER: body.get("functions") or body.get("function_call"),
                teacher.GUIDED: teacher.guides(body),
                teacher.PREFILLED: body.get("continue_final_message") or _prefixes(body.get("messages")),
                teacher.SIGNED: teacher.signs_calls(model, body.get("tools")),
                teacher.MEDIA: teacher.holds_media(body.get("messages")),
            },
            model=model,
            streams=body.get("stream"),
            details={"azure": place_of(path).front == "azure", "usage": bool(options.get("include_usage"))},
        )

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        answer = said(reply, asked)
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or None, "refusal": None}
        if answer.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.text}}
                for call in answer.calls
            ]
        else:
            message |= {"content": answer.text, "annotations": []}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _reason(answer)}
        filtered: dict[str, Any] = {}
        if asked.details.get("azure"):
            choice["content_filter_results"] = {}
            filtered = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}]}
        head = _head(reply, asked, "chat.completion")
        return orjson.dumps({**head, "choices": [choice], "usage": usage(answer), **filtered})

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        answer = said(reply, asked)
        azure, with_usage = asked.details.get("azure"), asked.details.get("usage")
        head = _head(reply, asked, "chat.completion.chunk") | ({"usage": None} if with_usage else {})

        def chunk(delta: Mapping[str, Any], reason: str | None = None) -> bytes:
            choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
            return event({**head, "choices": [{**choice, "content_filter_results": {}} if azure else choice]})

        events: list[bytes] = []
        if azure:
            filtered = [{"prompt_index": 0, "content_filter_results": {}}]
            named = {"id": "", "object": "", "created": 0, "model": ""}
            events.append(event({**named, "choices": [], "prompt_filter_results": filtered}))
        events.append(chunk({"role": "assistant", "content": None if answer.calls else "", "refusal": None}))
        if answer.text:
            events.append(chunk({"content": answer.text}))
        for index, call in enumerate(answer.calls):
            begun = {
                "index": index,
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": ""},
            }
            events.append(chunk({"tool_calls": [begun]}))
            events.append(chunk({"tool_calls": [{"index": index, "function": {"arguments": call.text}}]}))
        events.append(chunk({}, _reason(answer)))
        if with_usage:
            events.append(event({**head, "choices": [], "usage": usage(answer)}))
        return [*events, DONE]


def _reasons(body: Mapping[str, Any]) -> bool:
    """Whether reasoning is asked for, in the words of any server that takes this form."""
    template = body.get("chat_template_kwargs") or {}
    google = body.get("google") or (body.get("extra_body") or {}).get("google") or {}
    return (
        (body.get("reasoning_effort") or "none") != "none"
        or any(body.get(name) for name in ("reasoning", "enable_thinking", "include_reasoning", "thinking_budget"))
        or teacher.is_on(body.get("thinking"))
        or any(value for name, value in template.items() if "think" in name or "reason" in name)
        or teacher.thinks(google.get("thinking_config") or google.get("thinkingConfig") or {})
    )


def _of_xai(search: Any) -> bool:
    return bool(search) and not (isinstance(search, Mapping) and cast(Any, search).get("mode") == "off")


def _prefixes(messages: Any) -> bool:
    return teacher.prefills(messages) and bool(messages[-1].get("prefix"))


def usage(answer: Said) -> dict[str, Any]:
    """The usage of an answer, of chats and of the older completions."""
    return {
        "prompt_tokens": answer.read,
        "completion_tokens": answer.written,
        "total_tokens": answer.read + answer.written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _head(reply: Reply, asked: Asked, kind: str) -> dict[str, Any]:
    return {
        "id": new_id("chatcmpl-"),
        "object": kind,
        "created": now(),
        "model": asked.model,
        "service_tier": "default",
        **fingerprint(reply),
    }


def fingerprint(reply: Reply) -> dict[str, str]:
    """The field that names the model; none if nobody told it, since the API's schema allows no null there."""
    return {"system_fingerprint": f"fp_{reply.model}"} if reply.model else {}


def _reason(answer: Said) -> str:
    return "length" if answer.cut else "tool_calls" if answer.calls else "stop"
