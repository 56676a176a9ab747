"""Translates between LlamaIndex's messages and OpenAI's chat form, in which calls are stored.

For every LLM it writes exactly what `llama_index.llms.openai` would send, because tasks are found in that form.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import (
    AudioBlock,
    CachePoint,
    ChatMessage,
    DocumentBlock,
    ImageBlock,
    TextBlock,
    ThinkingBlock,
    ToolCallBlock,
)
from protege.adapter import ROLES, json_text, sampling, schema_format, tool_call, tool_choice
from pydantic import BaseModel

_ASSISTANT = frozenset({"assistant", "chatbot", "model"})
_OPENAI = "llama_index.llms.openai"


def to_openai(messages: Sequence[ChatMessage], llm: Any = None) -> list[dict[str, Any]]:
    """LlamaIndex's messages as OpenAI chat messages. llm: the LLM they are for, whose roles for system texts are
    used."""
    written = [_to_openai(message) for message in messages]
    if says_developer(llm):
        for message in written:
            if message["role"] == "system":
                message["role"] = "developer"
    return written


def answer_to_openai(message: ChatMessage, blocks: Sequence[Any] | None = None) -> dict[str, Any]:
    """A model's answer as an OpenAI assistant message: its text and its tool calls, with arguments as it wrote them.

    Reasoning is left out: it is not part of the answer. blocks: the message's blocks, if they were copied earlier.
    """
    blocks = message.blocks if blocks is None else blocks
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    calls = _calls(blocks, message.additional_kwargs)
    if not calls:
        return {"role": "assistant", "content": text}
    return {"role": "assistant", "content": text or None, "tool_calls": calls}


def request_fields(llm: Any, kwargs: Mapping[str, Any], offered: Sequence[Any] = ()) -> dict[str, Any]:
    """`model`, `tools`, `tool_choice`, `response_format` and `parameters` of a record, from an LLM and its arguments.

    offered: the tools in LlamaIndex's form, which are read if the arguments have them in the provider's form.
    """
    asked = _asked(llm, kwargs)
    fields: dict[str, Any] = {}
    if model := _model(llm) or asked.get("model"):
        fields["model"] = str(model)
    tools = asked.get("tools")
    if offered and not _is_neutral(tools):
        tools = offered
    if tools and isinstance(tools, list | tuple):
        fields["tools"] = [neutral_tool(tool) for tool in cast(Sequence[Any], tools)]
        if (choice := tool_choice(asked.get("tool_choice"))) is not None:
            fields["tool_choice"] = choice
    if (response_format := asked.get("response_format")) is not None:
        fields["response_format"] = _response_format(response_format)
    if not asked.get("logprobs"):
        asked.pop("top_logprobs", None)
    if parameters := sampling(asked):
        fields["parameters"] = parameters
    return fields


def neutral_tool(tool: Any) -> Mapping[str, Any]:
    """A tool in OpenAI form. A provider's own tool has no such form: it stays as it is, or only its type is told."""
    if isinstance(tool, dict):
        given = cast(dict[str, Any], tool)
        schema = given.get("input_schema") or given.get("parameters")
        if "function" in given or schema is None:
            return given
        function = {"name": given.get("name"), "description": given.get("description"), "parameters": schema}
        return {"type": "function", "function": function}
    if hasattr(tool, "metadata"):  # a tool of LlamaIndex's
        return tool.metadata.to_openai_tool(skip_length_check=True)
    return {"type": type(tool).__name__}


def is_openai(llm: Any) -> bool:
    """Whether this is LlamaIndex's OpenAI client or a subclass. Its package need not be installed."""
    return any(cls.__module__.startswith(_OPENAI) and cls.__name__ == "OpenAI" for cls in type(llm).__mro__)


def says_developer(llm: Any) -> bool:
    """Whether the OpenAI client sends this model's system messages in the developer's role."""
    if llm is None or not is_openai(llm):
        return False
    known = sys.modules[f"{_OPENAI}.utils"]
    return llm.model in known.O1_MODELS and llm.model not in known.O1_MODELS_WITHOUT_FUNCTION_CALLING


