"""What an assistant's turn asks for: calls of tools, or an action that it writes as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import orjson

from ..call import Message, text_of

LONGEST_NAME = 40
LONGEST_JSON = 20_000
"""A longer turn, in characters, is not read."""
DEEPEST = 4

THOUGHTS = frozenset({"thought", "thoughts", "thinking", "think", "reasoning"})
"""Fields in which a model thinks aloud: no tool does anything by them either."""
READ = THOUGHTS.union(
    (
        *("reason", "reasons", "rationale", "explanation"),
        *("analysis", "reflection", "memory", "summary", "page_summary", "observation", "evaluation"),
        *("previous_goal_eval", "next_goal", "comment", "comments", "note", "notes", "scratchpad"),
    )
)
"""Fields of JSON that agents write for themselves or for people: an agent's code does nothing by them. Among arguments
they are what a tool was asked for, such as the reason of a cancellation, but for `THOUGHTS`."""

_ACTS = ("action", "action_type", "action_name", "tool", "tool_name", "function")
_LISTS = ("actions", "action", "tool_calls", "calls", "function")
ARGUMENTS = frozenset({"arguments", "args", "parameters", "params", "input", "action_input"})
"""Fields that hold the arguments of an action."""


def acts_of(message: Message) -> list[str]:
    """The names of the tools that an assistant's turn asks for, as they can stand in a name; empty if it is words."""
    if calls := calls_of(message):
        return [plain_name(str(function_of(call).get("name") or "")) for call in calls]
    return acts_in(text_of(message))


def acts_in(text: str) -> list[str]:
    """The names of the tools that a turn in words or JSON asks for."""
    text = text.strip()
    if text[:1] not in ("{", "[") or len(text) > LONGEST_JSON:
        return []
    try:
        value: Any = orjson.loads(text)
    except orjson.JSONDecodeError:
        return []
    every = [item for item in cast(list[Any], value) if isinstance(item, dict)] if isinstance(value, list) else [value]
    named = [name for item in every if (name := act_in(item))]
    return [plain_name(name) for name in named]


def calls_of(message: Message) -> Sequence[Mapping[str, Any]]:
    """The calls of tools beside a message's content, in today's form or the older one."""
    calls = message.get("tool_calls")
    if isinstance(calls, list | tuple) and calls:
        return [call for call in cast(Sequence[Any], calls) if isinstance(call, Mapping)]
    older = message.get("function_call")
    return [cast(Mapping[str, Any], older)] if isinstance(older, Mapping) else []


def function_of(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Name and arguments of a call of a tool, which stand under `function` or in the call itself."""
    function = call.get("function")
    return cast(Mapping[str, Any], function) if isinstance(function, Mapping) else call


def act_in(value: Any, depth: int = DEEPEST) -> str:
    """The action that JSON names: `{"action": "click", …}`, `{"name": …, "arguments": …}`, `{"actions": [{"click":
    {…}}]}` and their like; empty if it names none."""
    if depth == 0 or not value:
        return ""
    if isinstance(value, list):
        return act_in(cast(list[Any], value)[0], depth - 1)
    if not isinstance(value, dict):
        return ""
    fields = cast(dict[str, Any], value)
    for key in _ACTS:
        if isinstance(named := fields.get(key), str) and _is_name(named):
            return named
    if isinstance(named := fields.get("name"), str) and _is_name(named) and not ARGUMENTS.isdisjoint(fields):
        return named
    for key in _LISTS:
        inner = fields.get(key)
        first = cast(Any, inner[0]) if isinstance(inner, list) and inner else inner
        if isinstance(first, dict) and first:
            only = next(iter(cast(dict[str, Any], first)))
            if len(first) == 1 and _is_name(only) and isinstance(first[only], dict | None):
                return only
            if found := act_in(first, depth - 1):
                return found
    return ""


def plain_name(name: str) -> str:
    """A tool's name as it can stand in a task's."""
    if name.isidentifier() and len(name) <= LONGEST_NAME:
        return name
    return "".join(c if c.isalnum() or c in "_-." else "_" for c in name[:LONGEST_NAME])


def _is_name(text: str) -> bool:
    return 0 < len(text) <= LONGEST_NAME and not text[0].isdigit() and text.replace("_", "").replace("-", "").isalnum()
