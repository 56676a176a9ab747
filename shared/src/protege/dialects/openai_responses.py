"""OpenAI's Responses: https://platform.openai.com/docs/api-reference/responses"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, cast

import orjson

from ..call import Reply
from ..common.tool_calls import KINDS
from . import teacher
from .base import Asked, Dialect, read
from .paths import deployment_in
from .reading import tools_of
from .writing import Said, event, new_id, now, said

_ECHOED: dict[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "reasoning": {"effort": None, "summary": None},
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_p": 1.0,
    "truncation": "disabled",
}
"""What an answer repeats of its request, with the API's defaults."""
_IF_GIVEN = ("user", "safety_identifier", "prompt_cache_key")
"""What it repeats if it is there: the document has no null in their place."""
_RESULTS = ("function_call_output", "custom_tool_call_output")
_STORED = ("previous_response_id", "conversation", "prompt")


class OpenAIResponses(Dialect):
    """`POST …/responses`.

    A specialist answers only where the request says `store: false`. Otherwise the provider keeps the answer, and the
    client may name it, or one of its items, in its next request.
    """

    name: ClassVar[str] = "openai-responses"

    def _asked(self, path: str, query: Mapping[str, str], body: Mapping[str, Any]) -> Asked:
        model = str(deployment_in(path) or body.get("model") or "")
        given = body.get("input")
        items = [item for item in given if _is_read(item)] if isinstance(given, list) else given
        reasoning = body.get("reasoning") or {}
        return read(
            {**{name: value for name, value in body.items() if name != "prompt"}, "input": items},
            {
                teacher.STORED: body.get("store") is not False or any(body.get(name) for name in _STORED),
                teacher.BACKGROUND: body.get("background"),
                teacher.REASONING: (reasoning.get("effort") or "none") != "none"
                or reasoning.get("summary")
                or reasoning.get("generate_summary"),
                teacher.LOGPROBS: body.get("top_logprobs"),
                teacher.OUTPUT: body.get("include")
                or body.get("context_management")
                or teacher.gives_more_than_text(model),
                teacher.OWN_TOOLS: teacher.searches(model)
                or teacher.offers_own_tools(tools_of(body))
                or items != given,
                teacher.SOME_TOOLS: teacher.restricts_tools(body.get("tool_choice")),
                teacher.MEDIA: teacher.holds_media(given),
            },
            model=model,
            streams=body.get("stream"),
            details={name: default if body.get(name) is None else body[name] for name, default in _ECHOED.items()}
            | {name: body[name] for name in _IF_GIVEN if isinstance(body.get(name), str)},
        )

    def whole(self, reply: Reply, asked: Asked) -> bytes:
        answer = said(reply, asked)
        return orjson.dumps(_ended(_response(asked), answer, _items(answer)))

    def stream(self, reply: Reply, asked: Asked) -> list[bytes]:
        answer = said(reply, asked)
        begun, items = _response(asked), _items(answer)
        ended = _ended(begun, answer, items)
        events: list[dict[str, Any]] = [
            {"type": "response.created", "response": begun},
            {"type": "response.in_progress", "response": begun},
        ]
        for index, item in enumerate(items):
            events += _of_item(index, item)
        events.append({"type": f"response.{ended['status']}", "response": ended})
        return [event({**each, "sequence_number": number}, named=True) for number, each in enumerate(events)]


def _is_read(item: Any) -> bool:
    """Whether an item is part of the conversation, and not what one of the provider's own tools did."""
    if not isinstance(item, Mapping):
        return True
    item = cast(Mapping[str, Any], item)
    kind = item.get("type")
    return "role" in item or kind in KINDS or kind in _RESULTS or kind in (None, "message", "reasoning")


def _response(asked: Asked) -> dict[str, Any]:
    return {
        "id": new_id("resp_"),
        "object": "response",
        "created_at": now(),
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": asked.model,
        "output": [],
        "previous_response_id": None,
        "service_tier": "default",
        "store": False,
        "usage": None,
        **_ECHOED,
        **asked.details,
    }


def _ended(response: Mapping[str, Any], answer: Said, items: list[dict[str, Any]]) -> dict[str, Any]:
    usage = {
        "input_tokens": answer.read,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answer.written,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": answer.read + answer.written,
    }
    ended = {**response, "status": "completed", "completed_at": now(), "output": items, "usage": usage}
    if answer.cut:
        ended |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    return ended


def _items(answer: Said) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    status = "incomplete" if answer.cut else "completed"
    if answer.text or not answer.calls:
        said = {"id": new_id("msg_"), "type": "message", "role": "assistant", "status": status}
        items.append({**said, "content": [_part(answer.text)]})
    for call in answer.calls:
        made = {"id": new_id("fc_"), "type": "function_call", "status": status, "call_id": call.id}
        items.append({**made, "name": call.name, "arguments": call.text})
    return items


def _part(text: str) -> dict[str, Any]:
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def _of_item(index: int, item: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    at = {"output_index": index, "item_id": item["id"]}
    if item["type"] == "message":
        text = item["content"][0]["text"]
        inside = {**at, "content_index": 0}
        empty = {"content": []}
        said = [
            {"type": "response.content_part.added", **inside, "part": _part("")},
            {"type": "response.output_text.delta", **inside, "delta": text, "logprobs": []},
            {"type": "response.output_text.done", **inside, "text": text, "logprobs": []},
            {"type": "response.content_part.done", **inside, "part": _part(text)},
        ]
    else:
        arguments = item["arguments"]
        empty = {"arguments": ""}
        said = [
            {"type": "response.function_call_arguments.delta", **at, "delta": arguments},
            {"type": "response.function_call_arguments.done", **at, "name": item["name"], "arguments": arguments},
        ]
    begun = {**item, **empty, "status": "in_progress"}
    yield {"type": "response.output_item.added", "output_index": index, "item": begun}
    yield from said
    yield {"type": "response.output_item.done", "output_index": index, "item": item}
