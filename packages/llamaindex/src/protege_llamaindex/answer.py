"""Reads a teacher's answer, whole or as a stream, for the record."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from typing import Any, cast

from llama_index.core.base.llms.types import (
    ChatMessage,
    ChatResponse,
    ChatResponseAsyncGen,
    ChatResponseGen,
    CompletionResponse,
    ToolCallBlock,
)
from protege.adapter import USAGE_NAMES, Reply, Watch, finish_reason, log_once, tokens_used

from .recording import recorded
from .translate import answer_to_openai

Response = ChatResponse | CompletionResponse


class Heard:
    """The parts of an answer that have come so far.

    LlamaIndex's streams are cumulative, so only the last part is held. Parts share one list of tool calls, which goes
    on changing, so a part's blocks are copied when it comes.
    """

    __slots__ = ("_blocks", "_finish_reason", "_lost", "_model", "_response", "_used")

    def __init__(self, response: Response | None = None) -> None:
        self._response: Response | None = None
        self._blocks: list[Any] = []
        self._finish_reason: str | None = None
        self._model: str | None = None
        self._lost = False
        self._used: tuple[int | None, ...] = ()
        if response is not None:
            self.add(response)

    def add(self, response: Response) -> None:
        """Take in the answer, or a part of it."""
        if isinstance(response, CompletionResponse):
            self._response = response
        elif response.message.blocks or response.message.additional_kwargs or self._response is None:
            self._response, self._blocks = response, list(response.message.blocks)
        raw = response.raw
        self._finish_reason = _finish_reason(raw) or self._finish_reason
        if self._model is None and isinstance(model := _field(raw, "model"), str):
            self._model = model or None
        self._used = _usage(raw, response.additional_kwargs) or self._used

    @property
    def began(self) -> bool:
        """Whether any part has come."""
        return self._response is not None

    def lost(self) -> None:
        """A part could not be read, so the rest may not be the whole answer."""
        self._lost = True

    def reply(self) -> Reply:
        """The answer for the record. Raises ValueError if nothing came, or if a part could not be read."""
        if self._lost or self._response is None:
            raise ValueError("The answer could not be read.")
        return Reply(self._message(), self._finish_reason, self._model, *self._used)

    def _message(self) -> dict[str, Any]:
        response = self._response
        assert response is not None
        if isinstance(response, CompletionResponse):
            return {"role": "assistant", "content": response.text}
        written = answer_to_openai(response.message, self._blocks)
        empty = [block for block in self._blocks if isinstance(block, ToolCallBlock) and not block.tool_kwargs]
        if empty:  # LlamaIndex gives a call without arguments an empty object
            _as_written(written["tool_calls"], response.message)
        return written


def read_reply(parts: Sequence[Any]) -> Reply:
    """The reply of a call. Its parts are one whole response, or the one `Heard` of a stream."""
    heard = parts[0] if isinstance(parts[0], Heard) else Heard(parts[0])
    return heard.reply()


def followed(watch: Watch, parts: Iterator[Any]) -> ChatResponseGen:
    """The teacher's stream, which is recorded as it passes."""
    heard = Heard()
    with watch:
        try:
            while True:
                with recorded():  # not around the yield, where the agent runs
                    part = next(parts, _END)
                if part is _END:
                    break
                _hear(watch, heard, part)
                yield part
        finally:  # if the agent leaves the stream, the teacher's is closed too
            if (close := getattr(parts, "close", None)) is not None:
                close()
        watch.ended()


async def afollowed(watch: Watch, parts: AsyncIterator[Any]) -> ChatResponseAsyncGen:
    """Like `followed`, for an async stream."""
    heard = Heard()
    with watch:
        try:
            while True:
                with recorded():
                    part = await anext(parts, _END)
                if part is _END:
                    break
                _hear(watch, heard, part)
                yield part
        finally:
            if (close := getattr(parts, "aclose", None)) is not None:
                await close()
        watch.ended()


_END: Any = object()


def _hear(watch: Watch, heard: Heard, part: Any) -> None:
    try:
        if not heard.began:
            watch.part(heard)
        heard.add(part)
    except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
        heard.lost()
        log_once("Reading a part of an answer", error)


def _as_written(calls: list[dict[str, Any]], message: ChatMessage) -> None:
    raw = message.additional_kwargs.get("tool_calls") or ()
    for call, given in zip(calls, cast(Sequence[Any], raw), strict=False):
        arguments = _field(_field(given, "function"), "arguments")
        if isinstance(arguments, str):
            call["function"]["arguments"] = arguments


def _finish_reason(raw: Any) -> str | None:
    choices = _field(raw, "choices")
    if isinstance(choices, list):
        reason = _field(cast(list[Any], choices)[0], "finish_reason") if choices else None
        return finish_reason({"finish_reason": reason}) if reason else None
    names = ("finish_reason", "stop_reason", "done_reason", "stopReason")
    return finish_reason({name: _field(raw, name) for name in names})


def _usage(raw: Any, extra: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    for used in (_field(raw, "usage"), _field(raw, "usage_metadata"), extra):
        if not used:
            continue
        try:
            tokens = tokens_used(_counts(used))
        except Exception:  # noqa: BLE001 - what a server reports may be anything, and the answer is worth more
            continue
        if tokens.input is not None or tokens.output is not None:
            return tokens
    return None


def _counts(used: Any) -> Mapping[str, Any]:
    """A usage as a mapping: of a pydantic model, or of any other object what it says under the names that are known."""
    if isinstance(used, Mapping):
        return cast(Mapping[str, Any], used)
    if hasattr(used, "model_dump"):
        return used.model_dump()
    return {name: value for name in USAGE_NAMES if isinstance(value := getattr(used, name, None), int)}


def _field(value: Any, name: str) -> Any:
    return cast(Any, value).get(name) if isinstance(value, dict) else getattr(value, name, None)
