"""Assembles the chunks of an OpenAI chat stream into one message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from ..common.messages import text_in
from ..common.tool_calls import arguments_text


def assemble(
    chunks: Iterable[Mapping[str, Any]],
) -> tuple[dict[str, Any] | None, str | None, dict[str, Any] | None]:
    """Message, finish reason and usage of a stream's chunks; each is None if the stream does not tell it.

    Takes the first choice. Tool calls are joined by their index and their id (`Calls`). The usage comes in the last
    chunk, whose `choices` are empty.
    """
    text: dict[str, list[str]] = {"content": [], "refusal": []}
    calls = Calls()
    role = finish_reason = usage = None
    for chunk in chunks:
        usage = told if isinstance(told := chunk.get("usage"), Mapping) and told else usage
        for choice in chunk.get("choices") or ():
            if choice.get("index"):
                continue
            finish_reason = choice.get("finish_reason") or finish_reason
            delta = choice.get("delta") or {}
            role = delta.get("role") or role
            for name, pieces in text.items():
                if said := delta.get(name):
                    pieces.append(said if isinstance(said, str) else _text(said if isinstance(said, list) else [said]))
            for position, piece in enumerate(delta.get("tool_calls") or ()):
                calls.add(piece, position)
            if isinstance(older := delta.get("function_call"), Mapping):
                calls.add({"index": 0, "function": older}, 0)
    message: dict[str, Any] = {"role": role or "assistant", "content": "".join(text["content"]) or None}
    if text["refusal"]:
        message["refusal"] = "".join(text["refusal"])
    if made := calls.made():
        message["tool_calls"] = made
    empty = message["content"] is None and len(message) == 2
    return None if empty and not finish_reason else message, finish_reason, dict(usage) if usage else None


class Calls:
    """The tool calls of a stream, put together from their pieces.

    A piece belongs to the call of its id, else to the latest call of its index. Some servers give all parallel calls
    one index, or none, or no ids; others a new id with each piece. So another id begins a new call where a name comes
    with it or the arguments so far are whole, and without ids a name does where whole arguments are begun anew.
    """

    def __init__(self) -> None:
        self._made: list[tuple[int, dict[str, Any]]] = []
        self._latest: dict[int, dict[str, Any]] = {}
        self._by_id: dict[str | int, dict[str, Any]] = {}

    def made(self) -> list[dict[str, Any]]:
        """The calls by their index; those of one index as they came."""
        calls = [call for _, call in sorted(self._made, key=lambda numbered: numbered[0])]
        return [call for call in calls if call["function"]["name"] or call["function"]["arguments"]]

    def add(self, piece: Mapping[str, Any], position: int) -> None:
        """position: the piece's place in its chunk, which stands for an index that is missing."""
        index = position if piece.get("index") is None else int(piece["index"])
        call_id, function = piece.get("id") or None, piece.get("function") or {}
        name, arguments = function.get("name"), function.get("arguments") or ""
        if not isinstance(arguments, str):  # some servers send them as an object, all at once
            arguments = arguments_text(arguments)
        call = self._latest.get(index)
        own = self._by_id.get(call_id) if isinstance(call_id, str | int) else None
        if own is not None and (own is call or not name):
            call = own
        elif call is None or _begins(call, call_id, name, arguments):
            call = _new()
            self._made.append((index, call))
        self._latest[index] = call
        if call_id and not call["id"]:
            call["id"] = call_id
            if isinstance(call_id, str | int):
                self._by_id.setdefault(call_id, call)
        held = call["function"]
        # Some servers repeat the name in every chunk; OpenAI's sends it once.
        if name and not held["arguments"] and held["name"] != name:
            held["name"] += name
        held["arguments"] += arguments


def _new() -> dict[str, Any]:
    return {"id": None, "type": "function", "function": {"name": "", "arguments": ""}}


def _begins(call: Mapping[str, Any], call_id: Any, name: Any, arguments: str) -> bool:
    """Whether a piece that follows this call at its index is the first of another."""
    held = call["function"]["arguments"]
    if call_id and call["id"]:
        return call_id != call["id"] and (bool(name) or (not arguments and _is_whole(held)))
    return bool(name) and arguments.lstrip().startswith("{") and _is_whole(held)


def _is_whole(arguments: str) -> bool:
    try:
        return isinstance(orjson.loads(arguments), dict)
    except orjson.JSONDecodeError:
        return False


def _text(parts: Any) -> str:
    """The text in a piece of content that is a list of parts: reasoning and what else it may hold is left out."""
    return "".join(text_in([part]) for part in parts if isinstance(part, str) or part.get("type") == "text")
