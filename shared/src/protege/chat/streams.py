"""Assembles the chunks of an OpenAI chat stream into one message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def assemble(
    chunks: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Any] | None, str | None, dict[str, Any] | None]:
    """Message, finish reason and usage of a stream's chunks; each is None if the stream does not tell it.

    Takes the first choice. Tool calls are joined by their index. The usage comes in the last chunk, whose `choices` are
    empty.
    """
    text: dict[str, list[str]] = {"content": [], "refusal": []}
    calls: dict[int, dict[str, Any]] = {}
    role = finish_reason = usage = None
    for chunk in chunks:
        usage = chunk.get("usage") or usage
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            finish_reason = choice.get("finish_reason") or finish_reason
            delta = choice.get("delta") or {}
            role = delta.get("role") or role
            for name, pieces in text.items():
                if delta.get(name):
                    pieces.append(delta[name])
            for position, piece in enumerate(delta.get("tool_calls") or ()):
                _add(calls.setdefault(_index(piece, position), _new_call()), piece)
    message: dict[str, Any] = {"role": role or "assistant", "content": "".join(text["content"]) or None}
    if text["refusal"]:
        message["refusal"] = "".join(text["refusal"])
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    empty = message["content"] is None and len(message) == 2
    return None if empty and not finish_reason else message, finish_reason, dict(usage) if usage else None


def _index(piece: Mapping[str, Any], position: int) -> int:
    index = piece.get("index")
    return position if index is None else int(index)


def _new_call() -> dict[str, Any]:
    return {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}


def _add(call: dict[str, Any], piece: Mapping[str, Any]) -> None:
    call["id"] = piece.get("id") or call["id"]
    function: Mapping[str, Any] = piece.get("function") or {}
    # Some servers repeat the name in every chunk; OpenAI's sends it once.
    if function.get("name") and not call["function"]["arguments"] and call["function"]["name"] != function["name"]:
        call["function"]["name"] += function["name"]
    call["function"]["arguments"] += function.get("arguments") or ""
