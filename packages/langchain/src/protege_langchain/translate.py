"""Translates between LangChain's messages and OpenAI's chat form, in which calls are stored.

Written by hand, because langchain_core's `convert_to_openai_messages` takes 20 µs and more for each message: a third of
what recording a whole call may cost.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolMessage, convert_to_openai_data_block
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult, Generation
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from protege.adapter import (
    ROLES,
    Message,
    Reply,
    arguments_of,
    finish_reason,
    said_once,
    sampling,
    schema_format,
    tool_call,
    tool_choice,
)
from pydantic import BaseModel


def to_openai(messages: Sequence[BaseMessage]) -> list[dict[str, Any]]:
    """LangChain messages as OpenAI chat messages. Content that has only text parts becomes one text."""
    return [_plain(message.__dict__) or _to_openai(message) for message in messages]


def _plain(held: Mapping[str, Any]) -> dict[str, Any] | None:
    """A message of text alone, as nearly all are, in a third of the time; None for any other message."""
    content, role = held.get("content"), _TEXT_ROLES.get(held["type"])
    if role is None or type(content) is not str or held.get("name") or held.get("additional_kwargs"):
        return None
    if role == "assistant" and (held.get("tool_calls") or held.get("invalid_tool_calls")):
        return None
    return {"role": role, "content": content}


_TEXT_ROLES = {"human": "user", "system": "system", "ai": "assistant"}


def answer_to_openai(message: BaseMessage) -> dict[str, Any]:
    """A model's answer as an OpenAI assistant message: its text, its tool calls, its refusal.

    Reasoning is left out: it is not part of the answer. Arguments that the teacher wrote as broken JSON stay as
    written.
    """
    content = message.content
    text = content if isinstance(content, str) else _text(cast(list[Any], content))
    answer: dict[str, Any] = {"role": "assistant", "content": text}
    if isinstance(message, AIMessage):
        if calls := _calls(message):
            answer["content"] = text or None
            answer["tool_calls"] = calls
        if refusal := message.additional_kwargs.get("refusal"):
            answer["refusal"] = refusal
    return answer


def request_fields(params: Mapping[str, Any]) -> dict[str, Any]:
    """`tools`, `tool_choice`, `response_format` and `parameters` of a record, from a model's bound arguments."""
    fields: dict[str, Any] = {}
    if tools := params.get("tools"):
        fields["tools"] = [neutral_tool(tool) for tool in tools]
    if (choice := tool_choice(params.get("tool_choice"))) is not None:
        fields["tool_choice"] = choice
    if (response_format := params.get("response_format")) is not None:
        fields["response_format"] = _response_format(response_format)
    if parameters := sampling(params):
        fields["parameters"] = parameters
    return fields


def neutral_tool(tool: Any) -> Mapping[str, Any]:
    """A tool in OpenAI form. A provider's own tool has no such form: it stays as it is, or only its type is told."""
    if isinstance(tool, dict) and "function" in tool:
        return tool
    try:
        return convert_to_openai_tool(tool)
    except (ValueError, TypeError):
        return cast(dict[str, Any], tool) if isinstance(tool, dict) else {"type": type(tool).__name__}


def is_neutral(kwargs: Mapping[str, Any]) -> bool:
    """Whether a model's bound arguments are in OpenAI form."""
    tools = kwargs.get("tools")
    if tools is None:
        return "response_format" in kwargs
    return all(isinstance(tool, dict) and "function" in tool for tool in tools)


