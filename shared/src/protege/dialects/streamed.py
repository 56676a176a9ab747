"""The whole answer that a list stands for: a stream's chunks or events, the parts of one answer, or several answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias, cast

from ..chat.streams import assemble
from ..common.tool_calls import KINDS
from .record import Record

_Items: TypeAlias = Sequence[Mapping[str, Any]]
OWN_CALLS = frozenset({"computer_call", "local_shell_call", "shell_call", "apply_patch_call"})
"""Calls of OpenAI's own tools that the agent carries out: an answer without them would be another."""
_ITEMS = KINDS | {"message", "reasoning", *OWN_CALLS}


def is_chat_stream(items: _Items) -> bool:
    """Whether these are the chunks of OpenAI's chat completions, which `chat.streams` puts together."""
    return _reader(items) is None


def whole(items: _Items) -> Mapping[str, Any]:
    """The answer as its provider's API gives it whole. Raises what a stream in no known form raises."""
    reader = _reader(items)
    return items[0] if reader is None else reader(items)


def _reader(items: _Items) -> Callable[[_Items], Mapping[str, Any]] | None:
    """What puts these together; None for chunks of OpenAI's chat completions."""
    kinds = {str(item.get("type")) for item in items}
    if any(kind.startswith("response.") for kind in kinds):
        return _of_response_events
    if "message_start" in kinds:
        return _of_events
    if any("candidates" in item for item in items):
        return _of_candidates
    if any("done" in item and ("message" in item or "response" in item) for item in items):
        return _of_lines
    if all(kind.lower().startswith("aimessage") for kind in kinds):
        return _of_pieces
    choices = _choices(items)
    if not choices and not any("choices" in item or "usage" in item for item in items):
        return _of_parts
    if any("text" in choice for choice in choices) and not any(choice.get("delta") for choice in choices):
        return _of_texts
    told = bool(choices) or all("choices" in item or "usage" in item for item in items)
    return None if told and not any("message" in choice for choice in choices) else _whole_one


def _choices(items: _Items) -> list[Any]:
    return [choice for item in items for choice in item.get("choices") or ()]


def _whole_one(items: _Items) -> Mapping[str, Any]:
    """The first of several answers. Some servers end a stream with the whole one."""
    return next((item for item in items if any("message" in choice for choice in item.get("choices") or ())), items[0])


def _of_parts(items: _Items) -> Mapping[str, Any]:
    """The answer whose parts alone were kept (OpenAI's Responses, Anthropic); else the first of several answers."""
    kinds = {str(item.get("type")) for item in items}
    if "message" in kinds or (kinds <= _ITEMS and "role" not in items[0]):
        return {"object": "response", "status": "completed", "output": list(items)}
    if "None" in kinds or any("role" in item for item in items):
        return items[0]
    return {"role": "assistant", "content": list(items)}


def _of_pieces(pieces: _Items) -> Mapping[str, Any]:
    """The answer that LangChain's chunks stand for; of whole messages the first."""
    if any("chunk" not in str(piece.get("type")).lower() for piece in pieces):
        return pieces[0]
    chunks = [{"choices": [{"delta": _delta(piece)}]} for piece in pieces]
    message, _, _ = assemble(chunks)
    metadata = [piece.get("response_metadata") or {} for piece in pieces]
    reason = next((held["finish_reason"] for held in metadata if held.get("finish_reason")), None)
    usage = next((piece["usage_metadata"] for piece in reversed(pieces) if piece.get("usage_metadata")), None)
    return {"choices": [{"message": message or {"content": None}, "finish_reason": reason}], "usage": usage}


def _delta(piece: Mapping[str, Any]) -> Record:
    calls = [
        {**call, "function": {"name": call.get("name"), "arguments": call.get("args")}}
        for call in piece.get("tool_call_chunks") or ()
    ]
    return {"content": piece.get("content"), "tool_calls": calls}


