"""A chat message in any known form, as messages in OpenAI's: the one table of what a message may hold.

OpenAI's chat and Responses, Anthropic, Gemini, Bedrock, Ollama, OpenTelemetry, LangChain, Vercel's SDK and ShareGPT
write the same things in other words. A message of theirs may be several of OpenAI's: the result of each tool is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias, cast

from ..errors import BadCall
from . import framework_messages, tool_calls
from .plain_json import loads

Message: TypeAlias = Mapping[str, Any]

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
"""The roles that a message may have."""
_ROLE_OF = {
    **{role: role for role in ROLES},
    **dict.fromkeys(("human", "humanmessage", "humanmessagechunk", "usermessage", "tool-response"), "user"),
    **dict.fromkeys(("ai", "aimessage", "aimessagechunk", "model", "gpt", "chatbot", "bot"), "assistant"),
    **dict.fromkeys(("assistantmessage", "tool-call"), "assistant"),
    **dict.fromkeys(("systemmessage", "systemmessagechunk"), "system"),
    **dict.fromkeys(("toolmessage", "toolmessagechunk", "observation", "functionexecutionresultmessage"), "tool"),
    **dict.fromkeys(("functionmessage", "functionmessagechunk"), "function"),
}
_TEXTS = frozenset({"text", "input_text", "output_text"})
_REASONING = frozenset({"thinking", "redacted_thinking", "reasoning", "reasoning_content", "thought", "summary_text"})
_RESULTS = frozenset(
    {"tool_result", "tool-result", "tool_call_response", "function_call_output", "custom_tool_call_output"}
)
_RESULT_BOXES = ("functionResponse", "function_response", "toolResult", "tool_call_result")
_MARKS = frozenset({"cachePoint", "cache_point"})
_VALUES = frozenset({"text", "json", "content", "error-text", "error-json", "execution-denied"})
_RESULT_IDS = ("tool_call_id", "tool_use_id", "toolCallId", "toolUseId", "call_id", "id")
_OUTPUTS = ("output", "response", "result", "content")
_ODD_FIELDS = (
    f"function_call additional_kwargs parts toolCalls reasoning_content reasoning reasoning_details thinking "
    f"{framework_messages.FIELDS}"
)
_ANSWERS = frozenset({"parts", "tool_calls", "function_call"})
_ANSWER_BOXES = _ANSWERS | {"content", "refusal", "blocks", "items", "content_blocks", "toolCalls", "toolInvocations"}
_ANSWER_FIELDS = _ANSWERS | {"content", "refusal", "name", "id", "annotations", "audio"}
_ODD = frozenset(_ODD_FIELDS.split())
"""A message that has one of these is not written as OpenAI's chat form has it now."""


def messages_from(value: Any, what: str = "a message") -> list[Message]:
    """The messages in OpenAI chat form that a message of any known form stands for. One in that form stays as it is.

    Texts in parts are one text; reasoning is left out, since it is no part of what was said; parts of no known form
    stay as they are. what: its name in errors. Raises BadCall: it is no message, has no known role, or calls a tool in
    a form that is not known.
    """
    if not isinstance(value, Mapping):
        raise BadCall(f"{what} is not an object.")
    message = cast(Message, value)
    if is_plain(message):
        return [message]
    return [written for opened in framework_messages.opened(message) for written in _from_opened(opened, what)]


def _from_opened(message: Message, what: str) -> list[Message]:
    role = _role(message)
    if role is None:
        raise BadCall(f"{what} has no known role.")
    content = message.get("content", message.get("parts"))
    if isinstance(content, Mapping):
        content = [content]
    if not (content is None or isinstance(content, str | list | tuple)):
        raise BadCall(f"{what} has content that is neither text nor a list of parts.")
    try:
        return _written(message, role, content)
    except BadCall as error:
        raise BadCall(f"{what}: {error.fact}") from None


def answer_from(value: Any, what: str = "response") -> Message:
    """The one assistant message that an answer of any known form stands for.

    Raises BadCall as `messages_from` does, and if nothing that it holds is an answer: its parts are then named.
    """
    if isinstance(value, Mapping) and "role" not in value and "type" not in value and not value.keys() & {"lc", "from"}:
        if value.keys().isdisjoint(_ANSWER_BOXES):
            raise BadCall(f"{what} is an object of no known form (its fields: {_names(cast(Message, value))}).")
        value = {"role": "assistant", **cast(Message, value)}
    found = [message for message in messages_from(value, what) if message["role"] != "tool"]
    if not found:
        raise BadCall(f"{what} holds no answer of an assistant.")
    message = found[0]
    content = message.get("content")
    if isinstance(content, list) and content and not (message.get("tool_calls") or message.get("refusal")):
        parts = cast(list[Any], content)
        if not any(isinstance(part, str) or _text(part) is not None for part in parts):
            kinds = ", ".join(sorted({_kind(part) for part in parts}))
            raise BadCall(f"{what} holds parts of no known form ({kinds[:200]}).")
    return message


