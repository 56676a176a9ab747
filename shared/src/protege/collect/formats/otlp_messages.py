"""The messages of an OpenTelemetry GenAI span in OpenAI chat form: from parts (today), or from events (up to v1.36)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson


def from_parts(attributes: Mapping[str, Any]) -> dict[str, Any] | None:
    """`messages`, `response` and `finish_reason` from `gen_ai.input.messages` and its kin; None if there are none.

    Of several answers, the first is taken.
    """
    asked = _json(attributes.get("gen_ai.input.messages"))
    if not asked:
        return None
    instructions = _json(attributes.get("gen_ai.system_instructions"))
    if isinstance(instructions, str):
        instructions = [{"type": "text", "content": instructions}]
    system = [{"role": "system", "parts": instructions}] if instructions else []
    answers = _json(attributes.get("gen_ai.output.messages")) or []
    return {
        "messages": [written for message in (*system, *asked) for written in _messages(message)],
        "response": next(_messages({"role": "assistant", **answers[0]}), None) if answers else None,
        "finish_reason": answers[0].get("finish_reason") if answers else None,
    }


def from_events(events: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, Any] | None:
    """The same from the events `gen_ai.<role>.message` and `gen_ai.choice`; None if there are none."""
    messages: list[dict[str, Any]] = []
    response = reason = None
    for name, attributes in events:
        # Some instrumentations put the event's body into one attribute.
        body = {**attributes, **(_json(attributes.get("gen_ai.event.content")) or {})}
        if name == "gen_ai.choice" and response is None:
            message = _json(body.get("message"))
            response = _plain("assistant", message if isinstance(message, Mapping) else {**body, "content": message})
            reason = body.get("finish_reason")
        elif name in _ROLE_OF_EVENT:
            messages.append(_plain(_ROLE_OF_EVENT[name], body))
    return {"messages": messages, "response": response, "finish_reason": reason} if messages else None


def tools_of(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The tools of `gen_ai.tool.definitions` in OpenAI's form."""
    written: list[dict[str, Any]] = []
    for tool in _json(attributes.get("gen_ai.tool.definitions")) or ():
        tool = _json(tool)
        function = tool.get("function") or {k: tool[k] for k in ("name", "description", "parameters") if k in tool}
        written.append({"type": "function", "function": function})
    return written


def finish_reason(reason: Any) -> str | None:
    """A finish reason under OpenAI's name."""
    return None if reason is None else {"tool_call": "tool_calls"}.get(reason, str(reason))


_ROLE_OF_EVENT = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}


def _json(value: Any) -> Any:
    """A value that was written as JSON text because structures were not supported; other text stays text."""
    if not isinstance(value, str) or value[:1] not in ("{", "["):
        return value
    try:
        return orjson.loads(value)
    except orjson.JSONDecodeError:
        return value


def _messages(message: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """A message of parts in chat form. The answer of each tool in it becomes a message of its own."""
    if "parts" not in message:
        yield _plain(str(message.get("role")), message)
        return
    content: list[dict[str, Any]] = []
    calls: list[dict[str, Any]] = []
    results = 0
    for part in message["parts"]:
        kind = part.get("type")
        if kind == "tool_call_response":
            results += 1
            answer = part.get("response", part.get("result"))
            yield {"role": "tool", "tool_call_id": part.get("id"), "content": _text(answer)}
        elif kind == "tool_call":
            calls.append(_tool_call(part))
        elif kind != "reasoning":  # reasoning is not part of what was asked or answered
            content.append(_part(part))
    if content or calls or not results:
        written: dict[str, Any] = {"role": message["role"], "content": _content(content)}
        yield {**written, "tool_calls": calls} if calls else written


def _content(parts: list[dict[str, Any]]) -> str | list[dict[str, Any]] | None:
    if all(part["type"] == "text" for part in parts):
        return "\n".join(part["text"] for part in parts) or None
    return parts


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if kind == "text":
        return {"type": "text", "text": _text(part.get("content"))}
    if kind == "blob" and part.get("modality") == "image":
        url = f"data:{part.get('mime_type') or 'image/png'};base64,{part.get('content')}"
        return {"type": "image_url", "image_url": {"url": url}}
    if kind == "uri" and part.get("modality") == "image":
        return {"type": "image_url", "image_url": {"url": part.get("uri")}}
    return dict(part)


def _plain(role: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """A message that is in chat form already, except that its values may be written as JSON text."""
    message: dict[str, Any] = {"role": body.get("role") or role}
    content = body.get("content")
    message["content"] = content if content is None or isinstance(content, str | list) else _text(content)
    if calls := _json(body.get("tool_calls")):
        message["tool_calls"] = [_tool_call(_json(call)) for call in calls]
    if message["role"] == "tool" and (call_id := body.get("tool_call_id") or body.get("id")):
        message["tool_call_id"] = call_id
    return message


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function: Mapping[str, Any] = _json(call.get("function")) or call
    arguments = function.get("arguments")
    return {
        "id": call.get("id"),
        "type": "function",
        "function": {"name": function.get("name"), "arguments": "{}" if arguments is None else _text(arguments)},
    }


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()
