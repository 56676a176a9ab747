"""A tool call in any known form, as OpenAI writes it: the one table of the forms.

OpenAI's own form, and so that of most servers, holds the name and the arguments in `function`. Others write them flat
(Ollama, LangChain, Anthropic, Cohere, OpenTelemetry), or in an object of another name (Gemini, Bedrock, custom tools).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from ..errors import BadCall

BOXES = ("function", "custom", "functionCall", "function_call", "toolUse", "tool_call", "toolCall")
"""The fields whose object holds the name and the arguments of a call."""
_NAMES = ("name", "toolName", "tool_name")
_IDS = ("call_id", "tool_call_id", "toolCallId", "toolUseId", "id", "tool_id")
_ARGUMENTS = ("arguments", "args", "input", "parameters", "tool_kwargs", "kwargs", "params")
_OTHERS = (
    "type index status description thought_signature thoughtSignature kind cache_control caller namespace "
    "extra_content error object providerExecuted state extras"
)
_BESIDE = frozenset((*_NAMES, *_IDS, *BOXES, *_OTHERS.split()))
"""What may stand beside a call's name where it has no arguments; anything else may be its arguments."""
KINDS = frozenset(
    {"tool_use", "tool_call", "tool-call", "function_call", "custom_tool_call", "function", "custom", "toolUse"}
)
"""What the `type` of a part or an item says that is a call."""


def is_plain(calls: Any) -> bool:
    """Whether these are tool calls just as OpenAI writes them, as nearly all are."""
    return type(calls) is list and all(
        type(call) is dict
        and type(function := cast(dict[str, Any], call).get("function")) is dict
        and type(cast(dict[str, Any], function).get("arguments")) is str
        for call in cast(list[Any], calls)
    )


def tool_call_from(value: Any) -> dict[str, Any]:
    """A tool call of any known form in OpenAI's. Raises BadCall, with the names of its fields, for another form.

    The text that a custom tool takes becomes the argument `input`.
    """
    if not isinstance(value, Mapping):
        raise BadCall("a tool call is not an object.")
    call = cast(Mapping[str, Any], value)
    inner = next((cast(Mapping[str, Any], call[name]) for name in BOXES if isinstance(call.get(name), Mapping)), call)
    name = _first(inner, _NAMES)
    if name is None and isinstance(call.get("function"), str):
        name = call["function"]
    given = next((key for key in _ARGUMENTS if key in inner), None)
    if given is None and inner is call:
        unknown = sorted(str(key) for key in call if key not in _BESIDE)
        if unknown or name is None:
            raise BadCall(
                f"a tool call is in a form that is not known (its fields: {', '.join(map(str, call))[:200]})."
            )
    arguments = None if given is None else inner[given]
    if isinstance(arguments, str) and ("custom" in call or call.get("type") in ("custom", "custom_tool_call")):
        arguments = {"input": arguments}
    call_id = _first(call, _IDS) or _first(inner, _IDS)
    function = {"name": "" if name is None else str(name), "arguments": arguments_text(arguments)}
    return {"id": call_id, "type": "function", "function": function}


def tool_calls_from(values: Any) -> list[dict[str, Any]]:
    """Tool calls of any known forms in OpenAI's. Raises BadCall."""
    if not isinstance(values, Sequence) or isinstance(values, str | bytes):
        raise BadCall("tool_calls are not a list of tool calls.")
    return [tool_call_from(value) for value in cast(Sequence[Any], values)]


def arguments_text(value: Any) -> str:
    """Arguments as JSON text; a text is taken as JSON already."""
    if value is None:
        return "{}"
    if isinstance(value, str):
        return value
    try:
        return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits, which must not become another number
        return json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)


def _first(value: Mapping[str, Any], names: Sequence[str]) -> Any:
    return next((found for name in names if (found := value.get(name)) is not None), None)