def correction_from(value: Any) -> Message:
    """The assistant message that a person's answer stands for: a text, a message of any known form, or other JSON,
    which is then the text of the answer.

    Raises BadCall if it holds nothing, or is true or false, which says whether an answer is right but not which is.
    """
    if isinstance(value, bool) or value is None or value in ("", {}, []):
        raise BadCall("correction is no answer.")
    if _is_message(value):
        message = answer_from(value, "correction")
        if not (message.get("tool_calls") or text_in(message.get("content")).strip()):
            raise BadCall("correction is no answer.")
        return {name: message[name] for name in ("role", "content", "tool_calls") if message.get(name) is not None}
    text = value if isinstance(value, str) else tool_calls.arguments_text(value)
    if not text.strip():
        raise BadCall("correction is no answer.")
    return {"role": "assistant", "content": text}


def _is_message(value: Any) -> bool:
    """Whether an answer is a message, and not JSON that happens to be an object."""
    if not isinstance(value, Mapping):
        return False
    message = cast(Message, value)
    said = isinstance(message.get("content"), str | list) or bool(message.keys() & _ANSWERS)
    return all(map(_role, framework_messages.opened(message))) or (said and message.keys() <= _ANSWER_FIELDS)


def is_plain(message: Message) -> bool:
    """Whether a message is just as OpenAI writes one of text or tool calls, as nearly all are: a quick look."""
    content = message.get("content")
    role = message.get("role")
    if not (content is None or type(content) is str) or type(role) is not str or role not in ROLES:
        return False
    if len(message) == 2 and "content" in message:
        return True
    if not _ODD.isdisjoint(message):
        return False
    calls = message.get("tool_calls")
    return calls is None or tool_calls.is_plain(calls)


def text_in(value: Any) -> str:
    """The text in a value of any known form: a text, parts, or else its JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, Sequence):
        texts = [part if isinstance(part, str) else _text(part) for part in cast(Sequence[Any], value)]
        if texts and all(text is not None for text in texts):
            return "".join(cast(list[str], texts))
    return tool_calls.arguments_text(value)


def _role(message: Message) -> str | None:
    role = _ROLE_OF.get(str(message.get("role")).lower())
    if role is None and not message.get("role"):
        kind = str(message.get("type"))
        role = _ROLE_OF.get(kind.lower())
        if role is None and _is_call(message):
            return "assistant"
        if role is None and kind in _RESULTS:
            return "tool"
    return role


@dataclass(slots=True)
class _Held:
    """What the parts of a message hold."""

    parts: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    calls: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    results: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    refusal: str = ""


def _written(message: Message, role: str, content: Any) -> list[Message]:
    held = _Held()
    if content is None and "role" not in message and (_is_call(message) or _type(message) in _RESULTS):
        content = [message]  # an item of OpenAI's Responses is a message of one part
    if isinstance(content, list | tuple):
        for part in cast(Sequence[Any], content):
            _hold(part, held)
        content = _content(held.parts)
    calls = _calls(message) or held.calls  # LangChain has each call twice: as the provider wrote it, and as it read it
    refusal = message.get("refusal") or held.refusal
    if held.results and not (held.parts or calls or refusal):
        return list(held.results)
    written: dict[str, Any] = {"role": role, "content": (content or None) if calls else content}
    if calls:
        written["tool_calls"] = calls
    if refusal:
        written["refusal"] = refusal
    if isinstance(name := message.get("name"), str) and name:
        written["name"] = name
    if role == "tool" and (call_id := next((message[key] for key in _RESULT_IDS if message.get(key)), None)):
        written["tool_call_id"] = call_id
    return [*held.results, written]


def _calls(message: Message) -> list[dict[str, Any]]:
    """The calls that stand beside a message's content: today's, or OpenAI's older one."""
    extra = message.get("additional_kwargs")  # LangChain's, for what it has no field for
    said = {name: value for name, value in message.items() if value}
    fields = {**cast(Message, extra), **said} if isinstance(extra, Mapping) else said
    calls = fields.get("tool_calls") or fields.get("toolCalls")
    written = tool_calls.tool_calls_from(calls) if calls else []
    if isinstance(broken := fields.get("invalid_tool_calls"), list):
        written += tool_calls.tool_calls_from(broken)
    if not written and (older := fields.get("function_call")):
        written.append({**tool_calls.tool_call_from({"function": older}), "id": None})
    return written


def _hold(part: Any, held: _Held) -> None:
    if isinstance(part, str):
        held.parts.append({"type": "text", "text": part})
        return
    if not isinstance(part, Mapping):
        raise BadCall("its content holds a part that is neither a text nor an object.")
    part = cast(Message, part)
    if _is_reasoning(part) or _type(part) in _MARKS or not part.keys().isdisjoint(_MARKS):
        return
    if part.get("type") == "refusal":
        held.refusal += str(part.get("refusal") or "")
    elif _is_call(part):
        held.calls.append(tool_calls.tool_call_from(part))
    elif (result := _result(part)) is not None:
        held.results.append(result)
    elif (text := _text(part)) is not None:
        held.parts.append({"type": "text", "text": text})
    else:
        held.parts.append(_image(part) or dict(part))


