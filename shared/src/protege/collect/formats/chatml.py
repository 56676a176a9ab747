"""ChatML: conversations as one text, `<|im_start|>role … <|im_end|>`, in the field `text` or `chatml` of a document.

Calls of tools may stand in it as Hermes and Qwen write them, `<tool_call>{…}</tool_call>`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from ...common.messages import json_in
from ...dialects.reading import tools_of
from ...errors import BadCall
from .base import Format, Record, object_of, without_nothing

_START, _END = "<|im_start|>", "<|im_end|>"
_FIELDS = ("text", "chatml")
_TOOLS = ("<tools>", "</tools>")
_CALL, _RESULT = ("<tool_call>", "</tool_call>"), ("<tool_response>", "</tool_response>")


def records(document: Any) -> Iterator[Record]:
    """The call that ends in the conversation's last answer. Raises BadCall."""
    document = object_of(document)
    text = next((document[name] for name in _FIELDS if _is_chatml(document.get(name))), None)
    if text is None:
        raise BadCall("a document without ChatML in text.")
    messages = [message for role, said in _turns(text) for message in _messages(role, said)]
    last = next((i for i in reversed(range(len(messages))) if messages[i]["role"] == "assistant"), 0)
    if not last:
        raise BadCall("a conversation without an answer.")
    told = {name: document.get(name) for name in ("id", "run", "model")}
    tools = tools_of({"tools": json_in(document.get("tools")) or list(_tools(messages[0]))})
    yield without_nothing({**told, "messages": messages[:last], "response": messages[last], "tools": tools})


def _tools(message: Record) -> Iterator[Any]:
    """The tools that the system's text lists as JSON, one a line."""
    said = str(message["content"]) if message["role"] == "system" else ""
    _, _, listed = said.partition(_TOOLS[0])
    for line in listed.partition(_TOOLS[1])[0].splitlines():
        tool = json_in(line.strip())
        if isinstance(tool, Mapping):
            yield tool
        elif isinstance(tool, list):
            yield from cast(list[Any], tool)


def _turns(text: str) -> Iterator[tuple[str, str]]:
    """Role and text of each turn that ends; what is no turn's is no part of the conversation."""
    for piece in text.split(_START)[1:]:
        head, _, said = piece.partition("\n")
        said, ended, _ = said.partition(_END)
        if ended:
            yield head.strip(), said.strip("\n")


def _messages(role: str, said: str) -> Iterator[Record]:
    if role == "assistant" and _CALL[0] in said:
        text, calls = _parted(said, _CALL)
        yield {"role": role, "content": text or None, "tool_calls": [_call(call) for call in calls]}
    elif role in ("user", "tool", "observation") and _RESULT[0] in said:
        text, results = _parted(said, _RESULT)
        yield from ({"role": "tool", "content": result} for result in results)
        if text:
            yield {"role": "user", "content": text}
    else:
        yield {"role": role, "content": said}


def _parted(said: str, marks: tuple[str, str]) -> tuple[str, list[str]]:
    """The text outside of what stands between the marks, and that."""
    before, *rest = said.split(marks[0])
    held = [piece.partition(marks[1]) for piece in rest]
    outside = "".join([before, *(after for _, _, after in held)])
    return outside.strip(), [inside.strip("\n") for inside, _, _ in held]


def _call(text: str) -> Any:
    call = json_in(text.strip())
    if not isinstance(call, Mapping):
        raise BadCall("a call of a tool that is no JSON object.")
    return cast(Any, call)


def _is_chatml(value: Any) -> bool:
    return isinstance(value, str) and value.lstrip()[: len(_START)] == _START


def _tells(document: Mapping[str, Any]) -> bool:
    return "messages" not in document and any(_is_chatml(document.get(name)) for name in _FIELDS)


def form() -> Format:
    """This form."""
    return Format("ChatML text", _tells, records)
