"""OpenAI's chat fine-tuning files: `{"messages": […], "tools": […]}` a line. The last assistant message is the
answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...call import request_from
from ...errors import BadCall
from .base import Format, Record, object_of

FIELDS = frozenset({"messages", "tools", "functions", "parallel_tool_calls"})
"""All that a line of such a file may hold."""


def records(document: Any) -> Iterator[Record]:
    """The call that ends in the last assistant message whose `weight` is not 0. What comes after it is left out.

    The older `functions` and `function_call` become tools and tool calls. Raises BadCall.
    """
    document = object_of(document)
    request_from(document)
    messages = [{name: value for name, value in m.items() if name != "weight"} for m in document["messages"]]
    answers = [i for i, m in enumerate(document["messages"]) if m["role"] == "assistant" and m.get("weight") != 0]
    if not answers:
        raise BadCall("messages hold no assistant message to learn from.")
    if not answers[-1]:
        raise BadCall("messages begin with the answer.")
    record: Record = {"messages": messages[: answers[-1]], "response": messages[answers[-1]]}
    if tools := document.get("tools") or [{"type": "function", "function": f} for f in document.get("functions") or ()]:
        record["tools"] = tools
    if (parallel := document.get("parallel_tool_calls")) is not None:
        record["parameters"] = {"parallel_tool_calls": parallel}
    yield record


def _tells(document: Mapping[str, Any]) -> bool:
    turns = document.get("messages")
    plain = isinstance(turns, list) and all("role" in turn for turn in turns if isinstance(turn, Mapping))
    return plain and FIELDS.issuperset(document)


def form() -> Format:
    """This form."""
    return Format("OpenAI chat fine-tuning files", _tells, records)
