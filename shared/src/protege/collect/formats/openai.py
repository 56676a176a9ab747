"""OpenAI's chat fine-tuning files: `{"messages": […], "tools": […]}` a line. The last assistant message is the
answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...call import request_from
from ...errors import BadCall

FIELDS = frozenset({"messages", "tools", "functions", "parallel_tool_calls"})
"""All that a line of such a file may hold."""


def records(document: Any) -> Iterator[dict[str, Any]]:
    """The call that ends in the last assistant message whose `weight` is not 0. What comes after it is left out.

    The older `functions` and `function_call` become tools and tool calls. Raises BadCall.
    """
    if not isinstance(document, Mapping):
        raise BadCall("not a JSON object.")
    request_from(document)
    messages = [_message(message) for message in document["messages"]]
    answers = [i for i, m in enumerate(document["messages"]) if m["role"] == "assistant" and m.get("weight") != 0]
    if not answers:
        raise BadCall("messages hold no assistant message to learn from.")
    if not answers[-1]:
        raise BadCall("messages begin with the answer.")
    record: dict[str, Any] = {"messages": messages[: answers[-1]], "response": messages[answers[-1]]}
    if tools := document.get("tools") or [{"type": "function", "function": f} for f in document.get("functions") or ()]:
        record["tools"] = tools
    if (parallel := document.get("parallel_tool_calls")) is not None:
        record["parameters"] = {"parallel_tool_calls": parallel}
    yield record


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    written = {name: value for name, value in message.items() if name not in ("weight", "function_call")}
    if function := message.get("function_call"):
        written["tool_calls"] = [{"id": None, "type": "function", "function": function}]
    return written
