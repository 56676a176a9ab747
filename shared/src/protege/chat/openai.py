"""OpenAI's chat form, in which calls are stored, and what every adapter needs to write it.

Frameworks and providers have their own words for the same things. Here they are translated into OpenAI's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import orjson

from ..common.reasons import reason_of

SAMPLING = frozenset(
    {
        "temperature",
        "top_p",
        "max_tokens",
        "max_completion_tokens",
        "stop",
        "seed",
        "frequency_penalty",
        "presence_penalty",
        "logit_bias",
        "n",
        "logprobs",
        "top_logprobs",
        "parallel_tool_calls",
        "reasoning_effort",
    }
)
"""The parameters of a request that say how to answer, under their OpenAI names."""


def sampling(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a request's options that say how to answer."""
    return {name: value for name, value in options.items() if name in SAMPLING and value not in (None, [])}


def tool_call(call_id: str | None, name: str, arguments: str) -> dict[str, Any]:
    """A tool call. arguments: JSON text, as the model wrote it."""
    return {"id": call_id or "", "type": "function", "function": {"name": name, "arguments": arguments}}


def tool_choice(choice: Any) -> Any:
    """OpenAI's `tool_choice` for a framework's choice of tools; None for "auto" or nothing, which mean the same."""
    if isinstance(choice, dict):
        if choice.get("type") == "tool":
            return {"type": "function", "function": {"name": choice.get("name")}}
        if choice.get("type") in ("auto", "none", "any"):
            return tool_choice(choice["type"])
        return cast(dict[str, Any], choice)
    if choice is True or choice == "any":
        return "required"
    if not choice or choice == "auto":
        return None
    if choice in ("none", "required"):
        return choice
    return {"type": "function", "function": {"name": str(choice)}}


def schema_format(name: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """The response format that asks for JSON with this schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema}}


def finish_reason(metadata: Mapping[str, Any]) -> str | None:
    """Why an answer ended, in OpenAI's words, from any provider's metadata; None if the metadata does not say."""
    for name in ("finish_reason", "stop_reason", "done_reason", "stopReason"):
        if reason := metadata.get(name):
            return reason_of(reason)
    return None


def json_text(value: Any) -> str:
    """A tool's arguments as JSON text. A text is taken as JSON already."""
    if isinstance(value, str):
        return value
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def arguments_of(function: Mapping[str, Any]) -> Any:
    """The arguments of a tool call's function, parsed. Raises ValueError if they are not JSON."""
    arguments = function.get("arguments") or {}
    return orjson.loads(arguments) if isinstance(arguments, str | bytes) else arguments