def structured_fields(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that ask for a structured answer, in OpenAI form, from the note that LangChain leaves for its
    tracers."""
    note = kwargs.get("ls_structured_output_format")
    if not note:
        return {}
    if note.get("kwargs", {}).get("method") == "json_schema":
        return {"response_format": _response_format(note["schema"])}
    tool = convert_to_openai_tool(note["schema"])
    return {"tools": [tool], "tool_choice": tool["function"]["name"]}


def from_openai(message: Message) -> AIMessage:
    """An OpenAI assistant message as LangChain's. Raises ValueError if a tool's arguments are not JSON."""
    calls = [
        {"type": "tool_call", "id": c.get("id"), "name": c["function"]["name"], "args": arguments_of(c["function"])}
        for c in message.get("tool_calls") or ()
    ]
    return AIMessage(content=message.get("content") or "", tool_calls=cast(Any, calls))


def to_chunks(message: BaseMessage) -> list[ChatGenerationChunk]:
    """A whole answer as a stream: one chunk with the answer, then an empty one with the finish reason and the usage."""
    assert isinstance(message, AIMessage)
    calls = [
        tool_call_chunk(name=call["name"], args=_arguments(call["args"]), id=call["id"], index=index)
        for index, call in enumerate(message.tool_calls)
    ]
    said = AIMessageChunk(
        content=message.content, tool_call_chunks=calls, additional_kwargs=message.additional_kwargs, id=message.id
    )
    end = AIMessageChunk(content="", id=message.id, usage_metadata=message.usage_metadata, chunk_position="last")
    return [
        ChatGenerationChunk(message=said),
        ChatGenerationChunk(message=end, generation_info=dict(message.response_metadata)),
    ]


def usage(input_tokens: int | None, output_tokens: int | None) -> UsageMetadata:
    """A call's usage in LangChain's form."""
    read, written = input_tokens or 0, output_tokens or 0
    return UsageMetadata(input_tokens=read, output_tokens=written, total_tokens=read + written)


def finish_metadata(provider: str | None, calls_tools: bool) -> dict[str, str]:
    """Why an answer ended, in the words of the provider that the agent was written for."""
    name, stop, tools = _FINISH.get(provider or "", ("finish_reason", "stop", "tool_calls"))
    return {name: tools if calls_tools else stop}


def read_reply(parts: Sequence[Any]) -> Reply | None:
    """A teacher's answer, from one `ChatResult` or from the chunks of a stream."""
    if isinstance(parts[0], ChatResult):
        return read_generation(parts[0].generations[0], parts[0].llm_output)
    whole = merge_chat_generation_chunks(list(parts))
    return None if whole is None else read_generation(whole)


def read_generation(generation: Generation, llm_output: Mapping[str, Any] | None = None) -> Reply:
    """The reply in a LangChain generation: the message, finish reason, model and usage."""
    if not isinstance(generation, ChatGeneration):
        return Reply({"role": "assistant", "content": generation.text})
    message = generation.message
    metadata = message.response_metadata
    info = {**(llm_output or {}), **(generation.generation_info or {})}
    used = message.usage_metadata if isinstance(message, AIMessage) else None
    return Reply(
        answer_to_openai(message),
        finish_reason(metadata) or finish_reason(info),
        said_once(str(metadata.get("model_name") or info.get("model_name") or metadata.get("model") or "")) or None,
        *(_tokens(used) if used else ()),
    )


def _tokens(used: UsageMetadata) -> tuple[int | None, ...]:
    read: Mapping[str, Any] = used.get("input_token_details") or {}
    written: Mapping[str, Any] = used.get("output_token_details") or {}
    details = (read.get("cache_read"), read.get("cache_creation"), written.get("reasoning"))
    return used["input_tokens"], used["output_tokens"], *details


_FINISH = {
    "anthropic": ("stop_reason", "end_turn", "tool_use"),
    "google_genai": ("finish_reason", "STOP", "STOP"),
    "ollama": ("done_reason", "stop", "stop"),
}
_ROLE_OF = {
    "human": "user",
    "HumanMessageChunk": "user",
    "system": "system",
    "SystemMessageChunk": "system",
    "ai": "assistant",
    "AIMessageChunk": "assistant",
    "tool": "tool",
    "ToolMessageChunk": "tool",
    "function": "function",
    "FunctionMessageChunk": "function",
}


def _to_openai(message: BaseMessage) -> dict[str, Any]:
    role = _ROLE_OF.get(message.type) or getattr(message, "role", "user")
    if role == "assistant":
        written = answer_to_openai(message)
    else:
        content = message.content
        text = content if isinstance(content, str) else _content(cast(list[Any], content))
        written = {"role": role if role in ROLES else "user", "content": text}
        if isinstance(message, ToolMessage):
            written["tool_call_id"] = message.tool_call_id
        elif role == "system" and message.additional_kwargs.get("__openai_role__") == "developer":
            written["role"] = "developer"
    if message.name:
        written["name"] = message.name
    return written


def _calls(message: AIMessage) -> list[dict[str, Any]]:
    if (
        isinstance(message, AIMessageChunk) and message.tool_call_chunks
    ):  # these hold the arguments as they were written
        pieces = message.tool_call_chunks
        return [tool_call(c["id"], c["name"] or "", c["args"] or "") for c in pieces]
    calls = [tool_call(c["id"], c["name"], _arguments(c["args"])) for c in message.tool_calls]
    calls += [tool_call(c["id"], c["name"] or "", c["args"] or "") for c in message.invalid_tool_calls]
    if not calls and (older := message.additional_kwargs.get("function_call")):
        calls = [tool_call(None, older.get("name") or "", older.get("arguments") or "")]
    return calls


def _arguments(value: Any) -> str:
    """Arguments as text. langchain-openai writes them to the model like this, having given the agent an object."""
    return json.dumps(value, ensure_ascii=False, default=str)


def _content(parts: list[Any]) -> str | list[Any]:
    if all(isinstance(part, str) or part.get("type") == "text" for part in parts):
        return _text(parts)
    return [_part(part) for part in parts]


def _text(parts: list[Any]) -> str:
    return "".join(p if isinstance(p, str) else str(p.get("text") or "") for p in parts if _is_text(p))


def _is_text(part: Any) -> bool:
    return isinstance(part, str) or part.get("type") == "text"


def _part(part: Any) -> Any:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    if part.get("type") == "text":
        return {"type": "text", "text": part.get("text") or ""}
    try:
        return part if part.get("type") == "image_url" else convert_to_openai_data_block(part)
    except (ValueError, KeyError):
        return part


def _response_format(value: Any) -> Mapping[str, Any]:
    if isinstance(value, type):
        return _schema_format(value)
    if isinstance(value, dict) and value.get("type") in ("json_schema", "json_object", "text"):
        return cast(dict[str, Any], value)
    schema = convert_to_json_schema(value)
    return schema_format(schema.get("title", "answer"), schema)


@functools.lru_cache(maxsize=256)
def _schema_format(schema: type) -> Mapping[str, Any]:
    """Cached for each class: pydantic takes some 300 µs to write a schema, and agents bind one for every call."""
    written = schema.model_json_schema() if issubclass(schema, BaseModel) else convert_to_json_schema(schema)
    return schema_format(schema.__name__, written)
