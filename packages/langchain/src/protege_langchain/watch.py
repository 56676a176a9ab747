"""Watching one call of a wrapped model from its first word to its last, without ever standing in its way."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType

from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.outputs.chat_generation import merge_chat_generation_chunks

from .capture import OpenCall, log_once


class Watch:
    """A context around a teacher's call: it is recorded once, with its answer, or with its error, which goes on.

    call: None where the request could not be read; then nothing is recorded.
    """

    __slots__ = ("_chunks", "_done", "call")

    def __init__(self, call: OpenCall | None) -> None:
        self.call = call
        self._chunks: list[ChatGenerationChunk] = []
        self._done = call is None

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        """BaseException too: a cancelled call and an abandoned stream are recorded as such."""
        if error is not None:
            self._close(lambda call: call.failed(error, merge_chat_generation_chunks(self._chunks)))

    def chunk(self, chunk: ChatGenerationChunk) -> None:
        """A part of a streamed answer has come."""
        if self.call is not None:
            self.call.token()
            self._chunks.append(chunk)

    def streamed(self) -> None:
        """The stream has ended."""
        if (whole := merge_chat_generation_chunks(self._chunks)) is not None:
            self._close(lambda call: call.answered(whole))

    def answered(self, result: ChatResult, by: str = "") -> None:
        """The answer is there; `by` names the specialist where it was not the teacher."""
        self._close(lambda call: call.answered(result.generations[0], result.llm_output, by=by))

    def _close(self, write: Callable[[OpenCall], None]) -> None:
        if self._done or self.call is None:
            return
        self._done = True
        try:
            write(self.call)
        except Exception as error:  # noqa: BLE001 - the agent is protected from the recorder
            log_once("Recording a call", error)
