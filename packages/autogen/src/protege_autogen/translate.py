"""Translates between AutoGen's messages and OpenAI's chat form, in which calls are stored."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from typing import Any, cast

from autogen_core import FunctionCall
from autogen_core.models import ChatCompletionClient, CreateResult, LLMMessage, RequestUsage
from autogen_core.tools import Tool, ToolSchema
from protege.adapter import (
    Message,
    Outcome,
    Reply,
    finish_reason,
    json_text,
    sampling,
    schema_format,
    tool_choice,
    without_reasoning,
)
from pydantic import BaseModel, TypeAdapter, ValidationError

from .messages import as_sent, calls_to_openai, is_openai, to_openai


def read_request(
    client: ChatCompletionClient, messages: Sequence[LLMMessage], options: Mapping[str, Any]
) -> tuple[list[Message], dict[str, Any]]:
    """The messages of a record, and its fields `tools`, `tool_choice`, `response_format`, `parameters` and `model`.

    AutoGen's OpenAI client sends names, merges system messages, and changes white space for some families of models.
    The record does the same. For other clients, the messages stay as they are.
    """
    sender = innermost(client)
    asked = {**_settings(sender), **options.get("extra_create_args", {})}
    structured = options.get("json_output")
    fields = _fields(options, asked, asked.get("response_format") if structured is None else structured)
    return (as_sent(sender, messages, options) if is_openai(sender) else to_openai(messages)), fields


def innermost(client: ChatCompletionClient) -> ChatCompletionClient:
    """The client that makes the request, inside those around it, such as a cache."""
    for _ in range(8):
        inner = vars(client).get("client") if hasattr(client, "__dict__") else None
        if not isinstance(inner, ChatCompletionClient):
            break
        client = inner
    return client


def answer_to_openai(result: CreateResult) -> dict[str, Any]:
    """An answer as an OpenAI assistant message.

    Next to tool calls, AutoGen's thought is the answer's text. Next to a text, it is the model's reasoning, which is
    not part of the answer.
    """
    if isinstance(result.content, str):
        return {"role": "assistant", "content": result.content}
    return {"role": "assistant", "content": result.thought, "tool_calls": calls_to_openai(result.content)}


def read_reply(parts: Sequence[Any]) -> Reply:
    """A teacher's answer, from one `CreateResult`, or from a stream's texts with or without one at the end."""
    last = parts[-1]
    if not isinstance(last, CreateResult):
        return Reply({"role": "assistant", "content": without_reasoning("".join(map(str, parts)))})
    reason = None if last.finish_reason == "unknown" else finish_reason({"finish_reason": last.finish_reason})
    read, written = last.usage.prompt_tokens, last.usage.completion_tokens
    known = bool(read or written)  # a stream's counts are zero unless it was asked for them
    return Reply(
        answer_to_openai(last),
        reason,
        input_tokens=read if known else None,
        output_tokens=written if known else None,
    )


def shaped(outcome: Outcome, options: Mapping[str, Any], client: ChatCompletionClient) -> CreateResult | None:
    """The specialist's answer in the teacher's shape; None if it breaks the form that the agent asked for."""
    assert outcome.message is not None
    result = from_openai(outcome.message, outcome.input_tokens, outcome.output_tokens)
    return result if isinstance(result.content, list) or _fits(result.content, options, client) else None


def from_openai(message: Message, input_tokens: int | None, output_tokens: int | None) -> CreateResult:
    """An OpenAI assistant message as AutoGen's answer."""
    text = message.get("content") or None
    calls = [
        FunctionCall(id=call.get("id") or "", name=function["name"], arguments=json_text(function["arguments"]))
        for call in message.get("tool_calls") or ()
        for function in (call["function"],)
    ]
    return CreateResult(
        finish_reason="function_calls" if calls else "stop",
        content=calls or text or "",
        usage=RequestUsage(input_tokens or 0, output_tokens or 0),
        cached=False,
        thought=text if calls else None,
    )


def neutral_tool(tool: Tool | ToolSchema) -> Mapping[str, Any]:
    """A tool in OpenAI form, as AutoGen's OpenAI client writes it."""
    schema = tool.schema if isinstance(tool, Tool) else tool
    function = {
        "name": schema["name"],
        "description": schema.get("description", ""),
        "parameters": schema.get("parameters", {}),
        "strict": schema.get("strict", False),
    }
    return {"type": "function", "function": function}


_JSON_OBJECT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])


def _fields(options: Mapping[str, Any], asked: Mapping[str, Any], structured: Any) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    if tools := options.get("tools"):
        fields["tools"] = [neutral_tool(tool) for tool in tools]
        if (choice := tool_choice(_choice(options.get("tool_choice")))) is not None:
            fields["tool_choice"] = choice
    if (response_format := _response_format(structured)) is not None:
        fields["response_format"] = response_format
    if parameters := sampling(asked):
        fields["parameters"] = parameters
    if model := asked.get("model"):
        fields["model"] = model
    return fields


def _settings(sender: Any) -> dict[str, Any]:
    """What a client adds to each call, above all its model's name, wherever the client holds it."""
    held: dict[str, Any] = getattr(sender, "__dict__", {})
    create_args = held.get("_create_args")
    settings: dict[str, Any] = dict(create_args) if isinstance(create_args, Mapping) else {}
    names = ("model", "_model", "_model_name")
    named = next((name for key in names if isinstance(name := held.get(key), str)), None)
    return {"model": named, **settings} if named else settings


def _choice(choice: Any) -> Any:
    return {"type": "function", "function": {"name": choice.schema["name"]}} if isinstance(choice, Tool) else choice


def _response_format(structured: Any) -> Mapping[str, Any] | None:
    if isinstance(structured, type):
        return _schema_format(structured)
    if isinstance(structured, bool):
        return {"type": "json_object" if structured else "text"}
    return cast(Mapping[str, Any] | None, structured)


@functools.lru_cache(maxsize=256)
def _schema_format(schema: type[BaseModel]) -> Mapping[str, Any]:
    """Cached for each class: pydantic takes some 300 µs to write a schema."""
    return schema_format(schema.__name__, schema.model_json_schema())


def _fits(text: str, options: Mapping[str, Any], client: ChatCompletionClient) -> bool:
    asked = options.get("json_output")
    if asked is None:
        asked = options.get("extra_create_args", {}).get("response_format")
    if asked is None:
        asked = _settings(innermost(client)).get("response_format")
    try:
        if isinstance(asked, type) and issubclass(asked, BaseModel):
            asked.model_validate_json(text)
        elif asked is True or (isinstance(asked, Mapping) and asked.get("type") == "json_object"):
            _JSON_OBJECT.validate_json(text)
    except ValidationError:
        return False
    return True