def _of_response_events(events: _Items) -> Mapping[str, Any]:
    """The answer that the events of OpenAI's Responses stand for: the last one holds it whole, if it came."""
    told: Mapping[str, Any] = {}
    items: dict[int, dict[str, Any]] = {}
    for event in events:
        kind, index = str(event.get("type")), int(event.get("output_index") or 0)
        if isinstance(response := event.get("response"), Mapping):
            told = cast(Mapping[str, Any], response)
        elif kind in ("response.output_item.added", "response.output_item.done"):
            items[index] = {"text": "", **event["item"]}
        elif index in items and kind == "response.output_text.delta":
            items[index]["text"] += event.get("delta") or ""
        elif index in items and kind == "response.function_call_arguments.delta":
            items[index]["arguments"] = items[index].get("arguments", "") + (event.get("delta") or "")
    if not told.get("output"):
        unfinished = {"object": "response", "status": told.get("status") or "in_progress"}
        told = {**told, **unfinished, "output": [_whole_item(items[index]) for index in sorted(items)]}
    return told


def _whole_item(item: Mapping[str, Any]) -> Record:
    """An item that may not have ended: its text is then what had come."""
    if item.get("type") != "message" or item.get("content"):
        return {name: value for name, value in item.items() if name != "text"}
    return {**item, "content": [{"type": "output_text", "text": item["text"]}]}


def _of_events(events: _Items) -> Record:
    """The answer that Anthropic's events stand for."""
    message: Record = {}
    blocks: dict[int, dict[str, Any]] = {}
    for event in events:
        kind, index, delta = event.get("type"), int(event.get("index") or 0), event.get("delta") or {}
        if kind == "message_start":
            message = dict(event["message"])
        elif kind == "content_block_start":
            blocks[index] = {**event["content_block"], "json": ""}
        elif kind == "content_block_delta":
            block = blocks.setdefault(index, {"type": "text", "text": "", "json": ""})
            block["text"] = block.get("text", "") + (delta.get("text") or "")
            block["json"] += delta.get("partial_json") or ""
        elif kind == "message_delta":
            used = {**(usage_of(message) or {}), **(usage_of(event) or {})}
            message |= {"stop_reason": delta.get("stop_reason"), "usage": used}
    return {**message, "role": "assistant", "content": [_whole_block(block) for block in blocks.values()]}


def _whole_block(block: Record) -> Record:
    return {**block, "input": block["json"] or block.get("input")} if block.get("type") == "tool_use" else block


def _of_candidates(chunks: _Items) -> Record:
    """The answer that Gemini's chunks stand for."""
    parts: list[Any] = []
    last: Record = {}
    used: Record = {}
    reason = None
    for chunk in chunks:
        used |= usage_of(chunk) or {}
        last |= chunk
        for candidate in chunk.get("candidates") or ():
            if not candidate.get("index"):
                parts += (candidate.get("content") or {}).get("parts") or ()
                reason = candidate.get("finishReason") or reason
    said = {"finishReason": reason, "content": {"role": "model", "parts": parts}}
    return {**last, "candidates": [said], "usage": used}


def _of_lines(lines: _Items) -> Record:
    """The answer that Ollama's lines stand for."""
    messages = [line.get("message") or {"content": line.get("response")} for line in lines]
    text = "".join(str(message.get("content") or "") for message in messages)
    calls = [call for message in messages for call in message.get("tool_calls") or ()]
    return {**lines[-1], "message": {"role": "assistant", "content": text, "tool_calls": calls}}


def _of_texts(chunks: _Items) -> Record:
    """The answer that the chunks of OpenAI's older completions stand for."""
    choices = [choice for chunk in chunks for choice in chunk.get("choices") or () if not choice.get("index")]
    text = "".join(str(choice.get("text") or "") for choice in choices)
    reason = next((choice["finish_reason"] for choice in choices if choice.get("finish_reason")), None)
    usage = next((chunk["usage"] for chunk in reversed(chunks) if chunk.get("usage")), None)  # some count as they go
    return {**chunks[0], "choices": [{"text": text, "finish_reason": reason}], "usage": usage}


def usage_of(body: Mapping[str, Any]) -> Any:
    """What an answer says it used, in its provider's words; None if it says nothing."""
    for name in ("usage", "usageMetadata", "usage_metadata"):
        if isinstance(body.get(name), Mapping):
            return body[name]
    counted = {name: body[name] for name in ("prompt_eval_count", "eval_count") if body.get(name) is not None}
    return counted or None