def _to_openai(message: ChatMessage) -> dict[str, Any]:
    role = str(message.role.value)
    if role in _ASSISTANT:
        return answer_to_openai(message)
    blocks = [block for block in message.blocks if not isinstance(block, ThinkingBlock | CachePoint)]
    in_parts = role not in ("system", "tool") and not all(isinstance(block, TextBlock) for block in blocks)
    text = "".join(block.text for block in blocks if isinstance(block, TextBlock))
    content: Any = [_part(block) for block in blocks] if in_parts else text
    written: dict[str, Any] = {"role": role if role in ROLES else "user", "content": content}
    if (call_id := message.additional_kwargs.get("tool_call_id")) is not None:
        written["tool_call_id"] = call_id
    return written


def _calls(blocks: Sequence[Any], extra: Mapping[str, Any]) -> list[dict[str, Any]]:
    called = [block for block in blocks if isinstance(block, ToolCallBlock)]
    if called:
        return [tool_call(b.tool_call_id, b.tool_name, _arguments(b.tool_kwargs)) for b in called]
    calls = extra.get("tool_calls")  # where older integrations put them
    if not calls and (older := extra.get("function_call")):
        calls = [older]
    return [_legacy(call) for call in cast(Sequence[Any], calls)] if isinstance(calls, list | tuple) else []


def _legacy(call: Any) -> dict[str, Any]:
    whole: Any = call.model_dump() if isinstance(call, BaseModel) else call
    function: Any = whole.get("function") or whole
    return tool_call(whole.get("id"), function.get("name") or "", _arguments(function.get("arguments") or ""))


def _arguments(value: Any) -> str:
    """Arguments as text, as the OpenAI client writes them to the model if it holds them as an object."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _part(block: Any) -> dict[str, Any]:
    if isinstance(block, TextBlock):
        return {"type": "text", "text": block.text}
    if isinstance(block, ImageBlock):
        return {"type": "image_url", "image_url": _image(block)}
    if isinstance(block, AudioBlock) and not (block.url and not block.audio):
        data = block.resolve_audio(as_base64=True).read().decode()
        return {"type": "input_audio", "input_audio": {"data": data, "format": block.format}}
    if isinstance(block, DocumentBlock) and not (block.url and not block.data):
        return {"type": "file", "file": _document(block)}
    # What lies elsewhere is not fetched for the record. No OpenAI model takes the rest.
    written: dict[str, Any] = json.loads(json_text(block.model_dump(mode="json", exclude_none=True)))
    return {"type": written.pop("block_type"), **written}


def _image(block: ImageBlock) -> dict[str, Any]:
    if block.url:
        image = {"url": str(block.url)}
    else:
        data = block.resolve_image(as_base64=True).read().decode()
        image = {"url": f"data:{block.image_mimetype};base64,{data}"}
    return {**image, "detail": block.detail} if block.detail else image


def _document(block: DocumentBlock) -> dict[str, Any]:
    given: Any = block.data
    data = given.decode() if isinstance(given, bytes) else block._get_b64_string(block.resolve_document())  # pyright: ignore[reportPrivateUsage]
    kind = block._guess_mimetype()  # pyright: ignore[reportPrivateUsage]
    return {"filename": block.title, "file_data": f"data:{kind};base64,{data}"}


def _is_neutral(tools: Any) -> bool:
    return isinstance(tools, list | tuple) and all(
        isinstance(tool, dict) and "function" in tool for tool in cast(Sequence[Any], tools)
    )


def _asked(llm: Any, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What the LLM sends besides the messages: by its own method, if it has one, or else by its fields."""
    for name in ("_get_model_kwargs", "_get_all_kwargs"):
        method = getattr(type(llm), name, None)
        if callable(method):
            try:
                return dict(cast(Any, method(llm, **kwargs)))
            except Exception:  # noqa: BLE001 - not every LLM takes all of these; there are other ways
                continue
    extra = getattr(llm, "additional_kwargs", None)
    return {**getattr(llm, "__dict__", {}), **(extra if isinstance(extra, dict) else {}), **kwargs}


def _model(llm: Any) -> str | None:
    """The model of the LLM. Its attribute first, because `metadata` looks up the size of the context, which takes 20
    µs."""
    model = getattr(llm, "model", None)
    return model if isinstance(model, str) else getattr(getattr(llm, "metadata", None), "model_name", None)


def _response_format(value: Any) -> Mapping[str, Any]:
    if isinstance(value, type) and issubclass(value, BaseModel):
        return _schema_format(value)
    return cast(Mapping[str, Any], value)


@functools.lru_cache(maxsize=256)
def _schema_format(schema: type[BaseModel]) -> Mapping[str, Any]:
    return schema_format(schema.__name__, schema.model_json_schema())