def _content(parts: list[dict[str, Any]]) -> Any:
    if all(part.get("type") == "text" and "text" in part for part in parts):
        return "".join(part["text"] for part in parts)
    return parts


def _is_reasoning(part: Message) -> bool:
    return _type(part) in _REASONING or part.get("thought") is True or "reasoningContent" in part


def _is_call(part: Message) -> bool:
    if _type(part) in tool_calls.KINDS:
        return True
    return part.get("type") is None and any(isinstance(part.get(name), Mapping) for name in tool_calls.BOXES)


def _result(part: Message) -> dict[str, Any] | None:
    """The tool message of a part that holds a tool's result; None for any other."""
    inner = next((part[name] for name in _RESULT_BOXES if isinstance(part.get(name), Mapping)), None)
    if inner is None and _type(part) not in _RESULTS:
        return None
    held = part if inner is None else cast(Message, inner)
    output = _output(next((held[name] for name in _OUTPUTS if held.get(name) is not None), None))
    origin = held.get("origin")  # Haystack's: the call that it answers
    ids = {**cast(Message, origin), **held} if isinstance(origin, Mapping) else held
    call_id = next((ids[name] for name in _RESULT_IDS if ids.get(name)), None) or held.get("name")
    failed = {"is_error": True} if _failed(held) else {}
    return {"role": "tool", "content": text_in(output), "tool_call_id": call_id, **failed}


def _output(output: Any) -> Any:
    """What a tool gave. Vercel's SDK says beside it what it is."""
    if not isinstance(output, Mapping):
        return output
    held = cast(Message, output)
    return held["value"] if set(held) == {"type", "value"} and _type(held) in _VALUES else held


def _failed(held: Message) -> bool:
    """Whether a tool's result says that the tool failed: Anthropic's flag, Bedrock's status, Vercel's kind of value."""
    output = next((held[name] for name in _OUTPUTS if isinstance(held.get(name), Mapping)), None)
    kind = str(_type(cast(Message, output)) or "") if output is not None else ""
    return (
        held.get("is_error") is True
        or held.get("isError") is True
        or ("origin" in held and held.get("error") is True)
        or (held.get("status") == "error" and "toolUseId" in held)
        or kind in ("error-text", "error-json")
    )


def _text(part: Any) -> str | None:
    """The text of a part of text; None for any other part."""
    if not isinstance(part, Mapping):
        return None
    part = cast(Message, part)
    if _type(part) not in _TEXTS and not (part.get("type") is None and "text" in part):
        return None
    text = part.get("text", part.get("content"))
    if isinstance(text, Mapping):  # OpenAI's Assistants
        text = cast(Message, text).get("value")
    return text if isinstance(text, str) else text_in(text)


def _image(part: Message) -> dict[str, Any] | None:
    """An image in OpenAI's form; None for any other part."""
    source = part.get("source")
    if part.get("type") == "image" and isinstance(source, Mapping):  # Anthropic
        held = cast(Message, source)
        return _image_url(held.get("url"), held.get("media_type"), held.get("data"))
    if part.get("type") in ("blob", "uri") and part.get("modality") == "image":  # OpenTelemetry
        return _image_url(part.get("uri"), part.get("mime_type"), part.get("content"))
    if part.get("type") == "input_image" and isinstance(part.get("image_url"), str):  # OpenAI's Responses
        return _image_url(part["image_url"], None, None)
    inline = part.get("inlineData") or part.get("inline_data")
    if isinstance(inline, Mapping):  # Gemini
        held = cast(Message, inline)
        kind = str(held.get("mimeType") or held.get("mime_type") or "")
        return _image_url(None, kind, held.get("data")) if kind.startswith("image/") else None
    return None


def _image_url(url: Any, kind: Any, data: Any) -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url or f"data:{kind or 'image/png'};base64,{data}"}}


def _type(part: Message) -> str | None:
    """What a part says it is, if it says so in a word."""
    return kind if isinstance(kind := part.get("type"), str) else None


def _kind(part: Any) -> str:
    return str(part.get("type") or _names(part)) if isinstance(part, Mapping) else type(part).__name__


def _names(value: Message) -> str:
    return ", ".join(sorted(map(str, value)))[:200]


def json_in(value: Any) -> Any:
    """What a text of JSON holds, where structures had to be written as texts; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in ("{", "["):
        return value
    try:
        return loads(value)
    except ValueError:
        return value


def flattened(values: Sequence[Any]) -> Iterator[Message]:
    """The messages of a conversation in OpenAI chat form. Raises BadCall."""
    for number, value in enumerate(values):
        if type(value) is dict and is_plain(cast(Message, value)):  # nearly all are
            yield value
        else:
            yield from messages_from(value, f"message {number}")
