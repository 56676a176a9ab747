"""ShareGPT's conversations: `{"conversations": [{"from": "human", "value": …}]}`. The last answer is the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ...common.messages import flattened, json_in
from ...dialects.reading import tools_of
from ...errors import BadCall
from .base import Format, Record, object_of, without_nothing


def records(document: Any) -> Iterator[Record]:
    """The call that ends in the conversation's last answer. Raises BadCall."""
    document = object_of(document)
    turns = [_turn(turn) for turn in document["conversations"]]
    system = [{"role": "system", "content": text}] if isinstance(text := document.get("system"), str) and text else []
    messages = list(flattened([*system, *turns]))
    last = next((i for i in reversed(range(len(messages))) if messages[i]["role"] == "assistant"), 0)
    if not last:
        raise BadCall("a conversation without an answer.")
    tools = tools_of({"tools": json_in(document.get("tools")) or ()})
    # Its id is left out: data sets number their conversations from 1.
    yield without_nothing({"messages": messages[:last], "response": messages[last], "tools": tools})


def _turn(turn: Any) -> Any:
    """A turn; a call of a tool is written as JSON."""
    if isinstance(turn, Mapping) and turn.get("from") == "function_call":
        return {"role": "assistant", "content": None, "tool_calls": [json_in(turn.get("value"))]}
    return turn


def form() -> Format:
    """This form."""
    return Format("ShareGPT conversations", lambda document: isinstance(document.get("conversations"), list), records)
