"""Messages as frameworks keep them, with their fields under the names that providers' APIs use.

LangChain, LlamaIndex, AutoGen, Pydantic AI, Semantic Kernel, Haystack, Vercel's AI SDK and ShareGPT. What the fields
then hold is the matter of `messages`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, TypeAlias, cast

Message: TypeAlias = Mapping[str, Any]

FIELDS = "kwargs data from lc blocks items content_blocks toolInvocations"
"""A message that has one of these is a framework's."""
_PART_TYPES = ("block_type", "content_type", "part_kind")
"""Where LlamaIndex, Semantic Kernel and Pydantic AI say what a part is; others say it in `type`."""
_ROLE_OF_PART = {
    "system-prompt": "system",
    "user-prompt": "user",
    "tool-return": "tool",
    "retry-prompt": "tool",
}
"""Pydantic AI keeps parts of several roles in one message."""
_RESULTS = frozenset({"tool-return", "function_result", "builtin-tool-return"})
_TEXTS = frozenset({"system-prompt", "user-prompt", "retry-prompt"})
_AUTOGEN = {"AssistantMessage": "function_call", "FunctionExecutionResultMessage": "tool_result"}
"""What the parts of AutoGen's messages are, which do not say so."""
_WITH_RESULT = frozenset({"output-available", "output-error", "result"})


def opened(message: Message) -> Sequence[Message]:
    """The message under the names that all others use; several, if it holds parts of several roles or steps."""
    if isinstance(kwargs := message.get("kwargs"), Mapping) and isinstance(names := message.get("id"), list) and names:
        return opened({"type": str(cast(list[Any], names)[-1]), **cast(Message, kwargs)})  # LangChain's
    if isinstance(data := message.get("data"), Mapping) and "content" not in message:
        return opened({**cast(Message, data), "type": message.get("type")})
    if "from" in message and "value" in message:  # ShareGPT's
        return ({"role": message["from"], "content": message["value"]},)
    content, kind = message.get("content"), message.get("type")
    if isinstance(content, list) and kind in _AUTOGEN and "role" not in message:
        parts = [{**part, "type": _AUTOGEN[kind]} if isinstance(part, Mapping) else part for part in _list(content)]
        return ({**message, "content": parts},)
    if content and not message.get("toolInvocations"):
        return (message,)
    if message.get("kind") in ("request", "response") and isinstance(parts := message.get("parts"), list):
        nothing = {"role": "user" if message["kind"] == "request" else "assistant", "content": ""}
        return list(_of_pydantic(_list(parts))) or (nothing,)
    for name in ("blocks", "items", "content_blocks"):
        if isinstance(held := message.get(name), list):
            return ({**_without(message, name), "content": list(_named(_list(held)))},)
    for name in ("parts", "toolInvocations"):
        if isinstance(held := message.get(name), list):
            said = [{"type": "text", "text": content}] if isinstance(content, str) and content else []
            return list(_of_vercel(_without(message, name, "toolInvocations"), [*said, *_list(held)]))
    return (message,)


def _of_pydantic(parts: list[Any]) -> Iterator[Message]:
    for role, held in groupby(parts, _role):
        yield {"role": role, "content": list(_named(list(held)))}


def _role(part: Any) -> str:
    kind = part.get("part_kind") if isinstance(part, Mapping) else None
    if kind == "retry-prompt" and not cast(Any, part).get("tool_name"):
        return "user"
    return _ROLE_OF_PART.get(str(kind), "assistant")


def _named(parts: list[Any]) -> Iterator[Any]:
    """Parts that say what they are in `type`."""
    for part in parts:
        if not isinstance(part, Mapping):
            yield part
            continue
        part = cast(Message, part)
        kind = next((part[name] for name in _PART_TYPES if isinstance(part.get(name), str)), None)
        if kind in _TEXTS and not part.get("tool_name"):
            content = part.get("content")
            yield from _list(content) if isinstance(content, list) else ({"type": "text", "text": content},)
        elif kind in _RESULTS or (kind == "retry-prompt" and part.get("tool_name")):
            yield {**part, "type": "tool_result"}
        elif kind == "text":
            yield {"type": "text", "text": part.get("text", part.get("content"))}
        elif kind == "image" and (url := part.get("url") or part.get("image")):  # LlamaIndex's
            told = (
                str(url) if "://" in str(url)[:8] else f"data:{part.get('image_mimetype') or 'image/png'};base64,{url}"
            )
            yield {"type": "image_url", "image_url": {"url": told}}
        else:
            yield part if kind is None else {**part, "type": kind}


def _of_vercel(message: Message, parts: list[Any]) -> Iterator[Message]:
    """Messages of the AI SDK, in which a call of a tool stands with its result: a message for the words and the calls
    of each step, and one for the results."""
    for step in [step for step in _steps(parts) if step] or [[]]:
        calls = [_invocation(part) for part in step]
        yield {**message, "content": [_call(call) if call else part for call, part in zip(calls, step, strict=True)]}
        if results := [_result(call) for call in calls if _is_answered(call)]:
            yield {"role": "tool", "content": results}


def _steps(parts: list[Any]) -> Iterator[list[Any]]:
    """The parts of each step: what follows a tool's result was said after it."""
    step: list[Any] = []
    answered = False
    for part in parts:
        begins = isinstance(part, Mapping) and cast(Message, part).get("type") == "step-start"
        call = _invocation(part)
        if begins or (answered and not call):
            yield step
            step, answered = [], False
        if not begins:
            step.append(part)
            answered = answered or _is_answered(call)
    yield step


def _invocation(part: Any) -> Message:
    """The call of a tool that a part holds; empty for any other."""
    held = cast(Message, part).get("toolInvocation", part) if isinstance(part, Mapping) else None
    return cast(Message, held) if isinstance(held, Mapping) and cast(Message, held).get("toolCallId") else {}


def _is_answered(call: Message) -> bool:
    return call.get("state") in _WITH_RESULT


def _call(call: Message) -> Message:
    name = call.get("toolName") or str(call.get("type")).removeprefix("tool-")
    arguments = call.get("input", call.get("args"))
    return {"type": "tool-call", "toolCallId": call["toolCallId"], "toolName": name, "input": arguments}


def _result(call: Message) -> Message:
    failed = {"isError": True} if call.get("state") == "output-error" else {}
    output = call.get("output", call.get("result", call.get("errorText")))
    return {"type": "tool-result", "toolCallId": call["toolCallId"], "output": output, **failed}


def _without(message: Message, *names: str) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key not in names}


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value)
